//! What machines boot, and what is told of them.

use std::collections::BTreeSet;
use std::fs;

use super::{Project, curl, token};

const ANY: [&str; 4] = ["--listen", "127.0.0.1:0", "--status", "127.0.0.1:0"];

#[test]
fn each_known_machine_boots_by_a_script_of_its_own() {
    let project = Project::new();
    for (place, line) in [("amd64", None), ("master-amd64", Some("root={files}/root  ds=nocloud;s={seed}/\n"))] {
        let directory = project.path(&format!("boot/{place}"));
        fs::create_dir_all(&directory).expect("a directory");
        for name in ["kernel", "initrd"] {
            fs::write(directory.join(name), format!("{place} {name}")).expect("written");
        }
        if let Some(line) = line {
            fs::write(directory.join("cmdline"), line).expect("written");
        }
    }
    let boot = project.path("boot");
    let served = project.serve(&[&ANY[..], &["--boot", boot.to_str().expect("text")]].concat());
    let here = served.url("");
    let script = curl(&served.url("/boot/52:54:00:00:00:11"), &[]).text();
    let expected = format!(
        "#!ipxe\nkernel {here}/files/master-amd64/kernel initrd=initrd root={here}/files/master-amd64/root \
        ds=nocloud;s={here}/secret/master-1/\ninitrd --name initrd {here}/files/master-amd64/initrd\nboot\n"
    );
    assert_eq!(script, expected);
    let script = curl(&served.url("/boot/ABC.123"), &[]).text();
    assert!(script.contains(&format!("fetch={here}/files/amd64/root.squashfs ip=dhcp")), "{script}");
    assert_eq!(curl(&format!("{here}/files/amd64/initrd"), &["--range", "0-4"]).text(), "amd64");
    let stranger = curl(&served.url("/boot/52:54:00:00:00:99"), &[]);
    assert_eq!((stranger.status, stranger.body.len()), (404, 0));
    let rows: serde_json::Value = serde_json::from_slice(&curl(&served.page("/status.json"), &[]).body).expect("JSON");
    assert!(rows[0]["node"] == "master-1" && rows[0]["boot"].is_string() && rows[2]["boot"].is_null(), "{rows}");
}

#[test]
fn nodes_report_and_the_table_shows_it() {
    let project = Project::new();
    let served = project.serve(&ANY);
    let report = |machine: &str, proof: &str, body: &str| {
        let header = format!("Authorization: Bearer {proof}");
        let arguments = ["-X", "POST", "--header", &header, "--data-binary", body];
        curl(&served.url(&format!("/report/{machine}")), &arguments).status
    };
    let good = r#"{"condition":"waiting","step":"join","message":"<b>the VIP</b>"}"#;
    assert_eq!(report("worker-1", &token("worker-1"), good), 204);
    assert_eq!(report("worker-1", &token("worker-2"), good), 403);
    assert_eq!(report("worker-1", "", good), 403);
    assert_eq!(report("worker-9", &token("worker-9"), good), 404);
    assert_eq!(report("worker-2", &token("worker-2"), "{}"), 400);
    assert_eq!(report("worker-2", &token("worker-2"), &"x".repeat(10_000)), 413);
    // One that never stops is not heard for ever, and takes nothing from the others.
    let statuses: BTreeSet<u16> = (0..200).map(|_| report("worker-2", &token("worker-2"), "{}")).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(report("worker-1", &token("worker-1"), good), 204);
    assert_eq!(curl(&served.url("/secret/worker-1/user-data"), &[]).status, 200);
    let page = curl(&served.page("/"), &[]);
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    assert!(page.text().contains("waiting: join (&lt;b&gt;the VIP&lt;/b&gt;)") && !page.text().contains("<b>"));
    let rows: serde_json::Value = serde_json::from_slice(&curl(&served.page("/status.json"), &[]).body).expect("JSON");
    assert_eq!((&rows[1]["node"], &rows[1]["seed"][1]), (&"worker-1".into(), &"127.0.0.1".into()), "{rows}");
    // The table is where the user said, and nowhere else.
    assert_eq!((curl(&served.url("/"), &[]).status, curl(&served.url("/status.json"), &[]).status), (404, 404));
    assert_eq!(curl(&served.page("/public/khimg.lock"), &[]).status, 404);
}
