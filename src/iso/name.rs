//! Names: the real one, and the one in capitals for readers that know nothing but ECMA-119.

use std::collections::BTreeSet;

use super::IsoError;

/// Longest name in bytes: what Joliet holds (Joliet specification, "128 bytes").
pub const LONGEST_NAME: usize = 64;

/// Name and extension together (ECMA-119 §7.5.1).
const LONGEST_PRIMARY: usize = 30;

/// Longest extension that is kept as such.
const LONGEST_EXTENSION: usize = 8;

/// Refuses what would not be the same file name for every reader.
pub(super) fn check(name: &str) -> Result<(), IsoError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~".contains(&byte);
    let dots = name.bytes().all(|byte| byte == b'.');
    if name.len() > LONGEST_NAME || dots || !name.bytes().all(fits) {
        return Err(IsoError::Name { name: name.to_owned() });
    }
    Ok(())
}

/// The names in capitals, one for each of `names` in their order, each different and without its version: `USER_DATA.`.
pub(super) fn primary<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for name in names {
        let (stem, extension) = split(name);
        let mut candidate = format!("{stem}.{extension}");
        let mut number = 0;
        while !taken.insert(candidate.clone()) {
            number += 1;
            let tail = format!("_{number}");
            let room = LONGEST_PRIMARY.saturating_sub(extension.len() + tail.len());
            let stem = stem.get(..room.min(stem.len())).unwrap_or_default();
            candidate = format!("{stem}{tail}.{extension}");
        }
        all.push(candidate);
    }
    all
}

/// Stem and extension in d-characters (§7.4.1), together no longer than they may be.
fn split(name: &str) -> (String, String) {
    let capital = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() as char } else { '_' };
    let capitals = |text: &str| text.bytes().map(capital).collect::<String>();
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= LONGEST_EXTENSION => (stem, extension),
        _ => (name, ""),
    };
    let (mut stem, extension) = (capitals(stem), capitals(extension));
    stem.truncate(LONGEST_PRIMARY - extension.len());
    (stem, extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_capitals() {
        let names = ["user-data", "meta-data", "master-debian-12-amd64.tar.zst", ".a", "x.longextension", "a.b", "a+b"];
        assert_eq!(
            primary(names.into_iter()),
            ["USER_DATA.", "META_DATA.", "MASTER_DEBIAN_12_AMD64_TAR.ZST", ".A", "X_LONGEXTENSION.", "A.B", "A_B."]
        );
    }

    #[test]
    fn names_in_capitals_are_different() {
        let long = |end: &str| format!("{}{end}", "x".repeat(50));
        let names = ["a-b".to_owned(), "a_b".to_owned(), "a~b".to_owned(), long("1"), long("2")];
        let found = primary(names.iter().map(String::as_str));
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 5);
        assert!(found.iter().all(|name| name.len() <= LONGEST_PRIMARY + 1), "{found:?}");
    }

    #[test]
    fn refuses_what_is_no_name() {
        for bad in ["", ".", "..", "a/b", "a b", "a;1", "é", &"x".repeat(LONGEST_NAME + 1)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&"x".repeat(LONGEST_NAME)).is_ok());
    }
}
