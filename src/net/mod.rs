//! How bytes travel: one client for everything, patient with what passes and quick with what does not.
//!
//! ```text
//! read      one URL into memory        (repository metadata, checksum files)
//! get       one request, any answer    (registries: challenges, tokens, manifests)
//! send      one request with a body    (registries: uploads)
//! download  one digest, many mirrors   (everything that is large) ─▶ store
//! ```
//!
//! Knows nothing of packages or images. Content is identified by its digest alone; a mirror is only a place to try.

pub mod address;
mod attempt;
mod client;
pub mod download;
mod error;
mod exchange;
mod host;
mod options;
mod patience;
mod race;
mod range;
mod read;
mod redirect;
mod send;
mod speed;

use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use crate::report::{Event, Reporter};
pub use download::{Authorization, Download, Source};
pub use error::{Attempt, Failure, NetError};
pub use options::{Floor, NetOptions, Proxy};
pub use read::{Request, Response};
pub use send::{Body, Message};

/// The way to the outside. Cheap to clone; clones share connections, limits and what was learnt about hosts.
#[derive(Clone)]
pub struct Net {
    inner: Arc<Inner>,
}

struct Inner {
    options: NetOptions,
    reporter: Arc<dyn Reporter>,
    roots: Vec<reqwest::Certificate>,
    /// Made on first use: loading the system's certificates is wasted on a run that needs no network.
    client: OnceLock<Result<reqwest::Client, String>>,
    hosts: host::Hosts,
    jobs: Semaphore,
}

impl Net {
    /// Sets everything up; opens no socket.
    ///
    /// # Errors
    /// A CA file that cannot be read.
    pub fn new(options: NetOptions, reporter: Arc<dyn Reporter>) -> Result<Self, NetError> {
        let roots = options.ca_file.as_deref().map(client::roots).transpose()?.unwrap_or_default();
        Ok(Self {
            inner: Arc::new(Inner {
                hosts: host::Hosts::new(options.per_host.max(1)),
                jobs: Semaphore::new(options.jobs.max(1)),
                client: OnceLock::new(),
                options,
                reporter,
                roots,
            }),
        })
    }

    /// Whether every socket is refused.
    pub fn is_offline(&self) -> bool {
        self.inner.options.offline
    }

    /// How many transfers run at once.
    pub fn jobs(&self) -> usize {
        self.inner.options.jobs.max(1)
    }

    /// Where this client tells what happens.
    pub fn reporter(&self) -> &dyn Reporter {
        &*self.inner.reporter
    }

    fn note(&self, text: String) {
        self.inner.reporter.report(Event::Note { text });
    }
}
