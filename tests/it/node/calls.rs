//! The two servers that a node talks to, real ones: etcd through its gateway, and the API server.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use khimg::node::call::CallError;
use khimg::node::kube::{Kube, Reply};
use khimg::node::kubeconfig::Kubeconfig;
use khimg::node::snapshot::take;
use serde_json::{Value, json};

use crate::support::apiserver::ApiServer;
use crate::support::daemon::run;
use crate::support::etcd::{Pki, Servers, snapshot_status};

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn etcd_tells_its_members_and_whether_they_are_a_majority() {
    let Some(mut servers) = Servers::start(3) else { return };
    block(async {
        let all = servers.client(0..3);
        let known = all.members().await.expect("members");
        let mut names: Vec<&str> = known.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["m1", "m2", "m3"]);
        for member in &known.members {
            let server = servers.list.iter().find(|server| server.name == member.name).expect("known");
            assert_eq!((&member.peer_urls, member.learner), (&vec![server.peer_url()], false));
        }
        let status = all.status().await.expect("a status");
        assert_eq!((status.member, &*status.version), (known.asked, "3.4.23"));
        assert!(known.members.iter().any(|member| Some(member.id) == status.leader), "{status:?}");
        assert!(servers.client(1..2).quorate().await.expect("an answer"));

        // The member list of etcd's own tool is the same.
        let told = servers.etcdctl(0, &["member", "list"]);
        for member in &known.members {
            let line = format!("{}, started, {}, {}", member.id, member.name, member.peer_urls[0]);
            assert!(told.contains(&line), "{told}");
        }

        // One in, which never starts: without a name, and the cluster lives on. And out again, once.
        servers.place();
        let urls = [servers.list[3].peer_url()];
        // etcd wants its members to have been connected for a while first.
        let added = loop {
            match all.add(&urls, true).await {
                Err(CallError::Refused { message, .. }) if message == "etcdserver: unhealthy cluster" => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                added => break added.expect("added"),
            }
        };
        assert_eq!((&*added.name, added.learner, &added.client_urls), ("", true, &vec![]));
        let again = all.add(&urls, true).await.expect_err("it is there already");
        assert!(matches!(&again, CallError::Refused { message, .. } if message.contains("etcdserver:")), "{again}");
        assert!(all.members().await.expect("members").members.contains(&added));
        assert!(all.remove(added.id).await.expect("removed"));
        assert!(!all.remove(added.id).await.expect("it is gone already"));

        // One server is left, and it knows that it is no majority; and what it knew it still says.
        servers.stop(1);
        assert!(servers.client(1..3).quorate().await.expect("the next server answers"));
        servers.stop(2);
        assert!(!servers.client(0..1).quorate().await.expect("an answer"));
        assert_eq!(servers.client(0..1).members().await.expect("members").members, known.members);
        let nobody = servers.client(1..3).members().await.expect_err("both are off");
        assert!(nobody.never_sent(), "{nobody}");
    });
}

#[test]
fn etcd_answers_those_of_its_own_authority_only() {
    let Some(servers) = Servers::start(1) else { return };
    block(async {
        let url = || vec![servers.list[0].client_url().parse().expect("a URL")];
        let stranger = Pki::new("etcd-ca").credentials("client");
        let denied = khimg::node::etcd::Etcd::new(url(), &stranger).expect("a client").members().await;
        assert!(matches!(denied, Err(CallError::Silent { .. })), "{denied:?}");
        // The right authority, and nobody who asks.
        let nobody = khimg::node::call::Credentials::from_files(&servers.pki.file("ca.crt"), None).expect("read");
        let denied = khimg::node::etcd::Etcd::new(url(), &nobody).expect("a client").members().await;
        assert!(matches!(denied, Err(CallError::Silent { .. })), "{denied:?}");
    });
}

#[test]
fn a_snapshot_is_what_etcd_restores() {
    let Some(servers) = Servers::start(1) else { return };
    // More than one part of the stream.
    let long = "x".repeat(100_000);
    for key in ["a", "b", "c"] {
        servers.etcdctl(0, &["put", key, &long]);
    }
    let path = servers.path("snapshot.db");
    let taken = block(servers.client(0..1).snapshot(&path)).expect("a snapshot");
    let meta = fs::metadata(&path).expect("a file");
    assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (taken.size, 0o600));
    // The three keys, and the first revision of an empty database.
    let told = snapshot_status(&path);
    assert_eq!(told.split(", ").nth(1), Some("4"), "{told}");
    let restored = servers.path("restored");
    // Checks the trailer.
    run(std::process::Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["snapshot", "restore", "--data-dir"])
        .arg(&restored)
        .arg(&path));
    assert!(restored.join("member/snap/db").is_file());
    let beside: Vec<_> = fs::read_dir(servers.path("")).expect("listed").filter_map(Result::ok).collect();
    assert!(beside.iter().all(|entry| !entry.file_name().to_string_lossy().contains("new")), "{beside:?}");
}

