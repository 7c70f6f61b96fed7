//! The secrets as a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Authority, KeyPair, Secret, Secrets, SecretsError, Token};
use crate::input;

/// Far above what a real one has.
const LIMIT: u64 = 1 << 20;

const HEAD: &str = "\
# The secrets of a khimg cluster: its certificate authorities, join token and VRRP password.
# Whoever has this file owns the cluster. Keep it out of version control; keep a backup.
";

/// As read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Read1 {
    version: u32,
    ca: ReadAuthority,
    etcd_ca: ReadAuthority,
    front_proxy_ca: ReadAuthority,
    service_account: ReadKeyPair,
    token: Secret<String>,
    vrrp_password: Secret<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadAuthority {
    certificate: String,
    key: Secret<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadKeyPair {
    public: String,
    private: Secret<String>,
}

/// As written: the one place where secrets are serialised.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    version: u32,
    ca: WrittenAuthority<'a>,
    etcd_ca: WrittenAuthority<'a>,
    front_proxy_ca: WrittenAuthority<'a>,
    service_account: WrittenKeyPair<'a>,
    token: &'a str,
    vrrp_password: &'a str,
}

#[derive(Serialize)]
struct WrittenAuthority<'a> {
    certificate: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct WrittenKeyPair<'a> {
    public: &'a str,
    private: &'a str,
}

/// The secrets at `path`, checked; `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Secrets>, SecretsError> {
    let io = |source| SecretsError::Io { action: "read", path: path.to_owned(), source };
    let file = match input::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io)?,
    };
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretsError::Exposed { path: path.to_owned(), mode });
    }
    if metadata.len() > LIMIT {
        return Err(SecretsError::Unsound {
            path: path.to_owned(),
            what: format!("it is not a file of at most {LIMIT} bytes"),
        });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT).read_to_string(&mut text).map_err(io)?;
    parse(path, &text).map(Some)
}

fn parse(path: &Path, text: &str) -> Result<Secrets, SecretsError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let read: Read1 = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        // Never the parser's own message: it may repeat a value.
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        SecretsError::Malformed { path: path.to_owned(), line, column }
    })?;
    let unsound = |what: String| SecretsError::Unsound { path: path.to_owned(), what };
    if read.version != 1 {
        return Err(unsound(format!("its version is {}, and this khimg knows only 1", read.version)));
    }
    let authority = |read: ReadAuthority| Authority { certificate: read.certificate, key: read.key };
    let Some(token) = Token::parse(read.token.expose()) else {
        return Err(unsound("`token` is not of the form [a-z0-9]{6}.[a-z0-9]{16}".to_owned()));
    };
    let secrets = Secrets {
        ca: authority(read.ca),
        etcd_ca: authority(read.etcd_ca),
        front_proxy_ca: authority(read.front_proxy_ca),
        service_account: KeyPair { public: read.service_account.public, private: read.service_account.private },
        token,
        vrrp_password: read.vrrp_password,
        stand_in: false,
    };
    for (name, fault) in [
        ("ca", secrets.ca.fault()),
        ("etcdCa", secrets.etcd_ca.fault()),
        ("frontProxyCa", secrets.front_proxy_ca.fault()),
        ("serviceAccount", secrets.service_account.fault()),
    ] {
        if let Some(fault) = fault {
            return Err(unsound(format!("`{name}`: {fault}")));
        }
    }
    if !is_password(secrets.vrrp_password.expose()) {
        return Err(unsound("`vrrpPassword` is not of 1 to 8 letters and digits".to_owned()));
    }
    Ok(secrets)
}

