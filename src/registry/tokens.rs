//! Tokens for pulling, kept until shortly before they expire (distribution specification, "Token Authentication").

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::RegistryError;
use crate::net::address::shown;

/// Where the answer does not say how long it is good for.
const DEFAULT_LIFE: u64 = 60;

/// No answer is believed to be good for longer.
const LONGEST_LIFE: u64 = 3600;

/// The value of an `Authorization` header. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authorization(Zeroizing<String>);

impl Authorization {
    pub(super) fn new(value: Zeroizing<String>) -> Self {
        Self(value)
    }

    /// The header's value, for the request and nothing else.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(…)")
    }
}

/// A token and when to stop using it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    header: Authorization,
    until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<Zeroizing<String>>,
    access_token: Option<Zeroizing<String>>,
    expires_in: Option<u64>,
}

impl Token {
    /// Reads what `realm` answered to a request that was sent at `asked`.
    pub(super) fn parse(realm: &Url, bytes: &[u8], asked: Instant) -> Result<Self, RegistryError> {
        let unusable = |reason: &str| RegistryError::Token { realm: shown(realm), reason: reason.to_owned() };
        // serde_json's own text may quote the token.
        let answer: Answer =
            serde_json::from_slice(bytes).map_err(|_| unusable("the answer is not of the right shape"))?;
        let text = answer
            .token
            .filter(|token| !token.is_empty())
            .or(answer.access_token)
            .ok_or_else(|| unusable("there is none in the answer"))?;
        // The `token68` alphabet of RFC 9110 §11.2 and what registries use beside it: nothing that could end a header.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable("it holds characters that no token has"));
        }
        let life = answer.expires_in.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE);
        // A fifth is left for the request that uses it and for clocks that run apart.
        let until = asked + Duration::from_secs(life) * 4 / 5;
        Ok(Self { header: Authorization::new(Zeroizing::new(format!("Bearer {}", text.as_str()))), until })
    }
}

/// What a token is for: address of tokens, service, scope, and the registry whose credentials go there.
pub(super) type Key = (String, Option<String>, String, String);

/// The slot of one key; whoever holds it is the only one to ask for a new token.
#[derive(Default)]
pub(super) struct Slot(tokio::sync::Mutex<Option<Token>>);

/// All tokens of a run.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<Key, Arc<Slot>>>);

impl Tokens {
    /// The slot for `key`.
    pub(super) fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key).or_default())
    }
}

impl Slot {
    /// The token, a new one by `ask` where there is none, it is about to expire, or it is `refused`.
    pub(super) async fn get<F: Future<Output = Result<Token, RegistryError>>>(
        &self,
        refused: Option<&Authorization>,
        ask: impl FnOnce() -> F,
    ) -> Result<Authorization, RegistryError> {
        let mut slot = self.0.lock().await;
        let kept = slot.as_ref().filter(|token| Instant::now() < token.until && Some(&token.header) != refused);
        if let Some(token) = kept {
            return Ok(token.header.clone());
        }
        let token = ask().await?;
        let header = token.header.clone();
        *slot = Some(token);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Token, RegistryError> {
        Token::parse(&Url::parse("https://auth.example/token").expect("valid"), text.as_bytes(), Instant::now())
    }

    #[test]
    fn answers_of_all_registries() {
        for text in [
            r#"{"token":"abc.d-e_f="}"#,
            r#"{"access_token":"abc.d-e_f=","expires_in":300}"#,
            r#"{"token":"","access_token":"abc.d-e_f="}"#,
        ] {
            assert_eq!(
                parse(text).map(|token| token.header.expose().to_owned()).ok().as_deref(),
                Some("Bearer abc.d-e_f=")
            );
        }
        for text in
            ["", "{}", "[]", r#"{"token":""}"#, r#"{"token":"a\r\nX: y"}"#, r#"{"token":"s3cret","expires_in":"soon"}"#]
        {
            let error = parse(text).expect_err("no token");
            assert!(!format!("{error}{error:?}").contains("s3cret"));
        }
    }

    #[tokio::test]
    async fn asked_for_once_until_refused_or_old() {
        let tokens = Tokens::default();
        let slot = tokens.slot(Key::default());
        let token = |text: &str| parse(text);
        let first = slot.get(None, || async { token(r#"{"token":"one","expires_in":3000}"#) }).await.expect("a token");
        let again = tokens.slot(Key::default()).get(None, || async { panic!("asked twice") }).await.expect("kept");
        assert_eq!(first, again);
        let renewed = slot.get(Some(&first), || async { token(r#"{"token":"two"}"#) }).await.expect("renewed");
        assert_eq!(renewed.expose(), "Bearer two");
        // Another task that was refused with the first token gets the second, without a request.
        assert_eq!(slot.get(Some(&first), || async { panic!("asked") }).await.expect("kept"), renewed);
        let old = Token { until: Instant::now(), ..token(r#"{"token":"old"}"#).expect("a token") };
        *slot.0.lock().await = Some(old);
        let fresh = slot.get(None, || async { token(r#"{"token":"three"}"#) }).await.expect("a token");
        assert_eq!(fresh.expose(), "Bearer three");
        assert_eq!(format!("{fresh:?}"), "Authorization(…)");
    }
}
