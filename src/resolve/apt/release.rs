//! A release file: what a repository holds, when it was made and how long it is good for.
//!
//! Fields as in the Debian wiki, DebianRepository/Format, "Release files". Only SHA256 counts among its digests.

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::stanza::{BadStanza, Stanzas};
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::openpgp::MAX_AHEAD;

/// A release file whose text has been proven, or is trusted by the user's explicit word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Suite`, such as `oldstable`.
    pub suite: Option<String>,
    /// `Codename`, such as `bookworm`.
    pub codename: Option<String>,
    /// `Date`.
    pub date: Timestamp,
    /// `Valid-Until`.
    pub valid_until: Option<Timestamp>,
    /// Whether `Acquire-By-Hash` is `yes`.
    pub by_hash: bool,
    /// Whether packages for all architectures are in an index of their own only: `Architectures` has `all`, and
    /// `No-Support-for-Architecture-all` is not `Packages`.
    pub separate_all: bool,
    files: Vec<ListedFile>,
}

/// A file that a release lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Path below the release file's directory.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Digest,
}

/// A release file that does not count.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Not the format.
    #[error("the release file is not well-formed")]
    Malformed(#[from] BadStanza),
    /// A field that is missing or has no sense.
    #[error("the release file has a missing or bad field {field}{}", value.as_ref().map(|v| format!(": {v:?}")).unwrap_or_default())]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Option<String>,
    },
    /// Another suite than the one asked for.
    #[error("the release file is of suite {found}, not {wanted}")]
    OtherSuite {
        /// What was asked for.
        wanted: String,
        /// What it says.
        found: String,
    },
    /// Past its `Valid-Until`.
    #[error("the release file was valid until {until} only")]
    Expired {
        /// Its `Valid-Until`.
        until: Timestamp,
    },
    /// Made in the future.
    #[error("the release file is of {date}, which is in the future; this machine's clock says {now}")]
    Future {
        /// Its `Date`.
        date: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// Older than what the lock has seen.
    #[error("the release file is of {date}, older than the one of {seen} that the lock was made from")]
    RolledBack {
        /// Its `Date`.
        date: Timestamp,
        /// The date in the lock.
        seen: Timestamp,
    },
    /// It does not list the index.
    #[error("the release file lists no {path}")]
    NoIndex {
        /// Path of the index without the ending of a compression.
        path: String,
    },
}

/// What a release file must be.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// Its suite or codename; `None` for a flat repository.
    pub suite: Option<&'a str>,
    /// Now.
    pub at: Timestamp,
    /// `Date` of the newest release file that a lock has seen.
    pub seen: Option<Timestamp>,
}

impl Release {
    /// Reads a release file.
    ///
    /// # Errors
    /// Lines that do not follow the format, a missing or bad `Date`, no `SHA256`.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut stanzas = Stanzas::new(text.as_bytes());
        let Some(stanza) = stanzas.next_stanza()? else {
            return Err(ReleaseError::Field { field: "Date", value: None });
        };
        let date = |field: &'static str| match stanza.get(field) {
            Some(value) => parse_date(value)
                .map(Some)
                .ok_or_else(|| ReleaseError::Field { field, value: Some(value.chars().take(80).collect()) }),
            None => Ok(None),
        };
        let text = |field: &str| stanza.get(field).filter(|value| !value.is_empty()).map(str::to_owned);
        let listed = stanza.get("SHA256").ok_or(ReleaseError::Field { field: "SHA256", value: None })?;
        let mut files = Vec::new();
        for line in listed.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
            let file = ListedFile::parse(line).ok_or_else(|| ReleaseError::Field {
                field: "SHA256",
                value: Some(line.chars().take(120).collect()),
            })?;
            files.push(file);
        }
        Ok(Self {
            suite: text("Suite"),
            codename: text("Codename"),
            date: date("Date")?.ok_or(ReleaseError::Field { field: "Date", value: None })?,
            valid_until: date("Valid-Until")?,
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            separate_all: stanza.get("Architectures").is_some_and(|all| all.split_whitespace().any(|one| one == "all"))
                && stanza.get("No-Support-for-Architecture-all") != Some("Packages"),
            files,
        })
    }

    /// Whether it is the release file that is wanted, good now, and not older than one seen before.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn check(&self, expected: &Expectation<'_>) -> Result<(), ReleaseError> {
        let names = [self.suite.as_deref(), self.codename.as_deref()];
        // A repository that says neither cannot be checked; its signature must do.
        if let Some(wanted) = expected.suite.filter(|wanted| {
            names.iter().any(Option::is_some) && !names.iter().flatten().any(|name| is_suite(wanted, name))
        }) {
            let found = names.into_iter().flatten().collect::<Vec<_>>().join(" / ");
            return Err(ReleaseError::OtherSuite { wanted: wanted.to_owned(), found });
        }
        if self.date.duration_since(expected.at) > MAX_AHEAD {
            return Err(ReleaseError::Future { date: self.date, now: expected.at });
        }
        if let Some(until) = self.valid_until.filter(|until| *until < expected.at) {
            return Err(ReleaseError::Expired { until });
        }
        match expected.seen {
            Some(seen) if self.date < seen => Err(ReleaseError::RolledBack { date: self.date, seen }),
            _ => Ok(()),
        }
    }

    /// The file at `path`, if it is listed.
    pub fn file(&self, path: &str) -> Option<&ListedFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl ListedFile {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let sha256 = words.next().filter(|digest| digest.len() == 64)?.parse().ok()?;
        let size = words.next()?.parse().ok()?;
        let path = words.next()?;
        let path = path.strip_prefix("./").unwrap_or(path).to_owned();
        words.next().is_none().then_some(Self { path, size, sha256 })
    }
}