fn is_password(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Writes `secrets` to `path` at once and whole, with mode 0600. `false` if a file was there first, which stays.
pub(super) fn write_new(path: &Path, secrets: &Secrets) -> Result<bool, SecretsError> {
    let io = |source| SecretsError::Io { action: "write", path: path.to_owned(), source };
    match prepare(path, secrets)?.persist_noclobber(path) {
        Ok(_) => {}
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(failed) => return Err(io(failed.error)),
    }
    flush(path).map_err(io)?;
    Ok(true)
}

/// Puts `secrets` in the place of those at `path`, which get the first free number behind their name. At every moment there
/// is a whole file at `path`.
pub(super) fn replace(path: &Path, secrets: &Secrets) -> Result<PathBuf, SecretsError> {
    let io = |source| SecretsError::Io { action: "replace", path: path.to_owned(), source };
    let new = prepare(path, secrets)?;
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let mut number = 1;
    let kept = loop {
        let kept = numbered(number);
        match fs::hard_link(path, &kept) {
            Ok(()) => break kept,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(io(error)),
        }
    };
    new.persist(path).map_err(|failed| io(failed.error))?;
    flush(path).map_err(io)?;
    Ok(kept)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn flush(path: &Path) -> io::Result<()> {
    File::open(directory(path)).and_then(|directory| directory.sync_all())
}

/// A whole file beside `path`, on disk.
fn prepare(path: &Path, secrets: &Secrets) -> Result<tempfile::NamedTempFile, SecretsError> {
    let io = |source| SecretsError::Io { action: "write", path: path.to_owned(), source };
    let text = Zeroizing::new(serialise(secrets).map_err(|error| io(io::Error::other(error)))?);
    let mut file = tempfile::Builder::new()
        .prefix(".secrets-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(directory(path))
        .map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    Ok(file)
}

fn serialise(secrets: &Secrets) -> Result<String, serde_saphyr::SerializeError> {
    fn authority(authority: &Authority) -> WrittenAuthority<'_> {
        WrittenAuthority { certificate: &authority.certificate, key: authority.key.expose() }
    }
    let written = Written {
        version: 1,
        ca: authority(&secrets.ca),
        etcd_ca: authority(&secrets.etcd_ca),
        front_proxy_ca: authority(&secrets.front_proxy_ca),
        service_account: WrittenKeyPair {
            public: &secrets.service_account.public,
            private: secrets.service_account.private.expose(),
        },
        token: secrets.token.expose(),
        vrrp_password: secrets.vrrp_password.expose(),
    };
    serde_saphyr::to_string(&written).map(|text| format!("{HEAD}{text}"))
}

#[cfg(test)]
mod tests {
    use super::super::KeyAlgorithm;
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn made_once_and_then_read() {
        let folder = folder();
        let path = folder.path().join("secrets.yaml");
        let made = Secrets::load_or_create(&path).expect("makes");
        let read = Secrets::load_or_create(&path).expect("reads");
        assert_eq!(made.token.expose(), read.token.expose());
        assert_eq!(made.ca.certificate, read.ca.certificate);
        assert_eq!(made.ca_hash().expect("hash"), read.ca_hash().expect("hash"));
        assert_eq!(made.service_account.private.expose(), read.service_account.private.expose());
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!write_new(&path, &made).expect("an existing file is no error"), "an existing file stays");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1, "no temporary file stays");
    }

    #[test]
    fn rotation_keeps_what_was_there() {
        use super::super::Rotation;
        let folder = folder();
        let path = folder.path().join("secrets.yaml");
        let first = Secrets::create(&path, KeyAlgorithm::Rsa2048).expect("makes");
        let (second, kept) = Secrets::rotate(&path, Rotation::Token).expect("rotates");
        assert_eq!(kept, folder.path().join("secrets.yaml.1"));
        assert_eq!(Secrets::load(&kept).expect("reads").token.expose(), first.token.expose());
        assert_eq!(Secrets::load(&path).expect("reads").token.expose(), second.token.expose());
        assert_ne!(second.token.id(), first.token.id());
        assert_ne!(second.vrrp_password.expose(), first.vrrp_password.expose());
        assert_eq!(second.ca_hash().expect("hash"), first.ca_hash().expect("hash"));
        assert_eq!(second.service_account.private.expose(), first.service_account.private.expose());
        let (third, kept) = Secrets::rotate(&path, Rotation::Everything).expect("rotates");
        assert_eq!(kept, folder.path().join("secrets.yaml.2"));
        assert_ne!(third.ca_hash().expect("hash"), first.ca_hash().expect("hash"));
        // The same kind of key.
        assert_eq!(third.ca.algorithm().expect("known"), KeyAlgorithm::Rsa2048);
        for name in ["secrets.yaml", "secrets.yaml.1", "secrets.yaml.2"] {
            let mode = std::fs::metadata(folder.path().join(name)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 3, "no temporary file stays");
        let missing = folder.path().join("none.yaml");
        assert!(matches!(Secrets::rotate(&missing, Rotation::Token), Err(SecretsError::Missing { .. })));
    }

    #[test]
    fn refuses_what_others_can_read() {
        let folder = folder();
        let path = folder.path().join("secrets.yaml");
        Secrets::load_or_create(&path).expect("makes");
        for mode in [0o644, 0o640, 0o601, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
            let error = Secrets::load_or_create(&path).expect_err("exposed");
            assert!(matches!(error, SecretsError::Exposed { .. }), "{error}");
        }
    }

    #[test]
    fn refuses_damage_without_repeating_it() {
        let secrets = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
        let other = Secrets::generate(KeyAlgorithm::EcdsaP256).expect("generates");
        let good = serialise(&secrets).expect("serialises");
        let path = Path::new("secrets.yaml");
        assert!(parse(path, &good).is_ok());
        let swapped = Secrets { ca: Authority { key: other.ca.key.clone(), ..secrets.ca.clone() }, ..secrets.clone() };
        let token = secrets.token.expose().to_owned();
        let bad = [
            (serialise(&swapped).expect("serialises"), "does not belong"),
            (good.replace("version: 1", "version: 2"), "version is 2"),
            (good.replace(&token, "SECRET.notatoken"), "`token`"),
            (good.replace("token:", "tokin:"), "line "),
            (good.replace("vrrpPassword: ", "vrrpPassword: [hidden"), "line "),
        ];
        for (text, expected) in bad {
            let error = parse(path, &text).expect_err("damaged");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("SECRET") && !shown.contains("PRIVATE") && !shown.contains("hidden"), "{shown}");
        }
    }
}
