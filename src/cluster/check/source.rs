//! Mirrors, depots and components: names that the catalogue must know, and URLs.

use std::collections::BTreeSet;

use url::Url;

use super::{Check, Refusal};
use crate::catalog::{Catalog, Source, Vars};
use crate::cluster::ComponentChoice;
use crate::cluster::file::ClusterFile;
use crate::cluster::seeding::{OCI, OCI_HTTP};
use crate::config::{known, listing, segment};

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) {
    mirrors(check, file);
    definitions(check, file);
    components(check, file);
}

fn mirrors(check: &mut Check<'_>, file: &ClusterFile) {
    if file.mirrors.is_empty() {
        check.bad("/mirrors", "no mirror is left to try", "remove `mirrors` for the default, or name one".to_owned());
    }
    let mut names: BTreeSet<&str> =
        check.catalog.sources.values().flat_map(|source| source.mirrors().keys()).map(String::as_str).collect();
    names.extend(file.mirror_definitions.keys().map(String::as_str));
    let mut seen = std::collections::BTreeMap::new();
    for (index, mirror) in file.mirrors.iter().enumerate() {
        let pointer = format!("/mirrors/{index}");
        if let Some(first) = seen.get(mirror) {
            let other = format!("/mirrors/{first}");
            check.clash(
                &pointer,
                &other,
                "first here",
                format!("the mirror {mirror:?} is there twice"),
                "remove one of the two".to_owned(),
            );
            continue;
        }
        seen.insert(mirror, index);
        if !names.contains(mirror.as_str()) {
            let help = known(mirror, "mirrors", names.iter().copied());
            check.bad(
                &pointer,
                format!("there is no mirror {mirror:?}"),
                format!("{help}; or define it below `mirrorDefinitions`"),
            );
        }
    }
}

fn definitions(check: &mut Check<'_>, file: &ClusterFile) {
    for (mirror, bases) in &file.mirror_definitions {
        let at = format!("/mirrorDefinitions/{}", segment(mirror));
        if !file.mirrors.contains(mirror) {
            let message = format!("the mirror {mirror:?} is defined but not in `mirrors`, so it would never be tried");
            check.bad_key(&at, message, format!("add `{mirror}` to `mirrors`"));
        }
        if bases.is_empty() {
            check.bad_key(
                &at,
                format!("the mirror {mirror:?} serves no source"),
                "add a source with its base URL".to_owned(),
            );
        }
        for (source, base) in bases {
            let at = format!("{at}/{}", segment(source));
            match check.catalog.sources.get(source) {
                None => unknown_source(check, &at, source),
                Some(kind) => {
                    let kind = kind.clone();
                    check.accept(&at, mirror_base(&kind, base));
                }
            }
        }
    }
}

/// A key that is no source of the catalogue.
pub(super) fn unknown_source(check: &mut Check<'_>, pointer: &str, source: &str) {
    let help = known(source, "sources", check.catalog.sources.keys().map(String::as_str));
    check.bad_key(pointer, format!("the catalogue has no source {source:?}"), help);
}

/// The base of a mirror in the form that its kind of source wants, with the catalogue's variables still in it.
fn mirror_base(source: &Source, base: &str) -> Result<(), Refusal> {
    if base == "system" {
        return match source {
            Source::Apt(_) => Ok(()),
            _ => {
                Err(Refusal::new("only Debian's package repositories can come from this machine's apt", "write a URL"))
            }
        };
    }
    let values = ["minor", "version", "arch", "machine", "codename", "distribution", "el", "kubernetes"];
    let vars = values.into_iter().fold(Vars::default(), |vars, name| vars.with(name, "x"));
    let filled = vars
        .fill(base)
        .map_err(|error| Refusal::new(error.to_string(), format!("the variables are {}", listing(&values, "and"))))?;
    match source {
        Source::Apt(_) | Source::Yum(_) | Source::File(_) => url(&filled, base, &["https", "http", "file"]).map(|_| ()),
        Source::Registry(_) => {
            let help = "write the host with an optional port and path, such as registry.lan:5000/google_containers, and http:// in front if it has no TLS";
            let bare = filled.strip_prefix("http://").or(filled.strip_prefix("https://")).unwrap_or(&filled);
            let host = bare.split('/').next().unwrap_or_default();
            let odd = |c: char| c.is_whitespace() || c.is_control() || "?#@\\".contains(c);
            if bare.contains("://") || bare.contains(odd) || bare.ends_with('/') || host.is_empty() {
                return Err(Refusal::new(format!("{base:?} is not the base of a registry"), help));
            }
            url(&format!("https://{bare}"), base, &["https"])
                .map(|_| ())
                .map_err(|refusal| Refusal { help: Some(help.to_owned()), ..refusal })
        }
    }
}