/// `stable/updates` may call itself `stable`, and the other way round; nothing else differs.
fn is_suite(wanted: &str, name: &str) -> bool {
    wanted == name || wanted.strip_suffix("/updates") == Some(name)
}

/// RFC 2822 as apt writes it, with `UTC` for the zone.
fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned =
        ["UTC", "GMT", "Z"].into_iter().find_map(|zone| text.strip_suffix(zone)).map(|time| format!("{time}+0000"));
    rfc2822::parse(zoned.as_deref().unwrap_or(text)).ok().map(|zoned| zoned.timestamp())
}

impl Explain for ReleaseError {
    fn exit(&self) -> Exit {
        Exit::Verification
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Expired { .. } | Self::RolledBack { .. } => {
                Some("the mirror lags behind; put another one before it under `mirrors` in the cluster file".to_owned())
            }
            Self::Future { .. } => Some("set this machine's clock".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Test\nSuite: stable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
        Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n 00 1 ignored\nSHA256:\n \
        9e0b5aabb2465b3d2e7a7fe27f9913846277833f7a2826e7767acccff5b588c5  8790396 main/binary-amd64/Packages.xz\n";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn reads_and_checks() {
        let release = Release::parse(TEXT).expect("sound");
        let file = release.file("main/binary-amd64/Packages.xz").expect("listed");
        assert_eq!((file.size, release.by_hash, release.date), (8_790_396, true, at("2026-07-11T10:16:37Z")));
        let now = Expectation { suite: Some("bookworm"), at: at("2026-07-12T00:00:00Z"), seen: None };
        assert!(release.check(&now).is_ok());
        assert!(release.check(&Expectation { suite: None, seen: Some(release.date), ..now }).is_ok());
        let error = |expected| release.check(&expected).expect_err("refused").to_string();
        assert!(error(Expectation { suite: Some("trixie"), ..now }).contains("of suite stable / bookworm, not trixie"));
        assert!(error(Expectation { at: at("2026-07-19T00:00:00Z"), ..now }).contains("valid until 2026-07-18"));
        assert!(error(Expectation { at: at("2026-07-11T10:00:00Z"), ..now }).contains("future"));
        assert!(error(Expectation { seen: Some(at("2026-07-11T10:16:38Z")), ..now }).contains("older"));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for (from, to) in [
            ("Date: Sat", "Date: yesterday, Sat"),
            ("Date:", "Data:"),
            ("SHA256:", "SHA1:"),
            ("9e0b5a", "9e0b"),
            ("8790396", "-1"),
            (" main/binary-amd64/Packages.xz", ""),
            ("Origin: Test", "Origin"),
        ] {
            assert!(Release::parse(&TEXT.replacen(from, to, 1)).is_err(), "{from} → {to}");
        }
        assert!(Release::parse("").is_err());
    }
}