#[test]
fn the_newest_snapshots_stay() {
    let Some(servers) = Servers::start(1) else { return };
    let (etcd, directory) = (servers.client(0..1), servers.path("snapshots"));
    let keep = NonZeroUsize::new(2).expect("two");
    let take = |second: i64| block(take(&etcd, &directory, keep, Timestamp::new(second, 0).expect("a time")));
    let names = || {
        let mut names: Vec<String> = fs::read_dir(&directory)
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    };
    take(100).expect("a snapshot");
    // Somebody else's file.
    fs::write(directory.join("note.txt"), "").expect("written");
    take(200).expect("a snapshot");
    let third = take(300).expect("a snapshot");
    assert_eq!(third.removed, [directory.join("etcd-19700101T000140Z.db")]);
    assert_eq!(names(), ["etcd-19700101T000320Z.db", "etcd-19700101T000500Z.db", "note.txt"]);
    // A clock that went back does not cost the snapshot that was just taken.
    take(50).expect("a snapshot");
    assert_eq!(names(), ["etcd-19700101T000050Z.db", "etcd-19700101T000500Z.db", "note.txt"]);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&third.path)), (0o700, 0o600));
    // A failed one leaves nothing, and takes nothing away.
    let nobody = servers.client(0..0);
    assert!(block(khimg::node::snapshot::take(&nobody, &directory, keep, Timestamp::UNIX_EPOCH)).is_err());
    assert_eq!(names().len(), 3);
}

#[test]
fn the_api_server_gives_objects_and_two_refusals() {
    let Some(server) = ApiServer::start() else { return };
    block(async {
        let kube = server.client();
        let maps = "/api/v1/namespaces/kube-system/configmaps";
        let path = format!("{maps}/sample");
        let object = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sample", "labels": {"of": "test"}}, "data": {"key": value}});
        assert_eq!(kube.get(&path).await.expect("an answer"), Reply::Missing);
        let made = kube.create(maps, &object("1")).await.expect("an answer").done().expect("made");
        assert_eq!(kube.create(maps, &object("2")).await.expect("an answer"), Reply::Conflict);
        let patched =
            kube.patch(&path, &json!({"data": {"more": "2"}})).await.expect("an answer").done().expect("patched");
        assert_eq!(patched["data"], json!({"key": "1", "more": "2"}));
        // From before the patch.
        assert_eq!(kube.update(&path, &made).await.expect("an answer"), Reply::Conflict);
        let mut now = patched;
        now["data"]["key"] = json!("3");
        assert!(kube.update(&path, &now).await.expect("an answer").done().is_some());
        let found = kube.list("/api/v1/configmaps", "of=test").await.expect("a list");
        assert_eq!(found.iter().map(|map| &map["data"]["key"]).collect::<Vec<_>>(), ["3"]);
        assert_eq!(kube.list("/api/v1/nodes", "").await.expect("a list"), Vec::<Value>::new());
        assert_eq!(kube.delete(&path, Some("another")).await.expect("an answer"), Reply::Conflict);
        assert!(kube.delete(&path, None).await.expect("an answer").done().is_some());
        assert_eq!(kube.delete(&path, None).await.expect("an answer"), Reply::Missing);
        let wrong = kube.create(maps, &json!({"kind": "ConfigMap"})).await.expect_err("no ConfigMap");
        assert!(matches!(wrong, CallError::Refused { .. }), "{wrong}");
        // Nobody in particular may ask how it is.
        let nobody = Kube::new(server.url.clone(), &server.nobody()).expect("a client");
        assert!(nobody.healthy("/readyz").await.expect("an answer"));
        assert!(!nobody.healthy("/nowhere").await.expect("an answer"));
        // Another cluster's authority is no proof.
        let stranger = Kube::new(server.url.clone(), &Pki::new("kubernetes").credentials("admin")).expect("a client");
        assert!(matches!(stranger.healthy("/readyz").await, Err(CallError::Silent { .. })));
    });
}

#[test]
fn a_kubeconfig_leads_to_the_server() {
    let Some(server) = ApiServer::start() else { return };
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("admin.conf");
    let write = |ca: &str, certificate: &str, key: &str| {
        let url = server.url.as_str().trim_end_matches('/');
        let text = format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    {ca}\n    server: {url}\n  name: kubernetes\ncontexts:\n\
             - context:\n    cluster: kubernetes\n    user: kubernetes-admin\n  name: admin@kubernetes\n\
             current-context: admin@kubernetes\nkind: Config\npreferences: {{}}\nusers:\n- name: kubernetes-admin\n\
             \x20 user:\n    {certificate}\n    {key}\n"
        );
        fs::write(&path, text).expect("written");
    };
    let ask = || block(Kubeconfig::read(&path).expect("read").connect().expect("a client").list("/api/v1/nodes", ""));
    let data = |name: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(fs::read(server.file(name)).expect("a file"))
    };
    write(
        &format!("certificate-authority-data: {}", data("ca.crt")),
        &format!("client-certificate-data: {}", data("admin.crt")),
        &format!("client-key-data: {}", data("admin.key")),
    );
    assert!(ask().is_ok());
    write(
        &format!("certificate-authority: {}", server.file("ca.crt").display()),
        &format!("client-certificate: {}", server.file("admin.crt").display()),
        &format!("client-key: {}", server.file("admin.key").display()),
    );
    assert!(ask().is_ok());
    write("certificate-authority-data: AAAA", "client-certificate-data: AAAA", "token: hunter2");
    let error = Kubeconfig::read(&path).expect_err("no key");
    assert!(error.to_string().ends_with("it has no client key"), "{error}");
    fs::write(&path, "users: [hunter2").expect("written");
    let error = format!("{:?}", Kubeconfig::read(&path).expect_err("no YAML"));
    assert!(!error.contains("hunter2"), "{error}");
}
