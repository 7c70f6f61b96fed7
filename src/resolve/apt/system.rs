//! The build machine's own apt configuration, for the mirror called `system`.
//!
//! Reads `etc/apt/sources.list` and `etc/apt/sources.list.d/*.{list,sources}` (sources.list(5)). What khimg could not use is
//! left out: `deb-src`, disabled stanzas, entries for architectures that no node has, `cdrom:`, `mirror+…:` and other transports,
//! and what is spelt with `$(ARCH)`.
//! Who signs is not read: keys are pinned by the catalogue, never by the build machine.

use std::io;
use std::path::{Path, PathBuf};

use url::Url;

use super::stanza::{BadStanza, Stanzas};
use crate::arch::Arch;
use crate::exit::{Exit, Explain};
use crate::input;
use crate::mirrors::SystemEntry;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The apt configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A file or directory.
    #[error("cannot read {}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not in the deb822 format.
    #[error("{} is not a well-formed apt source file", path.display())]
    Malformed {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        source: BadStanza,
    },
}

impl Explain for SystemError {
    fn exit(&self) -> Exit {
        Exit::LocalIo
    }

    fn hint(&self) -> Option<String> {
        Some("take `system` out of `mirrors` in the cluster file, or mend the machine's apt configuration".to_owned())
    }
}

/// The usable entries below `root` (`/` on a real machine), in apt's order.
///
/// # Errors
/// A file that is there and cannot be read. A machine without apt has no entries.
pub fn entries(root: &Path) -> Result<Vec<SystemEntry>, SystemError> {
    let etc = root.join("etc/apt");
    let mut entries = Vec::new();
    for path in files(&etc)? {
        let text = read(&path)?;
        if path.extension().is_some_and(|extension| extension == "sources") {
            let found = deb822(&text).map_err(|source| SystemError::Malformed { path, source })?;
            entries.extend(found);
        } else {
            entries.extend(text.lines().filter_map(one_line).flatten());
        }
    }
    let mut unique: Vec<SystemEntry> = Vec::new();
    for entry in entries {
        if !unique.contains(&entry) {
            unique.push(entry);
        }
    }
    Ok(unique)
}

/// The files that apt reads, in its order. It takes names of letters, digits, `_`, `-` and `.` only (sources.list(5)).
fn files(etc: &Path) -> Result<Vec<PathBuf>, SystemError> {
    let mut files = Vec::new();
    let single = etc.join("sources.list");
    if single.is_file() {
        files.push(single);
    }
    let parts = etc.join("sources.list.d");
    let listing = match std::fs::read_dir(&parts) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(source) => return Err(SystemError::Read { path: parts, source }),
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(|source| SystemError::Read { path: parts.clone(), source })?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if plain && (name.ends_with(".list") || name.ends_with(".sources")) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    files.extend(found);
    Ok(files)
}

fn read(path: &Path) -> Result<String, SystemError> {
    let failed = |source| SystemError::Read { path: path.to_owned(), source };
    // Comments may be in any encoding.
    Ok(String::from_utf8_lossy(&input::read(path, MAX_FILE).map_err(failed)?).into_owned())
}

/// `deb [arch=amd64 signed-by=/x] http://ftp.debian.org/debian bookworm main contrib`
fn one_line(line: &str) -> Option<Vec<SystemEntry>> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    for option in options.split_ascii_whitespace() {
        if let Some(wanted) = option.strip_prefix("arch=")
            && !wanted.split(',').any(is_known)
        {
            return None;
        }
    }
    let mut words = rest.split_ascii_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    Some(combine(&[uri], &[suite], words))
}

