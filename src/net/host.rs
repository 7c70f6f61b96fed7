//! What was learnt about hosts during this run, and how many transfers each may have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use url::Url;

/// All hosts that were talked to.
pub(super) struct Hosts {
    per_host: usize,
    known: Mutex<BTreeMap<String, Host>>,
}

struct Host {
    slots: Arc<Semaphore>,
    answered: bool,
    refusals: u32,
    /// Why it could not be reached, if it could not.
    dead: Option<String>,
    slow: bool,
}

impl Hosts {
    pub fn new(per_host: usize) -> Self {
        Self { per_host, known: Mutex::default() }
    }

    /// The transfers that the host of `url` may have at once.
    pub fn slots(&self, url: &Url) -> Arc<Semaphore> {
        self.with(url, |host| host.slots.clone())
    }

    /// It answered, so it lives.
    pub fn answered(&self, url: &Url) {
        self.with(url, |host| (host.answered, host.dead, host.refusals) = (true, None, 0));
    }

    /// It could not be reached: no name, no route, no listener, no trusted certificate. One that had answered before gets
    /// the benefit of the doubt. Says whether this is the first time that it counts as dead.
    pub fn unreachable(&self, url: &Url, reason: &str) -> bool {
        self.with(url, |host| {
            host.refusals += 1;
            let news = !host.answered && host.dead.is_none();
            if !host.answered {
                host.dead = Some(reason.to_owned());
            }
            news
        })
    }

    /// Why it could not be reached before.
    pub fn dead(&self, url: &Url) -> Option<String> {
        self.with(url, |host| host.dead.clone())
    }

    /// How often in a row it could not be reached.
    pub fn refusals(&self, url: &Url) -> u32 {
        self.with(url, |host| host.refusals)
    }

    /// It was slower than the floor.
    pub fn slow(&self, url: &Url) {
        self.with(url, |host| host.slow = true);
    }

    /// 0 for a good host or a new one, more for those to be tried later: slow ones, then dead ones.
    pub fn rank(&self, url: &Url) -> u8 {
        self.with(url, |host| match (&host.dead, host.slow) {
            (Some(_), _) => 2,
            (None, true) => 1,
            (None, false) => 0,
        })
    }

    fn with<T>(&self, url: &Url, look: impl FnOnce(&mut Host) -> T) -> T {
        let key = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        // A panic elsewhere leaves at worst a stale note here.
        let mut known: MutexGuard<'_, _> = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        look(known.entry(key).or_insert_with(|| Host {
            slots: Arc::new(Semaphore::new(self.per_host)),
            answered: false,
            refusals: 0,
            dead: None,
            slow: false,
        }))
    }
}

/// The host of `url` for people: with its port, where that is not the usual one.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
