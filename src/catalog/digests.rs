//! `profiles/catalog/digests.txt`: published digests of plain files, one line each.
//!
//! `<name> <version> <architecture> <digest>`; empty lines and lines that begin with `#` say nothing. Not YAML, because there are
//! thousands of lines, all of one kind, and every command reads them.

use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::config::Problem;
use crate::digest::Digest;

/// Name of the file → architecture → version → digest.
pub type Digests = BTreeMap<String, BTreeMap<Arch, BTreeMap<String, Digest>>>;

/// How many wrong lines of one file are told; a file of another kind is wrong in each.
const MAX_PROBLEMS: usize = 10;

/// Adds the lines of `text` to `digests`; they win over what is there from an earlier text. `file` is what problems call it.
pub(super) fn add(digests: &mut Digests, file: &str, text: &str, problems: &mut Vec<Problem>) {
    let mut first = BTreeMap::new();
    let flawed = problems.len();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let flaw = match row(line) {
            Ok((name, version, arch, digest)) => match first.insert((name, version, arch), number) {
                None => {
                    digests
                        .entry(name.to_owned())
                        .or_default()
                        .entry(arch)
                        .or_default()
                        .insert(version.to_owned(), digest);
                    continue;
                }
                Some(other) => format!("{name} {version} for {arch} stands on line {other} as well"),
            },
            Err(flaw) => flaw,
        };
        if problems.len() - flawed == MAX_PROBLEMS {
            problems.push(Problem::new(format!("{file}: further lines are wrong")));
            return;
        }
        let help = "a line is `<name> <version> <amd64|arm64> <64 hex digits>`, each file once";
        problems.push(Problem::new(format!("{file}:{number}: {flaw}")).with_help(Some(help.to_owned())));
    }
}

fn row(line: &str) -> Result<(&str, &str, Arch, Digest), String> {
    let words: Vec<&str> = line.split(' ').collect();
    let &[name, version, arch, digest] = words.as_slice() else {
        return Err(format!("expected 4 words with one space between each, found {}", words.len()));
    };
    let plain = |text: &str, extra: &str| {
        (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    if !plain(name, "-_") {
        return Err(format!("{} is not the name of a file", quoted(name)));
    }
    if !plain(version, ".+~-") {
        return Err(format!("{} is not a version", quoted(version)));
    }
    let arch = Arch::ALL.into_iter().find(|known| known.name() == arch);
    let arch = arch.ok_or_else(|| "the third word is not an architecture".to_owned())?;
    let hex = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let digest = digest.parse().ok().filter(|_| hex);
    Ok((name, version, arch, digest.ok_or_else(|| "the fourth word is not 64 lower-case hex digits".to_owned())?))
}

/// The beginning of a foreign text, safe to show.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Digests, Vec<String>) {
        let (mut digests, mut problems) = (Digests::new(), Vec::new());
        add(&mut digests, "digests.txt", text, &mut problems);
        (digests, problems.iter().map(|problem| problem.message().to_owned()).collect())
    }

    #[test]
    fn reads_lines() {
        let digest = Digest::of(b"a file");
        let (digests, problems) = read(&format!("# why\n\nruncs 1.0.2 amd64 {}\r\n", digest.hex()));
        assert_eq!(problems, [""; 0]);
        assert_eq!(digests["runcs"][&Arch::Amd64]["1.0.2"], digest);
    }

    #[test]
    fn tells_the_line() {
        let hex = "0".repeat(64);
        let table = [
            ("runc".to_owned(), "expected 4 words with one space between each, found 1"),
            (format!("runc  1 amd64 {hex}"), "expected 4 words with one space between each, found 5"),
            (format!("runc 1 amd64 {hex} more"), "expected 4 words with one space between each, found 5"),
            (format!("../runc 1 amd64 {hex}"), "\"../runc\" is not the name of a file"),
            (
                format!("{} 1 amd64 {hex}", "r".repeat(65)),
                "\"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\" is not the name of a file",
            ),
            (format!("runc 1/2 amd64 {hex}"), "\"1/2\" is not a version"),
            (format!("runc 1 s390x {hex}"), "the third word is not an architecture"),
            (format!("runc 1 amd64 {}", &hex[1..]), "the fourth word is not 64 lower-case hex digits"),
            (format!("runc 1 amd64 {}", "F".repeat(64)), "the fourth word is not 64 lower-case hex digits"),
            (format!("runc 1 amd64 sha256:{hex}"), "the fourth word is not 64 lower-case hex digits"),
        ];
        for (line, flaw) in table {
            assert_eq!(read(&format!("# first\n{line}\n")).1, [format!("digests.txt:2: {flaw}")], "{line}");
        }
        let twice = format!("runc 1 amd64 {hex}\nrunc 1 arm64 {hex}\nrunc 1 amd64 {hex}\n");
        assert_eq!(read(&twice).1, ["digests.txt:3: runc 1 for amd64 stands on line 1 as well"]);
    }

    #[test]
    fn does_not_flood() {
        let (_, problems) = read(&"<html>\n".repeat(1000));
        assert_eq!(problems.len(), MAX_PROBLEMS + 1);
        assert_eq!(problems.last().map(String::as_str), Some("digests.txt: further lines are wrong"));
    }
}
