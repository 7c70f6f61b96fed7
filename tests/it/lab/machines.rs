//! The machines of a lab behave as machines do: two balancers, which need nothing else to be worth looking at.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use super::remains::Remains;
use crate::support::lab::lab;
use crate::support::rehearsal::{Rehearsal, step};

/// A master that stays off, and two balancers.
pub fn balancers() -> String {
    format!(
        "apiVersion: khimg/v1\nname: balancers\nkubernetes: 1.20.2\nnetwork: {{cni: bridge, dns: none}}\n\
         endpoint: {{mode: dedicated, vip: 10.77.0.100, interface: ens160, virtualRouterId: 77}}\n{}nodes:\n  \
         - {{name: master-1, role: master, address: 10.77.0.11/24}}\n  \
         - {{name: lb-1, role: lb, address: 10.77.0.31/24, gateway: 10.77.0.1, mac: \"52:54:00:00:00:31\"}}\n  \
         - {{name: lb-2, role: lb, address: 10.77.0.32/24}}\n",
        lab().mirrors()
    )
}

/// The balancers that have the endpoint's address, of those that are on.
fn holders(lab: &Rehearsal) -> Vec<String> {
    let holds = |node: &String| lab.must(node, "ip -brief address show ens160").contains("10.77.0.100/");
    lab.nodes().into_iter().filter(holds).collect()
}

fn one_holder(lab: &Rehearsal) -> String {
    lab.until("one balancer has the address", || match &holders(lab)[..] {
        [one] => Ok(one.clone()),
        other => Err(format!("{other:?}")),
    })
}

fn other(node: &str) -> &'static str {
    if node == "lb-1" { "lb-2" } else { "lb-1" }
}

/// Whether a node can open a connection to a port of this machine: the nearest place outside the lab.
fn reaches_this_machine(lab: &Rehearsal, node: &str) -> bool {
    let Some(own) = own_address() else { return false };
    let port = TcpListener::bind((own, 0)).expect("a port");
    let port = port.local_addr().expect("bound").port();
    lab.run(node, &format!("timeout 5 bash -c '</dev/tcp/{own}/{port}'")).status.success()
}

/// The address from which this machine talks to others, if it can.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only looks up the route.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[test]
fn have_a_way_out_if_they_are_given_one() {
    if own_address().is_none() {
        println!("skipped: this machine has no address but its own");
        return;
    }
    let Some(lab) = Rehearsal::start(&balancers(), &["--only", "lb-1", "--outside"]) else { return };
    lab.until("lb-1 has its address", || {
        let address = lab.must("lb-1", "ip -brief address show ens160");
        if address.contains("10.77.0.31/24") { Ok(()) } else { Err(address) }
    });
    lab.until("lb-1 reaches this machine", || {
        if reaches_this_machine(&lab, "lb-1") { Ok(()) } else { Err(lab.must("lb-1", "ip route")) }
    });
}