/// A URL below which paths can be appended; `shown` is what the user wrote.
pub(super) fn url(text: &str, shown: &str, schemes: &[&str]) -> Result<Url, Refusal> {
    let forms: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
    let begin = format!("write a URL that begins with {}", listing(&forms, "or"));
    let url =
        Url::parse(text).map_err(|error| Refusal::new(format!("{shown:?} is not a URL: {error}"), begin.as_str()))?;
    if !schemes.contains(&url.scheme()) {
        return Err(Refusal::new(format!("{shown:?} has the scheme {:?}", url.scheme()), begin));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::new(
            format!("{shown:?} ends in a query or fragment, but paths are appended to it"),
            "remove everything from the `?` or `#` on",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::new(
            "the URL carries a user name or password, which would reach logs and lock",
            "remove it",
        ));
    }
    Ok(url)
}

/// A depot: a web server's URL, or a repository of a registry, which has no tag, because nodes ask for blobs by their digests.
fn place(text: &str) -> Result<Url, Refusal> {
    let url = url(text, text, &["https", "http", OCI, OCI_HTTP])?;
    if [OCI, OCI_HTTP].contains(&url.scheme()) {
        let name = url.path().trim_matches('/');
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if name.is_empty() || name.contains("//") || !name.chars().all(letter) || url.host_str().is_none() {
            let help = "write oci://HOST[:PORT]/NAME, or oci+http://… for a registry without TLS; without a tag";
            return Err(Refusal::new(format!("{text:?} is no repository of a registry"), help));
        }
    }
    Ok(url)
}

/// Where nodes look for their bundles.
pub(super) fn depots(check: &mut Check<'_>, depots: &[String]) -> Option<Vec<String>> {
    let mut good = Some(Vec::new());
    for (index, depot) in depots.iter().enumerate() {
        let pointer = format!("/depots/{index}");
        if let Some(first) = depots.iter().take(index).position(|other| other == depot) {
            let other = format!("/depots/{first}");
            check.clash(
                &pointer,
                &other,
                "first here",
                format!("the depot {depot:?} is there twice"),
                "remove one of the two".to_owned(),
            );
        }
        let url = check.accept(&pointer, place(depot));
        good = good.zip(url).map(|(mut all, url)| {
            all.push(url.as_str().trim_end_matches('/').to_owned());
            all
        });
    }
    good
}

fn components(check: &mut Check<'_>, file: &ClusterFile) {
    let catalog: &Catalog = check.catalog;
    for (name, choice) in &file.components {
        let at = format!("/components/{}", segment(name));
        let Some(component) = catalog.components.get(name) else {
            let help = known(name, "components", catalog.components.keys().map(String::as_str));
            check.bad_key(&at, format!("the catalogue has no component {name:?}"), help);
            continue;
        };
        if component.offers.is_empty() && *choice != ComponentChoice::default() {
            let message = format!("{name} comes in one form and version only, so there is nothing to choose");
            check.bad_key(&at, message, "remove it".to_owned());
            continue;
        }
        let offers = component.offers.iter();
        if let Some(source) = choice.source
            && !offers.clone().any(|offer| offer.source == source)
        {
            let offered: BTreeSet<&str> = offers.map(|offer| offer.source.name()).collect();
            let offered: Vec<&str> = offered.into_iter().collect();
            let message = format!("the catalogue does not have {name} with `source: {}`", source.name());
            let help = format!("write `source: {}`, or leave `source` out", listing(&offered, "or"));
            check.unsupported(&format!("{at}/source"), message, help);
        } else if let Some(version) = &choice.version {
            let at = format!("{at}/version");
            let mut offered = offers.filter(|offer| choice.source.is_none_or(|source| source == offer.source));
            if offered.any(|offer| offer.version.contains("{kubernetes}")) {
                let message = format!("the version of {name} follows the key `kubernetes`, so it cannot have another");
                check.bad(&at, message, "remove it, and write the version at `kubernetes`".to_owned());
            } else {
                check.accept(&at, component_version(version));
            }
        }
    }
}

/// A version as package managers write them (Debian Policy §5.6.12), with an optional `*` at the end.
fn component_version(text: &str) -> Result<(), Refusal> {
    let bare = text.strip_suffix('*').unwrap_or(text);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".+~:-".contains(&byte);
    if bare.starts_with(|c: char| c.is_ascii_digit()) && bare.bytes().all(good) {
        return Ok(());
    }
    Err(Refusal::new(
        format!("{text:?} is not a version"),
        "write one such as 1.7.29, or 1.7.* for the highest of them",
    ))
}
