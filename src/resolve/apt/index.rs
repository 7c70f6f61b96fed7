//! One `Packages` file, reduced to what a resolution asks for.
//!
//! Reading 50 MB of stanzas again for each resolution would be most of its time, so [`reduce`] goes through a `Packages` file
//! once, checks every line of it, and writes a small sorted text, which the store keeps. [`Index`] reads that without copying:
//! a table of where the packages begin, everything else on demand.
//!
//! ```text
//! khimg-index 1
//!
//! haproxy 2.6.12-1+deb12u1 amd64 2041234 <sha256 in hex> pool/main/h/haproxy/haproxy_2.6.12-1+deb12u1_amd64.deb
//! dlibc6 (>= 2.34), adduser
//! ```
//!
//! First line of a package: name, version, architecture, size, digest, path. Further lines: a letter ([`Field`]) and the field.

use std::io::BufRead;
use std::ops::Range;
use std::sync::OnceLock;

use memchr::memmem;

use super::relation::is_name;
use super::stanza::{BadStanza, Stanzas};
use super::version;
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
}

const KEPT: [(&str, Field); 8] = [
    ("Pre-Depends", Field::PreDepends),
    ("Depends", Field::Depends),
    ("Conflicts", Field::Conflicts),
    ("Breaks", Field::Breaks),
    ("Provides", Field::Provides),
    ("Priority", Field::Priority),
    ("Essential", Field::Essential),
    ("Multi-Arch", Field::MultiArch),
];

/// A reduced index in memory.
#[derive(Debug)]
pub struct Index {
    text: String,
    starts: Vec<u32>,
    /// The `Provides` fields, with the beginnings of their packages; found when first asked for.
    provides: OnceLock<Vec<(u32, Range<usize>)>>,
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
    /// A text that [`reduce`] did not write.
    pub fn load(text: String) -> Result<Self, BadIndex> {
        if !text.starts_with(MAGIC) || u32::try_from(text.len()).is_err() {
            return Err(BadIndex);
        }
        let ends = memmem::find_iter(text.as_bytes(), "\n\n").map(|at| u32::try_from(at + 2).unwrap_or(u32::MAX));
        let starts = ends.collect();
        Ok(Self { text, starts, provides: OnceLock::new() })
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
        let first = self.starts.partition_point(|start| self.name_at(*start) < name);
        let run = self.starts.iter().skip(first).take_while(move |start| self.name_at(**start) == name);
        run.filter_map(|start| self.at(*start))
    }

    /// All packages that have a field, in order.
    pub fn having(&self, field: Field) -> impl Iterator<Item = Package<'_>> {
        self.fields(field).into_iter().filter_map(|(start, _)| self.at(start))
    }

    /// All packages whose `Provides` mention `name`.
    pub fn providers<'i>(&'i self, name: &str) -> Vec<Package<'i>> {
        let provides = self.provides.get_or_init(|| self.fields(Field::Provides));
        let finder = memmem::Finder::new(name);
        let mentions = |value: &Range<usize>| {
            self.text.as_bytes().get(value.clone()).is_some_and(|value| finder.find(value).is_some())
        };
        provides.iter().filter(|(_, value)| mentions(value)).filter_map(|(start, _)| self.at(*start)).collect()
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

/// Goes through a `Packages` file and writes its reduced text. Keeps packages of `arch` and `all`.
///
/// # Errors
/// A line or stanza that does not follow deb822(5) or lacks what is needed, with its number; limits; those of the reader.
pub fn reduce(packages: impl BufRead, arch: &str) -> Result<String, BadStanza> {
    let mut stanzas = Stanzas::new(packages);
    let mut text = String::new();
    let mut order: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    while let Some(stanza) = stanzas.next_stanza()? {
        let need = |key: &'static str| {
            stanza.get(key).filter(|value| !value.is_empty()).ok_or_else(|| stanza.bad(format!("has no {key}")))
        };
        let of = need("Architecture")?;
        if of != arch && of != "all" {
            continue;
        }
        let (name, version, path) = (need("Package")?, need("Version")?, need("Filename")?);
        let (size, digest) = (need("Size")?, need("SHA256")?);
        let sound = is_name(name) && version::is_valid(version) && is_safe_path(path);
        let numbers = size.bytes().all(|b| b.is_ascii_digit()) && size.parse::<u64>().is_ok();
        if !(sound && numbers && digest.len() == 64 && digest.parse::<Digest>().is_ok()) {
            return Err(stanza.bad(format!("has a bad Package, Version, Filename, Size or SHA256 ({name:.80})")));
        }
        let start = text.len();
        for word in [name, version, of, size, digest] {
            text.push_str(word);
            text.push(' ');
        }
        text.push_str(path);
        for (key, field) in KEPT {
            let Some(value) = stanza.get(key).filter(|value| is_worth_keeping(field, value)) else { continue };
            text.push('\n');
            text.push(char::from(field as u8));
            // Continuation lines begin with a space, which stays.
            value.split('\n').for_each(|line| text.push_str(line.trim_end()));
        }
        order.push((start..start + name.len(), start..text.len()));
    }
    // Stable: where the same version occurs twice, the first stays first.
    order.sort_by(|(a, _), (b, _)| text.get(a.clone()).cmp(&text.get(b.clone())));
    let mut sorted = String::with_capacity(MAGIC.len() + text.len() + 2 * order.len());
    sorted.push_str(MAGIC);
    for (_, package) in order {
        sorted.push_str(text.get(package).unwrap_or_default());
        sorted.push_str("\n\n");
    }
    Ok(sorted)
}

