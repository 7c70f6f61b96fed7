//! A `Packages` file, read stanza by stanza into a reduced index.

use std::io::BufRead;

use super::relation::is_name;
use super::stanza::{BadStanza, Stanzas};
use super::version;
use crate::digest::Digest;
use crate::resolve::index::{Field, Writer, is_safe_path};

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

/// Goes through a `Packages` file and writes its reduced text. Keeps packages of `arch` and `all`.
///
/// # Errors
/// A line or stanza that does not follow deb822(5) or lacks what is needed, with its number; limits; those of the reader.
pub fn reduce(packages: impl BufRead, arch: &str) -> Result<String, BadStanza> {
    let mut stanzas = Stanzas::new(packages);
    let mut writer = Writer::default();
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
        writer.package([name, version, of, size, digest, path]);
        for (key, field) in KEPT {
            let Some(value) = stanza.get(key).filter(|value| is_worth_keeping(field, value)) else { continue };
            // Continuation lines begin with a space, which stays.
            writer.field(field, value.split('\n').map(str::trim_end));
        }
    }
    Ok(writer.finish())
}

fn is_worth_keeping(field: Field, value: &str) -> bool {
    match field {
        Field::Priority => value != "optional",
        Field::Essential => value == "yes",
        Field::MultiArch => value == "allowed",
        _ => !value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resolve::index::Index;

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
