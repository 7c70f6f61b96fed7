//! XML of repositories, read piece by piece within limits.

use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

/// Largest piece between two tags or within one, in bytes. The longest real ones are descriptions of some 100 kB.
const MAX_PIECE: usize = 4 << 20;
/// Deepest nesting. Package lists have five levels.
const MAX_DEPTH: usize = 32;

/// XML that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct BadXml {
    /// Where, from the beginning of the plain text.
    pub at: u64,
    /// What is wrong.
    pub what: String,
}

/// One piece.
#[derive(Debug)]
pub enum Piece {
    /// A tag that opens; of `<rpm:entry/>` too, which then closes at once.
    Open(Tag),
    /// A tag that closes.
    Close,
    /// Text, or a part of it.
    Text(String),
    /// There is no more.
    End,
}

/// A tag that opens.
#[derive(Debug)]
pub struct Tag {
    start: BytesStart<'static>,
    at: u64,
}

/// Reads pieces.
pub struct Xml<R> {
    reader: Reader<Metered<R>>,
    buffer: Vec<u8>,
    depth: usize,
    opened: bool,
}

impl<R: BufRead> Xml<R> {
    /// The pieces of `reader`, which is read to its end.
    pub fn new(reader: R) -> Self {
        let mut reader = Reader::from_reader(Metered { inner: reader, left: MAX_PIECE });
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), depth: 0, opened: false }
    }

    /// The next piece. Comments and instructions are passed over.
    ///
    /// # Errors
    /// What is not well-formed; limits; those of the reader.
    pub fn next(&mut self) -> Result<Piece, BadXml> {
        loop {
            let at = self.reader.buffer_position();
            let bad = |what: String| BadXml { at, what };
            self.buffer.clear();
            self.reader.get_mut().left = MAX_PIECE;
            // The borrow of an event must not outlive the loop, so what is passed over is dealt with first.
            let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| bad(error.to_string()))?;
            match event {
                Event::Start(_) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(bad("its elements are nested too deeply".to_owned()));
                    }
                    if self.depth == 1 && std::mem::replace(&mut self.opened, true) {
                        return Err(bad("there is a second root element".to_owned()));
                    }
                    let Event::Start(start) = event else { continue };
                    return Ok(Piece::Open(Tag { start: start.into_owned(), at }));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Piece::Close);
                }
                Event::Text(text) => return Ok(Piece::Text(text.xml10_content().into_owned())),
                Event::CData(text) => return Ok(Piece::Text(text.xml10_content().into_owned())),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| bad(error.to_string()))?;
                    let text = match character {
                        Some(character) => character.to_string(),
                        None => resolve_xml_entity(&reference.into_inner())
                            .ok_or_else(|| bad("it uses an entity that XML does not define".to_owned()))?
                            .to_owned(),
                    };
                    return Ok(Piece::Text(text));
                }
                Event::Eof if self.depth > 0 || !self.opened => return Err(bad("it ends too early".to_owned())),
                Event::Eof => return Ok(Piece::End),
                Event::DocType(_) => return Err(bad("it has a document type".to_owned())),
                Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
    }

    /// Goes to the root element, which must have this name.
    ///
    /// # Errors
    /// Another one, or none.
    pub fn root(&mut self, name: &str) -> Result<(), BadXml> {
        loop {
            match self.next()? {
                Piece::Open(tag) if tag.name() == name => return Ok(()),
                Piece::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.bad(format!("it does not begin with <{name}>"))),
            }
        }
    }

    /// The text of the element that was opened last, up to its end.
    ///
    /// # Errors
    /// An element in it, and those of [`Xml::next`].
    pub fn text(&mut self) -> Result<String, BadXml> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Piece::Text(part) if text.len() + part.len() <= MAX_PIECE => text.push_str(&part),
                Piece::Close => return Ok(text),
                Piece::Open(tag) => return Err(tag.bad("stands where only text may be")),
                Piece::Text(_) | Piece::End => return Err(self.bad("a text does not end")),
            }
        }
    }

    /// Passes over the rest of the element that was opened last.
    ///
    /// # Errors
    /// Those of [`Xml::next`].
    pub fn skip(&mut self) -> Result<(), BadXml> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            if matches!(self.next()?, Piece::End) {
                return Err(self.bad("it ends too early"));
            }
        }
        Ok(())
    }

    /// An error at this place.
    pub fn bad(&self, what: impl Into<String>) -> BadXml {
        BadXml { at: self.reader.buffer_position(), what: what.into() }
    }
}

impl Tag {
    /// Its name without a prefix: `entry` of `rpm:entry`.
    pub fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// The value of an attribute; `None` where there is none, or an empty one.
    ///
    /// # Errors
    /// An attribute that is not well-formed.
    pub fn attribute(&self, name: &str) -> Result<Option<String>, BadXml> {
        let found = self.start.try_get_attribute(name).map_err(|error| self.bad(error.to_string()))?;
        let Some(attribute) = found else { return Ok(None) };
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|error| self.bad(error.to_string()))?;
        Ok(Some(value.into_owned()).filter(|value| !value.is_empty()))
    }

    /// An error at this tag.
    pub fn bad(&self, what: impl std::fmt::Display) -> BadXml {
        BadXml { at: self.at, what: format!("<{}> {what}", self.name()) }
    }
}

/// Lets so many bytes pass until it is allowed more.
struct Metered<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(format!("a piece has more than {MAX_PIECE} bytes")));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}
