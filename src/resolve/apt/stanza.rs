//! Stanzas of `Field: value` lines (deb822(5)), read one by one, each within limits.

use std::io::{self, BufRead, Read};

/// Longest line, in bytes. Debian's longest are `Provides` of some 60 kB.
const MAX_LINE: usize = 1 << 20;
/// Longest stanza, in bytes.
const MAX_STANZA: usize = 4 << 20;
/// Most fields of a stanza.
const MAX_FIELDS: usize = 256;

/// A line or stanza that does not follow the format.
#[derive(Debug, thiserror::Error)]
pub enum BadStanza {
    /// Not the format.
    #[error("line {line}: {what}")]
    Format {
        /// Number of the line, from 1; for what is missing, the first of the stanza.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The text could not be read or decompressed.
    #[error("line {line}: cannot be read")]
    Read {
        /// Number of the line.
        line: u64,
        /// Why.
        source: io::Error,
    },
}

/// Reads stanzas.
pub struct Stanzas<R> {
    reader: R,
    line: u64,
    text: Vec<u8>,
    fields: Vec<Span>,
}

/// Where in the text of its stanza a field's name and value are.
#[derive(Debug, Clone, Copy)]
struct Span {
    name: usize,
    colon: usize,
    end: usize,
}

/// One stanza.
pub struct Stanza<'a> {
    text: &'a str,
    fields: &'a [Span],
    line: u64,
}

impl<R: BufRead> Stanzas<R> {
    /// Stanzas of `reader`, which is read to its end.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, text: Vec::new(), fields: Vec::new() }
    }

    /// The next stanza; `None` at the end.
    ///
    /// # Errors
    /// What does not follow the format or a limit, and those of the reader.
    pub fn next_stanza(&mut self) -> Result<Option<Stanza<'_>>, BadStanza> {
        self.text.clear();
        self.fields.clear();
        let mut first = 0;
        loop {
            if !self.text.is_empty() {
                self.text.push(b'\n');
            }
            let start = self.text.len();
            let more = self.read_line()?;
            let blank = self.text.get(start..).is_none_or(|line| line.iter().all(u8::is_ascii_whitespace));
            if blank {
                self.text.truncate(start);
            }
            match (more, blank, self.fields.is_empty()) {
                (true, true, true) => {}
                (false, _, true) => return Ok(None),
                (_, true, false) => break,
                _ => {
                    first = if self.fields.is_empty() { self.line } else { first };
                    self.take_line(start)?;
                }
            }
        }
        if std::str::from_utf8(&self.text).is_err() {
            // Old descriptions are Latin-1; nothing that matters here may be anything but ASCII.
            self.text.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
        let text = std::str::from_utf8(&self.text).unwrap_or_default();
        let stanza = Stanza { text, fields: &self.fields, line: first };
        stanza.check_unique()?;
        Ok(Some(stanza))
    }

    fn bad(&self, what: &str) -> BadStanza {
        BadStanza::Format { line: self.line, what: what.to_owned() }
    }

    /// Appends a line without its end to the text; false at the end of the file.
    fn read_line(&mut self) -> Result<bool, BadStanza> {
        self.line += 1;
        let limit = MAX_LINE as u64 + 1;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.text)
            .map_err(|source| BadStanza::Read { line: self.line, source })?;
        if read as u64 == limit || self.text.len() > MAX_STANZA {
            return Err(self.bad("the line or its stanza is too long"));
        }
        if read != 0 && self.text.last() == Some(&b'\n') {
            self.text.pop();
            if self.text.last() == Some(&b'\r') {
                self.text.pop();
            }
        }
        Ok(read != 0)
    }

    /// Makes of the line at `start` a field, or the continuation of the one before.
    fn take_line(&mut self, start: usize) -> Result<(), BadStanza> {
        let line = self.text.get(start..).unwrap_or_default();
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let end = self.text.len();
            match self.fields.last_mut() {
                Some(field) => field.end = end,
                None => return Err(self.bad("a continuation line without a field")),
            }
            return Ok(());
        }
        let colon = memchr::memchr(b':', line).filter(|colon| *colon > 0).map(|colon| start + colon);
        let Some(colon) = colon else { return Err(self.bad("no \"Field: value\"")) };
        if self.fields.len() == MAX_FIELDS {
            return Err(self.bad("too many fields in one stanza"));
        }
        self.fields.push(Span { name: start, colon, end: self.text.len() });
        Ok(())
    }
}

impl<'a> Stanza<'a> {
    /// The value of a field, its continuation lines after a `\n` each; names in any case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.fields.iter().find(|field| self.name(field).eq_ignore_ascii_case(name))?;
        self.text.get(found.colon + 1..found.end).map(str::trim)
    }

    /// Number of its first line.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// An error about the whole stanza.
    pub fn bad(&self, what: impl Into<String>) -> BadStanza {
        BadStanza::Format { line: self.line, what: format!("the stanza {}", what.into()) }
    }

    fn name(&self, field: &Span) -> &'a str {
        self.text.get(field.name..field.colon).unwrap_or_default()
    }

    fn check_unique(&self) -> Result<(), BadStanza> {
        for (at, field) in self.fields.iter().enumerate() {
            let name = self.name(field);
            if self.fields.iter().take(at).any(|other| self.name(other).eq_ignore_ascii_case(name)) {
                return Err(self.bad(format!("has two fields {name:.80}")));
            }
        }
        Ok(())
    }
}
