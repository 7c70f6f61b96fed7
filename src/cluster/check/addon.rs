//! Manifests of the user's: names, and files that can be read.

use super::{Check, Refusal, name, source};
use crate::catalog::Reference;
use crate::cluster::addon::{Addon, AddonFile, AddonOrigin, LIMIT};
use crate::cluster::file::ClusterFile;
use crate::digest::Digest;
use crate::input;

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) -> Option<Vec<Addon>> {
    let mut good = Some(Vec::new());
    for (index, written) in file.addons.iter().enumerate() {
        let at = |key: &str| format!("/addons/{index}/{key}");
        if let Some(first) = file.addons.iter().take(index).position(|other| other.name == written.name) {
            let message = format!("two addons are called {:?}", written.name);
            let help = "give each a name of its own".to_owned();
            check.clash(&at("name"), &format!("/addons/{first}/name"), "first here", message, help);
        }
        let name = check.accept(&at("name"), name::dns_label(&written.name));
        for (number, image) in written.images.iter().enumerate() {
            let refusal = |error: crate::catalog::BadReference| Refusal::new(error.to_string(), error.remedy());
            check.accept(&at(&format!("images/{number}")), image.parse::<Reference>().map_err(refusal));
        }
        let origin = origin(check, &at, written);
        good = good.zip(name.zip(origin)).map(|(mut all, (name, (origin, text)))| {
            all.push(Addon { name, origin, text, images: written.images.clone() });
            all
        });
    }
    good
}

fn origin(
    check: &mut Check<'_>,
    at: &impl Fn(&str) -> String,
    written: &AddonFile,
) -> Option<(AddonOrigin, Option<String>)> {
    match (&written.file, &written.url) {
        (Some(path), None) => {
            let text = check.accept(&at("file"), text(check.dir, path))?;
            Some((AddonOrigin::File { path: path.clone(), sha256: Digest::of(text.as_bytes()) }, Some(text)))
        }
        (None, Some(url)) => {
            let url = check.accept(&at("url"), source::url(url, url, &["https", "http"]))?;
            Some((AddonOrigin::Url(url.to_string()), None))
        }
        _ => {
            let message = format!("the addon {:?} needs a `file` or a `url`, and one of them only", written.name);
            check.bad(&at("name"), message, "write `file: addons/it.yaml`, or the `url` of its manifest".to_owned());
            None
        }
    }
}

fn text(dir: &std::path::Path, path: &str) -> Result<String, Refusal> {
    let place = dir.join(path);
    let refusal = |reason: String| {
        let help =
            format!("put the manifest at {}, or correct the path: it is relative to the cluster file", place.display());
        Refusal::new(reason, help)
    };
    let bytes =
        input::read(&place, LIMIT).map_err(|error| refusal(format!("cannot read {}: {error}", place.display())))?;
    String::from_utf8(bytes).map_err(|_| refusal(format!("{} is not UTF-8", place.display())))
}
