//! One part of user-data: what it is, by its first line (cloud-init documentation, "User-data formats").

use super::schema;
use crate::config::{Document, Problem, Problems};
use crate::secrets::Secret;

/// What cloud-init does with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `#cloud-config`: settings.
    CloudConfig,
    /// `#!`: a script that runs once, in the last stage.
    Script,
    /// `#cloud-boothook`: a script that runs early at each boot.
    BootHook,
    /// `#include`: URLs of further parts.
    Include,
    /// `## template: jinja`: one of the others, as a template.
    Jinja,
}

impl Kind {
    /// The first line of each, and its media type.
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::CloudConfig, "#cloud-config", "text/cloud-config"),
        (Self::Script, "#!", "text/x-shellscript"),
        (Self::BootHook, "#cloud-boothook", "text/cloud-boothook"),
        (Self::Include, "#include", "text/x-include-url"),
        (Self::Jinja, "## template: jinja", "text/jinja2"),
    ];

    /// The media type in a multipart message.
    pub fn media_type(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _, _)| *kind == self).map_or("text/plain", |(_, _, name)| name)
    }

    /// By the first line, as cloud-init tells them apart. `#cloud-config-archive` is none of these.
    fn of(text: &str) -> Option<Self> {
        let first = text.lines().next().unwrap_or_default().trim_end();
        let begins = |(kind, mark, _): &(Self, &str, &str)| match kind {
            Self::Script => first.starts_with(mark),
            Self::CloudConfig | Self::BootHook | Self::Include | Self::Jinja => first == *mark,
        };
        Self::ALL.iter().find(|entry| begins(entry)).map(|(kind, _, _)| *kind)
    }
}

/// A part of user-data. It may hold passwords, so it cannot be printed.
#[derive(Debug, Clone)]
pub struct Part {
    /// The file's name without its directory.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The whole of it.
    pub text: Secret<String>,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.kind, self.text.expose()) == (&other.name, other.kind, other.text.expose())
    }
}

/// Why a file is no part of user-data. None of the texts quotes the file: it may hold passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// The first line is none that cloud-init knows.
    #[error("its first line is none that cloud-init knows")]
    FirstLine,
    /// It is no YAML, or not what cloud-init's schema wants.
    #[error("{0}")]
    CloudConfig(String),
}

impl PartError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::FirstLine => {
                let marks: Vec<&str> = Kind::ALL.iter().map(|(_, mark, _)| *mark).collect();
                format!("begin it with one of: {}", marks.join(", "))
            }
            Self::CloudConfig(_) => {
                "correct it as cloud-init's documentation says (`cloud-init schema -c FILE`)".to_owned()
            }
        }
    }
}

impl Part {
    /// Takes in the text of a file; `name` is what cloud-init will call it: letters, digits and `. _ -`, others become `_`.
    ///
    /// # Errors
    /// A text that cloud-init would not understand: every flaw of a `#cloud-config`, with its line and column.
    pub fn parse(name: &str, text: String) -> Result<Self, Vec<PartError>> {
        let kind = Kind::of(&text).ok_or_else(|| vec![PartError::FirstLine])?;
        if kind == Kind::CloudConfig {
            check(name, &text)?;
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        Ok(Self { name: name.chars().map(plain).collect(), kind, text: Secret::new(text) })
    }
}

fn check(name: &str, text: &str) -> Result<(), Vec<PartError>> {
    let place = |problem: &Problem| match problem.position() {
        Some((line, column)) => format!("line {line}, column {column}: "),
        None => String::new(),
    };
    // The parser's own words may quote the text.
    let bad = |problems: Problems| {
        problems
            .iter()
            .map(|problem| PartError::CloudConfig(format!("{}this is not sound YAML", place(problem))))
            .collect::<Vec<_>>()
    };
    let document = Document::parse(name, text).map_err(bad)?;
    let flaws = schema::check(&document.plain().map_err(bad)?);
    if flaws.is_empty() {
        return Ok(());
    }
    let told = |flaw: &schema::Flaw| {
        let problem = document.problem(&flaw.pointer, "", None);
        PartError::CloudConfig(format!("{}{flaw}", place(&problem)))
    };
    Err(flaws.iter().map(told).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(text: &str) -> Vec<String> {
        match Part::parse("x", text.to_owned()) {
            Ok(_) => Vec::new(),
            Err(flaws) => flaws.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_first_line_decides() {
        for (text, kind) in [
            ("#cloud-config\n{}\n", Kind::CloudConfig),
            ("#!/bin/sh\n", Kind::Script),
            ("#cloud-boothook\nls\n", Kind::BootHook),
            ("#include\nhttp://x/\n", Kind::Include),
            ("## template: jinja\n#cloud-config\n{{ v1 }}", Kind::Jinja),
        ] {
            assert_eq!(Part::parse("x", text.to_owned()).map(|part| part.kind), Ok(kind), "{text}");
        }
        for text in ["", "{}", " #cloud-config\n", "#cloud-config-archive\n", "#cloud-configx\n", "\n#cloud-config\n"] {
            assert_eq!(Part::parse("x", text.to_owned()), Err(vec![PartError::FirstLine]), "{text}");
        }
    }

    #[test]
    fn flaws_are_told_without_quoting() {
        let text =
            "#cloud-config\npackage_update: hunter2\nwrite_files:\n- {path: /a, mode: hunter2}\npackges: [hunter2]\n";
        let flaws = flaws(text);
        assert!(flaws.iter().all(|flaw| !flaw.contains("hunter2")), "{flaws:?}");
        for part in ["line 2, column 17: ", "line 4, column", "packges"] {
            assert!(flaws.iter().any(|flaw| flaw.contains(part)), "{part}: {flaws:?}");
        }
    }

    /// PyYAML reads these as booleans, YAML 1.2 does not.
    #[test]
    fn yes_is_a_boolean_to_cloud_init() {
        assert_eq!(flaws("#cloud-config\npackage_update: yes\nmanage_etc_hosts: off\n"), Vec::<String>::new());
        assert_eq!(flaws("#cloud-config\nhostname: 12\n").len(), 1);
    }
}
