//! What can be wrong with a mirror, by name.

/// A fault of one path of a [`super::mirror::Mirror`].
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) kind: Kind,
    /// For so many requests; then the path is fine. `None`: always.
    pub(super) times: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Status {
        status: u16,
        retry_after: Option<String>,
    },
    /// Announces everything, sends so many bytes of the answer and closes.
    Cut(usize),
    /// Announces everything, sends half.
    CutHalf,
    /// Serves this instead; what is announced is what is sent.
    Instead(Vec<u8>),
    /// Serves this instead, half of it, under another ETag.
    Older(Vec<u8>),
    WrongBytes,
    TooLong,
    Shorter,
    Slow,
    EndlessRedirect,
    Redirect(String),
    IgnoresRange,
    WrongContentRange,
    HangHeaders,
    SlowHeaders,
    /// No length is announced; the end of the connection is the end of the body.
    Unannounced,
}

impl Fault {
    /// 404, always.
    pub fn not_found() -> Self {
        Self::status(404)
    }

    /// Any status, always.
    pub fn status(status: u16) -> Self {
        Kind::Status { status, retry_after: None }.into()
    }

    /// 503, always.
    pub fn unavailable() -> Self {
        Self::status(503)
    }

    /// 503 with `Retry-After`, once; then good.
    pub fn unavailable_once() -> Self {
        Self::from(Kind::Status { status: 503, retry_after: Some("0".to_owned()) }).times(1)
    }

    /// 429 that asks to wait so many seconds, once; then good.
    pub fn busy_once(seconds: u32) -> Self {
        Self::from(Kind::Status { status: 429, retry_after: Some(seconds.to_string()) }).times(1)
    }

    /// `Content-Length` promises everything, the body ends half-way; always.
    pub fn truncated() -> Self {
        Kind::CutHalf.into()
    }

    /// A consistent answer that is one byte short.
    pub fn too_short() -> Self {
        Kind::Shorter.into()
    }

    /// A consistent answer with more bytes than there should be.
    pub fn too_long() -> Self {
        Kind::TooLong.into()
    }

    /// A consistent answer of the right size whose last byte is wrong.
    pub fn wrong_bytes() -> Self {
        Kind::WrongBytes.into()
    }

    /// Serves something else altogether.
    pub fn instead(bytes: impl Into<Vec<u8>>) -> Self {
        Kind::Instead(bytes.into()).into()
    }

    /// The connection breaks half-way, once.
    pub fn dropped_midway() -> Self {
        Self::from(Kind::CutHalf).times(1)
    }

    /// The connection breaks after so many bytes of the answer, once.
    pub fn cut_after(bytes: usize) -> Self {
        Self::from(Kind::Cut(bytes)).times(1)
    }

    /// About 3 kB/s.
    pub fn slow() -> Self {
        Kind::Slow.into()
    }

    /// Each redirect leads to the next.
    pub fn endless_redirect() -> Self {
        Kind::EndlessRedirect.into()
    }

    /// 302 to there.
    pub fn redirect(to: impl Into<String>) -> Self {
        Kind::Redirect(to.into()).into()
    }

    /// 200 with everything, whatever was asked.
    pub fn ignores_range() -> Self {
        Kind::IgnoresRange.into()
    }

    /// 206 with other bytes than were asked for; requests without a range are served well.
    pub fn wrong_content_range() -> Self {
        Kind::WrongContentRange.into()
    }

    /// Half of an older version under another `ETag`, once; then the real one.
    pub fn changed_etag(older: impl Into<Vec<u8>>) -> Self {
        Self::from(Kind::Older(older.into())).times(1)
    }

    /// Takes the request and never answers.
    pub fn hang_headers() -> Self {
        Kind::HangHeaders.into()
    }

    /// Answers well, after 100 ms.
    pub fn slow_headers() -> Self {
        Kind::SlowHeaders.into()
    }

    /// Announces no length and knows no ranges.
    pub fn unannounced() -> Self {
        Kind::Unannounced.into()
    }

    /// The same for the first `times` requests only.
    pub fn times(self, times: usize) -> Self {
        Self { times: Some(times), ..self }
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self { kind, times: None }
    }
}
