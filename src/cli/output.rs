//! The only place that writes to the terminal: data on stdout, everything else on stderr.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use khimg::report::{Reporter, Silent};
use serde::Serialize;

use super::progress::{Bars, JsonLines, Lines};
use super::{Failure, Global};

/// Where a command's words go.
#[derive(Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet }
    }

    /// Whether data is to be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Data for people: one text on stdout. A reader that went away is no failure.
    pub fn text(&self, text: &str) {
        let mut stdout = anstream::stdout().lock();
        let ending = if text.ends_with('\n') { "" } else { "\n" };
        if write!(stdout, "{text}{ending}").and_then(|()| stdout.flush()).is_err() {
            // Nothing can be told to a reader that has gone, such as `| head`.
        }
    }

    /// Data for people that replaces what was there before: the terminal is cleared first.
    pub fn screen(&self, text: &str) {
        self.text(&format!("\x1b[2J\x1b[H{text}"));
    }

    /// Data for machines.
    pub fn data<T: Serialize>(&self, value: &T) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.text(&text),
            Err(error) => self.note(&format!("cannot write JSON: {error}")),
        }
    }

    /// One line for people on stderr, unless they asked for silence.
    pub fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            self.line(text);
        }
    }

    fn line(&self, text: &str) {
        let mut stderr = anstream::stderr().lock();
        if writeln!(stderr, "{text}").is_err() {
            // There is no other place to say it.
        }
    }

    /// What receives the library's events: bars on a terminal, plain lines otherwise, JSON lines for machines.
    pub fn reporter(&self) -> Arc<dyn Reporter> {
        if self.json {
            Arc::new(JsonLines)
        } else if self.quiet {
            Arc::new(Silent)
        } else if std::io::stderr().is_terminal() {
            Arc::new(Bars::new())
        } else {
            Arc::new(Lines::default())
        }
    }

    /// Tells a failure and gives the exit code that belongs to it.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        let chain = failure.chain();
        let code = failure.exit() as u8;
        if self.json {
            let told = serde_json::json!({"error": {"exit": code, "message": chain.first(), "causes": chain.get(1..), "hint": failure.hint()}});
            self.line(&told.to_string());
            return ExitCode::from(code);
        }
        if failure.is_report() {
            self.line(&chain.concat());
            return ExitCode::from(code);
        }
        for (depth, message) in chain.iter().enumerate() {
            self.line(&format!("{}{message}", if depth == 0 { "error: " } else { "  cause: " }));
        }
        if let Some(hint) = failure.hint() {
            self.line(&format!("hint: {hint}"));
        }
        ExitCode::from(code)
    }
}
