//! A client of the API that calls it every 20 ms from beside the nodes, and remembers how that went.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Identity};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::support::rehearsal::Rehearsal;

/// How often it calls.
const EVERY: Duration = Duration::from_millis(20);

/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// One call.
#[derive(Debug, Clone, Copy)]
struct Call {
    ended: Instant,
    good: bool,
}

/// A client at work.
pub struct Client {
    calls: Arc<Mutex<Vec<Call>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How the calls went around one event.
#[derive(Debug)]
pub struct Outage {
    /// The longest time without a good answer, beginning or ending after the event.
    pub gap: Duration,
    /// From the event to the end of the last call that failed; nothing, if none did.
    pub last_failure: Option<Duration>,
    /// Calls that failed.
    pub failed: usize,
    /// All calls.
    pub calls: usize,
}

impl Client {
    /// Begins to call. Each call is a connection of its own and a read that etcd has to agree on.
    pub fn start(lab: &Rehearsal) -> Self {
        let config: Value = serde_json::from_str(&lab.kubectl("config view --raw -o json")).expect("JSON");
        let pem = |value: &Value| STANDARD.decode(value.as_str().expect("base64")).expect("base64");
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let ca = Certificate::from_pem(&pem(&cluster["certificate-authority-data"])).expect("a certificate");
        let identity = [pem(&user["client-key-data"]), pem(&user["client-certificate-data"])].concat();
        let url = format!("{}/api/v1/namespaces/default", cluster["server"].as_str().expect("a URL"));
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([ca])
            .identity(Identity::from_pem(&identity).expect("a key"))
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let (calls, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (record, stopped) = (Arc::clone(&calls), Arc::clone(&stop));
        let namespace = File::open(lab.namespace()).expect("the lab's network");
        let thread = std::thread::spawn(move || {
            // This thread alone, and all sockets that are made on it.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut ticks = tokio::time::interval(EVERY);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                while !stopped.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let (request, record) = (client.get(&url), Arc::clone(&record));
                    tokio::spawn(async move {
                        let good = request.send().await.is_ok_and(|answer| answer.status().is_success());
                        record.lock().expect("alive").push(Call { ended: Instant::now(), good });
                    });
                }
                tokio::time::sleep(PATIENCE).await;
            });
        });
        Self { calls, stop, thread }
    }

    /// Ends, and tells what the event at `event` did to the calls.
    pub fn outage(self, event: Instant) -> Outage {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client's thread");
        let mut calls = self.calls.lock().expect("alive").clone();
        calls.sort_by_key(|call| call.ended);
        let good: Vec<Instant> = calls.iter().filter(|call| call.good).map(|call| call.ended).collect();
        assert!(good.first().is_some_and(|first| *first < event), "it went well before");
        let pairs = good.windows(2).filter(|pair| pair[1] > event).map(|pair| pair[1] - pair[0]);
        let failures = calls.iter().filter(|call| !call.good && call.ended > event);
        Outage {
            gap: pairs.max().expect("it goes well again"),
            last_failure: failures.clone().map(|call| call.ended - event).max(),
            failed: failures.count(),
            calls: calls.len(),
        }
    }
}
