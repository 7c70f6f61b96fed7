//! The packages of one repository, reduced to what a resolution asks for.
//!
//! Reading 50 MB of stanzas or XML again for each resolution would be most of its time, so a package list is gone through once,
//! every line of it checked, and a small sorted text written ([`Writer`]), which the store keeps. [`Index`] reads that without
//! copying: a table of where the packages begin, everything else on demand.
//!
//! ```text
//! khimg-index 1
//!
//! haproxy 2.6.12-1+deb12u1 amd64 2041234 <sha256 in hex> pool/main/h/haproxy/haproxy_2.6.12-1+deb12u1_amd64.deb
//! dlibc6 (>= 2.34), adduser
//! ```
//!
//! First line of a package: name, version, architecture, size, digest, path. Further lines: a letter ([`Field`]) and the field in
//! the language of its package manager.

use std::ops::Range;
use std::sync::OnceLock;

use memchr::memmem;

use crate::digest::Digest;

const MAGIC: &str = "khimg-index 1\n\n";

/// A field that is kept as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// `Pre-Depends`
    PreDepends = b'p',
    /// `Depends`
    Depends = b'd',
    /// `Conflicts`
    Conflicts = b'c',
    /// `Breaks`
    Breaks = b'b',
    /// `Provides`
    Provides = b'v',
    /// `Priority`, unless `optional`.
    Priority = b'q',
    /// `Essential: yes`
    Essential = b'e',
    /// `Multi-Arch`, if `allowed`.
    MultiArch = b'm',
    /// What an rpm package takes the place of.
    Obsoletes = b'o',
    /// Files of an rpm package that the list of packages names: programs and settings.
    Files = b'f',
}

/// A reduced index in memory.
#[derive(Debug)]
pub struct Index {
    text: String,
    starts: Vec<u32>,
    /// The `Provides` and `Files` fields, with the beginnings of their packages; found when first asked for.
    provides: OnceLock<Vec<(u32, Range<usize>)>>,
    files: OnceLock<Vec<(u32, Range<usize>)>>,
}

/// A reduced text that this version of khimg did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reduced index in the store is not readable")]
pub struct BadIndex;

/// One package of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package<'a> {
    /// Name.
    pub name: &'a str,
    /// Full version.
    pub version: &'a str,
    /// Architecture, may be `all`.
    pub arch: &'a str,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the package file.
    pub sha256: Digest,
    /// Path below the repository's base.
    pub path: &'a str,
    fields: &'a str,
}

impl<'a> Package<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (head, fields) = text.split_once('\n').unwrap_or((text, ""));
        let mut words = head.splitn(6, ' ');
        Some(Self {
            name: words.next()?,
            version: words.next()?,
            arch: words.next()?,
            size: words.next()?.parse().ok()?,
            sha256: words.next()?.parse().ok()?,
            path: words.next()?,
            fields,
        })
    }

    /// One of its fields; empty where it has none.
    pub fn field(&self, field: Field) -> &'a str {
        self.fields.split('\n').find_map(|line| line.strip_prefix(char::from(field as u8))).unwrap_or_default()
    }
}

impl Index {
    /// Reads a reduced text.
    ///
    /// # Errors
    /// A text that no [`Writer`] wrote.
    pub fn load(text: String) -> Result<Self, BadIndex> {
        if !text.starts_with(MAGIC) || u32::try_from(text.len()).is_err() {
            return Err(BadIndex);
        }
        let ends = memmem::find_iter(text.as_bytes(), "\n\n").map(|at| u32::try_from(at + 2).unwrap_or(u32::MAX));
        let starts = ends.collect();
        Ok(Self { text, starts, provides: OnceLock::new(), files: OnceLock::new() })
    }

