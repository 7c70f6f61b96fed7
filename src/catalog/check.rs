//! What no schema can say: that every entry of a catalogue leads somewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Condition, Known};
use super::digests::Digests;
use super::shelf::Placed;
use super::{AptSource, Component, Family, Limit, Source, System, Vars, YumSigned, YumSource};
use crate::config::{Document, Problem, known, segment};
use crate::kubernetes::KubernetesVersion;
use crate::kubernetes::Releases;

/// Everything that was read, with the documents that it stands in.
pub(super) struct Parts<'a> {
    pub sources: &'a BTreeMap<String, Placed<Source>>,
    pub keys: &'a BTreeMap<String, Vec<u8>>,
    pub components: &'a BTreeMap<String, Placed<Component>>,
    pub systems: &'a BTreeMap<String, Placed<System>>,
    pub digests: &'a Digests,
    pub releases: Option<&'a Placed<Releases>>,
    pub limits: Option<&'a Placed<Vec<Limit>>>,
}

/// Variables of bases, suites and release paths.
const PLACE: [&str; 6] = ["arch", "machine", "minor", "codename", "distribution", "el"];
/// Variables that follow from the exact Kubernetes version.
const RELEASE: [&str; 4] = ["kubernetes", "etcd", "coredns", "pause"];

/// All that is wrong.
pub(super) fn check(parts: &Parts<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, entry) in parts.sources {
        let mut at = Place { document: &entry.document, base: format!("/{}", segment(name)), problems: &mut problems };
        source(&mut at, &entry.value, parts);
    }
    let known = known_facts(parts.systems.keys(), parts.components.iter().map(|(name, entry)| (name, &entry.value)));
    for (name, entry) in parts.components {
        let mut at = Place { document: &entry.document, base: format!("/{}", segment(name)), problems: &mut problems };
        component(&mut at, &entry.value, parts, &known);
    }
    for (name, entry) in parts.systems {
        let mut at = Place { document: &entry.document, base: format!("/{}", segment(name)), problems: &mut problems };
        system(&mut at, &entry.value, parts);
    }
    if let Some(placed) = parts.releases {
        releases(
            &mut Place { document: &placed.document, base: String::new(), problems: &mut problems },
            &placed.value,
        );
    }
    if let Some(placed) = parts.limits {
        let mut at = Place { document: &placed.document, base: String::new(), problems: &mut problems };
        for (index, limit) in placed.value.iter().enumerate() {
            at.condition(&format!("/{index}/when"), &limit.when, &known);
        }
    }
    problems
}

/// What conditions may name.
pub(crate) fn known_facts<'a>(
    systems: impl Iterator<Item = &'a String>,
    components: impl Iterator<Item = (&'a String, &'a Component)>,
) -> Known {
    let offered = |component: &Component| -> BTreeSet<String> {
        component.offers.iter().map(|offer| offer.source.name().to_owned()).collect()
    };
    Known {
        systems: systems.cloned().collect(),
        sources: components.map(|(name, component)| (name.clone(), offered(component))).collect(),
    }
}

/// An entry of a document, and where to put what is wrong with it.
struct Place<'a> {
    document: &'a Document,
    base: String,
    problems: &'a mut Vec<Problem>,
}

impl Place<'_> {
    fn bad(&mut self, below: &str, message: impl Into<String>, help: impl Into<String>) {
        let problem = self.document.problem(&format!("{}{below}", self.base), message, Some(help.into()));
        self.problems.push(problem);
    }

    fn condition(&mut self, below: &str, condition: &Condition, known: &Known) {
        for (fact, flaw) in condition.flaws(known) {
            let pointer = format!("{}{below}/{}", self.base, segment(&fact));
            self.problems.push(self.document.key_problem(&pointer, flaw.to_string(), flaw.remedy()));
        }
    }

    fn text(&mut self, below: &str, text: &str, names: &[&'static str]) {
        let vars = names.iter().fold(Vars::default(), |vars, name| vars.with(name, "x"));
        if let Err(error) = vars.fill(text) {
            let all: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
            self.bad(below, error.to_string(), format!("known here: {}", all.join(", ")));
        }
    }

    fn source(&mut self, below: &str, name: &str, kind: &str, parts: &Parts<'_>, fits: fn(&Source) -> bool) {
        match parts.sources.get(name) {
            None => {
                let help = known(name, "sources", parts.sources.keys().map(String::as_str));
                self.bad(below, format!("there is no source {name:?}"), help);
            }
            Some(entry) if !fits(&entry.value) => {
                let fitting = parts.sources.iter().filter(|(_, entry)| fits(&entry.value));
                let help = known(name, "sources of that kind", fitting.map(|(name, _)| name.as_str()));
                self.bad(below, format!("the source {name:?} is no {kind}"), help);
            }
            Some(_) => {}
        }
    }
}

