//! The servers that a site has already, with what khimg writes for them: real nginx and real dnsmasq, and no khimg beside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::netboot::{Firmware, boot, power_on};
use super::wire::Wire;
use super::{Project, content};
use crate::support::daemon::{Daemon, available, run};
use crate::support::machine;

const URL: &str = "http://10.0.9.2";

/// What khimg writes for a project.
fn hosted(project: &Project, arguments: &[&str]) -> PathBuf {
    let directory = project.path("hosted");
    let output = project.run(&[&["--static", directory.to_str().expect("text"), "--url", URL], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("seeds can be fetched more than once now"), "{said}");
    directory
}

/// nginx in the server's namespace, with an `http` block around the file and nothing else.
fn nginx(wire: &Wire, directory: &Path) -> Daemon {
    let mut daemon = Daemon::start(|folder| {
        let text = format!(
            "user root;\ndaemon off;\nmaster_process off;\npid {0}/pid;\nerror_log {0}/errors;\nevents {{ }}\n\
             http {{ access_log {0}/access; include {1}/nginx.conf; }}\n",
            folder.display(),
            directory.display()
        );
        fs::write(folder.join("nginx.conf"), text).expect("written");
        run(wire.inside("server", "nginx").args(["-t", "-q", "-c"]).arg(folder.join("nginx.conf")));
        let mut command = wire.inside("server", "nginx");
        command.arg("-c").arg(folder.join("nginx.conf"));
        command
    });
    daemon.wait(|_| run(wire.inside("server", "ss").args(["-Hlnt"])).contains("10.0.9.2:80").then_some(()));
    daemon
}

/// dnsmasq with the file and the wire that it is to answer on.
fn dnsmasq(wire: &Wire, directory: &Path) -> Daemon {
    let configuration = directory.join("dnsmasq.conf");
    run(Command::new("dnsmasq").arg("--test").arg(format!("--conf-file={}", configuration.display())));
    let mut daemon = Daemon::start(|folder| {
        let mut command = wire.inside("server", "dnsmasq");
        command.args(["--no-daemon", "--user=root", "--interface=eth0", "--bind-interfaces", "--log-dhcp"]);
        command.arg(format!("--conf-file={}", configuration.display()));
        command.arg(format!("--dhcp-leasefile={}", folder.join("leases").display()));
        command
    });
    daemon.wait(|daemon| daemon.log().contains("TFTP root").then_some(()));
    daemon
}

fn asked(wire: &Wire, path: &str) -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a directory");
    let body = folder.path().join("body");
    let mut curl = wire.inside("client", "curl");
    curl.args(["--silent", "--path-as-is", "--max-time", "20", "--write-out", "%{http_code}", "--output"]);
    let status = run(curl.arg(&body).arg(format!("{URL}{path}")));
    (status, fs::read(&body).unwrap_or_default())
}

#[test]
fn nginx_serves_the_depot_to_all_and_each_seed_to_its_node() {
    if !available(&["nginx", "dnsmasq", "curl"]) {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let project = Project::new();
    let (files, ipxe) = boot(&project);
    let (files, ipxe) = (files.to_str().expect("text"), ipxe.to_str().expect("text"));
    let directory = hosted(&project, &["--boot", files, "--ipxe", ipxe]);
    let _nginx = nginx(&wire, &directory);
    wire.ip("client", &["address", "add", "10.0.0.1/16", "dev", "eth0"]);
    let status = |path: &str| asked(&wire, path).0;
    assert_eq!(asked(&wire, "/public/bundles/a.tar.zst"), ("200".to_owned(), content()));
    assert_eq!(asked(&wire, "/files/amd64/kernel"), ("200".to_owned(), b"kernel".to_vec()));
    let script = String::from_utf8(asked(&wire, "/boot/master-1").1).expect("text");
    assert!(script.contains(&format!("s={URL}/secret/master-1/")), "{script}");
    // The client has the address of master-1.
    let (seed, body) = asked(&wire, "/secret/master-1/user-data");
    assert!(seed == "200" && body.starts_with(b"#cloud-config\n# first secret of master-1"));
    for path in ["/secret/worker-1/user-data", "/secret/worker-1/"] {
        assert_eq!(status(path), "403", "{path}");
    }
    let nowhere = ["/", "/secret/", "/secret/manifest.json", "/nginx.conf", "/public/../nginx.conf", "/tftp/ipxe.efi"];
    for path in
        nowhere.into_iter().chain(["/public/%2e%2e/secret/worker-1/user-data", "/secret/master-1/report.sha256"])
    {
        let status = status(path);
        assert!(["403", "404", "400"].contains(&status.as_str()), "{path}: {status}");
    }
    wire.ip("client", &["address", "delete", "10.0.0.1/16", "dev", "eth0"]);
    wire.ip("client", &["address", "add", "10.0.0.77/16", "dev", "eth0"]);
    assert_eq!((status("/secret/master-1/user-data").as_str(), status("/public/khimg.lock").as_str()), ("403", "200"));
    let mode = |path: &str| fs::metadata(directory.join(path)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("www/secret/master-1"), mode("www/secret/master-1/user-data")), (0o750, 0o640));
    // What is there already is nobody's to be written over.
    let again = project.run(&["--static", directory.to_str().expect("text"), "--url", URL]);
    assert_eq!(again.status.code(), Some(2), "{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn dnsmasq_knows_the_machines_and_what_they_boot() {
    if !available(&["dnsmasq", "busybox", "python3"]) {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let project = Project::new();
    let (files, ipxe) = boot(&project);
    let (files, ipxe) = (files.to_str().expect("text"), ipxe.to_str().expect("text"));
    let directory = hosted(&project, &["--boot", files, "--ipxe", ipxe, "--dhcp", "full"]);
    let server = dnsmasq(&wire, &directory);
    let lease = wire.lease().expect("a lease");
    assert!(lease.contains("ip=10.0.0.1\n") && lease.contains("serverid=10.0.9.2"), "{lease}\n{}", server.log());
    for (arch, ipxe, file) in [
        ("0", false, "undionly.kpxe"),
        ("7", false, "ipxe.efi"),
        ("11", false, "ipxe-arm64.efi"),
        ("0", true, "http://10.0.9.2/boot/master-1"),
        ("7", true, "http://10.0.9.2/boot/master-1"),
    ] {
        let offers = Firmware { arch, ipxe }.offers(&wire, super::wire::KNOWN);
        assert!(offers.iter().any(|offer| offer.ends_with(file)), "{arch} {ipxe}: {offers:?}\n{}", server.log());
        assert!(Firmware { arch, ipxe }.offers(&wire, "52:54:00:00:00:99").is_empty(), "{arch}");
    }
}

/// A blank machine with a BIOS, nginx and dnsmasq alone.
#[test]
fn a_blank_machine_boots_from_them() {
    if !available(&["nginx", "dnsmasq", "qemu-system-x86_64"]) || !Path::new("/dev/net/tun").exists() {
        println!("skipped: no nginx, dnsmasq, qemu or /dev/net/tun");
        return;
    }
    let (Some(parts), Some(wire)) = (machine::parts(), Wire::new()) else { return };
    let project = Project::new();
    let files = project.path("boot");
    parts.netboot(&files.join("amd64"));
    let directory = hosted(&project, &["--boot", files.to_str().expect("text"), "--dhcp", "full"]);
    let (_nginx, _dnsmasq) = (nginx(&wire, &directory), dnsmasq(&wire, &directory));
    let said = power_on(&wire, &[]);
    assert!(said.contains("KHIMG seed # first secret of master-1"), "{said}");
}
