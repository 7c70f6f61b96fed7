//! Whatever the text: no panic, and every position within it.

use std::path::Path;

use khimg::cluster;
use khimg::config::{Document, MAX_SIZE, Problems};
use proptest::prelude::*;

fn check(text: &str) -> Result<(), TestCaseError> {
    let parsed = cluster::parse("any.yaml", text, Path::new("/nowhere"), &super::catalog());
    let Err(problems) = parsed else { return Ok(()) };
    let report = problems.to_string();
    prop_assert!(report.starts_with("error: "));
    // The document's text has no byte-order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut last = 0;
    for problem in problems.iter() {
        let Some(span) = problem.span() else { continue };
        prop_assert!(span.start <= span.end && span.end <= text.len(), "{span:?} of {}", text.len());
        prop_assert!(text.get(span.clone()).is_some(), "{span:?} cuts a character");
        prop_assert!(last <= span.start, "not in order");
        last = span.start;
        let (line, column) = problem.position().expect("a position");
        prop_assert!(line >= 1 && line <= text.matches('\n').count() + 1);
        prop_assert!(column >= 1);
    }
    Ok(())
}

/// Texts that are nearly cluster files: pieces of the good one, cut, doubled and salted.
fn nearly() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = cluster::EXAMPLE.lines().collect();
    let piece = prop_oneof![
        8 => prop::sample::select(lines),
        1 => prop::sample::select(vec!["nodes:", "  - {}", "  -", "? a", "*a", "&a x", "!!str x", "- - -", "\u{feff}", "{", "]", "|", "'", "a: 1.30", "\t", "---", "é: \u{1f600}"]),
    ];
    prop::collection::vec((piece, any::<bool>()), 0..40).prop_map(|pieces| {
        let mut text = String::new();
        for (piece, crlf) in pieces {
            text.push_str(piece);
            text.push_str(if crlf { "\r\n" } else { "\n" });
        }
        text
    })
}