fn system(at: &mut Place<'_>, system: &System, parts: &Parts<'_>) {
    let (kind, fits): (_, fn(&Source) -> bool) = match system.family {
        Family::Debian => ("Debian package repository", is_apt),
        Family::Rhel => ("rpm package repository", is_yum),
    };
    for (index, source) in system.sources.iter().enumerate() {
        at.source(&format!("/sources/{index}"), source, kind, parts, fits);
    }
    for (arch, sources) in &system.sources_on {
        for (index, source) in sources.iter().enumerate() {
            at.source(&format!("/sourcesOn/{arch}/{index}"), source, kind, parts, fits);
        }
    }
}

fn is_apt(source: &Source) -> bool {
    matches!(source, Source::Apt(_))
}

fn is_yum(source: &Source) -> bool {
    matches!(source, Source::Yum(_))
}

fn is_packages(source: &Source) -> bool {
    is_apt(source) || is_yum(source)
}

fn is_file(source: &Source) -> bool {
    matches!(source, Source::File(_))
}

fn is_registry(source: &Source) -> bool {
    matches!(source, Source::Registry(_))
}

fn source(at: &mut Place<'_>, source: &Source, parts: &Parts<'_>) {
    let kind = match source {
        Source::Apt(_) => "apt",
        Source::Yum(_) => "yum",
        Source::File(_) => "file",
        Source::Registry(_) => "registry",
    };
    for (mirror, base) in source.mirrors() {
        let below = format!("/{kind}/mirrors/{}", segment(mirror));
        if base == "system" {
            if !is_apt(source) {
                at.bad(&below, "only a Debian package repository can come from this machine's apt", "write a URL");
            }
            continue;
        }
        at.text(&below, base, &PLACE);
        if !is_registry(source) && !["https://", "http://", "file://"].iter().any(|start| base.starts_with(start)) {
            at.bad(&below, format!("{base:?} is not a URL"), "begin it with https://, http:// or file://");
        }
    }
    match source {
        Source::Apt(apt) => apt_source(at, apt, parts),
        Source::Yum(yum) => yum_source(at, yum, parts),
        Source::File(_) => {}
        Source::Registry(registry) => {
            for mirror in registry.renames.keys().filter(|mirror| !registry.mirrors.contains_key(*mirror)) {
                let help = known(mirror, "mirrors", registry.mirrors.keys().map(String::as_str));
                at.bad(
                    &format!("/registry/renames/{}", segment(mirror)),
                    format!("there is no mirror {mirror:?}"),
                    help,
                );
            }
        }
    }
}

fn apt_source(at: &mut Place<'_>, apt: &AptSource, parts: &Parts<'_>) {
    signers(at, "/apt", &apt.fingerprints, &apt.keys, parts);
    at.text("/apt/keyPath", apt.key_path.as_deref().unwrap_or_default(), &PLACE);
    if apt.keys.is_empty() && apt.key_path.is_none() {
        at.bad(
            "/apt",
            "the repository has neither `keys` nor a `keyPath`",
            "add one: its keys must come from somewhere",
        );
    }
    for (index, suite) in apt.suites().iter().enumerate() {
        at.text(&format!("/apt/layout/suite/suites/{index}"), suite, &PLACE);
    }
}

fn yum_source(at: &mut Place<'_>, yum: &YumSource, parts: &Parts<'_>) {
    signers(at, "/yum", &yum.fingerprints, &yum.keys, parts);
    at.text("/yum/keyPath", yum.key_path.as_deref().unwrap_or_default(), &PLACE);
    match yum.signed {
        YumSigned::Metadata if yum.keys.is_empty() && yum.key_path.is_none() => at.bad(
            "/yum",
            "the repository has neither `keys` nor a `keyPath`",
            "add one: its keys must come from somewhere",
        ),
        YumSigned::Packages if yum.keys.is_empty() => {
            at.bad(
                "/yum",
                "the repository has no `keys`",
                "add the key that signs its packages to keys/, and name it here",
            );
        }
        YumSigned::Packages if yum.key_path.is_some() => at.bad(
            "/yum/keyPath",
            "packages are checked without a network, so their keys cannot come from the mirror",
            "remove it, and put the key into keys/",
        ),
        YumSigned::Metadata | YumSigned::Packages => {}
    }
    if yum.repositories.is_empty() {
        at.bad("/yum/repositories", "the source has no repository", "name a directory with a repodata, or `.`");
    }
    for (index, path) in yum.repositories.iter().enumerate() {
        at.text(&format!("/yum/repositories/{index}"), path, &PLACE);
    }
}

