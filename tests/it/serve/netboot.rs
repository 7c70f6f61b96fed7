//! DHCP, ProxyDHCP and TFTP on one wire, with real clients and a real DHCP server beside.

use std::fs;
use std::path::{Path, PathBuf};

use super::wire::{KNOWN, Wire};
use super::{Project, Served};
use crate::support::daemon::{Daemon, available};
use crate::support::machine;

/// What a boot program holds in these tests, unless it is the real one: no size that a block divides.
fn program() -> Vec<u8> {
    (0..100_001_u32).map(|at| (at % 253) as u8).collect()
}

/// A directory with something to boot, and one with boot programs.
pub fn boot(project: &Project) -> (PathBuf, PathBuf) {
    let (boot, ipxe) = (project.path("boot"), project.path("ipxe"));
    for directory in [&boot.join("amd64"), &ipxe] {
        fs::create_dir_all(directory).expect("a directory");
    }
    fs::write(boot.join("amd64/kernel"), "kernel").expect("written");
    fs::write(boot.join("amd64/initrd"), "initrd").expect("written");
    for name in ["undionly.kpxe", "ipxe.efi", "ipxe-arm64.efi"] {
        fs::write(ipxe.join(name), program()).expect("written");
    }
    (boot, ipxe)
}

fn serve(wire: &Wire, project: &Project, dhcp: &str, boot: &Path, ipxe: &Path) -> Served {
    let daemon = Daemon::start(|_| {
        let mut command = wire.inside("server", assert_cmd::cargo::cargo_bin!("khimg"));
        project.arguments(&mut command);
        command.args(["--interface", "eth0", "--dhcp", dhcp, "--boot"]).arg(boot).arg("--ipxe").arg(ipxe);
        command
    });
    Served::wait(daemon)
}

/// The peer: the real DHCP server of the network.
fn dnsmasq(wire: &Wire) -> Daemon {
    let mut daemon = Daemon::start(|folder| {
        let mut command = wire.inside("hub", "dnsmasq");
        command.args(["--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root", "--interface=br0"]);
        command.args(["--bind-interfaces", "--dhcp-range=10.0.5.1,10.0.5.99", "--log-dhcp", "--no-ping"]);
        command.arg(format!("--dhcp-leasefile={}", folder.join("leases").display()));
        command
    });
    daemon.wait(|daemon| daemon.log().contains("DHCP, IP range").then_some(()));
    daemon
}

/// Sends what firmware sends, and prints the answers that come within two seconds: server, address, next server, file.
const FIRMWARE: &str = r#"
import socket, struct, sys, time
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
arch, user, port, kind = int(sys.argv[2]), sys.argv[3].encode(), int(sys.argv[4]), int(sys.argv[5])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, 25, b"eth0\0")
s.bind(("", 68))
def option(code, value): return bytes([code, len(value)]) + value
packet = struct.pack("!BBBBIHHIIII", 1, 1, 6, 0, 0x1234, 0, 0x8000, 0, 0, 0, 0) + mac + bytes(10 + 64 + 128) + bytes([99, 130, 83, 99])
packet += option(53, bytes([kind])) + option(60, b"PXEClient:Arch:%05d:UNDI:003016" % arch) + option(93, struct.pack("!H", arch))
packet += option(97, b"\0" + bytes(range(16))) + (option(77, user) + option(175, b"\x01\x01\x01") if user else b"") + b"\xff"
s.sendto(packet, (sys.argv[6], port))
end = time.time() + 2
while time.time() < end:
    s.settimeout(max(0.01, end - time.time()))
    try:
        reply, peer = s.recvfrom(2000)
    except OSError:
        break
    if reply[0] == 2 and reply[4:8] == struct.pack("!I", 0x1234):
        text = lambda b: socket.inet_ntoa(b)
        print(peer[0], text(reply[16:20]), text(reply[20:24]), reply[108:236].rstrip(b"\0").decode() or "-")
"#;

/// Firmware that asks everybody on the wire.
pub struct Firmware {
    /// The client system type of RFC 4578.
    pub arch: &'static str,
    /// Whether it is iPXE, which says so.
    pub ipxe: bool,
}

impl Firmware {
    /// What it is offered: server, address, next server, file.
    pub fn offers(&self, wire: &Wire, mac: &str) -> Vec<String> {
        firmware(wire, mac, self.arch, if self.ipxe { "iPXE" } else { "" }, DISCOVER)
    }
}

