//! The order of versions, compared with rpm itself.

use std::cmp::Ordering;
use std::process::Command;

use khimg::resolve::version::Scheme;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::tree::run;

/// rpm's own answers, from one run of it.
fn by_rpm(pairs: &[(String, String)]) -> Vec<Ordering> {
    let list: Vec<String> = pairs.iter().map(|(a, b)| format!("{{\"{a}\",\"{b}\"}}")).collect();
    let code = format!("%{{lua:for _,p in ipairs({{{}}}) do print(rpm.vercmp(p[1],p[2])..' ') end}}", list.join(","));
    let said = run(Command::new("rpm").args(["--eval", &code]));
    said.split_whitespace()
        .map(|word| match word {
            "-1" => Ordering::Less,
            "0" => Ordering::Equal,
            "1" => Ordering::Greater,
            other => panic!("rpm says {other:?}"),
        })
        .collect()
}

#[test]
fn equals_rpm() {
    let one = "[0-9]{1,3}|[a-z]{1,2}|[.~^_]";
    let version = proptest::collection::vec(one, 1..6).prop_map(|parts| format!("1{}", parts.concat()));
    let release = proptest::collection::vec("[0-9]{1,2}|[a-z]{1,2}|[.~^]", 1..4).prop_map(|parts| parts.concat());
    let evr = (proptest::option::of(0..3_u8), version, release).prop_map(|(epoch, version, release)| {
        let epoch = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        format!("{epoch}{version}-{release}")
    });
    // Strings that are nearly the same find more than any two would.
    let pair = (evr.clone(), evr, 0..12_usize, "[0-9a-z.~^]{0,2}").prop_map(|(a, b, at, more)| match at {
        0..=5 if a.is_char_boundary(at.min(a.len())) => {
            let (head, tail) = a.split_at(a.len() - at.min(a.len() - 3));
            let near = format!("{head}{more}{tail}");
            (a.clone(), near)
        }
        _ => (a, b),
    });
    let mut runner = TestRunner::new(Config::default());
    let pairs: Vec<(String, String)> =
        (0..2000).map(|_| pair.new_tree(&mut runner).expect("a pair").current()).collect();
    let pairs: Vec<(String, String)> =
        pairs.into_iter().filter(|(a, b)| [a, b].iter().all(|text| text.matches('-').count() == 1)).collect();
    assert!(pairs.len() > 1000);
    for ((a, b), expected) in pairs.iter().zip(by_rpm(&pairs)) {
        assert_eq!(Scheme::Rpm.compare(a, b), expected, "{a} {b}");
    }
}