fn signers(at: &mut Place<'_>, below: &str, fingerprints: &[String], keys: &[String], parts: &Parts<'_>) {
    if fingerprints.is_empty() {
        let pointer = format!("{below}/fingerprints");
        at.bad(&pointer, "nobody may sign this repository", "name at least one fingerprint");
    }
    for (index, fingerprint) in fingerprints.iter().enumerate() {
        // Version 4 keys have 160 bits, version 6 keys 256 (RFC 9580 §5.5.4).
        let hex = fingerprint.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
        if !hex || !matches!(fingerprint.len(), 40 | 64) {
            let message = format!("{fingerprint:?} is not a full fingerprint");
            let pointer = format!("{below}/fingerprints/{index}");
            at.bad(&pointer, message, "write its 40 hex digits in upper case, without spaces");
        }
    }
    for (index, key) in keys.iter().enumerate().filter(|(_, key)| !parts.keys.contains_key(*key)) {
        let help = known(key, "key files", parts.keys.keys().map(String::as_str));
        at.bad(&format!("{below}/keys/{index}"), format!("there is no key file keys/{key}"), help);
    }
}

fn component(at: &mut Place<'_>, component: &Component, parts: &Parts<'_>, known_facts: &Known) {
    let release = [&PLACE[..], &RELEASE].concat();
    let versioned = match component.offers.is_empty() {
        true => release.clone(),
        false => [&release[..], &["version"]].concat(),
    };
    for (index, offer) in component.offers.iter().enumerate() {
        at.text(&format!("/offers/{index}/version"), &offer.version, &release);
        at.condition(&format!("/offers/{index}/when"), &offer.when, known_facts);
        if let Some(fact) = offer.when.0.keys().find(|fact| fact.starts_with("source.")) {
            let pointer = format!("/offers/{index}/when/{}", segment(fact));
            at.bad(&pointer, format!("an offer may not depend on `{fact}`"), "offers come first; remove the entry");
        }
    }
    for (feature, since) in &component.since {
        if !super::feature::is_since(since) {
            let below = format!("/since/{}", segment(feature));
            at.bad(&below, format!("{since:?} is not a version"), "write numbers with dots between them, such as 2.2");
        }
    }
    for (index, package) in component.packages.iter().enumerate() {
        let below = format!("/packages/{index}");
        at.condition(&format!("{below}/when"), &package.when, known_facts);
        at.text(&format!("{below}/version"), package.version.as_deref().unwrap_or_default(), &versioned);
        for (index, source) in package.sources.iter().enumerate() {
            at.source(&format!("{below}/sources/{index}"), source, "package repository", parts, is_packages);
        }
    }
    for (index, file) in component.files.iter().enumerate() {
        let below = format!("/files/{index}");
        at.condition(&format!("{below}/when"), &file.when, known_facts);
        at.text(&format!("{below}/version"), &file.version, &versioned);
        // Here {version} is the file's own.
        let names = [&release[..], &["version"]].concat();
        at.text(&format!("{below}/path"), &file.path, &names);
        at.text(&format!("{below}/checksums"), file.checksums.as_deref().unwrap_or_default(), &names);
        at.source(&format!("{below}/source"), &file.source, "source of plain files", parts, is_file);
        if file.checksums.is_none() && !parts.digests.contains_key(&file.name) {
            let message =
                format!("nothing would prove {}: it has no line in digests.txt and no `checksums`", file.name);
            let help = known(&file.name, "names in digests.txt", parts.digests.keys().map(String::as_str));
            at.bad(&format!("{below}/name"), message, help);
        }
    }
    for (index, image) in component.images.iter().enumerate() {
        let below = format!("/images/{index}");
        at.condition(&format!("{below}/when"), &image.when, known_facts);
        at.text(&format!("{below}/tag"), &image.tag, &versioned);
        at.source(&format!("{below}/source"), &image.source, "container registry", parts, is_registry);
    }
}

fn releases(at: &mut Place<'_>, releases: &Releases) {
    let mut seen = BTreeMap::new();
    for (index, release) in releases.0.iter().enumerate() {
        match release.from.parse::<KubernetesVersion>() {
            Err(error) => {
                at.bad(&format!("/{index}/from"), error.to_string(), "write the first patch for which the row holds")
            }
            Ok(version) => {
                if let Some(first) = seen.insert(version, index) {
                    let message = format!("{version} has two rows, the {}. and the {}.", first + 1, index + 1);
                    at.bad(&format!("/{index}/from"), message, "remove one of the two");
                }
            }
        }
    }
}
