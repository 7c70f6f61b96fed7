//! `filelists.xml`: every file of every package. It is ten times as large as the list of packages and read only where a package
//! needs a file that the list of packages does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::xml::{BadXml, Piece, Xml};
use crate::digest::Digest;

/// Path → the digests of the packages that own it. A path without an owner is there too, so that it is not looked for again.
pub type Owners = BTreeMap<String, BTreeSet<Digest>>;

/// Whether the list of packages names this file: programs and settings (createrepo_c's rule, which yum's was).
pub fn is_in_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path.contains("bin/") || path == "/usr/lib/sendmail"
}

/// Goes through a `filelists.xml` and adds the owners of those paths that `owners` asks for.
///
/// # Errors
/// What does not follow the format; limits; those of the reader.
pub fn find(filelists: impl BufRead, owners: &mut Owners) -> Result<(), BadXml> {
    let mut xml = Xml::new(filelists);
    xml.root("filelists")?;
    loop {
        match xml.next()? {
            Piece::Open(tag) if tag.name() == "package" => {
                let digest = tag.attribute("pkgid")?.and_then(|id| id.parse::<Digest>().ok());
                find_in_package(&mut xml, digest, owners)?;
            }
            Piece::Open(_) => xml.skip()?,
            Piece::Close | Piece::Text(_) => {}
            Piece::End => return Ok(()),
        }
    }
}

fn find_in_package<R: BufRead>(xml: &mut Xml<R>, digest: Option<Digest>, owners: &mut Owners) -> Result<(), BadXml> {
    loop {
        match xml.next()? {
            Piece::Open(tag) if tag.name() == "file" => {
                let path = xml.text()?;
                if let Some((digest, owned)) = digest.zip(owners.get_mut(&path)) {
                    owned.insert(digest);
                }
            }
            Piece::Open(_) => xml.skip()?,
            Piece::Close => return Ok(()),
            Piece::Text(_) => {}
            Piece::End => return Err(xml.bad("it ends too early")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_owners() {
        let id = Digest::of(b"a").hex();
        let text = format!(
            "<?xml version=\"1.0\"?>\n<filelists xmlns=\"x\" packages=\"1\"><package pkgid=\"{id}\" name=\"a\" arch=\"noarch\">\
             <version epoch=\"0\" ver=\"1\" rel=\"1\"/><file>/usr/share/a&amp;b</file><file type=\"dir\">/usr/share/d</file>\
             <file>/usr/share/other</file></package></filelists>"
        );
        let asked = ["/usr/share/a&b", "/usr/share/d", "/usr/share/none"];
        let mut owners: Owners = asked.into_iter().map(|path| (path.to_owned(), BTreeSet::new())).collect();
        find(text.as_bytes(), &mut owners).expect("sound");
        let counts: Vec<_> = owners.values().map(BTreeSet::len).collect();
        assert_eq!(counts, [1, 1, 0]);
        assert!(find(text.replace("</package>", "").as_bytes(), &mut owners).is_err());
    }

    #[test]
    fn what_the_list_of_packages_names() {
        assert!(["/bin/sh", "/usr/sbin/ip", "/etc/a", "/usr/lib/sendmail"].iter().all(|path| is_in_primary(path)));
        assert!(!["/usr/share/a", "/usr/lib/a", "/etcetera"].iter().any(|path| is_in_primary(path)));
    }
}