#[test]
fn live_and_die_as_machines_do() {
    let Some(lab) = Rehearsal::prepare(&balancers()) else { return };
    let before = Remains::of(&lab);
    assert!(before.is_nothing(), "{before:?}");
    lab.start_up(&["--without", "master-1"]);

    step("boot, cloud-init, stage 0, bundle", || {
        lab.until("keepalived runs", || match holders(&lab).len() {
            1 => Ok(()),
            count => Err(format!("{count} have the address: {}", lab.status()["nodes"])),
        });
        assert_eq!(lab.nodes(), ["lb-1", "lb-2"], "master-1 is off");
    });

    step("a command's exit code is the program's", || {
        assert_eq!(lab.run("lb-1", "exit 42").status.code(), Some(42));
        assert_eq!(lab.lab(&["exec", "master-1", "--", "true"]).output().expect("khimg").status.code(), Some(2));
    });

    step("the network is what the seed says, and leads nowhere", || {
        let link = lab.must("lb-1", "ip link show ens160; ip -brief address show ens160; ip route");
        assert!(link.contains("52:54:00:00:00:31") && link.contains("10.77.0.31/24"), "{link}");
        assert!(link.contains("default via 10.77.0.1"), "{link}");
        assert!(!reaches_this_machine(&lab, "lb-1"));
    });

    step("no node turns this machine's clock", || {
        // CAP_SYS_TIME is bit 25 (capability.h). Nobody tries it: it would be this machine's clock.
        for process in ["self", "1"] {
            let status = lab.must("lb-1", &format!("cat /proc/{process}/status"));
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:"] {
                let mask = status.lines().find_map(|line| line.strip_prefix(set)).expect("capabilities");
                let mask = u64::from_str_radix(mask.trim(), 16).expect("a number");
                assert_eq!(mask & (1 << 25), 0, "{process} {set} {mask:x}");
            }
        }
    });

    step("a power cut moves the address; power brings the node back", || {
        let holder = one_holder(&lab);
        lab.must(&holder, "echo kept >/root/kept");
        lab.fault(&["power-off", &holder]);
        assert_eq!(lab.nodes(), [other(&holder)]);
        assert_eq!(one_holder(&lab), other(&holder));
        assert_eq!(lab.lab(&["fault", "power-off", &holder]).output().expect("khimg").status.code(), Some(2));
        lab.fault(&["power-on", &holder]);
        assert_eq!(lab.must(&holder, "cat /root/kept").trim(), "kept");
        // The journal is only readable in full once this boot's part of it was put on the disk.
        lab.until("the journal has a heading and two boots", || {
            let boots = lab.run(&holder, "journalctl --list-boots --no-pager").stdout;
            let boots = String::from_utf8_lossy(&boots).into_owned();
            if boots.lines().count() == 3 { Ok(()) } else { Err(boots) }
        });
    });

    step("a partition leaves the cable plugged in, and each side its own", || {
        lab.until("keepalived is back on both", || {
            let active = |node: &str| lab.run(node, "systemctl is-active --quiet keepalived").status.success();
            if active("lb-1") && active("lb-2") { Ok(()) } else { Err("not active".to_owned()) }
        });
        lab.fault(&["partition", "lb-2"]);
        lab.until("both have the address", || match holders(&lab).len() {
            2 => Ok(()),
            count => Err(format!("{count} have it")),
        });
        assert!(lab.must("lb-2", "ip link show ens160").contains("LOWER_UP"));
        assert_eq!(lab.status()["nodes"][2]["isolated"], true);
        lab.fault(&["heal", "lb-2"]);
        one_holder(&lab);
    });

    step("a killed service is started again", || {
        let pid = lab.must("lb-1", "systemctl show --property MainPID haproxy");
        lab.fault(&["kill-service", "--service", "haproxy", "lb-1"]);
        lab.until("haproxy has another process", || {
            let now = lab.must("lb-1", "systemctl show --property MainPID haproxy");
            if now != pid && now.trim() != "MainPID=0" { Ok(()) } else { Err(now) }
        });
        let nothing = lab.lab(&["fault", "kill-service", "--service", "no-such", "lb-1"]).output().expect("khimg");
        assert_eq!(nothing.status.code(), Some(2));
    });

    step("a full disk is full, at no cost of this machine's", || {
        lab.fault(&["fill-disk", "lb-1"]);
        assert!(!lab.run("lb-1", "dd if=/dev/zero of=/root/more bs=1M count=1").status.success());
        let image = std::fs::metadata(lab.directory().join("nodes/lb-1/disk.img")).expect("an image");
        let taken = std::os::unix::fs::MetadataExt::blocks(&image) * 512;
        assert!(taken < 2 << 30, "{taken} bytes");
        lab.fault(&["free-disk", "lb-1"]);
        lab.must("lb-1", "dd if=/dev/zero of=/root/more bs=1M count=1");
    });

    step("a wiped machine is a new one with the old seed", || {
        let machine = lab.must("lb-1", "cat /etc/machine-id");
        lab.fault(&["wipe", "lb-1"]);
        lab.fault(&["power-on", "lb-1"]);
        lab.until("lb-1 is installed again", || {
            let installed = lab.run("lb-1", "systemctl is-active --quiet haproxy").status.success();
            if installed { Ok(()) } else { Err(lab.status()["nodes"][1]["state"].to_string()) }
        });
        assert_ne!(lab.must("lb-1", "cat /etc/machine-id"), machine);
    });

    step("frames are delayed, or the kernel is named that cannot", || {
        let delayed = lab.lab(&["fault", "delay", "--ms", "30", "lb-2"]).output().expect("khimg");
        if !delayed.status.success() {
            assert_eq!(delayed.status.code(), Some(3));
            assert!(String::from_utf8_lossy(&delayed.stderr).contains("netem"));
            println!("skipped: this kernel has no netem");
            return;
        }
        let script = "date +%s%N; exec 3<>/dev/tcp/10.77.0.32/22; date +%s%N";
        let times = String::from_utf8_lossy(&lab.run("lb-1", &format!("bash -c '{script}'")).stdout).into_owned();
        let times: Vec<u64> = times.lines().filter_map(|line| line.parse().ok()).collect();
        assert!(times.len() == 2 && times[1] - times[0] > 50_000_000, "{times:?}");
        lab.fault(&["delay", "--ms", "0", "lb-2"]);
    });

    step("nothing stays", || {
        assert!(!Remains::of(&lab).is_nothing(), "this test sees what a lab makes");
        lab.down();
        assert_eq!(Remains::of(&lab), before);
    });
}

/// Interrupted at any moment, politely or not: nothing stays, or `down` finds it.
#[test]
fn leave_nothing_behind_when_interrupted() {
    let Some(lab) = Rehearsal::prepare(&balancers()) else { return };
    let before = Remains::of(&lab);
    // The first makes the system under the nodes, if there is none yet.
    lab.start_up(&["--only", "lb-1"]);
    lab.down();
    for (signal, seconds) in [("INT", 0.2), ("KILL", 0.2), ("KILL", 0.7), ("INT", 1.0), ("KILL", 2.5), ("TERM", 3.0)] {
        let mut up = lab.up(&["--without", "master-1"]).spawn().expect("khimg");
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let kill = Command::new("kill").arg(format!("-{signal}")).arg(up.id().to_string()).status();
        assert!(kill.expect("kill").success());
        assert!(!up.wait().expect("a child").success(), "it ended before {signal} at {seconds} s");
        if signal == "KILL" {
            // With nothing made yet there is nothing to take down.
            let down = lab.lab(&["down"]).status().expect("khimg");
            assert!(matches!(down.code(), Some(0 | 2)), "{down}");
        }
        assert_eq!(Remains::of(&lab), before, "after {signal} at {seconds} s");
        assert!(!lab.directory().exists());
    }
}
