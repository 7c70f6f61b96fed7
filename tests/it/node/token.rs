//! What nodes join with, against a real API server: it lives as long as the terms say, whoever renews it and whatever the
//! clocks say, and not a moment after it was taken back.

use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use khimg::clock;
use khimg::node::kube::Kube;
use khimg::node::token::{self, Deed, Policy};
use khimg::secrets::{KeyAlgorithm, Secrets, Token};
use serde_json::{Value, json};

use crate::support::apiserver::ApiServer;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn policy(life: SignedDuration) -> Policy {
    Policy { life, join: DAY * 30 }
}

fn token(letter: char) -> Token {
    Token::parse(&format!("{0}{0}{0}{0}{0}{0}.0123456789abcdef", letter)).expect("a token")
}

fn path(token: &Token) -> String {
    format!("/api/v1/namespaces/kube-system/secrets/bootstrap-token-{}", token.id())
}

/// Asks with `token` until the server lets it in, or not: it remembers those that it let in for 10 s (k/k
/// cmd/kube-apiserver, `TokenSuccessCacheTTL`), and hears of a Secret a moment later.
async fn becomes(server: &ApiServer, token: &Token, wanted: bool) {
    let ca = std::fs::read(server.file("ca.crt")).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only(reqwest::Certificate::from_pem_bundle(&ca).expect("PEM"));
    let client = client.build().expect("a client");
    let url = server.url.join("/api").expect("a URL");
    let begun = std::time::Instant::now();
    loop {
        let answer = client.get(url.clone()).bearer_auth(token.expose()).send().await.expect("an answer");
        match (answer.status().as_u16(), wanted) {
            (200, true) | (401, false) => return,
            (200 | 401, _) if begun.elapsed() < Duration::from_secs(20) => {}
            (other, _) => panic!("{other}: {}", answer.text().await.unwrap_or_default()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn lets_in(server: &ApiServer, token: &Token) {
    becomes(server, token, true).await;
}

async fn refuses(server: &ApiServer, token: &Token) {
    becomes(server, token, false).await;
}

async fn expires(kube: &Kube, of: &Token) -> Option<Timestamp> {
    let (_, known) = token::list(kube, Some(of)).await.expect("a list");
    known.into_iter().find(|known| known.id == of.id()).and_then(|known| known.expires)
}

fn deeds(kept: Vec<token::Kept>) -> Vec<Deed> {
    kept.into_iter().map(|kept| kept.deed).collect()
}

#[test]
fn masters_keep_a_token_alive_until_the_date() {
    let Some(server) = ApiServer::start() else { return };
    block(async {
        let (kube, own, now) = (server.client(), token('a'), clock::now());
        refuses(&server, &own).await;

        // Three at once, with clocks that differ: one has its way, nobody fails, and the terms are those of one of them.
        let clocks = [now, now + SignedDuration::from_hours(2), now - SignedDuration::from_hours(2)];
        let rounds = clocks.map(|now| {
            let (kube, own) = (kube.clone(), own.clone());
            tokio::spawn(async move { token::keep(&kube, &own, &policy(DAY), now).await })
        });
        let mut made = 0;
        for round in rounds {
            let kept = round.await.expect("no panic").expect("kept");
            assert_eq!(kept.len(), 1);
            made += usize::from(kept[0].deed == Deed::Revived);
        }
        assert_eq!(made, 1);
        lets_in(&server, &own).await;
        let (terms, _) = token::list(&kube, Some(&own)).await.expect("a list");
        assert_eq!(terms.join_until.duration_since(terms.formed_at), DAY * 30);
        assert!(clocks.iter().any(|clock| clock.as_second() == terms.formed_at.as_second()));

        // Later it lives longer; by a clock that lags, not shorter.
        let later = now + DAY / 2;
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), later).await.expect("kept")), [Deed::Renewed]);
        let end = expires(&kube, &own).await.expect("it lives");
        assert_eq!(end.as_second(), (later + DAY).as_second());
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), now).await.expect("kept")), [Deed::Left]);
        assert_eq!(expires(&kube, &own).await, Some(end));

        // All masters were off for longer than it lives.
        let long = now + DAY * 3;
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), long).await.expect("kept")), [Deed::Revived]);

        // Somebody broke it, or made it endless.
        kube.patch(&path(&own), &json!({"stringData": {"token-secret": "fedcba9876543210"}})).await.expect("patched");
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), long).await.expect("kept")), [Deed::Revived]);
        lets_in(&server, &own).await;
        kube.patch(&path(&own), &json!({"data": {"expiration": Value::Null}})).await.expect("patched");
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), long).await.expect("kept")), [Deed::Shortened]);
        assert_eq!(expires(&kube, &own).await, Some(terms.join_until));

        // The date comes, and it ends; nobody makes it again.
        token::extend(&kube, now - SignedDuration::from_secs(1)).await.expect("set");
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), now).await.expect("kept")), [Deed::Shortened]);
        refuses(&server, &own).await;
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), now).await.expect("kept")), [Deed::Left]);
        kube.delete(&path(&own), None).await.expect("an answer");
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), now).await.expect("kept")), [Deed::Left]);
        refuses(&server, &own).await;
    });
}

