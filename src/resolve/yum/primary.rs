//! `primary.xml`, read package by package into a reduced index.

use std::io::BufRead;

use super::capability::{ENTRY, PART};
use super::evr;
use super::xml::{BadXml, Piece, Tag, Xml};
use crate::digest::Digest;
use crate::resolve::index::{Field, Writer};

/// Most bytes of what one package needs, provides and so on.
const MAX_RELATIONS: usize = 16 << 20;
/// What rpm itself must be able to do, which it judges on the node.
const RPMLIB: &str = "rpmlib(";

/// A package list that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPrimary {
    /// Not the format.
    #[error(transparent)]
    Xml(#[from] BadXml),
    /// A package without something that khimg needs.
    #[error("package {name} {what}")]
    Package {
        /// Its name, where it has one.
        name: String,
        /// What is wrong.
        what: String,
    },
}

/// One package as it is read.
#[derive(Default)]
struct Entry {
    name: String,
    arch: String,
    version: String,
    size: String,
    path: String,
    sha256: Option<String>,
    other_checksum: Option<String>,
    fields: [String; 5],
}

const FIELDS: [(&str, Field); 5] = [
    ("requires", Field::Depends),
    ("conflicts", Field::Conflicts),
    ("provides", Field::Provides),
    ("obsoletes", Field::Obsoletes),
    ("file", Field::Files),
];
const FILES: usize = 4;

/// Goes through a `primary.xml` and writes its reduced text. Keeps packages of `machine` and `noarch`.
///
/// # Errors
/// What does not follow the format or lacks what is needed; a package without a SHA-256 digest; limits; those of the reader.
pub fn reduce(primary: impl BufRead, machine: &str) -> Result<String, BadPrimary> {
    let mut xml = Xml::new(primary);
    let mut writer = Writer::default();
    xml.root("metadata")?;
    loop {
        match xml.next()? {
            Piece::Open(tag) if tag.name() == "package" => {
                let entry = Entry::read(&mut xml)?;
                if entry.arch == machine || entry.arch == "noarch" {
                    entry.write(&mut writer)?;
                }
            }
            Piece::Open(_) => xml.skip()?,
            Piece::Close | Piece::Text(_) => {}
            Piece::End => return Ok(writer.finish()),
        }
    }
}

impl Entry {
    fn read<R: BufRead>(xml: &mut Xml<R>) -> Result<Self, BadXml> {
        let mut entry = Self::default();
        loop {
            match xml.next()? {
                Piece::Open(tag) => match tag.name() {
                    "name" => entry.name = xml.text()?,
                    "arch" => entry.arch = xml.text()?,
                    "version" => {
                        entry.version = version(&tag)?;
                        xml.skip()?;
                    }
                    "checksum" => {
                        let kind = tag.attribute("type")?.unwrap_or_default();
                        let text = xml.text()?;
                        if kind == "sha256" { entry.sha256 = Some(text) } else { entry.other_checksum = Some(kind) }
                    }
                    "size" => {
                        entry.size = tag.attribute("package")?.unwrap_or_default();
                        xml.skip()?;
                    }
                    "location" => {
                        entry.path = tag.attribute("href")?.unwrap_or_default();
                        xml.skip()?;
                    }
                    "format" => entry.read_format(xml)?,
                    _ => xml.skip()?,
                },
                Piece::Close => return Ok(entry),
                Piece::Text(_) => {}
                Piece::End => return Err(xml.bad("it ends too early")),
            }
        }
    }

    fn read_format<R: BufRead>(&mut self, xml: &mut Xml<R>) -> Result<(), BadXml> {
        loop {
            match xml.next()? {
                Piece::Open(tag) => {
                    let at = FIELDS.iter().position(|(name, _)| *name == tag.name());
                    match at.and_then(|at| Some((at, self.fields.get_mut(at)?))) {
                        Some((FILES, files)) => {
                            let path = xml.text()?;
                            push(files, [path.as_str()]).map_err(|what| tag.bad(what))?;
                        }
                        Some((_, field)) => read_entries(xml, field)?,
                        None => xml.skip()?,
                    }
                }
                Piece::Close => return Ok(()),
                Piece::Text(_) => {}
                Piece::End => return Err(xml.bad("it ends too early")),
            }
        }
    }

