//! The whole report of one file with several errors, byte for byte.

use std::path::Path;

use khimg::cluster;
use khimg::config::Style;

const FILE: &str = "\
name: Demo_1
kubernetes: 1.30
target: {os: debain-12}
endpoint: {mode: stacked, vip: 192.168.31.200, port: 6443}
nodes:
  - {name: master-1, role: master, address: 192.168.30.11/24, gateway: 192.168.30.1}
  - name: master-1            # the same again
    role: master
    address: 192.168.30.12/24
";

#[test]
fn several_errors_in_one_report() {
    let problems = cluster::parse("cluster.yaml", FILE, Path::new(""), &super::catalog()).expect_err("bad");
    insta::assert_snapshot!(problems.to_string(), @r#"
    error: "Demo_1" is not a DNS label
     --> cluster.yaml:1:7
      |
    1 | name: Demo_1
      |       ^^^^^^
      |
      = hint: use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends, such as `demo-1`

    error: the catalogue has no operating system "debain-12"
     --> cluster.yaml:3:14
      |
    3 | target: {os: debain-12}
      |              ^^^^^^^^^
      |
      = hint: did you mean `debian-12`?

    error: the virtual address 192.168.31.200 lies outside the subnet 192.168.30.0/24 of the master that may carry it
     --> cluster.yaml:4:32
      |
    4 | endpoint: {mode: stacked, vip: 192.168.31.200, port: 6443}
      |                                ^^^^^^^^^^^^^^
    5 | nodes:
    6 |   - {name: master-1, role: master, address: 192.168.30.11/24, gateway: 192.168.30.1}
      |                                             ---------------- a node that may carry it
      |
      = hint: use a free address in 192.168.30.0/24

    error: port 6443 belongs to the API server on every master, where haproxy listens too
     --> cluster.yaml:4:54
      |
    4 | endpoint: {mode: stacked, vip: 192.168.31.200, port: 6443}
      |                                                      ^^^^
      |
      = hint: use a free port such as 8443

    error: two nodes are called "master-1"
     --> cluster.yaml:7:11
      |
    6 |   - {name: master-1, role: master, address: 192.168.30.11/24, gateway: 192.168.30.1}
      |            -------- first here
    7 |   - name: master-1            # the same again
      |           ^^^^^^^^
      |
      = hint: give each node a name of its own

    error: 2 masters with stacked etcd survive no loss: the one that is left has no majority
     --> cluster.yaml:8:11
      |
    8 |     role: master
      |           ^^^^^^
      |
      = hint: use 1 or 3 nodes of role master
    "#);
    let coloured = problems.render(Style::Coloured);
    assert!(coloured.contains("\u{1b}["), "no colours");
    assert_eq!(problems.render(Style::Plain).trim_end(), problems.to_string());
}

/// What the schema says and what the checks say come together; what follows only from a misfit is not said.
#[test]
fn schema_and_checks_in_one_report() {
    let text = "\
nmae: x
vip: 10.0.0.1
endpoint: {mode: staked, port: 6443, virtualRouterId: 0}
runtime: dokcer
nodes:
  - {name: a, role: master, address: 10.0.0.1/24, speed: 10}
  - {name: a, role: worker, address: 10.0.0.1/24}
  - {name: c, role: worker, address: 10.0.0.2/24}
  - {name: c, role: worker, address: 10.0.0.2/24}
name: y
name: z
";
    let problems = cluster::parse("cluster.yaml", text, Path::new(""), &super::catalog()).expect_err("bad");
    insta::assert_snapshot!(problems.to_string(), @r#"
    error: unknown key `nmae`
     --> cluster.yaml:1:1
      |
    1 | nmae: x
      | ^^^^
      |
      = hint: did you mean `name`?

    error: unknown key `vip`
     --> cluster.yaml:2:1
      |
    2 | vip: 10.0.0.1
      | ^^^
      |
      = hint: `vip` belongs below `endpoint`

    error: expected one of stacked, vip-only, dedicated, single-lb or external, found the text "staked"
     --> cluster.yaml:3:18
      |
    3 | endpoint: {mode: staked, port: 6443, virtualRouterId: 0}
      |                  ^^^^^^
      |
      = hint: did you mean `stacked`?

    error: 0 is too small
     --> cluster.yaml:3:55
      |
    3 | endpoint: {mode: staked, port: 6443, virtualRouterId: 0}
      |                                                       ^
      |
      = hint: the least is 1

    error: expected one of containerd or docker, found the text "dokcer"
     --> cluster.yaml:4:10
      |
    4 | runtime: dokcer
      |          ^^^^^^
      |
      = hint: did you mean `docker`?

    error: unknown key `speed`
     --> cluster.yaml:6:51
      |
    6 |   - {name: a, role: master, address: 10.0.0.1/24, speed: 10}
      |                                                   ^^^^^
      |
      = hint: known keys: address, gateway, interface, mac, name, nameservers, role, serial, target and uuid

    error: two nodes are called "a"
     --> cluster.yaml:7:12
      |
    6 |   - {name: a, role: master, address: 10.0.0.1/24, speed: 10}
      |            - first here
    7 |   - {name: a, role: worker, address: 10.0.0.1/24}
      |            ^
      |
      = hint: give each node a name of its own

    error: two nodes have the address 10.0.0.1
     --> cluster.yaml:7:38
      |
    6 |   - {name: a, role: master, address: 10.0.0.1/24, speed: 10}
      |                                      ----------- first here
    7 |   - {name: a, role: worker, address: 10.0.0.1/24}
      |                                      ^^^^^^^^^^^
      |
      = hint: give each node an address of its own

    error: two nodes are called "c"
     --> cluster.yaml:9:12
      |
    8 |   - {name: c, role: worker, address: 10.0.0.2/24}
      |            - first here
    9 |   - {name: c, role: worker, address: 10.0.0.2/24}
      |            ^
      |
      = hint: give each node a name of its own

    error: two nodes have the address 10.0.0.2
     --> cluster.yaml:9:38
      |
    8 |   - {name: c, role: worker, address: 10.0.0.2/24}
      |                                      ----------- first here
    9 |   - {name: c, role: worker, address: 10.0.0.2/24}
      |                                      ^^^^^^^^^^^
      |
      = hint: give each node an address of its own

    error: the key "name" is there twice
      --> cluster.yaml:11:1
       |
    10 | name: y
       | ---- first here
    11 | name: z
       | ^^^^
       |
       = hint: remove one of the two
    "#);
}