#[test]
fn a_short_life_ends_and_begins_again() {
    let Some(server) = ApiServer::start() else { return };
    block(async {
        let (kube, own) = (server.client(), token('b'));
        let short = policy(SignedDuration::from_secs(3));
        token::keep(&kube, &own, &short, clock::now()).await.expect("kept");
        lets_in(&server, &own).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        refuses(&server, &own).await;
        // Renewed in time, it lives on.
        token::keep(&kube, &own, &short, clock::now()).await.expect("kept");
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            assert!(expires(&kube, &own).await > Some(clock::now()));
            token::keep(&kube, &own, &short, clock::now()).await.expect("kept");
        }
        lets_in(&server, &own).await;
    });
}

#[test]
fn a_token_taken_back_is_gone_whoever_renews_it_meanwhile() {
    let Some(server) = ApiServer::start() else { return };
    block(async {
        let (kube, own) = (server.client(), token('c'));
        token::keep(&kube, &own, &policy(DAY), clock::now()).await.expect("kept");
        for round in 0..3 {
            // Masters that renew it again and again, each time by a later clock.
            let masters: Vec<_> = (0..3_i64)
                .map(|master| {
                    let (kube, own) = (kube.clone(), own.clone());
                    tokio::spawn(async move {
                        for step in 0..12 {
                            let clock = clock::now() + SignedDuration::from_hours(step * 7 + master);
                            token::keep(&kube, &own, &policy(DAY), clock).await.expect("kept");
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(50 * round)).await;
            token::revoke(&kube, own.id()).await.expect("revoked");
            for master in masters {
                master.await.expect("no panic");
            }
            assert_eq!(expires(&kube, &own).await, None);
            token::restore(&kube, own.id()).await.expect("restored");
            token::keep(&kube, &own, &policy(DAY), clock::now()).await.expect("kept");
            assert!(expires(&kube, &own).await.is_some());
        }
        // kubeadm may make it once more: it does not last.
        token::revoke(&kube, own.id()).await.expect("revoked");
        let made = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": format!("bootstrap-token-{}", own.id())},
            "stringData": {"token-id": own.id(), "token-secret": own.secret(), "usage-bootstrap-authentication": "true"},
        });
        kube.create("/api/v1/namespaces/kube-system/secrets", &made).await.expect("made");
        lets_in(&server, &own).await;
        assert_eq!(deeds(token::keep(&kube, &own, &policy(DAY), clock::now()).await.expect("kept")), [Deed::Removed]);
        refuses(&server, &own).await;
    });
}

/// As somebody types it: the token of newer seeds goes in, the old one out.
#[test]
fn secrets_rotate_into_a_running_cluster() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("secrets.yaml");
    let old = Secrets::create(&path, KeyAlgorithm::EcdsaP256).expect("made");
    let Some(server) = ApiServer::start_with(&old.ca) else { return };
    let khimg = |arguments: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
        let output = command.current_dir(&folder).args(arguments).output().expect("khimg starts");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        assert!(!format!("{out}{err}").contains(old.token.secret()), "{arguments:?} tells a secret");
        out.into_owned()
    };
    block(async {
        let kube = server.client();
        let (server_url, now) = (server.url.as_str(), clock::now());
        token::keep(&kube, &old.token, &policy(DAY), now).await.expect("kept");
        khimg(&["secrets", "rotate"]);
        let new = Secrets::load(&path).expect("read");
        assert_ne!(new.token.id(), old.token.id());
        lets_in(&server, &old.token).await;
        refuses(&server, &new.token).await;

        khimg(&["secrets", "admit", "--server", server_url]);
        // A master that still has an old seed.
        token::keep(&kube, &old.token, &policy(DAY), now).await.expect("kept");
        lets_in(&server, &old.token).await;
        lets_in(&server, &new.token).await;

        khimg(&["secrets", "revoke", "secrets.yaml.1", "--server", server_url]);
        token::keep(&kube, &old.token, &policy(DAY), now).await.expect("kept");
        refuses(&server, &old.token).await;
        lets_in(&server, &new.token).await;

        let kubeconfig = server.kubeconfig(folder.path());
        let with = ["--kubeconfig", kubeconfig.to_str().expect("text")];
        let list = khimg(&[["--json", "node", "token", "list"].as_slice(), &with].concat());
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let state: Vec<_> =
            list["tokens"].as_array().expect("tokens").iter().map(|token| (&token["id"], &token["revoked"])).collect();
        assert_eq!(state, [(&json!(new.token.id()), &json!(false)), (&json!(old.token.id()), &json!(true))]);
        khimg(&[["node", "token", "restore", old.token.id()].as_slice(), &with].concat());
        khimg(&[["node", "token", "revoke", new.token.id()].as_slice(), &with].concat());
        khimg(&[["node", "token", "extend", "2h"].as_slice(), &with].concat());
        token::keep(&kube, &old.token, &policy(DAY), now).await.expect("kept");
        lets_in(&server, &old.token).await;
        refuses(&server, &new.token).await;
        let end = expires(&kube, &old.token).await.expect("it lives");
        assert!(end < now + SignedDuration::from_hours(3), "{end}");

        // Another cluster's secrets are of no use.
        Secrets::create(&folder.path().join("other.yaml"), KeyAlgorithm::EcdsaP256).expect("made");
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("khimg"));
        let refused = command.current_dir(&folder).args(["secrets", "revoke", "other.yaml", "--server", server_url]);
        assert_eq!(refused.output().expect("khimg starts").status.code(), Some(5));
    });
}
