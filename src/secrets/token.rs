//! Bootstrap tokens: what a node without an identity shows to get one.

use super::{Secret, pki};

/// Letters of the public half.
const ID: usize = 6;

/// Letters of the secret half.
const SECRET: usize = 16;

/// A bootstrap token, `[a-z0-9]{6}.[a-z0-9]{16}` (kubernetes.io, "Authenticating with bootstrap tokens").
#[derive(Debug, Clone)]
pub struct Token(Secret<String>);

impl Token {
    /// A new one.
    pub(super) fn generate() -> Self {
        Self(Secret::new(format!("{}.{}", pki::random_text(ID), pki::random_text(SECRET))))
    }

    /// A mark in the place of one.
    pub(super) fn stand_in() -> Self {
        Self(Secret::new("stand0.in00not0a0secret".to_owned()))
    }

    /// The token that `text` is; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_part = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let (id, secret) = text.split_once('.')?;
        (is_part(id, ID) && is_part(secret, SECRET)).then(|| Self(Secret::new(text.to_owned())))
    }

    /// Whether `text` can be the public half of a token.
    pub fn is_id(text: &str) -> bool {
        Self::parse(&format!("{text}.{}", "0".repeat(SECRET))).is_some()
    }

    /// The public half, by which the cluster names it.
    pub fn id(&self) -> &str {
        self.0.expose().split_once('.').map_or("", |(id, _)| id)
    }

    /// The secret half.
    pub fn secret(&self) -> &str {
        self.0.expose().split_once('.').map_or("", |(_, secret)| secret)
    }

    /// All of it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_form() {
        for _ in 0..50 {
            let token = Token::generate();
            let read = Token::parse(token.expose()).expect("a token");
            assert_eq!((read.id(), read.secret()), (token.id(), token.secret()));
            assert!(Token::is_id(token.id()) && !Token::is_id(token.secret()));
            assert!(!format!("{token:?}").contains(token.secret()));
        }
        assert!(Token::parse(Token::stand_in().expose()).is_some());
        for bad in ["", "abc.def", "ABC123.0123456789abcdef", "abc123.0123456789abcde", "abc1230123456789abcdef"] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
    }
}
