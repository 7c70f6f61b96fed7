//! Tells `khimg serve` how far this node is, where its seed says so: what has changed at once, and now and then that nothing has.
//!
//! Nothing waits for this, and nothing is sent where nobody asked for it.

use std::io;
use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};

use super::call::{CallError, direct, refused, silent};
use super::error::NodeError;
use super::state::State;
use super::told::{Condition, Told, told};
use crate::input;
use crate::render::{REPORT_CA_PATH, REPORT_TOKEN_PATH, REPORT_URL_PATH};
use crate::report::{Event, Reporter};

/// Largest file of its settings, in bytes.
const MAX_SETTING: u64 = 1 << 20;

/// How long a report may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(4);

/// How often to look whether there is news.
const LOOK: Duration = Duration::from_secs(2);

/// After this time an old report is told again: a server that was started anew knows nothing.
const STALE: Duration = Duration::from_secs(60);

/// The same for a node that is what it should be.
const STALE_READY: Duration = Duration::from_secs(300);

/// Shortest and longest pause after a report that nobody heard.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));

/// Most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 1 << 10;

/// Tells it as long as this process lives or, with `once`, one time. Without an address to tell it to, nothing happens.
///
/// # Errors
/// Settings that cannot be used; with `once`, nobody who hears it.
pub async fn report(state: &State, once: bool, reporter: &dyn Reporter) -> Result<(), NodeError> {
    let Some(listener) = Listener::read()? else {
        let text = format!("there is no {REPORT_URL_PATH}, so nobody is told anything");
        reporter.report(Event::Note { text });
        return Ok(());
    };
    if once {
        return listener.tell(&told(state)?).await;
    }
    let (mut known, mut failures): (Option<(Told, tokio::time::Instant)>, u32) = (None, 0);
    loop {
        let now = told(state)?;
        let is_old = |(before, at): &(Told, tokio::time::Instant)| {
            *before != now || at.elapsed() > if now.condition == Condition::Ready { STALE_READY } else { STALE }
        };
        let mut pause = LOOK;
        if known.as_ref().is_none_or(is_old) {
            match listener.tell(&now).await {
                Ok(()) => {
                    if failures > 0 || known.is_none() {
                        reporter.report(Event::Note { text: format!("{} hears how far this node is", listener.url) });
                    }
                    (known, failures) = (Some((now, tokio::time::Instant::now())), 0);
                }
                Err(error) => {
                    if failures == 0 {
                        let cause =
                            std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
                        reporter.report(Event::Warning { text: format!("{error}{cause}; trying again") });
                    }
                    pause = PAUSES.0.saturating_mul(1 << failures.min(6)).min(PAUSES.1);
                    failures = failures.saturating_add(1);
                }
            }
        }
        // Thousands of nodes that were switched on together must not ask together.
        tokio::time::sleep(pause.mul_f64(rand::rng().random_range(0.7..1.3))).await;
    }
}

/// Who wants to know.
struct Listener {
    url: Url,
    token: HeaderValue,
    client: Client,
}

fn setting(path: &str) -> Result<Option<Vec<u8>>, NodeError> {
    match input::read(Path::new(path), MAX_SETTING) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NodeError::io("read", Path::new(path))(error)),
    }
}

fn unusable(path: &str, reason: impl ToString) -> NodeError {
    NodeError::Record { path: path.into(), reason: reason.to_string() }
}

impl Listener {
    /// Whom the seed names, if it names anybody.
    fn read() -> Result<Option<Self>, NodeError> {
        let Some(url) = setting(REPORT_URL_PATH)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&url);
        let url = Url::parse(text.trim()).map_err(|error| unusable(REPORT_URL_PATH, error))?;
        let token = setting(REPORT_TOKEN_PATH)?.ok_or_else(|| unusable(REPORT_TOKEN_PATH, "it is missing"))?;
        let token = [b"Bearer ", token.trim_ascii()].concat();
        let mut token = HeaderValue::from_bytes(&token).map_err(|error| unusable(REPORT_TOKEN_PATH, error))?;
        token.set_sensitive(true);
        let ca = setting(REPORT_CA_PATH)?;
        let built = || {
            let builder = direct().connect_timeout(CONNECT).timeout(PATIENCE);
            match &ca {
                Some(ca) => builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(ca)?).build(),
                // A machine that needs no authorities may have none, which is no reason to say nothing.
                None if url.scheme() == "http" => builder.tls_certs_only([]).build(),
                None => builder.build(),
            }
        };
        let client = built().map_err(|source| CallError::Client { source })?;
        Ok(Some(Self { url, token, client }))
    }

    async fn tell(&self, told: &Told) -> Result<(), NodeError> {
        // Words alone: nothing that JSON could not hold.
        let body = serde_json::to_vec(told).unwrap_or_default();
        let request = self.client.post(self.url.clone()).header(AUTHORIZATION, self.token.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let mut answer = request.send().await.map_err(silent(&self.url))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let (status, mut said) = (answer.status(), Vec::new());
        while let Ok(Some(chunk)) = answer.chunk().await {
            said.extend_from_slice(&chunk);
            if said.len() > MAX_ANSWER {
                break;
            }
        }
        said.truncate(MAX_ANSWER);
        Err(refused(&self.url, status, &said).into())
    }
}
