//! Images: made twice, booted by a blank machine over the network, and refused when they were tampered with.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::serve::wire::{KNOWN, Wire};
use crate::support::daemon::{Daemon, available};
use crate::support::rehearsal::step;
use crate::support::sandbox::Sandbox;

/// Two balancers before a master that is not there: what they hold needs Debian's archive alone.
const CLUSTER: &str = r#"apiVersion: khimg/v1
name: blank
kubernetes: 1.20.2
endpoint: {mode: dedicated, vip: 10.0.0.100, interface: eth0}
network: {podSubnet: 10.128.0.0/11, serviceSubnet: 10.96.0.0/12, cni: none}
mirrors: [system]
seed: {reports: {url: "http://10.0.9.2:8080"}}
nodes:
  - {name: master-1, role: master, address: 10.0.0.1/16, mac: "52:54:00:00:00:21"}
  - {name: lb-1, role: lb, address: 10.0.0.11/16, mac: "52:54:00:00:00:11"}
  - {name: lb-2, role: lb, address: 10.0.0.12/16, mac: "52:54:00:00:00:12"}
"#;

/// How long an emulated machine may take, on a busy one.
const PATIENCE: Duration = Duration::from_secs(900);

/// Runs khimg in the project, with surroundings that must not matter.
fn khimg(project: &Sandbox, shell: &str, arguments: &[&str]) {
    let program = assert_cmd::cargo::cargo_bin!("khimg");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell}; exec \"$@\""), "sh"]).arg(program).args(arguments);
    command.current_dir(project.root()).env("KHIMG_STORE", project.store()).stdin(Stdio::null());
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A machine without a disk on the wire; it ends when this is dropped.
fn machine(wire: &Wire) -> Daemon {
    Daemon::start(|_| {
        let mut machine = wire.inside("hub", "qemu-system-x86_64");
        machine.args(["-machine", "accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nographic", "-no-reboot"]);
        machine.args(["-boot", "n", "-netdev", "tap,id=wire,ifname=tap0,script=no,downscript=no", "-device"]);
        machine.arg(format!("virtio-net-pci,netdev=wire,mac={KNOWN}"));
        machine
    })
}

/// Waits until `look` is content, with what it found; fails with what the machine and the server said.
fn until(what: &str, machine: &Daemon, server: &Daemon, look: impl Fn() -> bool) {
    let begin = Instant::now();
    while !look() {
        assert!(begin.elapsed() < PATIENCE, "{what}\n{}\n{}", machine.log(), server.log());
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Changes one byte in the middle of a file.
fn tamper(path: &Path) {
    let mut file = fs::File::options().read(true).write(true).open(path).expect("opens");
    let middle = file.metadata().expect("there").len() / 2;
    let mut byte = [0];
    file.seek(SeekFrom::Start(middle)).and_then(|_| file.read_exact(&mut byte)).expect("read");
    file.seek(SeekFrom::Start(middle)).and_then(|_| file.write_all(&[byte[0] ^ 1])).expect("written");
}

#[test]
fn a_blank_machine_becomes_a_balancer_over_the_network() {
    let programs = ["mmdebstrap", "qemu-system-x86_64", "ip", "nsenter", "curl"];
    if !available(&programs) || !Path::new("/dev/net/tun").exists() {
        println!("skipped: no /dev/net/tun, or programs are missing");
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let project = Sandbox::new();
    project.write("cluster.yaml", CLUSTER);
    step("an image is made", || khimg(&project, ":", &["image", "--profile", "lb"]));
    step("and once more, somewhere else: the same bytes", || {
        let elsewhere = "umask 077; export TZ=Asia/Shanghai LC_ALL=C LANG=de_DE.UTF-8 SOURCE_DATE_EPOCH=1";
        khimg(&project, elsewhere, &["image", "--profile", "lb", "--locked", "--offline", "--out", "other/place"]);
        assert_eq!(project.read("images/lb-amd64/SHA256SUMS"), project.read("other/place/lb-amd64/SHA256SUMS"));
        fs::remove_dir_all(project.path("other")).expect("removed");
    });
    step("bundles and seeds are built", || khimg(&project, ":", &["build", "--profile", "lb", "--locked"]));

    let server = Daemon::start(|_| {
        let mut command = wire.inside("server", assert_cmd::cargo::cargo_bin!("khimg"));
        command.arg("serve").arg("--store").arg(project.store()).arg("--cluster").arg(project.path("cluster.yaml"));
        command.arg("--dist").arg(project.path("dist")).arg("--boot").arg(project.path("images"));
        command.args(["--interface", "eth0", "--dhcp", "full", "--status", "127.0.0.1:8081"]);
        command
    });
    wire.ip("hub", &["tuntap", "add", "tap0", "mode", "tap"]);
    wire.ip("hub", &["link", "set", "tap0", "master", "br0", "up"]);
    wire.ip("client", &["address", "add", "10.0.8.1/16", "dev", "eth0"]);
    // The machine has the address by which the client is known elsewhere.
    wire.ip("client", &["link", "set", "eth0", "address", "52:54:00:00:00:99"]);

    step("a blank machine boots and is a balancer", || {
        let machine = machine(&wire);
        until("the root is proven", &machine, &server, || machine.log().contains("khimg: the root is proven"));
        until("haproxy answers at the address", &machine, &server, || {
            // No master is behind it: it takes the connection and lets it go.
            let mut asks = wire.inside("client", "curl");
            asks.args(["--silent", "--max-time", "5", "--insecure", "https://10.0.0.100:8443/"]);
            let code = asks.output().expect("runs").status.code();
            matches!(code, Some(35 | 52 | 56))
        });
        until("khimg node says that it is ready", &machine, &server, || {
            let mut asks = wire.inside("server", "curl");
            let told = asks.args(["--silent", "http://127.0.0.1:8081/status.json"]).output().expect("runs").stdout;
            String::from_utf8_lossy(&told).contains("\"condition\":\"ready\"")
        });
    });
    step("a root with one other byte is refused", || {
        tamper(&project.path("images/lb-amd64/root.squashfs"));
        let machine = machine(&wire);
        until("the root is refused", &machine, &server, || machine.log().contains("khimg: REFUSED"));
        assert!(!machine.log().contains("khimg: the root is proven"));
    });
}