fn is_worth_keeping(field: Field, value: &str) -> bool {
    match field {
        Field::Priority => value != "optional",
        Field::Essential => value == "yes",
        Field::MultiArch => value == "allowed",
        _ => !value.is_empty(),
    }
}

/// A relative path without anything that could lead out of the repository or confuse a URL or a line.
fn is_safe_path(path: &str) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.len() < 1024
        && path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'))
        && path.split('/').all(|element| !matches!(element, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stanza(name: &str, version: &str, more: &str) -> String {
        let digest = Digest::of(name.as_bytes()).hex();
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}Filename: pool/{name}.deb\nSize: 12\nSHA256: {digest}\n\n"
        )
    }

    #[test]
    fn reduces_and_finds() {
        let text = [
            stanza("vim", "2", "Depends: libc6 (>= 2),\n perl\nPriority: optional\n"),
            stanza("abc", "1", "Essential: yes\nPriority: required\nProvides: vi\n"),
            stanza("vim", "3", "Description: long\n text\n .\n more\n"),
            stanza("other", "1", "").replace("amd64", "i386"),
        ];
        let index = Index::load(reduce(text.concat().as_bytes(), "amd64").expect("sound")).expect("ours");
        assert_eq!(index.names().collect::<Vec<_>>(), ["abc", "vim", "vim"]);
        assert_eq!(index.find("vim").map(|p| p.version).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(index.find("vi").count() + index.find("zzz").count() + index.find("").count(), 0);
        let vim = index.find("vim").next().expect("there");
        assert_eq!((vim.field(Field::Depends), vim.field(Field::Priority)), ("libc6 (>= 2), perl", ""));
        assert_eq!((vim.size, vim.path, vim.sha256), (12, "pool/vim.deb", Digest::of(b"vim")));
        let providers: Vec<_> = index.having(Field::Provides).map(|p| (p.name, p.field(Field::Provides))).collect();
        assert_eq!(providers, [("abc", "vi")]);
        assert_eq!(index.having(Field::Essential).map(|p| p.name).collect::<Vec<_>>(), ["abc"]);
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn an_empty_index_is_sound() {
        let index = Index::load(reduce(&b""[..], "amd64").expect("sound")).expect("ours");
        assert!(index.is_empty() && index.find("a").next().is_none() && index.names().next().is_none());
        assert!(Index::load("something else".to_owned()).is_err());
    }

    #[test]
    fn bad_stanzas_are_named_by_line() {
        let good = stanza("a", "1", "");
        for (bad, line) in [
            (stanza("b", "1", "").replace("SHA256", "SHA1"), 8),
            (stanza("b", "1 2", ""), 8),
            (stanza("b", "1", "").replace("pool/", "../"), 8),
            (stanza("b", "1", "").replace("Size: 12", "Size: +12"), 8),
            (stanza("b", "1", "no colon here\n"), 11),
            (stanza("b", "1", "Version: 2\n"), 8),
        ] {
            let error = reduce(format!("{good}{bad}").as_bytes(), "amd64").expect_err(&bad);
            assert!(error.to_string().contains(&format!("line {line}")), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(text) = reduce(&bytes[..], "amd64") {
                prop_assert!(Index::load(text).is_ok());
            }
        }

        #[test]
        fn any_fields_are_read_or_refused(text in "((Package|Version|Architecture|Size|SHA256|Filename|Depends):? ?[a-z0-9. \n]{0,12}\n?){0,20}") {
            if let Ok(text) = reduce(text.as_bytes(), "amd64") {
                let index = Index::load(text).expect("ours");
                prop_assert_eq!(index.names().count(), index.len());
            }
        }
    }
}