fn firmware(wire: &Wire, mac: &str, arch: &str, user: &str, (port, kind, to): (&str, &str, &str)) -> Vec<String> {
    let output = wire
        .inside("client", "python3")
        .args(["-c", FIRMWARE, mac, arch, user, port, kind, to])
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

const DISCOVER: (&str, &str, &str) = ("67", "1", "255.255.255.255");
const BOOT: (&str, &str, &str) = ("4011", "3", "10.0.9.2");

#[test]
fn beside_another_server_only_the_boot_is_offered_and_only_to_known_machines() {
    if !available(&["dnsmasq", "busybox", "python3", "curl"]) {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let project = Project::new();
    let (boot, ipxe) = boot(&project);
    let served = serve(&wire, &project, "proxy", &boot, &ipxe);
    let _peer = dnsmasq(&wire);
    let lease = wire.lease().expect("a lease");
    assert!(lease.contains("ip=10.0.5.") && lease.contains("serverid=10.0.9.1"), "{lease}");
    // The address that the client asks the boot port from.
    wire.ip("client", &["address", "add", "10.0.0.1/16", "dev", "eth0"]);
    for (arch, user, file) in [
        ("0", "", "undionly.kpxe"),
        ("7", "", "ipxe.efi"),
        ("9", "", "ipxe.efi"),
        ("11", "", "ipxe-arm64.efi"),
        ("0", "iPXE", "http://10.0.9.2:8080/boot/master-1"),
        ("11", "iPXE", "http://10.0.9.2:8080/boot/master-1"),
    ] {
        let answers = firmware(&wire, KNOWN, arch, user, DISCOVER);
        let ours = format!("10.0.9.2 0.0.0.0 10.0.9.2 {file}");
        assert!(
            answers.contains(&ours) && answers.iter().any(|line| line.starts_with("10.0.9.1 10.0.5.")),
            "{arch} {user}: {answers:?}"
        );
        assert_eq!(firmware(&wire, KNOWN, arch, user, BOOT), [ours], "{arch} {user}");
    }
    // Firmware for which there is nothing, and a machine that nobody knows.
    assert!(firmware(&wire, KNOWN, "6", "", BOOT).is_empty());
    for ask in [DISCOVER, BOOT] {
        let answers = firmware(&wire, "52:54:00:00:00:99", "0", "", ask);
        assert!(!answers.iter().any(|line| line.starts_with("10.0.9.2")), "{answers:?}");
    }
    assert!(served.log().contains("master-1 (52:54:00:00:00:11) is told to boot undionly.kpxe"));
    hostile(&wire);
    assert_eq!(firmware(&wire, KNOWN, "0", "", BOOT).len(), 1, "{}", served.log());
    tftp(&wire);
}

#[test]
fn alone_each_known_machine_gets_its_own_address() {
    if !available(&["busybox", "python3"]) {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let project = Project::new();
    let (boot, ipxe) = boot(&project);
    let served = serve(&wire, &project, "full", &boot, &ipxe);
    let lease = wire.lease().unwrap_or_else(|| panic!("no lease: {}", served.log()));
    for line in ["ip=10.0.0.1", "mask=16", "serverid=10.0.9.2", "hostname=master-1", "lease=3600"] {
        assert!(lease.lines().any(|found| found == line), "{line}: {lease}");
    }
    assert_eq!(firmware(&wire, KNOWN, "7", "", DISCOVER), ["10.0.9.2 10.0.0.1 10.0.9.2 ipxe.efi"]);
    wire.ip("client", &["link", "set", "eth0", "address", "52:54:00:00:00:99"]);
    assert_eq!(wire.lease(), None, "for a stranger");
}

/// Everything listens on that interface alone, and on nothing beyond.
#[test]
fn nothing_listens_elsewhere() {
    if !available(&["ss"]) {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let project = Project::new();
    let (boot, ipxe) = boot(&project);
    let _served = serve(&wire, &project, "proxy", &boot, &ipxe);
    let told = wire.inside("server", "ss").args(["-Hlntu"]).output().expect("runs").stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    let mut sockets: Vec<&str> = told.lines().filter_map(|line| line.split_whitespace().nth(4)).collect();
    sockets.sort_unstable();
    assert_eq!(sockets, ["0.0.0.0%eth0:4011", "0.0.0.0%eth0:67", "10.0.9.2%eth0:69", "10.0.9.2%eth0:8080"], "{told}");
    let missing = project.run(&["--interface", "khimg-none", "--boot", boot.to_str().expect("text")]);
    assert_eq!(missing.status.code(), Some(5), "{}", String::from_utf8_lossy(&missing.stderr));
}

/// Real clients of TFTP, with and without options.
fn tftp(wire: &Wire) {
    let folder = tempfile::tempdir().expect("a directory");
    for (number, options) in
        [&[][..], &["--tftp-blksize", "1428"], &["--tftp-blksize", "65464"], &["--tftp-no-options"]].iter().enumerate()
    {
        let out = folder.path().join(number.to_string());
        let mut asks = wire.inside("client", "curl");
        asks.args(["--silent", "--show-error", "--max-time", "60"])
            .args(*options)
            .arg("-o")
            .arg(&out)
            .arg("tftp://10.0.9.2/ipxe.efi");
        let output = asks.output().expect("runs");
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read(&out).expect("there") == program(), "{options:?}");
    }
    let mut asks = wire.inside("client", "busybox");
    let out = folder.path().join("busybox");
    asks.args(["tftp", "-g", "-b", "1024", "-r", "undionly.kpxe", "-l"]).arg(&out).arg("10.0.9.2");
    assert!(asks.output().expect("runs").status.success() && fs::read(&out).expect("there") == program());
    for name in ["../../etc/passwd", "/etc/passwd", "kernel", "ipxe.efi/", "."] {
        let asked = wire
            .inside("client", "curl")
            .args(["--silent", "--path-as-is", &format!("tftp://10.0.9.2/{name}")])
            .output();
        let asked = asked.expect("runs");
        assert!(asked.status.code() == Some(68) && asked.stdout.is_empty(), "{name}: {asked:?}");
    }
}

/// Packets that mean ill: cut off, of random bytes, of the known machine and of others, for both protocols, by the thousand.
const HOSTILE: &str = r#"
import os, random, socket, struct
random.seed(7)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
good = struct.pack("!BBBBIHHIIII", 1, 1, 6, 0, 1, 0, 0x8000, 0, 0, 0, 0) + bytes.fromhex("525400000011") + bytes(202) + bytes([99, 130, 83, 99])
for number in range(6000):
    junk = random.randbytes(random.randrange(0, 400))
    dhcp = random.choice([junk, good + junk, good[:random.randrange(len(good))], good + b"\x35\x01\x01" + junk, good + b"\x35\x01\x01\x3c\xff" + junk])
    names = [b"ipxe.efi\0octet\0", b"../" * 20 + b"etc/passwd\0octet\0", b"a" * 600 + b"\0octet\0", b"ipxe.efi\0octet\0blksize\0" + junk + b"\0", b"ipxe.efi\0mail\0"]
    tftp = random.choice([junk, b"\0\1" + random.choice(names), b"\0\2" + names[0], b"\0\4" + junk[:2], b"\0\5" + junk, b"\0\1"])
    for port, data in [(67, dhcp), (4011, dhcp), (69, tftp)]:
        try:
            s.sendto(data, ("10.0.9.2", port))
        except OSError:
            pass
"#;

fn hostile(wire: &Wire) {
    let sent = wire.inside("client", "python3").args(["-c", HOSTILE]).output().expect("runs");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    // Transfers that nobody answers end by themselves, and make room.
    std::thread::sleep(std::time::Duration::from_secs(8));
}

/// A virtual machine without a disk: its own firmware finds khimg beside a DHCP server, loads kernel and initial file system by
/// its own script, and there fetches its seed, which nobody gets after it.
#[test]
fn a_blank_machine_boots_and_gets_its_seed() {
    boots(&[]);
}

/// The same with UEFI, whose own firmware loads iPXE by TFTP.
#[test]
fn a_blank_machine_with_uefi_boots_and_gets_its_seed() {
    const FIRMWARE: &str = "/usr/share/ovmf/OVMF.fd";
    if !Path::new(FIRMWARE).exists() || !Path::new("/usr/lib/ipxe/ipxe.efi").exists() {
        println!("skipped: no {FIRMWARE} or no iPXE for UEFI");
        return;
    }
    let log = boots(&["-bios", FIRMWARE]).unwrap_or_default();
    assert!(log.is_empty() || log.contains("is told to boot ipxe.efi"), "{log}");
}

/// Boots a machine with these options beside the usual ones; what the server said, if that can be done here.
fn boots(options: &[&str]) -> Option<String> {
    if !available(&["dnsmasq", "qemu-system-x86_64"]) || !Path::new("/dev/net/tun").exists() {
        println!("skipped: no dnsmasq, no qemu or no /dev/net/tun");
        return None;
    }
    let (Some(parts), Some(wire)) = (machine::parts(), Wire::new()) else { return None };
    let project = Project::new();
    let boot = project.path("boot");
    parts.netboot(&boot.join("amd64"));
    let served = serve(&wire, &project, "proxy", &boot, Path::new("/usr/lib/ipxe"));
    let _peer = dnsmasq(&wire);
    let said = power_on(&wire, options);
    let told: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once("KHIMG ")?.1.trim())).collect();
    assert!(told.contains(&"seed # first secret of master-1"), "{said}\n{}", served.log());
    assert!(told.contains(&"again 410") || told.iter().any(|line| line.contains("410")), "{told:?}");
    for line in ["is told to boot http://10.0.9.2:8080/boot/master-1", "master-1 boots", "master-1 has its seed"] {
        assert!(served.log().contains(line), "{line}: {}", served.log());
    }
    Some(served.log())
}

/// Boots a machine without a disk, with these options beside the usual ones; what it says on its console.
pub fn power_on(wire: &Wire, options: &[&str]) -> String {
    wire.ip("hub", &["tuntap", "add", "tap0", "mode", "tap"]);
    wire.ip("hub", &["link", "set", "tap0", "master", "br0", "up"]);
    let mut machine = wire.inside("hub", "timeout");
    machine.args(["600", "qemu-system-x86_64", "-machine", "accel=tcg", "-cpu", "max", "-m", "768", "-nographic"]);
    machine.args(["-no-reboot", "-boot", "n", "-netdev", "tap,id=wire,ifname=tap0,script=no,downscript=no"]);
    machine.args([
        "-device",
        &format!("virtio-net-pci,netdev=wire,mac={KNOWN}{}", if options.is_empty() { "" } else { ",romfile=" }),
    ]);
    machine.args(options);
    let output = machine.stdin(std::process::Stdio::null()).output().expect("runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
