//! Publishers' checksum files: which of their digests belongs to which file.
//!
//! There is no standard. Seen in the wild: the bare digest (dl.k8s.io), coreutils' `hex  name` and `hex *name` for one
//! file or a list (GitHub releases), BSD's `SHA256 (name) = hex`. A name may have directories in front.

use crate::digest::Digest;

/// No checksum file is larger; in bytes.
pub const LIMIT: u64 = 1 << 20;

/// A checksum file that does not settle the question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// It holds no sha256 digest at all.
    #[error("it holds no sha256 digest")]
    None,
    /// It is about other files.
    #[error("it names {listed} files, but not {name}")]
    NotListed {
        /// The file that was looked for.
        name: String,
        /// How many files it names.
        listed: usize,
    },
    /// It has different digests for the same name.
    #[error("it has different digests for {name}: {first} and {second}")]
    Ambiguous {
        /// The file that was looked for.
        name: String,
        /// One digest.
        first: Digest,
        /// Another.
        second: Digest,
    },
}

/// The digest of the file at `path` (elements separated by `/`; only the last one must match) in the checksum file `text`.
///
/// # Errors
/// No digest, none for this file, or two.
pub fn find(text: &[u8], path: &str) -> Result<Digest, ChecksumError> {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_start_matches('\u{feff}');
    let name = elements(path).next_back().unwrap_or_default();
    let mut bare = Vec::new();
    let mut listed = Vec::new();
    let mut others = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match Line::parse(line) {
            Some(Line::Bare(digest)) => bare.push(digest),
            Some(Line::Named(digest, of)) => listed.push((digest, of)),
            None => others += 1,
        }
    }
    // A digest without a name speaks for the file only where it is all there is.
    if let ([digest], [], 0) = (bare.as_slice(), listed.as_slice(), others) {
        return Ok(*digest);
    }
    let ours: Vec<_> = listed.iter().filter(|(_, of)| elements(of).next_back() == Some(name)).collect();
    if ours.is_empty() {
        return Err(if listed.is_empty() {
            ChecksumError::None
        } else {
            ChecksumError::NotListed { name: name.to_owned(), listed: listed.len() }
        });
    }
    // Lists of a whole tree have the name once for each architecture; then the directories decide.
    let closeness = |of: &str| elements(of).rev().zip(elements(path).rev()).take_while(|(a, b)| a == b).count();
    let best = ours.iter().map(|(_, of)| closeness(of)).max().unwrap_or_default();
    let mut digests = ours.iter().filter(|(_, of)| closeness(of) == best).map(|(digest, _)| *digest);
    let first = digests.next().ok_or(ChecksumError::None)?;
    match digests.find(|other| *other != first) {
        Some(second) => Err(ChecksumError::Ambiguous { name: name.to_owned(), first, second }),
        None => Ok(first),
    }
}

enum Line<'a> {
    Bare(Digest),
    Named(Digest, &'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if let Some((name, hex)) = line.strip_prefix("SHA256 (").and_then(|rest| rest.rsplit_once(") = ")) {
            return Some(Self::Named(digest(hex)?, name));
        }
        // coreutils puts a backslash in front of lines whose name is escaped; such names are never ours.
        let Some((hex, rest)) = line.split_once([' ', '\t']) else { return digest(line).map(Self::Bare) };
        let rest = rest.trim_start();
        Some(Self::Named(digest(hex)?, rest.strip_prefix('*').unwrap_or(rest)))
    }
}

fn digest(hex: &str) -> Option<Digest> {
    (hex.len() == 64).then(|| hex.parse().ok()).flatten()
}

fn elements(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|element| !element.is_empty() && *element != ".")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(seed: &str) -> String {
        Digest::of(seed.as_bytes()).hex()
    }

    #[test]
    fn every_shape_that_publishers_use() {
        let (a, b) = (hex("a"), hex("b"));
        let want = Ok(Digest::of(b"a"));
        let path = "v1.1.14/runc.amd64";
        for text in [
            a.clone(),
            format!("{a}\n"),
            format!("\u{feff}{}\r\n", a.to_uppercase()),
            format!("{a}  runc.amd64\n"),
            format!("{a} *runc.amd64\n"),
            format!("{a}\trunc.amd64"),
            format!("{b}  runc.arm64\r\n{a}  ./release/runc.amd64\r\n"),
            format!("# list\n{b}  libseccomp.tar.gz\n\n{a}  runc.amd64\n{a}  runc.amd64\n"),
            format!("SHA256 (runc.amd64) = {a}\nSHA256 (runc.arm64) = {b}\n"),
            format!("{b}  v1.1.13/runc.amd64\n{a}  v1.1.14/runc.amd64\n"),
            format!("-----BEGIN PGP SIGNED MESSAGE-----\n\n{a}  runc.amd64\n-----BEGIN PGP SIGNATURE-----\nabc\n"),
        ] {
            assert_eq!(find(text.as_bytes(), path), want, "{text}");
        }
    }

    #[test]
    fn doubt_is_an_error() {
        let (a, b) = (hex("a"), hex("b"));
        let path = "bin/kubeadm";
        let not_listed = |listed| ChecksumError::NotListed { name: "kubeadm".to_owned(), listed };
        let twice =
            ChecksumError::Ambiguous { name: "kubeadm".to_owned(), first: Digest::of(b"a"), second: Digest::of(b"b") };
        for (text, want) in [
            (String::new(), ChecksumError::None),
            ("<html>404</html>".to_owned(), ChecksumError::None),
            (format!("{a}{b}"), ChecksumError::None),
            (format!("{a}\n{b}\n"), ChecksumError::None),
            (format!("{a}\n<html>"), ChecksumError::None),
            (format!("{a}  kubeadm.sig"), not_listed(1)),
            (format!("{a}  notkubeadm\n{b}  kubelet"), not_listed(2)),
            (format!("{a}  kubeadm\n{b}  kubeadm"), twice.clone()),
            (format!("{a}  x/kubeadm\n{b}  y/kubeadm"), twice),
        ] {
            assert_eq!(find(text.as_bytes(), path), Err(want), "{text}");
        }
    }

    proptest! {
        #[test]
        fn survives_anything(bytes in proptest::collection::vec(any::<u8>(), 0..400), path in ".{0,40}") {
            let _ = find(&bytes, &path);
        }

        #[test]
        fn finds_our_line_wherever_it_stands(
            others in proptest::collection::btree_map("[a-z]{1,8}\\.[a-z0-9]{1,5}", any::<u64>(), 0..12),
            place in any::<prop::sample::Index>(),
            star in any::<bool>(),
            crlf in any::<bool>(),
        ) {
            let mut lines: Vec<String> =
                others.iter().map(|(name, seed)| format!("{}  {name}", hex(&seed.to_string()))).collect();
            let mark = if star { " *" } else { "  " };
            lines.insert(place.index(lines.len() + 1), format!("{}{mark}kubeadm", hex("ours")));
            let text = lines.join(if crlf { "\r\n" } else { "\n" });
            prop_assert_eq!(find(text.as_bytes(), "release/v1.34.2/bin/linux/amd64/kubeadm"), Ok(Digest::of(b"ours")));
        }

        #[test]
        fn never_takes_the_line_of_another_file(name in "[a-z]{1,8}(\\.[a-z]{1,4})?", bare in any::<bool>()) {
            prop_assume!(name != "kubeadm");
            let text = if bare {
                format!("{}\n{}  {name}\n", hex("bare"), hex("theirs"))
            } else {
                format!("{}  {name}\n", hex("theirs"))
            };
            prop_assert!(find(text.as_bytes(), "kubeadm").is_err());
        }
    }
}
