//! Settings that khimg would choose otherwise: what would break a configuration file, or mean nothing.

use std::net::Ipv4Addr;

use super::{Check, Refusal};
use crate::cluster::compat::{Compat, HaproxyCompat, KeepalivedCheck, KeepalivedCompat};
use crate::cluster::file::ClusterFile;
use crate::cluster::{EndpointMode, Role};

/// keepalived reads no more of a password (keepalived.conf(5), `auth_pass`).
const PASSWORD: usize = 8;

/// What haproxy's `defaults` may set a time for, as far as it concerns TCP (haproxy's configuration manual, "timeout").
const TIMEOUTS: [&str; 9] =
    ["check", "client", "client-fin", "connect", "http-keep-alive", "http-request", "queue", "server", "tunnel"];

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) -> Option<Compat> {
    let before = check.problems.len();
    keepalived(check, file, &file.compat.keepalived);
    haproxy(check, file, &file.compat.haproxy);
    if let Some(repository) = &file.compat.image_repository {
        check.accept("/compat/imageRepository", image_repository(repository));
    }
    (check.problems.len() == before).then(|| file.compat.clone())
}

fn keepalived(check: &mut Check<'_>, file: &ClusterFile, wanted: &KeepalivedCompat) {
    let at = |key: &str| format!("/compat/keepalived/{key}");
    let carriers = carriers(file);
    if *wanted != KeepalivedCompat::default() && carriers.is_none() {
        let message = format!("the endpoint's mode {} has no keepalived", file.endpoint.mode.name());
        check.bad("/compat/keepalived", message, "remove `keepalived`, or choose another `endpoint.mode`".to_owned());
    }
    if let Some(instance) = &wanted.instance {
        check.accept(&at("instance"), word(instance));
    }
    if let Some(group) = &wanted.multicast {
        check.accept(&at("multicast"), multicast(group));
    }
    if let Some(text) = &wanted.advert {
        let accepted = advert(text, wanted.vrrp_version.unwrap_or(3));
        check.accept(&at("advert"), accepted);
    }
    if let Some(password) = &wanted.password {
        if wanted.vrrp_version != Some(2) {
            let help = "add `vrrpVersion: 2`, or remove `password`".to_owned();
            check.bad_key(&at("password"), "VRRP version 3 has no passwords", help);
        }
        check.accept(&at("password"), self::password(password));
    }
    let count = carriers.unwrap_or_default();
    let descending = wanted.priorities.windows(2).all(|pair| pair.first() > pair.last());
    if !wanted.priorities.is_empty() && (wanted.priorities.len() != count || !descending) {
        let message = format!("{count} nodes can carry the address, and each needs a priority of its own");
        check.bad(&at("priorities"), message, format!("write {count} falling numbers, such as [100, 90, 80]"));
    }
    if let Some(KeepalivedCheck::Script(script)) = &wanted.check
        && script.weight.is_some()
        && !wanted.preempt
    {
        let message = "a weight moves no address while nobody takes it back (nopreempt)";
        check.bad_key(&at("check/weight"), message, "add `preempt: true`, or remove `weight`".to_owned());
    }
    if let Some(mail) = &wanted.notification {
        for (index, to) in mail.to.iter().enumerate() {
            check.accept(&at(&format!("notification/to/{index}")), mailbox(to));
        }
        check.accept(&at("notification/from"), mailbox(&mail.from));
        if mail.server.parse::<std::net::IpAddr>().is_err() {
            let message = format!("{:?} is not an IP address", mail.server);
            check.bad(&at("notification/server"), message, "write an address such as 127.0.0.1".to_owned());
        }
    }
}

/// How many nodes can carry the virtual address; none where there is no such address.
fn carriers(file: &ClusterFile) -> Option<usize> {
    let role = match file.endpoint.mode {
        EndpointMode::Stacked | EndpointMode::VipOnly => Role::Master,
        EndpointMode::Dedicated => Role::Lb,
        EndpointMode::SingleLb | EndpointMode::External => return None,
    };
    Some(file.nodes.iter().filter(|node| node.role == role).count())
}

fn haproxy(check: &mut Check<'_>, file: &ClusterFile, wanted: &HaproxyCompat) {
    let at = |key: &str| format!("/compat/haproxy/{key}");
    let mode = file.endpoint.mode;
    if *wanted != HaproxyCompat::default() && matches!(mode, EndpointMode::VipOnly | EndpointMode::External) {
        let message = format!("the endpoint's mode {} has no haproxy", mode.name());
        check.bad("/compat/haproxy", message, "remove `haproxy`, or choose another `endpoint.mode`".to_owned());
    }
    for (key, name) in [("frontend", &wanted.frontend), ("backend", &wanted.backend)] {
        if let Some(name) = name {
            check.accept(&at(key), word(name));
        }
    }
    for (key, text) in [("log", &wanted.log), ("pidfile", &wanted.pidfile)] {
        if let Some(text) = text {
            check.accept(&at(key), line(text));
        }
    }
    for (index, option) in wanted.options.iter().flatten().enumerate() {
        check.accept(&at(&format!("options/{index}")), line(option));
    }
    for (name, text) in wanted.timeouts.iter().flatten() {
        let pointer = at(&format!("timeouts/{}", crate::config::segment(name)));
        if !TIMEOUTS.contains(&name.as_str()) {
            check.bad_key(
                &pointer,
                format!("haproxy has no timeout {name:?} here"),
                format!("known are {}", TIMEOUTS.join(", ")),
            );
        }
        check.accept(&pointer, milliseconds(text));
    }
    for needed in ["connect", "client", "server"] {
        if wanted.timeouts.as_ref().is_some_and(|all| !all.contains_key(needed)) {
            let message = format!("the timeout {needed:?} is missing, and connections without it can stay for ever");
            check.bad(&at("timeouts"), message, format!("add `{needed}`"));
        }
    }
}