/// The good file with one stretch replaced by something.
fn damaged() -> impl Strategy<Value = String> {
    let length = cluster::EXAMPLE.len();
    let salt = prop::sample::select(vec![
        "",
        ":",
        " ",
        "\n",
        "{",
        "}",
        "[",
        "0",
        "-1",
        "true",
        "~",
        "\"",
        "'",
        "#",
        "\u{e4}",
        "\t",
        "1e999",
        "null",
        "/",
        "99999999999999999999",
    ]);
    (0..length, 0..12_usize, salt).prop_map(|(start, length, salt)| {
        let end = (start + length).min(cluster::EXAMPLE.len());
        let (start, end) = (cluster::EXAMPLE.floor_char_boundary(start), cluster::EXAMPLE.ceil_char_boundary(end));
        let mut text = cluster::EXAMPLE.to_owned();
        text.replace_range(start..end, salt);
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn yaml_like_text(text in "[a-c:\\-{}\\[\\]&*!|>'\"#%@?, \\n\\t0-9.~é]{0,80}") {
        check(&text)?;
    }

    #[test]
    fn nearly_cluster_files(text in nearly()) {
        check(&text)?;
    }

    #[test]
    fn damaged_cluster_files(text in damaged()) {
        check(&text)?;
    }
}

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sample {
    kind: Kind,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    on: Option<bool>,
}

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Kind {
    /// Nothing to it.
    Plain,
    /// With a size.
    Sized {
        /// The size.
        size: u8,
    },
    /// With a name.
    Named(String),
}

fn sample(text: &str) -> Result<Sample, Problems> {
    Document::parse("sample.yaml", text)?.decode()
}

fn told(text: &str) -> String {
    sample(text).expect_err(text).to_string()
}

#[test]
fn values_as_written() {
    let text =
        "\u{feff}kind: {named: 1.10}\r\nnames: [1.30, 0x10, yes, 'no', on, 1_000, 052, .inf, 1e3]\r\non: true\r\n";
    let names = ["1.30", "0x10", "yes", "no", "on", "1_000", "052", ".inf", "1e3"];
    let names = names.map(str::to_owned).to_vec();
    let sample = sample(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(sample, Sample { kind: Kind::Named("1.10".to_owned()), names, on: Some(true) });
}

#[test]
fn alternatives() {
    assert!(told("kind: plian").contains("did you mean `plain`?"));
    assert!(told("kind: {sized: {size: 256}}").contains("256 is too large"));
    assert!(told("kind: {sized: {sise: 5}}").contains("did you mean `size`?"));
    assert!(
        told("kind: {seized: {size: 5}}").contains("one of the keys sized or named"),
        "{}",
        told("kind: {seized: {size: 5}}")
    );
    assert!(told("kind: [plain]").contains("found a list"), "{}", told("kind: [plain]"));
    assert!(told("kind: plain\non: yes").contains("expected true or false, found the text \"yes\""));
    assert!(told("kind: plain\nnames: [a, {b: c}, ~]").contains("expected a text, found a mapping"));
}

#[test]
fn empty_and_huge_files() {
    for text in ["", "\n\n", "# nothing\n", "---\n", "~"] {
        assert!(told(text).contains("the file is empty"), "{text:?}: {}", told(text));
    }
    assert!(told("- a").contains("expected a mapping, found a list"));
    let huge = format!("kind: plain # {}", "x".repeat(usize::try_from(MAX_SIZE).expect("fits")));
    assert!(told(&huge).contains("is larger than"));
    let many = format!("kind: plain\n{}", (0..500).map(|n| format!("k{n}: 1\n")).collect::<String>());
    assert!(told(&many).contains("400 more like these"), "{}", told(&many));
}

#[test]
fn pointers_find_their_place() {
    let document = Document::parse("x.yaml", "a/b:\n  - {c: 1}\n  - d\ne:\n").expect("valid");
    let place = |pointer: &str| document.problem(pointer, "x", None).position();
    assert_eq!(place("/a~1b/0/c"), Some((2, 9)));
    assert_eq!(place("/a~1b/1"), Some((3, 5)));
    assert_eq!(place("/a~1b/7"), Some((1, 1)));
    assert_eq!(place("/e"), Some((4, 1)));
    assert_eq!(place("/zzz"), Some((1, 1)));
}

/// Files of nothing but errors are told in a time that grows with their size and no faster: anything else would not end here.
#[test]
fn large_files_of_nothing_but_errors() {
    let size = usize::try_from(MAX_SIZE).expect("fits") / 8;
    let fill = |head: &str, item: &dyn Fn(usize) -> String| {
        let mut text = head.to_owned();
        let mut items = (0..).map(item);
        while text.len() < size {
            text.extend(items.next());
        }
        text
    };
    let node = |n: usize| format!("- {{name: a{n}, role: master, address: 10.{}.{}.1/8}}\n", n / 250, n % 250);
    let texts = [
        fill("", &|n| format!("k{n}: 1\n")),
        fill("", &|_| "name: a\n".to_owned()),
        fill("nodes: [", &|_| "1,".to_owned()) + "]",
        fill("nodes:\n", &|_| "- {}\n".to_owned()),
        fill("endpoint: {vip: 10.0.0.5}\nnodes:\n", &|_| node(0)),
        fill("endpoint: {vip: 10.0.0.5}\nnodes:\n", &node),
        fill("a: &a [1, 2, 3, 4]\nnodes:\n", &|_| "- *a\n".to_owned()),
        fill("name: \"", &|_| "é".to_owned()) + "\"\nnodes: [{name: a, role: master, address: 10.0.0.1/8}]\n",
        fill("mirrors:\n", &|_| "- 1.30\n".to_owned()),
    ];
    for text in texts {
        let problems = cluster::parse("large.yaml", &text, Path::new(""), &super::catalog()).expect_err("bad");
        let report = problems.to_string();
        assert!(report.len() < 100_000, "{}", report.len());
    }
}
