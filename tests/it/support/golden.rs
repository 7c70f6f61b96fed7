//! Files that a test writes out once and compares with ever after. `KHIMG_RECORD=1` writes them anew.

use std::path::Path;

/// Asserts that the committed file at `path`, below the package's directory, holds exactly `actual`.
pub fn assert_golden(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("KHIMG_RECORD").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().expect("has a parent")).expect("writable");
        std::fs::write(&file, actual).expect("writable");
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if expected == actual {
        return;
    }
    let line = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    panic!(
        "{path} differs from line {} on:\n  recorded: {}\n  now:      {}\nif that is meant, record it with KHIMG_RECORD=1",
        line + 1,
        expected.lines().nth(line).unwrap_or("(end)"),
        actual.lines().nth(line).unwrap_or("(end)"),
    );
}
