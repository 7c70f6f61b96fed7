//! What the user may say about the network.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// How khimg behaves on the network.
#[derive(Debug, Clone)]
pub struct NetOptions {
    /// Refuse every socket; `file:` URLs still work.
    pub offline: bool,
    /// Transfers at once.
    pub jobs: usize,
    /// Transfers at once from one host.
    pub per_host: usize,
    /// Which proxy to go through.
    pub proxy: Proxy,
    /// Certificate authorities beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest silence, before the answer and within it.
    pub read_timeout: Duration,
    /// The slowest transfer that is worth waiting for.
    pub floor: Floor,
    /// How often one mirror may fail one artifact without delivering anything, at least 1.
    pub attempts: u32,
    /// Shortest and longest pause between tries.
    pub pause: (Duration, Duration),
    /// Longest pause that a server may ask for (`Retry-After`).
    pub longest_retry_after: Duration,
}

/// Which proxy to go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// The one that `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` name, if any.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This one, for everything: http, https, socks5 or socks5h.
    Url(Url),
}

/// A speed below which another mirror is tried, and by a tenth of which a transfer fails even where there is no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Bytes per second; 0 switches it off.
    pub speed: u64,
    /// Over how long the speed is taken.
    pub window: Duration,
}

impl Floor {
    /// For where there is no alternative: slow is better than nothing, but not for ever.
    pub(super) fn gentle(self) -> Self {
        Self { speed: self.speed.div_ceil(10), ..self }
    }
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            offline: false,
            jobs: 8,
            per_host: 4,
            proxy: Proxy::Environment,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            floor: Floor { speed: 10 << 10, window: Duration::from_secs(15) },
            attempts: 3,
            pause: (Duration::from_millis(250), Duration::from_secs(8)),
            longest_retry_after: Duration::from_secs(30),
        }
    }
}
