//! A real token server (distribution specification, "Token Authentication"): signs tokens that the registry verifies.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use url::Url;

use super::daemon::run;

pub const SERVICE: &str = "registry of the test";
pub const LOGIN: (&str, &str) = ("someone", "open:sesame");

/// What was asked of a token server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub scope: String,
    pub logged_in: bool,
}

/// How a token server behaves.
#[derive(Clone, Copy, Default)]
pub struct Rules {
    /// Gives nothing to those without name and password.
    pub login: bool,
    /// The first so many tokens had expired before they were given, though the answer says otherwise.
    pub stale: usize,
}

/// A running token server.
pub struct TokenServer {
    address: SocketAddr,
    keys: Arc<tempfile::TempDir>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl TokenServer {
    /// Starts one with a key of its own.
    pub async fn start(rules: Rules) -> Self {
        let keys = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days", "2"])
            .arg("-keyout")
            .arg(keys.path().join("key.pem"))
            .arg("-out")
            .arg(keys.path().join("certificate.pem")));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback({
            let (keys, asked) = (Arc::clone(&keys), Arc::clone(&asked));
            move |request: Request| {
                let answer = answer(&request, rules, keys.path(), &asked);
                std::future::ready(answer)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, keys, asked }
    }

    /// The section `auth` of a registry that trusts this server's tokens.
    pub fn auth(&self) -> String {
        format!(
            "auth:\n  token: {{realm: \"{}\", service: \"{SERVICE}\", issuer: tokens, rootcertbundle: {}}}\n",
            self.realm(),
            self.keys.path().join("certificate.pem").display()
        )
    }

    /// Its address.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn answer(request: &Request, rules: Rules, keys: &Path, asked: &Mutex<Vec<Asked>>) -> (StatusCode, String) {
    let url = Url::parse("http://tokens/").and_then(|base| base.join(&request.uri().to_string())).expect("a URL");
    let value = |name| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let (Some(scope), Some(SERVICE)) = (value("scope"), value("service").as_deref()) else {
        return (StatusCode::BAD_REQUEST, String::new());
    };
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1)));
    let logged_in = request.headers().get(header::AUTHORIZATION).is_some_and(|value| value == basic.as_str());
    let mut asked = asked.lock().expect("not poisoned");
    asked.push(Asked { scope: scope.clone(), logged_in });
    if rules.login && !logged_in {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let token = sign(keys, &scope, asked.len() <= rules.stale);
    (StatusCode::OK, json!({"token": token, "expires_in": 300}).to_string())
}

fn sign(keys: &Path, scope: &str, stale: bool) -> String {
    let mut parts = scope.splitn(2, ':');
    let kind = parts.next().expect("a kind");
    let (name, actions) = parts.next().and_then(|rest| rest.rsplit_once(':')).expect("name and actions");
    let pem = fs::read_to_string(keys.join("certificate.pem")).expect("a certificate");
    let certificate: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = khimg::clock::now().as_second();
    let until = if stale { now - 3600 } else { now + 300 };
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]});
    let claims = json!({
        "iss": "tokens", "sub": "", "aud": SERVICE, "exp": until, "nbf": now - 7200, "iat": now, "jti": "1",
        "access": [{"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}],
    });
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let input = tempfile::NamedTempFile::new().expect("a file");
    fs::write(input.path(), &signed).expect("a file");
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(keys.join("key.pem"))
        .arg(input.path())
        .output()
        .expect("openssl starts");
    assert!(output.status.success());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(output.stdout))
}
