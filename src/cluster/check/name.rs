//! Names of machines, domains and interfaces.

use super::Refusal;
use crate::cluster::Uuid;

/// A DNS label as Kubernetes wants it (RFC 1123 §2.1, in lower case).
pub(super) fn dns_label(text: &str) -> Result<String, Refusal> {
    if is_label(text) {
        return Ok(text.to_owned());
    }
    let rule = "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends";
    let near: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let near = near.trim_matches('-');
    let help = if is_label(near) { format!("{rule}, such as `{near}`") } else { rule.to_owned() };
    Err(Refusal::new(format!("{text:?} is not a DNS label"), help))
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS domain (RFC 1123 §2.1), without a dot at the end.
pub(super) fn dns_domain(text: &str) -> Result<String, Refusal> {
    // The longest name below it, <63>.<63>.svc.<domain>, must stay within 253 characters (RFC 1035 §2.3.4).
    if text.len() <= 120 && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    let help =
        "use labels of a-z, 0-9 and -, with dots between them and 120 characters at most, such as `cluster.local`";
    Err(Refusal::new(format!("{text:?} is not a DNS domain"), help))
}

/// A machine's serial number that can stand in a URL as it is, where cloud-init and iPXE put it.
pub(super) fn serial(text: &str) -> Result<String, Refusal> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len())
        && text.bytes().all(fine)
        && text.parse::<Uuid>().is_err()
        && !text.starts_with('.')
    {
        return Ok(text.to_owned());
    }
    let help = "use 1 to 64 of a-z, A-Z, 0-9, -, _ and .; a machine with another one has a `mac` or a `uuid`";
    Err(Refusal::new(format!("{text:?} is not a serial number that fits into a URL"), help))
}

/// A machine's UUID, which not all machines have: some firmware leaves it empty.
pub(super) fn uuid(text: &str) -> Result<Uuid, Refusal> {
    let help = "write it as `dmidecode -s system-uuid` does, such as \"4c4c4544-0042-3510-8051-b4c04f4a4e31\"";
    let uuid: Uuid =
        text.parse().map_err(|error: crate::cluster::uuid::ParseUuidError| Refusal::new(error.to_string(), help))?;
    if uuid.is_blank() {
        return Err(Refusal::new(format!("{uuid} is what firmware without a UUID says, which many machines do"), help));
    }
    Ok(uuid)
}

/// A network interface as Linux names them: `dev_valid_name` in `net/core/dev.c` (IFNAMSIZ is 16 with the final zero).
pub(super) fn interface(text: &str) -> Result<String, Refusal> {
    let refuse = |why: &str| {
        Err(Refusal::new(
            format!("{text:?} is not an interface name: {why}"),
            "use a name such as `ens160`; on the machine, `ip link` lists them",
        ))
    };
    if text.is_empty() || text == "." || text == ".." {
        return refuse("it names nothing");
    }
    if text.len() > 15 {
        return refuse("it has more than 15 characters");
    }
    // Stricter than the kernel, which would take any byte: the name goes into configuration files.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return refuse("only letters, digits, `.`, `_` and `-` may be in it");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "master-1", longest.as_str()] {
            assert!(dns_label(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", too_long.as_str()] {
            assert!(dns_label(bad).is_err(), "{bad}");
        }
        let help = dns_label("Demo_1").expect_err("bad").help.unwrap_or_default();
        assert!(help.ends_with("such as `demo-1`"), "{help}");
    }

    #[test]
    fn domains_and_interfaces() {
        assert!(dns_domain("cluster.local").is_ok());
        assert!(["", "cluster.local.", "a..b", ".a", "a_b"].iter().all(|bad| dns_domain(bad).is_err()));
        assert!(interface("bond0.100").is_ok() && interface("enp129s0f0np0-x").is_ok());
        assert!(["", ".", "..", "a b", "a/b", "eth0:1", "sixteen-letters-"].iter().all(|bad| interface(bad).is_err()));
    }
}
