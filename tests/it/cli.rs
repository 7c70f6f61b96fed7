//! The commands as a user types them: help, exit codes, and what goes where.

use crate::support::sandbox::Sandbox;

const COMMANDS: [&str; 20] = [
    "init",
    "lock",
    "fetch",
    "build",
    "render",
    "inspect",
    "verify",
    "diff",
    "sbom",
    "export",
    "import",
    "push",
    "pull",
    "secrets",
    "store",
    "profile",
    "catalog",
    "overlay",
    "schema",
    "completions",
];

#[test]
fn every_help_page_fits_eighty_columns() {
    let sandbox = Sandbox::new();
    let mut pages = vec![vec!["--help"]];
    pages.extend(COMMANDS.iter().map(|command| vec![*command, "--help"]));
    for page in pages {
        let output = sandbox.khimg(&page).assert().success().get_output().stdout.clone();
        for line in String::from_utf8(output).expect("text").lines() {
            assert!(line.chars().count() <= 80, "{page:?}: {line}");
        }
    }
}

#[test]
fn init_writes_a_file_that_is_accepted_as_it_is() {
    let sandbox = Sandbox::new();
    let printed = sandbox.khimg(["init"]).assert().success().get_output().stdout.clone();
    assert_eq!(String::from_utf8(printed).expect("text").trim(), "cluster.yaml");
    sandbox.khimg(["render", "--out", "files", "--offline"]).assert().success();
    assert!(sandbox.path("files/master-1/etc/hosts").is_file());
}

#[test]
fn render_removes_what_it_wrote_before_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.khimg(["init"]).assert().success();
    sandbox.khimg(["overlay", "export"]).assert().success();
    let render = |more: &[&str]| sandbox.khimg([&["render", "--out", "files", "--offline"], more].concat());
    let files = || {
        let found = walkdir::WalkDir::new(sandbox.path("files")).sort_by_file_name().into_iter();
        let found = found.map(|entry| entry.expect("readable").into_path().display().to_string());
        found.collect::<Vec<String>>()
    };
    render(&[]).assert().success();
    let first = files();
    let layer = "overlays/base/layer.yaml";
    let declared = sandbox.read(layer);
    sandbox.write(layer, declared.replace("files:\n", "files:\n  /etc/other/deep/khimg.conf: {}\n"));
    sandbox.write("overlays/base/etc/other/deep/khimg.conf", "x\n");
    render(&[]).assert().success();
    let has = |path: &str| sandbox.path("files").join(path).exists();
    assert!(has("master-1/etc/other/deep/khimg.conf") && has("worker-1/etc/other/deep/khimg.conf"));

    sandbox.write(layer, declared);
    std::fs::remove_dir_all(sandbox.path("overlays/base/etc/other")).expect("removed");
    sandbox.write("files/master-1/etc/other/mine", "kept\n");
    sandbox.write("files/.khimg-render", sandbox.read("files/.khimg-render") + "master-1/../../cluster.yaml\n");
    // Only one node is rendered anew; then all.
    render(&["--node", "master-1"]).assert().success();
    assert!(!has("master-1/etc/other/deep") && has("master-1/etc/other/mine"));
    assert!(has("worker-1/etc/other/deep/khimg.conf") && sandbox.path("cluster.yaml").exists());
    render(&[]).assert().success();
    assert!(!has("worker-1/etc/other"));
    std::fs::remove_dir_all(sandbox.path("files/master-1/etc/other")).expect("removed");
    assert_eq!(files(), first);
}

#[test]
fn init_never_overwrites() {
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", "mine");
    let output = sandbox.khimg(["init"]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&output).contains("cluster.yaml already exists"));
    assert_eq!(sandbox.read("cluster.yaml"), "mine");
}

#[test]
fn without_a_cluster_file_the_example_stands_in_and_says_so() {
    let sandbox = Sandbox::new();
    let output = sandbox.khimg(["render", "--out", "files", "--offline"]).assert().success().get_output().clone();
    assert!(String::from_utf8_lossy(&output.stderr).contains("built-in example cluster"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("built-in example"), "stdout is for data");
}

#[test]
fn render_needs_no_lock_and_marks_stand_ins() {
    let sandbox = Sandbox::new();
    sandbox.khimg(["render", "--node", "master-1", "--out", "files", "--offline"]).assert().success();
    assert!(!sandbox.path("khimg.lock").exists());
    assert!(!sandbox.path("secrets.yaml").exists());
    let files = walkdir::WalkDir::new(sandbox.path("files")).into_iter().filter_map(Result::ok);
    let marked = files.filter(|entry| entry.file_type().is_file()).any(|entry| {
        std::fs::read(entry.path()).is_ok_and(|bytes| memchr::memmem::find(&bytes, b"khimg stand-in").is_some())
    });
    assert!(marked, "no stand-in is marked");
}

#[test]
fn locked_refuses_without_a_lock() {
    let sandbox = Sandbox::new();
    sandbox.khimg(["init"]).assert().success();
    let output = sandbox.khimg(["build", "--locked", "--offline"]).assert().code(4).get_output().stderr.clone();
    let told = String::from_utf8_lossy(&output).into_owned();
    assert!(told.contains("hint: run `khimg lock`"), "{told}");
    assert!(!sandbox.path("dist").exists());
}

#[test]
fn errors_are_json_for_machines() {
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", "nodes: []\nsurprise: 1\n");
    let output = sandbox.khimg(["lock", "--json"]).assert().code(2).get_output().clone();
    assert!(output.stdout.is_empty());
    let line = String::from_utf8(output.stderr).expect("text");
    let told: serde_json::Value = serde_json::from_str(line.lines().last().expect("a line")).expect("JSON");
    assert_eq!(told["error"]["exit"], 2);
}

#[test]
fn lists_are_json_for_machines() {
    let sandbox = Sandbox::new();
    for command in ["profile", "catalog", "overlay"] {
        let output = sandbox.khimg([command, "list", "--json"]).assert().success().get_output().stdout.clone();
        let names: Vec<String> = serde_json::from_slice(&output).expect("a list");
        assert!(!names.is_empty(), "{command}");
        for name in names {
            sandbox.khimg([command, "show", &name]).assert().success();
        }
    }
}

#[test]
fn an_exported_overlay_wins_and_a_changed_line_shows() {
    let sandbox = Sandbox::new();
    sandbox.khimg(["init"]).assert().success();
    sandbox.khimg(["overlay", "export"]).assert().success();
    let path = "overlays/base/etc/sysctl.d/90-khimg.conf.j2";
    let changed = format!("{}# changed\n", sandbox.read(path));
    sandbox.write(path, &changed);
    sandbox.khimg(["render", "--node", "worker-1", "--out", "files", "--offline"]).assert().success();
    assert!(sandbox.read("files/worker-1/etc/sysctl.d/90-khimg.conf").contains("# changed"));
}

#[test]
fn an_unknown_role_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.khimg(["build", "--profile", "boss"]).assert().code(2);
}

#[test]
fn completions_name_the_commands() {
    let sandbox = Sandbox::new();
    let output = sandbox.khimg(["completions", "bash"]).assert().success().get_output().stdout.clone();
    let script = String::from_utf8(output).expect("text");
    for command in ["build", "lock", "inspect"] {
        assert!(script.contains(command), "{command}");
    }
}
