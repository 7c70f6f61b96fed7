//! How machines get their seeds: a URL that can be served, and parts of user-data that cloud-init understands.

use super::{Check, Refusal, source};
use crate::cloud_init::Part;
use crate::cluster::Seeding;
use crate::cluster::file::ClusterFile;
use crate::config::read_text;

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
    Some(Seeding {
        platform: file.platform,
        disc: seed.disc,
        url: url?.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        user_data: parts?,
    })
}

fn part(check: &mut Check<'_>, pointer: &str, name: &str) -> Option<Part> {
    let path = check.dir.join(name);
    let text = read_text(&path).map_err(|problem| {
        let help = format!("put it at {}, or correct the name: it is relative to the cluster file", path.display());
        Refusal::new(problem.message(), help)
    });
    let text = check.accept(pointer, text)?;
    let plain = path.file_name().and_then(|name| name.to_str()).unwrap_or("part").to_owned();
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