/// A name in a configuration file: no space, nothing that means something there.
fn word(text: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    Err(Refusal::new(format!("{text:?} is not a name"), "use letters, digits, `.`, `_`, `:` and `-`"))
}

/// The rest of a line of haproxy's: words, paths and addresses.
fn line(text: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" ._:/@-".contains(&byte);
    if (1..=200).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    Err(Refusal::new(format!("{text:?} cannot stand in haproxy's configuration"), "use words, paths and addresses"))
}

fn multicast(text: &str) -> Result<(), Refusal> {
    match text.parse::<Ipv4Addr>() {
        Ok(group) if group.is_multicast() => Ok(()),
        _ => Err(Refusal::new(
            format!("{text:?} is not a multicast address of IPv4"),
            "write one such as 224.0.0.18, which is VRRP's own",
        )),
    }
}

/// VRRP version 2 counts in seconds, version 3 in hundredths up to 40.95 s (RFC 5798 §5.2.7).
fn advert(text: &str, version: u8) -> Result<(), Refusal> {
    let time = milliseconds(text)?;
    match version {
        2 if time % 1000 == 0 && (1..=255).contains(&(time / 1000)) => Ok(()),
        3 if time % 10 == 0 && (10..=40_950).contains(&time) => Ok(()),
        2 => {
            Err(Refusal::new(format!("VRRP version 2 has no adverts every {text}"), "write whole seconds, 1s to 255s"))
        }
        _ => Err(Refusal::new(format!("VRRP version 3 has no adverts every {text}"), "write 10ms to 40950ms")),
    }
}

fn password(text: &str) -> Result<(), Refusal> {
    if text.len() > PASSWORD {
        let help = format!("write its first {PASSWORD} characters: keepalived reads no more");
        return Err(Refusal::new(format!("the password has {} characters", text.len()), help));
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Refusal::new("the password is not of letters and digits", "use 1 to 8 letters and digits"));
    }
    Ok(())
}

fn mailbox(text: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@-".contains(&byte);
    if text.len() <= 254 && text.split('@').filter(|part| !part.is_empty()).count() == 2 && text.bytes().all(plain) {
        return Ok(());
    }
    Err(Refusal::new(format!("{text:?} is not a mail address"), "write one such as root@example.org"))
}

fn image_repository(text: &str) -> Result<(), Refusal> {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._:-".contains(&b))
            && part.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
    };
    if text.len() <= 200 && text.split('/').all(part) && text.split('/').skip(1).all(|part| !part.contains(':')) {
        return Ok(());
    }
    let help = "write a registry and a path without a tag, such as registry.aliyuncs.com/google_containers";
    Err(Refusal::new(format!("{text:?} cannot be the beginning of images' names"), help))
}

/// A time of haproxy's: a number with ms, s, m, h or d.
fn milliseconds(text: &str) -> Result<u64, Refusal> {
    crate::cluster::compat::milliseconds(text).ok_or_else(|| {
        Refusal::new(format!("{text:?} is not a time"), "write a whole number with ms, s, m, h or d, such as 10s")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_file_is_refused() {
        for bad in ["", "a b", "a\nb", "a{", "\"a\"", "a#"] {
            assert!(word(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a\nb", "a;b", "a\"b", "a#b", "$(a)"] {
            assert!(line(bad).is_err(), "{bad:?}");
        }
        assert!(line("forwardfor except 127.0.0.0/8").is_ok() && word("VI_1").is_ok());
        assert!(password("1111").is_ok() && password("csdc456csdc").is_err() && password("a b").is_err());
        assert!(multicast("224.0.100.100").is_ok() && multicast("10.0.0.1").is_err());
        assert!(mailbox("a@b.c").is_ok() && mailbox("a@b@c").is_err() && mailbox("ab").is_err());
        assert!(image_repository("registry.aliyuncs.com/google_containers").is_ok());
        for bad in ["", "https://x", "x/", "x/y:1", "X/y", "-x/y"] {
            assert!(image_repository(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_version_has_its_adverts() {
        for (text, version, good) in [
            ("1s", 2, true),
            ("100ms", 2, false),
            ("256s", 2, false),
            ("0s", 2, false),
            ("100ms", 3, true),
            ("5ms", 3, false),
            ("41s", 3, false),
            ("soon", 3, false),
        ] {
            assert_eq!(advert(text, version).is_ok(), good, "{text} {version}");
        }
    }
}
