//! Real programs and a node's files at their real paths: in a mount and network namespace whose `/etc` and `/usr` are the
//! machine's own with the node's files above them.

use std::path::Path;
use std::process::{Command, Output};

use khimg::cluster::Cluster;
use khimg::render::Rendered;

use super::fixture::{dry_run, unpack};

/// The first of `names` that this machine lacks.
pub fn lacking<'a>(names: &[&'a str]) -> Option<&'a str> {
    let found =
        |name: &&str| ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|d| Path::new(d).join(name).exists());
    names.iter().copied().find(|name| !found(name))
}

/// Says why a test does nothing.
pub fn skip(test: &str, reason: &str) {
    println!("skipped: {test}: {reason}");
}

/// Runs `script` where the files of `node` lie at their paths and `ens160` has its address. `None`, and a reason printed,
/// where this machine cannot do that or lacks one of `programs`.
pub fn on_node(test: &str, programs: &[&str], cluster: &Cluster, node: &str, script: &str) -> Option<Output> {
    on_files(test, programs, &dry_run(cluster), node, script)
}

/// The same with files that are rendered already.
pub fn on_files(test: &str, programs: &[&str], rendered: &Rendered, node: &str, script: &str) -> Option<Output> {
    if let Some(name) = lacking(programs) {
        skip(test, &format!("no {name} on this machine"));
        return None;
    }
    let root = unpack(rendered, node);
    // Debian has no cri-dockerd and, without SELinux, no setenforce; the pack stage puts khimg there. systemd only asks whether they can
    // be run.
    for program in ["bin/khimg", "bin/cri-dockerd", "sbin/setenforce"] {
        let place = root.path().join("usr").join(program);
        std::fs::create_dir_all(place.parent().expect("below")).expect("directories");
        std::fs::copy("/bin/true", place).expect("a stand-in");
    }
    let prepare = format!(
        "mount -t overlay overlay -o lowerdir={root}/etc:/etc /etc && \
         mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr && \
         ip link set lo up && ip link add ens160 type bridge && ip address add 192.168.30.11/24 dev ens160 && \
         ip link set ens160 up",
        root = root.path().display()
    );
    let run = |script: &str| {
        let unshared = Command::new("unshare").args(["--mount", "--net", "bash", "-euc", script]).output();
        unshared.expect("unshare")
    };
    let possible = run(&prepare);
    if !possible.status.success() {
        skip(test, &format!("no namespaces here: {}", String::from_utf8_lossy(&possible.stderr).trim()));
        return None;
    }
    Some(run(&format!("{prepare}\n{script}")))
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
pub fn accepted(output: &Output) {
    assert!(output.status.success(), "{}\n{}", output.status, text(output));
}