    fn write(&self, writer: &mut Writer) -> Result<(), BadPrimary> {
        let bad =
            |what: &str| BadPrimary::Package { name: self.name.chars().take(80).collect(), what: what.to_owned() };
        let is_name = |text: &str| {
            (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
        };
        if !is_name(&self.name) {
            return Err(bad("has no good name"));
        }
        if !evr::is_valid(&self.version) {
            return Err(bad("has no good version"));
        }
        if !self.size.bytes().all(|b| b.is_ascii_digit()) || self.size.parse::<u64>().is_err() {
            return Err(bad("has no size"));
        }
        // It may lie beside the repository, so the path is judged where that is known.
        if self.path.is_empty() || self.path.len() > 1024 || !self.path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("has no good location"));
        }
        let Some(sha256) = &self.sha256 else {
            let other = self.other_checksum.as_deref().unwrap_or("nothing");
            return Err(bad(&format!("is proven by {other:.20}, and not by SHA-256")));
        };
        if sha256.len() != 64 || sha256.parse::<Digest>().is_err() {
            return Err(bad("has no good checksum"));
        }
        let words = [&self.name, &self.version, &self.arch, &self.size, sha256, &self.path].map(String::as_str);
        writer.package(words);
        for ((_, field), text) in FIELDS.iter().zip(&self.fields).filter(|(_, text)| !text.is_empty()) {
            writer.field(*field, [text.as_str()]);
        }
        Ok(())
    }
}

fn read_entries<R: BufRead>(xml: &mut Xml<R>, field: &mut String) -> Result<(), BadXml> {
    loop {
        match xml.next()? {
            Piece::Open(tag) => {
                let Some(name) = tag.attribute("name")? else { return Err(tag.bad("has no name")) };
                if !name.starts_with(RPMLIB) {
                    match operator(&tag)? {
                        Some(operator) => push(field, [name.as_str(), operator, &version(&tag)?]),
                        None => push(field, [name.as_str()]),
                    }
                    .map_err(|what| tag.bad(what))?;
                }
                xml.skip()?;
            }
            Piece::Close => return Ok(()),
            Piece::Text(_) => {}
            Piece::End => return Err(xml.bad("it ends too early")),
        }
    }
}

fn operator(tag: &Tag) -> Result<Option<&'static str>, BadXml> {
    let Some(flags) = tag.attribute("flags")? else { return Ok(None) };
    Ok(Some(match flags.as_str() {
        "LT" => "<",
        "LE" => "<=",
        "EQ" => "=",
        "GE" => ">=",
        "GT" => ">",
        _ => return Err(tag.bad(format!("has the flags {flags:.20?}"))),
    }))
}

/// `[epoch:]version[-release]` from the attributes `epoch`, `ver` and `rel`; an epoch of 0 is left out.
fn version(tag: &Tag) -> Result<String, BadXml> {
    let epoch = tag.attribute("epoch")?.filter(|epoch| epoch != "0");
    let Some(version) = tag.attribute("ver")? else { return Err(tag.bad("has no version")) };
    let release = tag.attribute("rel")?;
    let before = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
    let after = release.map(|release| format!("-{release}")).unwrap_or_default();
    Ok(format!("{before}{version}{after}"))
}

/// Adds an entry to a field, unless it is there right before.
fn push<const N: usize>(field: &mut String, parts: [&str; N]) -> Result<(), &'static str> {
    if parts.iter().any(|part| part.chars().any(char::is_control)) {
        return Err("has a control character");
    }
    if field.len() > MAX_RELATIONS {
        return Err("is one of too many");
    }
    let start = field.len();
    for (number, part) in parts.into_iter().enumerate() {
        field.push(if number == 0 { ENTRY } else { PART });
        field.push_str(part);
    }
    let (before, entry) = field.split_at(start);
    if before.ends_with(entry) {
        field.truncate(start);
    }
    Ok(())
}
