//! Bundles: the same bytes on every machine, readable by every tool, delivered whole or not at all.

// Bytes: reproducible, golden, cached, as others read them.
mod bytes;

// What is refused.
mod refusals;

// The delivered directory.
mod delivery;

// Reading it all back, also when it is hostile.
mod reading;

use flate2::Compression;
use flate2::write::GzEncoder;
use khimg::catalog::component::Install;
use khimg::cluster::Role;
use khimg::render::tree::Mode;

use crate::support::workshop::Workshop;

/// Bytes that compress somewhat and are the same everywhere.
fn sample(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 30 == 0 { (state >> 16) as u8 } else { (state >> 28) as u8 }
    };
    (0..size).map(next).collect()
}

/// A published archive as projects make them: a directory, programs, a document, a link.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, mode, size) in [("v1/bin/tool", 0o755, 3000), ("v1/README", 0o644, 10), ("v1/bin/bridge", 0o775, 600)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(mode);
        header.set_uid(1000);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, path, &sample(7, size as usize)[..]).expect("in memory");
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "v1/bin/alias", "tool").expect("in memory");
    tar.into_inner().expect("in memory").finish().expect("in memory")
}

/// Two roles that share packages, with everything that a bundle can hold.
pub fn full() -> Workshop {
    let mut workshop = Workshop::new();
    let (both, master) = ([Role::Master, Role::Worker], [Role::Master]);
    workshop.package("containerd", "1.4.13~ds1-1", "containerd", &both, &sample(1, 700_000));
    workshop.package("libseccomp2", "2:2.5.1-1+b1", "containerd", &both, &sample(2, 30_000));
    workshop.package("haproxy", "2.6.12-1", "haproxy", &master, &sample(3, 90_000));
    workshop.file(
        "kubeadm",
        "kubernetes",
        &both,
        Install::Program("/usr/bin/kubeadm".to_owned()),
        &sample(4, 2_500_000),
    );
    let cni = Install::Archive { to: "/opt/cni".to_owned(), strip: 1, only: Vec::new() };
    workshop.file("cni-plugins", "cni", &both, cni, &archive());
    workshop.image("registry.k8s.io/pause:3.2", &both, &sample(5, 50_000));
    workshop.image("registry.k8s.io/kube-apiserver:v1.20.2", &master, &sample(6, 150_000));
    let long = format!("/etc/{}/a-file-with-a-long-path.conf", "deep/".repeat(30).trim_end_matches('/'));
    for role in [Role::Master, Role::Worker] {
        workshop.role(
            role,
            &[
                ("/etc/hosts", Mode::Plain, "127.0.0.1 localhost\n"),
                ("/usr/lib/khimg/start", Mode::Program, "#!/bin/sh\nexit 0\n"),
                ("/etc/systemd/system/multi-user.target.wants/a.service", Mode::Plain, "-> ../a.service"),
                (&long, Mode::Plain, "long\n"),
            ],
        );
    }
    workshop
}
