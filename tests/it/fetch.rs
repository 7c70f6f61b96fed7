//! The download engine and the store, against mirrors with faults: a success through another mirror or a clear error, and
//! never a blob with unproven bytes.

mod faults;
mod local;
mod requests;
mod resume;
mod stage;
mod store;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use khimg::digest::Digest;
use khimg::exit::Explain;
use khimg::net::{Download, Floor, Net, NetError, NetOptions, Proxy, Source};
use khimg::report::{Event, Reporter, Silent};
use khimg::store::{Store, Verified};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::Url;

use crate::support::mirror::Mirror;

/// A store and an engine of their own. Impatient, so that tests are quick; otherwise as users have it.
struct Bench {
    dir: TempDir,
    store: Store,
    net: Net,
    heard: Arc<Recorder>,
    runtime: Runtime,
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Reporter for Recorder {
    fn report(&self, event: Event) {
        self.0.lock().expect("lock").push(event);
    }
}

fn impatient() -> NetOptions {
    NetOptions {
        proxy: Proxy::Direct,
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(400),
        floor: Floor { speed: 10 << 10, window: Duration::from_millis(100) },
        pause: (Duration::from_millis(1), Duration::from_millis(5)),
        longest_retry_after: Duration::from_millis(10),
        ..NetOptions::default()
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(impatient())
    }

    fn with(options: NetOptions) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let heard = Arc::new(Recorder::default());
        Self {
            store: Store::open(&dir.path().join("store")).expect("a store"),
            net: Net::new(options, heard.clone()).expect("a client"),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("runtime"),
            heard,
            dir,
        }
    }

    fn download(&self, download: &Download) -> Result<Verified, NetError> {
        let result = self.runtime.block_on(self.net.download(download, &self.store));
        self.assert_sound();
        result
    }

    /// Whatever happened: every blob has the bytes that its name says.
    fn assert_sound(&self) {
        let checked = self.store.verify(&Silent).expect("readable");
        assert_eq!(checked.removed, [], "unproven bytes in the store");
    }

    fn notes(&self) -> String {
        let texts = self.heard.0.lock().expect("lock").clone().into_iter().filter_map(|event| match event {
            Event::Note { text } | Event::Warning { text } => Some(text),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// Bytes that look random and are always the same.
fn bytes(size: usize, seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(size)
    .collect()
}

const PATH: &str = "pool/some_1.0~rc1+b2_amd64.deb";

/// `PATH` of each mirror.
fn wanted(content: &[u8], mirrors: &[&Mirror]) -> Download {
    let origins = mirrors.iter().enumerate().map(|(index, mirror)| Source {
        mirror: format!("m{index}"),
        url: khimg::net::address::join(mirror.url(), PATH).expect("a URL"),
        authorization: None,
    });
    Download {
        label: "some 1.0".to_owned(),
        digest: Digest::of(content),
        size: Some(content.len() as u64),
        limit: 1 << 20,
        origins: origins.collect(),
    }
}

fn mirror_with(content: &[u8]) -> Mirror {
    let mirror = Mirror::start();
    mirror.put(PATH, content);
    mirror
}

fn read(blob: &Verified) -> Vec<u8> {
    blob.read(1 << 30).expect("proven bytes")
}

fn told(error: &impl Explain) -> (u8, String) {
    (error.exit() as u8, error.to_string())
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}
