//! Registries that ask who is there.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use khimg::arch::Arch;
use khimg::exit::{Exit, Explain};
use khimg::registry::Credentials;

use super::{Family, User, places};
use crate::support::proxy::{Fault, Proxy};
use crate::support::registry::{LocalRegistry, Storage};
use crate::support::tokens::{LOGIN, Rules, TokenServer};

/// bcrypt of the password in [`LOGIN`].
const BCRYPT: &str = "$2b$04$ujT6clsM.Vml.4EHYy6Gr.Czxymu5dyTe18begrbDQLZSApuvkkgm";

async fn filled() -> Option<(Storage, Family)> {
    let storage = Storage::new();
    let open = LocalRegistry::open(&storage)?;
    let family = Family::new(true);
    family.push(&open).await;
    Some((storage, family))
}

fn known_at(host: &str) -> Credentials {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("config.json");
    let auth = STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
    fs::write(&path, serde_json::json!({"auths": {host: {"auth": auth}}}).to_string()).expect("a file");
    Credentials::read(&path).expect("valid")
}

#[tokio::test]
async fn anonymous_tokens_are_asked_for_once_per_repository() {
    let Some((storage, family)) = filled().await else { return };
    let tokens = TokenServer::start(Rules::default()).await;
    let registry = LocalRegistry::start(&storage, |_| tokens.auth()).expect("as before");
    let user = User::new();
    let image = user.pull(&places(&[&registry.base()]), Arch::Amd64).await.expect("pulled");
    assert_eq!(image.manifest.sha256, family.amd64.digest());
    let asked = tokens.asked();
    // One for looking up, one for pulling: two clients.
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.scope == "repository:library/thing:pull" && !asked.logged_in), "{asked:?}");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let Some((storage, _)) = filled().await else { return };
    let tokens = TokenServer::start(Rules { stale: 1, ..Rules::default() }).await;
    let registry = LocalRegistry::start(&storage, |_| tokens.auth()).expect("as before");
    let user = User::new();
    let places = places(&[&registry.base()]);
    let client = user.registry();
    // The first token is stale, which only the registry can see: the next request gets another.
    let error = client.pin(&places, "1", Arch::Amd64, &user.store).await.expect_err("refused");
    assert!(error.to_string().contains("refuses access (HTTP 401)"), "{error}");
    client.pin(&places, "1", Arch::Amd64, &user.store).await.expect("pinned");
    assert_eq!(tokens.asked().len(), 2);
}

#[tokio::test]
async fn a_login_is_shown_to_the_token_server() {
    let Some((storage, _)) = filled().await else { return };
    let tokens = TokenServer::start(Rules { login: true, ..Rules::default() }).await;
    let registry = LocalRegistry::start(&storage, |_| tokens.auth()).expect("as before");
    let mut user = User::new();
    let error = user.pull(&places(&[&registry.base()]), Arch::Amd64).await.expect_err("nobody");
    assert_eq!(error.exit(), Exit::Network, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--registry-auth")), "{error:?}");
    user.credentials = known_at(&registry.address());
    user.pull(&places(&[&registry.base()]), Arch::Amd64).await.expect("pulled");
    assert!(tokens.asked().iter().any(|asked| asked.logged_in));
}

#[tokio::test]
async fn basic_is_answered_where_the_user_has_a_login() {
    let Some((storage, _)) = filled().await else { return };
    let registry = LocalRegistry::start(&storage, |directory| {
        let path = directory.join("htpasswd");
        fs::write(&path, format!("{}:{BCRYPT}\n", LOGIN.0)).expect("a file");
        format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", path.display())
    })
    .expect("as before");
    let mut user = User::new();
    let error = user.pull(&places(&[&registry.base()]), Arch::Amd64).await.expect_err("nobody");
    assert!(error.to_string().contains("wants a name and a password"), "{error}");
    user.credentials = known_at(&registry.address());
    user.pull(&places(&[&registry.base()]), Arch::Amd64).await.expect("pulled");
    user.credentials = known_at("elsewhere.example");
    user.pull(&places(&[&registry.base()]), Arch::Arm64).await.expect_err("a login for elsewhere");
}

#[tokio::test]
async fn a_login_stays_with_its_host() {
    let Some((storage, _)) = filled().await else { return };
    let open = LocalRegistry::open(&storage).expect("as before");
    let elsewhere = Proxy::start(&open.base(), Fault::None).await;
    let registry = LocalRegistry::start(&storage, |directory| {
        let path = directory.join("htpasswd");
        fs::write(&path, format!("{}:{BCRYPT}\n", LOGIN.0)).expect("a file");
        format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", path.display())
    })
    .expect("as before");
    let front = Proxy::start(&registry.base(), Fault::RedirectedBlobs { to: elsewhere.base() }).await;
    let mut user = User::new();
    user.credentials = known_at(front.base().trim_start_matches("http://"));
    user.pull(&places(&[&front.base()]), Arch::Amd64).await.expect("pulled");
    assert!(front.seen().iter().any(|seen| seen.headers.contains_key("authorization")));
    let there = elsewhere.seen();
    assert!(!there.is_empty());
    assert!(there.iter().all(|seen| !seen.headers.contains_key("authorization")), "{there:?}");
}
