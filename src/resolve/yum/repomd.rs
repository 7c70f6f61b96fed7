//! `repodata/repomd.xml`: which lists a repository has, and of when they are (createrepo_c(8)).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::xml::{BadXml, Piece, Tag, Xml};
use crate::digest::Digest;
use crate::exit::{Exit, Explain};
use crate::openpgp::MAX_AHEAD;
use crate::resolve::index::is_safe_path;

/// Seconds since 1970 below which a `<revision>` is a count and no time: 2001-09-09.
const FIRST_TIME: i64 = 1_000_000_000;

/// A `repomd.xml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repomd {
    /// The latest time that it names: of a list, or of itself where `<revision>` is one.
    pub date: Timestamp,
    data: BTreeMap<String, Data>,
}

/// A list that a `repomd.xml` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Path below the directory that holds `repodata`.
    pub path: String,
    /// Digest as it is served.
    pub sha256: Digest,
    /// Size in bytes as it is served, where that is told.
    pub size: Option<u64>,
    /// Size in bytes without compression, where that is told.
    pub open_size: Option<u64>,
}

/// A `repomd.xml` that does not count.
#[derive(Debug, thiserror::Error)]
pub enum RepomdError {
    /// Not the format.
    #[error("repomd.xml is not well-formed")]
    Malformed(#[from] BadXml),
    /// It names no time, so that nobody could tell an old one from a new one.
    #[error("repomd.xml does not say of when it is")]
    NoDate,
    /// Made in the future.
    #[error("repomd.xml is of {date}, which is in the future; this machine's clock says {now}")]
    Future {
        /// Its time.
        date: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// Older than what the lock has seen.
    #[error("repomd.xml is of {date}, older than the one of {seen} that the lock was made from")]
    RolledBack {
        /// Its time.
        date: Timestamp,
        /// The time in the lock.
        seen: Timestamp,
    },
    /// A list that must be there is not.
    #[error("repomd.xml names no {kind}")]
    NoList {
        /// Its kind.
        kind: &'static str,
    },
    /// A list whose digest khimg does not count.
    #[error("repomd.xml proves {kind} by {algorithm}, and not by SHA-256")]
    Algorithm {
        /// The kind of list.
        kind: String,
        /// The algorithm.
        algorithm: String,
    },
    /// A list in a compression that khimg does not read.
    #[error("{path} is not compressed by gzip, xz or zstd")]
    Compression {
        /// Its path.
        path: String,
    },
}

impl Repomd {
    /// Reads a `repomd.xml`.
    ///
    /// # Errors
    /// What does not follow the format; no time at all; a package list without a SHA-256 digest.
    pub fn parse(text: &[u8]) -> Result<Self, RepomdError> {
        let mut xml = Xml::new(text);
        xml.root("repomd")?;
        let mut times = Vec::new();
        let mut data = BTreeMap::new();
        loop {
            match xml.next()? {
                Piece::Open(tag) if tag.name() == "revision" => {
                    times.extend(seconds(&xml.text()?).filter(|time| *time >= FIRST_TIME));
                }
                Piece::Open(tag) if tag.name() == "data" => {
                    let kind = need(&tag, "type")?;
                    let (found, time) = list(&mut xml, &kind)?;
                    times.extend(time);
                    data.extend(found.map(|found| (kind, found)));
                }
                Piece::Open(_) => xml.skip()?,
                Piece::Close | Piece::Text(_) => {}
                Piece::End => break,
            }
        }
        let newest = times.into_iter().max().and_then(|time| Timestamp::from_second(time).ok());
        Ok(Self { date: newest.ok_or(RepomdError::NoDate)?, data })
    }

    /// Whether it is of a time that counts: `at` is now, `seen` the time of the newest one that a lock has seen.
    ///
    /// # Errors
    /// One of the future, and one older than `seen`.
    pub fn check(&self, at: Timestamp, seen: Option<Timestamp>) -> Result<(), RepomdError> {
        if self.date.duration_since(at) > MAX_AHEAD {
            return Err(RepomdError::Future { date: self.date, now: at });
        }
        match seen {
            Some(seen) if self.date < seen => Err(RepomdError::RolledBack { date: self.date, seen }),
            _ => Ok(()),
        }
    }

    /// The list of this kind, such as `primary`.
    pub fn list(&self, kind: &str) -> Option<&Data> {
        self.data.get(kind)
    }
}

/// One `<data>` and its time. Lists that khimg never reads may be of any form.
fn list<R: std::io::BufRead>(xml: &mut Xml<R>, kind: &str) -> Result<(Option<Data>, Option<i64>), RepomdError> {
    let (mut sha256, mut path, mut size, mut open_size, mut time) = (None, None, None, None, None);
    let mut algorithm = None;
    loop {
        match xml.next()? {
            Piece::Open(tag) => match tag.name() {
                "checksum" => {
                    let of = need(&tag, "type")?;
                    let text = xml.text()?;
                    if of == "sha256" {
                        let digest = text.trim().parse().map_err(|_| xml.bad("a <checksum> is none"))?;
                        sha256 = Some(digest);
                    } else {
                        algorithm = Some(of);
                    }
                }
                "location" => {
                    path = Some(need(&tag, "href")?);
                    xml.skip()?;
                }
                "size" => size = xml.text()?.trim().parse().ok(),
                "open-size" => open_size = xml.text()?.trim().parse().ok(),
                "timestamp" => time = seconds(&xml.text()?),
                _ => xml.skip()?,
            },
            Piece::Close => break,
            Piece::Text(_) => {}
            Piece::End => return Err(xml.bad("it ends too early").into()),
        }
    }
    if !matches!(kind, "primary" | "filelists" | "modules") {
        return Ok((None, time));
    }
    let Some(sha256) = sha256 else {
        let algorithm = algorithm.unwrap_or_else(|| "nothing".to_owned());
        return Err(RepomdError::Algorithm { kind: kind.to_owned(), algorithm });
    };
    let path = path.filter(|path| is_safe_path(path)).ok_or_else(|| xml.bad(format!("{kind} has no good location")))?;
    Ok((Some(Data { path, sha256, size, open_size }), time))
}

fn need(tag: &Tag, name: &str) -> Result<String, BadXml> {
    tag.attribute(name)?.ok_or_else(|| tag.bad(format!("has no {name}")))
}

/// Whole seconds since 1970; old ones have a fraction.
fn seconds(text: &str) -> Option<i64> {
    let whole = text.trim().split('.').next()?;
    whole.parse().ok().filter(|time| *time >= 0)
}

impl Explain for RepomdError {
    fn exit(&self) -> Exit {
        Exit::Verification
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::RolledBack { .. } => {
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

    const TEXT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1604001756</revision>
  <data type="primary">
    <checksum type="sha256">9e0b5aabb2465b3d2e7a7fe27f9913846277833f7a2826e7767acccff5b588c5</checksum>
    <open-checksum type="sha256">00</open-checksum>
    <location href="repodata/9e-primary.xml.gz"/>
    <timestamp>1604001700.25</timestamp>
    <size>2917041</size>
    <open-size>27000000</open-size>
  </data>
  <data type="group"><checksum type="sha">00</checksum><location href="../comps.xml"/></data>
</repomd>
"#;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn reads_and_checks() {
        let repomd = Repomd::parse(TEXT.as_bytes()).expect("sound");
        assert_eq!(repomd.date, at("2020-10-29T20:02:36Z"));
        let list = repomd.list("primary").expect("named");
        let found = (list.path.as_str(), list.size, list.open_size);
        assert_eq!(found, ("repodata/9e-primary.xml.gz", Some(2_917_041), Some(27_000_000)));
        assert_eq!(repomd.list("group"), None);
        assert!(repomd.check(at("2026-01-01T00:00:00Z"), Some(repomd.date)).is_ok());
        let error = |now, seen| repomd.check(at(now), seen).expect_err("refused").to_string();
        assert!(error("2026-01-01T00:00:00Z", Some(at("2020-10-29T20:02:37Z"))).contains("older"));
        assert!(error("2020-10-29T19:00:00Z", None).contains("future"));
        let counted = Repomd::parse(TEXT.replace("1604001756", "7").as_bytes()).expect("sound");
        assert_eq!(counted.date, at("2020-10-29T20:01:40Z"), "a count is no time");
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for (from, to, said) in [
            ("<repomd", "<ropemd", "does not begin with <repomd>"),
            ("</repomd>", "", "ends too early"),
            ("</data>\n</repomd>", "</dota>\n</repomd>", "not well-formed"),
            ("repodata/9e", "../9e", "no good location"),
            ("9e0b5a", "9e0b", "is none"),
            ("type=\"primary\"", "", "has no type"),
            ("<checksum type=\"sha256\">9e", "<checksum type=\"sha\">9e", "by sha, and not by SHA-256"),
            ("<repomd", "<!DOCTYPE x [<!ENTITY y \"z\">]><repomd", "document type"),
            ("2917041", "&y;", "an entity that XML does not define"),
        ] {
            let error = Repomd::parse(TEXT.replacen(from, to, 1).as_bytes()).expect_err(from);
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(format!("{error}: {cause}").contains(said), "{error}: {cause}");
        }
        let undated = TEXT.replace("1604001756", "7").replace("1604001700.25", "never");
        assert!(matches!(Repomd::parse(undated.as_bytes()), Err(RepomdError::NoDate)));
    }
}
