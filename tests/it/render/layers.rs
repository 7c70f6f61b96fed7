//! Layers: what is declared, what is replaced, what a user may change, and what the errors say.

use std::path::Path;

use khimg::cluster::{Cni, EndpointMode, Role};
use khimg::exit::{Exit, Explain};
use khimg::profile::Part;
use khimg::render::Overlays;
use khimg::secrets::Secrets;

use super::fixture::{cluster, profiles, try_render};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }
    folder
}

/// Files of a user's overlay directory: path and text.
type Files<'a> = &'a [(&'a str, &'a str)];

/// The message of loading or rendering with these overlays; the layer `site`, if there is one, is the masters' highest.
fn attempt(files: &[(&str, &str)]) -> Result<khimg::render::Rendered, (Exit, String, Option<String>)> {
    let folder = folder(files);
    let fault = |error: &dyn Explain| (error.exit(), error.to_string(), error.hint());
    let overlays = Overlays::load(Some(folder.path())).map_err(|error| fault(&error))?;
    let mut profiles = profiles();
    if overlays.layer("site").is_some() {
        let master = profiles.get_mut(&Role::Master).expect("a profile");
        master.layers.push(Part { name: "site".to_owned(), when: Default::default() });
    }
    try_render(&cluster(EndpointMode::Stacked, Cni::Bridge), &overlays, &profiles, &Secrets::stand_in())
        .map_err(|error| fault(&error))
}

#[test]
fn embedded_overlays_are_those_of_the_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays");
    let mut found = std::collections::BTreeMap::new();
    for entry in walkdir::WalkDir::new(&root) {
        let entry = entry.expect("readable");
        if entry.file_type().is_file() {
            let key = entry.path().strip_prefix(&root).expect("below").to_string_lossy().into_owned();
            found.insert(key, std::fs::read(entry.path()).expect("readable"));
        }
    }
    let embedded =
        khimg::shipped::overlays().into_iter().map(|(key, bytes)| (key.to_owned(), bytes.to_vec())).collect();
    assert_eq!(found, embedded, "touch src/render/overlay.rs and build again");
}

#[test]
fn every_built_in_layer_is_sound() {
    let overlays = Overlays::load(None).expect("sound");
    let names: Vec<&str> = overlays.layers().map(|(name, _)| name).collect();
    for name in
        ["base", "chrony", "cni-bridge", "cni-flannel", "containerd", "etcd", "haproxy", "keepalived", "kubernetes"]
    {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn a_user_replaces_one_file() {
    let rendered = attempt(&[("base/etc/hosts", "127.0.0.1 localhost\n")]).expect("renders");
    let hosts = rendered.all_files("master-1").expect("a node");
    assert_eq!(hosts.get("/etc/hosts").and_then(|entry| entry.bytes()), Some(&b"127.0.0.1 localhost\n"[..]));
    assert!(hosts.get("/etc/sysctl.d/90-khimg.conf").is_some(), "the others stay");
}

#[test]
fn a_user_adds_a_layer_that_replaces_a_file() {
    let rendered = attempt(&[
        ("site/layer.yaml", "description: ours\nfiles: {/etc/hosts: {replaces: true}, /etc/motd: {scope: node}}\n"),
        ("site/etc/hosts", "127.0.0.1 localhost ours\n"),
        ("site/etc/motd.j2", "{{ node.name }}\n"),
    ])
    .expect("renders");
    let files = rendered.all_files("master-2").expect("a node");
    assert_eq!(files.get("/etc/motd").and_then(|entry| entry.bytes()), Some(&b"master-2\n"[..]));
    let role = rendered.roles.iter().find(|role| role.role == Role::Master).expect("a role");
    let with_hosts: Vec<&str> = role
        .layers
        .iter()
        .filter(|(_, tree)| tree.get("/etc/hosts").is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(with_hosts, ["site"]);
}

#[test]
fn what_is_refused() {
    let table: &[(Files, &str, &str)] = &[
        (
            &[("site/layer.yaml", "description: x\nfiles: {/etc/hosts: {}}\n"), ("site/etc/hosts", "x")],
            "would replace overlays/base/etc/hosts.j2 at /etc/hosts",
            "replaces: true",
        ),
        (
            &[("site/layer.yaml", "description: x\nfiles: {/etc/x: {replaces: true}}\n"), ("site/etc/x", "x")],
            "is declared to replace /etc/x, but no lower layer has it",
            "remove",
        ),
        (&[("base/etc/nope.conf", "x")], "is not declared", "/etc/nope.conf: {}"),
        (&[("base/etc/hosts~", "x")], "is not declared", "remove the file"),
        (
            &[("site/layer.yaml", "description: x\nfiles: {/etc/x: {}}\n")],
            "declares /etc/x, but the layer \"site\" has no such file",
            "site/etc/x.j2",
        ),
        (&[("site/etc/x", "x")], "has files but no layer.yaml", "write site/layer.yaml"),
        (
            &[("site/layer.yaml", "description: x\nfiles: {/etc/x: {secret: true}}\n"), ("site/etc/x", "x")],
            "a secret must have `scope: node`",
            "",
        ),
        (
            &[("site/layer.yaml", "description: x\nfiles: {/etc/x: {mode: \"0777\"}}\n"), ("site/etc/x", "x")],
            "0777",
            "",
        ),
        (&[("base/etc/hosts.j2", "a\nb\n{{ cluster.nmae }}\n")], "base/etc/hosts.j2:3: ", ""),
        (&[("base/etc/hosts.j2", "{{ node.name }}\n")], "base/etc/hosts.j2:1: ", ""),
        (&[("keepalived/etc/keepalived/keepalived.conf.j2", "{{ secrets.token }}\n")], ":1: undefined value", ""),
        (&[("base/etc/hosts.j2", "{% if %}")], "base/etc/hosts.j2:1: syntax error", ""),
    ];
    for (files, message, hint) in table {
        let (exit, text, remedy) = attempt(files).expect_err(message);
        assert!(text.contains(message), "{text}\nlacks {message}");
        assert_eq!(exit, Exit::BadInput, "{text}");
        assert!(remedy.unwrap_or_default().contains(hint), "{text}");
    }
}

#[test]
fn links_are_refused() {
    let folder = folder(&[]);
    std::fs::create_dir_all(folder.path().join("base/etc")).expect("directories");
    std::os::unix::fs::symlink("/etc/shadow", folder.path().join("base/etc/hosts")).expect("a link");
    let error = Overlays::load(Some(folder.path())).expect_err("refused");
    assert!(error.to_string().contains("neither a file nor a directory"), "{error}");
}

#[test]
fn a_declared_secret_is_private_and_sees_the_secrets() {
    let rendered = attempt(&[
        ("site/layer.yaml", "description: x\nfiles: {/etc/x: {scope: node, secret: true}}\n"),
        ("site/etc/x.j2", "{{ secrets.vrrp_password }} of {{ node.name }}\n"),
    ])
    .expect("renders");
    let node = rendered.nodes.iter().find(|node| node.name == "master-1").expect("a node");
    let entry = node.secret.get("/etc/x").expect("in the secret tree");
    assert_eq!((entry.mode.bits(), entry.bytes()), (0o600, Some(&b"STAND-IN of master-1\n"[..])));
    assert!(node.public.get("/etc/x").is_none());
}
