//! Names of machines, domains and interfaces.

use super::Refusal;

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