fn deb822(text: &str) -> Result<Vec<SystemEntry>, BadStanza> {
    // Comment lines may stand between fields (deb822(5)); a stanza of nothing else is none.
    let without_comments: String =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let mut stanzas = Stanzas::new(without_comments.as_bytes());
    let mut entries = Vec::new();
    while let Some(stanza) = stanzas.next_stanza()? {
        let words = |name: &str| -> Vec<&str> {
            stanza.get(name).unwrap_or_default().split_ascii_whitespace().filter(|word| *word != ".").collect()
        };
        let off = ["no", "false", "off", "without", "disable", "0"];
        let enabled = stanza.get("Enabled").is_none_or(|value| !off.contains(&value.to_ascii_lowercase().as_str()));
        let arches = words("Architectures");
        let fits = arches.is_empty() || arches.into_iter().any(is_known);
        if enabled && fits && words("Types").contains(&"deb") {
            entries.extend(combine(&words("URIs"), &words("Suites"), words("Components").into_iter()));
        }
    }
    Ok(entries)
}

fn combine<'a>(uris: &[&str], suites: &[&str], components: impl Iterator<Item = &'a str>) -> Vec<SystemEntry> {
    let components: Vec<String> = components.map(str::to_owned).collect();
    let mut entries = Vec::new();
    for suite in suites.iter().filter(|suite| !suite.contains('$')) {
        for uri in uris.iter().filter_map(|uri| usable(uri)) {
            entries.push(SystemEntry { uri, suite: (*suite).to_owned(), components: components.clone() });
        }
    }
    entries
}

/// A URL that khimg can read, with a `/` at its end.
fn usable(uri: &str) -> Option<Url> {
    let readable = |url: &Url| matches!(url.scheme(), "http" | "https" | "file") && !uri.contains('$');
    let mut url = Url::parse(uri).ok().filter(readable)?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

/// Whether nodes may have this architecture.
fn is_known(arch: &str) -> bool {
    Arch::ALL.iter().any(|known| known.to_string() == arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, text: &str) -> Vec<String> {
        let root = tempfile::tempdir().expect("a directory");
        let parts = root.path().join("etc/apt/sources.list.d");
        std::fs::create_dir_all(&parts).expect("created");
        std::fs::write(parts.join(name), text).expect("written");
        let found = entries(root.path()).expect("sound");
        found.iter().map(|entry| format!("{} {} {}", entry.uri, entry.suite, entry.components.join(","))).collect()
    }

    #[test]
    fn reads_one_line_style() {
        let text = "# deb http://no/ no no\n\
            deb http://ftp.debian.org/debian bookworm main contrib # the main one\n\
            deb-src http://ftp.debian.org/debian bookworm main\n\
            deb [arch=i386] http://other.example/ bookworm main\n\
            deb [arch=i386,amd64 signed-by=/k.gpg] https://both.example/debian bookworm main\n\
            deb [ trusted=yes ] file:/srv/flat ./\n\
            deb cdrom:[Debian]/ bookworm main\n\
            deb mirror+file:/etc/list bookworm main\n\
            deb http://broken.example\n";
        assert_eq!(
            listed("a.list", text),
            [
                "http://ftp.debian.org/debian/ bookworm main,contrib",
                "https://both.example/debian/ bookworm main",
                "file:///srv/flat/ ./ ",
            ]
        );
    }

    #[test]
    fn reads_deb822_style() {
        let text = "# comment\nTypes: deb deb-src\n# another\nURIs: http://a.example/debian\n http://b.example/debian/\n\
            Suites: bookworm\n bookworm-updates\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n\n\n\
            Types: deb\nEnabled: no\nURIs: http://c.example/\nSuites: x\nComponents: main\n\n\
            Types: deb\nArchitectures: i386\nURIs: http://d.example/\nSuites: x\nComponents: main\n\n\
            Types: deb-src\nURIs: http://e.example/\nSuites: x\nComponents: main\n";
        assert_eq!(
            listed("a.sources", text),
            [
                "http://a.example/debian/ bookworm main",
                "http://b.example/debian/ bookworm main",
                "http://a.example/debian/ bookworm-updates main",
                "http://b.example/debian/ bookworm-updates main",
            ]
        );
    }

    #[test]
    fn nothing_is_read_where_there_is_no_apt() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(entries(root.path()).expect("empty"), []);
        assert!(listed("a.list~", "deb http://a.example/ x main").is_empty());
        assert!(listed("a b.list", "deb http://a.example/ x main").is_empty());
    }
}
