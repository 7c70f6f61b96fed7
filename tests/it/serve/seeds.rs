//! Secret seeds: once for each node, whatever happens to the server, and to nobody else.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use super::{Project, Served, curl};
use crate::support::daemon::available;

const ANY: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn user_data(served: &Served, machine: &str) -> u16 {
    curl(&served.url(&format!("/secret/{machine}/user-data")), &[]).status
}

#[test]
fn a_seed_is_handed_out_once_until_it_is_rearmed_or_made_anew() {
    let project = Project::new();
    let served = project.serve(&ANY);
    let url = served.url("/secret/worker-1/user-data");
    let peek = curl(&url, &["--head"]);
    assert_eq!((peek.status, peek.text().contains("secret of")), (200, false));
    let first = curl(&url, &[]);
    assert_eq!((first.status, first.text().as_str()), (200, "#cloud-config\n# first secret of worker-1\n"));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let again = curl(&url, &[]);
    assert_eq!((again.status, again.text().contains("secret of")), (410, false));
    assert!(served.log().contains("127.0.0.1 asks for the user-data of worker-1, which was handed out before"));
    // Each file by itself, as cloud-init asks for one after the other.
    assert_eq!(curl(&served.url("/secret/worker-1/meta-data"), &[]).status, 200);
    assert_eq!(curl(&served.url("/secret/worker-1/meta-data"), &[]).status, 410);
    let vendor = curl(&served.url("/secret/worker-1/vendor-data"), &[]);
    assert_eq!((vendor.status, vendor.body.len()), (200, 0));
    let rearmed = project.run(&["--rearm", "worker-1"]);
    assert!(rearmed.status.success(), "{}", String::from_utf8_lossy(&rearmed.stderr));
    assert_eq!((user_data(&served, "worker-1"), user_data(&served, "worker-1")), (200, 410));
    project.deliver("second");
    assert!(curl(&url, &[]).text().contains("second secret of worker-1"));
    assert_eq!(user_data(&served, "worker-1"), 410);
    let unknown = project.run(&["--rearm", "worker-9"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(2) && said.contains("no node \"worker-9\""), "{said}");
}

#[test]
fn what_was_handed_out_stays_so_when_the_server_is_killed() {
    let project = Project::new();
    let served = project.serve(&ANY);
    assert_eq!(user_data(&served, "worker-1"), 200);
    served.kill();
    let served = project.serve(&ANY);
    assert_eq!((user_data(&served, "worker-1"), user_data(&served, "worker-2")), (410, 200));
    let record = project.path("dist.served");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&record).expect("there").permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&record).expect("readable");
    assert!(text.lines().count() == 2 && !text.contains("secret"), "{text}");
}

/// Nothing leaves that cannot be put on record.
#[test]
fn without_a_record_no_secret_leaves() {
    let project = Project::new();
    let refused = project.run(&["--listen", "127.0.0.1:0", "--record", "/proc/nothing"]);
    assert_eq!(refused.status.code(), Some(7), "{}", String::from_utf8_lossy(&refused.stderr));
    std::fs::write(project.path("strange"), "not khimg's\n").expect("written");
    let strange =
        project.run(&["--listen", "127.0.0.1:0", "--record", project.path("strange").to_str().expect("text")]);
    assert_eq!(strange.status.code(), Some(2), "{}", String::from_utf8_lossy(&strange.stderr));
}

#[test]
fn a_seed_that_was_changed_after_the_build_stays() {
    let project = Project::new();
    let served = project.serve(&ANY);
    std::fs::write(project.dist().join("secret/worker-1/user-data"), "#cloud-config\n").expect("written");
    assert_eq!(user_data(&served, "worker-1"), 503);
    assert!(served.log().contains("was changed since it was made"), "{}", served.log());
}

#[test]
fn machines_are_known_by_address_uuid_serial_number_and_name() {
    let project = Project::new();
    let served = project.serve(&ANY);
    assert_eq!(user_data(&served, "52-54-00-00-00-11"), 200);
    assert_eq!((user_data(&served, "52:54:00:00:00:11"), user_data(&served, "master-1")), (410, 410));
    assert_eq!(user_data(&served, "ABC.123"), 200);
    assert_eq!(user_data(&served, "44454C4C-4200-1035-8051-b4c04f4a4e31"), 200, "with the other order of bytes");
    assert_eq!(user_data(&served, "worker-2"), 410);
    for stranger in ["52:54:00:00:00:12", "ABC.12", "worker-3", "00000000-0000-0000-0000-000000000000", "%1b%5b2J"] {
        assert_eq!(user_data(&served, stranger), 404, "{stranger}");
    }
    assert!(served.log().contains("unknown machine \"52:54:00:00:00:12\"") && !served.log().contains('\u{1b}'));
}

/// As cloud-init's NoCloud asks, with its own code.
#[test]
fn cloud_init_gets_its_seed() {
    if !available(&["cloud-init"]) {
        return;
    }
    let project = Project::new();
    let served = project.serve(&ANY);
    let script = "import sys\nfrom cloudinit import util\nseed = util.read_seeded(sys.argv[1], timeout=5, retries=2)\n\
        meta, user, vendor = seed[0], seed[1], seed[2]\n\
        print(meta['instance-id'], user.decode().splitlines()[1], vendor in (b'', '', None))\n";
    let base = served.url("/secret/ABC.123/");
    let output = Command::new("/usr/bin/python3").args(["-c", script, &base]).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        said.trim(),
        "served-worker-1-first # first secret of worker-1 True",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let again = Command::new("/usr/bin/python3").args(["-c", script, &base]).output().expect("runs");
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("410"));
}

/// 2,000 machines that all ask at the same moment, each of them twice: every one is served, none twice.
#[test]
fn two_thousand_at_once_each_served_once() {
    const COUNT: usize = 2000;
    allow_many_files();
    let project = Project::large(COUNT);
    let served = project.serve(&ANY);
    let base: Arc<str> = served.url("/secret").into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let answers = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let asked: Vec<_> = (0..2 * COUNT)
            .map(|at| {
                let (client, base) = (client.clone(), Arc::clone(&base));
                tokio::spawn(async move {
                    let node = at % COUNT;
                    let asked = client.get(format!("{base}/node-{node}/user-data")).send().await.expect("an answer");
                    let status = asked.status().as_u16();
                    let text = asked.text().await.expect("a text");
                    assert!(status != 200 || text == format!("#cloud-config\n# first secret of node-{node}\n"));
                    (node, status)
                })
            })
            .collect();
        let mut answers: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        for task in asked {
            let (node, status) = task.await.expect("ends");
            answers.entry(node).or_default().push(status);
        }
        answers
    });
    assert_eq!(answers.len(), COUNT);
    // Twice as many connections as machines, each with its buffers.
    assert!(served.peak_memory() < 200_000_000, "{} bytes", served.peak_memory());
    for (node, mut statuses) in answers {
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 410], "node-{node}");
    }
    let record = std::fs::read_to_string(project.path("dist.served")).expect("readable");
    assert_eq!(record.lines().count(), COUNT);
}

/// Each of the clients is a descriptor of this process.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).expect("the hard limit may be used");
}