    /// How many packages it holds.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether it holds no package.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All versions of a package, in no particular order.
    pub fn find(&self, name: &str) -> impl Iterator<Item = Package<'_>> {
        // Without the last, which is the end of the text.
        let starts = self.starts.get(..self.len()).unwrap_or_default();
        let first = starts.partition_point(|start| self.name_at(*start) < name);
        let run = starts.iter().skip(first).take_while(move |start| self.name_at(**start) == name);
        run.filter_map(|start| self.at(*start))
    }

    /// All packages, in order.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        self.starts.iter().filter_map(|start| self.at(*start))
    }

    /// All packages that have a field, in order.
    pub fn having(&self, field: Field) -> impl Iterator<Item = Package<'_>> {
        self.fields(field).into_iter().filter_map(|(start, _)| self.at(start))
    }

    /// All packages whose `Provides` hold `text` somewhere.
    pub fn providers<'i>(&'i self, text: &str) -> Vec<Package<'i>> {
        self.mentioning(self.provides.get_or_init(|| self.fields(Field::Provides)), text)
    }

    /// All packages whose `Files` hold `text` somewhere.
    pub fn owners<'i>(&'i self, text: &str) -> Vec<Package<'i>> {
        self.mentioning(self.files.get_or_init(|| self.fields(Field::Files)), text)
    }

    fn mentioning<'i>(&'i self, fields: &[(u32, Range<usize>)], text: &str) -> Vec<Package<'i>> {
        let finder = memmem::Finder::new(text);
        let mentions = |value: &Range<usize>| {
            self.text.as_bytes().get(value.clone()).is_some_and(|value| finder.find(value).is_some())
        };
        fields.iter().filter(|(_, value)| mentions(value)).filter_map(|(start, _)| self.at(*start)).collect()
    }

    /// Where the fields of one kind are, each with the beginning of its package.
    fn fields(&self, field: Field) -> Vec<(u32, Range<usize>)> {
        let bytes = self.text.as_bytes();
        let mut found = Vec::new();
        for at in memmem::find_iter(bytes, &[b'\n', field as u8]) {
            let Some(number) = self.starts.partition_point(|start| (*start as usize) <= at + 1).checked_sub(1) else {
                continue;
            };
            // The first line of a package begins with its name, which may begin with the same letter.
            let Some(start) = self.starts.get(number).filter(|start| **start as usize != at + 1) else { continue };
            let value = at + 2;
            let length = bytes.get(value..).and_then(|rest| memchr::memchr(b'\n', rest)).unwrap_or(0);
            found.push((*start, value..value + length));
        }
        found
    }

    /// The names of all packages in order, each as often as it has versions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.starts.iter().map(|start| self.name_at(*start)).filter(|name| !name.is_empty())
    }

    fn name_at(&self, start: u32) -> &str {
        let rest = self.text.get(start as usize..).unwrap_or_default();
        rest.get(..memchr::memchr(b' ', rest.as_bytes()).unwrap_or(0)).unwrap_or_default()
    }

    fn at(&self, start: u32) -> Option<Package<'_>> {
        let rest = self.text.get(start as usize..)?;
        Package::parse(rest.get(..memmem::find(rest.as_bytes(), b"\n\n")?)?)
    }
}

/// Collects packages and writes their reduced text.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
    /// Of each package: its name, and all of it.
    order: Vec<(Range<usize>, Range<usize>)>,
}

impl Writer {
    /// Begins a package: name, version, architecture, size, digest in hex, and path, none of which may hold a line break or, but
    /// for the path, a space.
    pub fn package(&mut self, words: [&str; 6]) {
        let start = self.text.len();
        for (number, word) in words.into_iter().enumerate() {
            if number > 0 {
                self.text.push(' ');
            }
            self.text.push_str(word);
        }
        let name = words.first().map_or(0, |name| name.len());
        self.order.push((start..start + name, start..self.text.len()));
    }

    /// Adds a field to the package begun last. Its parts are put together as they are; none may hold a line break.
    pub fn field<'v>(&mut self, field: Field, parts: impl IntoIterator<Item = &'v str>) {
        self.text.push('\n');
        self.text.push(char::from(field as u8));
        parts.into_iter().for_each(|part| self.text.push_str(part));
        if let Some((_, whole)) = self.order.last_mut() {
            whole.end = self.text.len();
        }
    }

    /// The text, ordered by name. Where a version occurs twice, the first stays first.
    pub fn finish(mut self) -> String {
        let text = self.text;
        self.order.sort_by(|(a, _), (b, _)| text.get(a.clone()).cmp(&text.get(b.clone())));
        let mut sorted = String::with_capacity(MAGIC.len() + text.len() + 2 * self.order.len());
        sorted.push_str(MAGIC);
        for (_, package) in self.order {
            sorted.push_str(text.get(package).unwrap_or_default());
            sorted.push_str("\n\n");
        }
        sorted
    }
}

/// A relative path without anything that could lead out of the repository or confuse a URL or a line.
pub fn is_safe_path(path: &str) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.len() < 1024
        && path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'))
        && path.split('/').all(|element| !matches!(element, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_found_whatever_their_number() {
        for count in 0..20 {
            let names: Vec<String> = (0..count).map(|number| format!("p{number:02}")).collect();
            let packages = names.iter().map(|name| format!("{name} 1 amd64 1 {} {name}.deb\n\n", "0".repeat(64)));
            let index = Index::load(MAGIC.to_owned() + &packages.collect::<String>()).expect("sound");
            assert_eq!(index.len(), count);
            for name in &names {
                assert_eq!(index.find(name).map(|package| package.name).collect::<Vec<_>>(), [name], "of {count}");
            }
            assert_eq!((index.find("a").count(), index.find("z").count()), (0, 0));
        }
    }
}
