//! How machines get their seeds: a URL that can be served, and parts of user-data that cloud-init understands.

use std::path::Path;

use super::{Check, Refusal, source};
use crate::cloud_init::Part;
use crate::cluster::file::ClusterFile;
use crate::cluster::seeding::ReportsFile;
use crate::cluster::{Reports, Seeding};
use crate::config::read_text;
use crate::secrets::certificate_hash;

pub(super) fn check(check: &mut Check<'_>, file: &ClusterFile) -> Option<Seeding> {
    let seed = &file.seed;
    let url = match &seed.url {
        Some(text) => check.accept("/seed/url", source::url(text, text, &["https", "http"])).map(Some),
        None => Some(None),
    };
    let mut parts = Some(Vec::new());
    for (index, name) in seed.user_data.iter().enumerate() {
        let part = part(check, &format!("/seed/userData/{index}"), name);
        parts = parts.zip(part).map(|(mut all, one)| {
            all.push(one);
            all
        });
    }
    let reports = match &seed.reports {
        Some(reports) => reports_to(check, reports).map(Some),
        None => Some(None),
    };
    Some(Seeding {
        platform: file.platform,
        disc: seed.disc,
        url: url?.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        user_data: parts?,
        reports: reports?,
    })
}

/// Where nodes say how far they are, and whom they believe there.
fn reports_to(check: &mut Check<'_>, reports: &ReportsFile) -> Option<Reports> {
    let at = "/seed/reports/url";
    let url = check.accept(at, source::url(&reports.url, &reports.url, &["https", "http"]))?;
    let ca = match &reports.ca {
        None => None,
        Some(_) if url.scheme() == "http" => {
            let help = "write https:// in front of the URL, or remove `ca`";
            check.clash("/seed/reports/ca", at, "no TLS here", "an authority for a URL without TLS", help.to_owned());
            return None;
        }
        Some(name) => Some(authority(check, name)?),
    };
    Some(Reports { url: url.as_str().trim_end_matches('/').to_owned(), ca })
}

fn authority(check: &mut Check<'_>, name: &str) -> Option<String> {
    let (at, text) = ("/seed/reports/ca", beside(check, name));
    let text = check.accept("/seed/reports/ca", text)?;
    let is_certificate = certificate_hash(&text).is_ok();
    if !is_certificate {
        let help = "name the PEM file of the authority that signed the certificate of `khimg serve`";
        check.bad(at, format!("{name} holds no certificate"), help.to_owned());
    }
    is_certificate.then_some(text)
}

/// The text of a file that the cluster file names.
fn beside(check: &Check<'_>, name: &str) -> Result<String, Refusal> {
    let path = check.dir.join(name);
    read_text(&path).map_err(|problem| {
        let help = format!("put it at {}, or correct the name: it is relative to the cluster file", path.display());
        Refusal::new(problem.message(), help)
    })
}

fn part(check: &mut Check<'_>, pointer: &str, name: &str) -> Option<Part> {
    let text = beside(check, name);
    let text = check.accept(pointer, text)?;
    let plain = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or("part").to_owned();
    match Part::parse(&plain, text) {
        Ok(part) => Some(part),
        Err(errors) => {
            for error in errors {
                check.bad(pointer, format!("{name}: {error}"), error.remedy());
            }
            None
        }
    }
}
