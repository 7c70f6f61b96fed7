//! What a platform is given as user-data, within its limit: as it is, else compressed, else where to get it, else a disc.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::SeedError;
use super::user_data::gzip;
use crate::cluster::{Platform, Seeding};
use crate::secrets::Secret;

/// How user-data fits into a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Plain,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with gzip, with base64 around it.
    GzipBase64,
    /// A few bytes that name the URL of the rest.
    Url,
    /// Not at all: the node needs its disc.
    Disc,
}

/// What the platform is given.
#[derive(Debug, Clone)]
pub struct Handed {
    /// How it fits.
    pub form: Form,
    /// The bytes; none where the node needs its disc.
    pub bytes: Option<Secret<Vec<u8>>>,
}

/// What `seeding`'s platform is given for `node`; `smaller` gives the same user-data in the form that compresses best.
pub(super) fn hand(
    seeding: &Seeding,
    node: &str,
    user_data: &Secret<String>,
    smaller: impl FnOnce() -> Result<Secret<String>, SeedError>,
) -> Result<Option<Handed>, SeedError> {
    let Some(limit) = seeding.platform.limit() else { return Ok(None) };
    let handed = |form, bytes: Vec<u8>| Some(Handed { form, bytes: Some(Secret::new(bytes)) });
    if user_data.expose().len() <= limit {
        return Ok(handed(Form::Plain, user_data.expose().as_bytes().to_vec()));
    }
    let packed = gzip(smaller()?.expose().as_bytes())
        .map_err(|source| SeedError::Compress { path: "user-data".to_owned(), source })?;
    let (form, packed) = match seeding.platform.takes_binary() {
        true => (Form::Gzip, packed),
        false => (Form::GzipBase64, STANDARD.encode(packed).into_bytes()),
    };
    if packed.len() <= limit {
        return Ok(handed(form, packed));
    }
    Ok(match &seeding.url {
        Some(url) => handed(Form::Url, format!("#include\n{url}/{node}/user-data\n").into_bytes()),
        None => Some(Handed { form: Form::Disc, bytes: None }),
    })
}

impl Form {
    /// One line about `count` seeds that take this form because `platform` has no room for them as they are.
    pub fn told(self, platform: Platform, count: usize) -> Option<String> {
        let limit = platform.limit().unwrap_or_default();
        let (seeds, name) = (if count == 1 { "seed" } else { "seeds" }, platform.name());
        let what = match self {
            Self::Plain => return None,
            Self::Gzip => "compressed: give the platform `platform-user-data` as a binary file".to_owned(),
            Self::GzipBase64 => "compressed: set `user-data-encoding` to `base64` beside `user-data`".to_owned(),
            Self::Url => {
                "too large even when compressed: their user-data names `seed.url`, which must serve dist/secret"
                    .to_owned()
            }
            Self::Disc => {
                "too large even when compressed, and there is no `seed.url`: attach `cidata.iso` to the machine"
                    .to_owned()
            }
        };
        Some(format!("{count} {seeds} over the {limit} bytes that {name} takes, {what}"))
    }
}
