//! Serve: a delivery over HTTP, each secret seed once, and the network boot of the machines that the cluster file names.
//!
//! Nothing here listens unless the user named the address or the interface. Whoever is not in the cluster file gets nothing
//! but what is public.

mod answer;
mod board;
mod body;
mod boot;
pub mod dhcp;
mod error;
mod hosting;
mod ledger;
mod listen;
pub mod machine;
mod netboot;
mod pace;
mod page;
pub mod range;
mod seeds;
mod socket;
mod sparing;
pub mod tftp;
mod tree;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use answer::Site;
pub use board::{Board, Row};
use boot::BootFiles;
pub use error::ServeError;
pub use hosting::{Hosting, HostingOptions, host};
use ledger::Ledger;
use listen::{Content, Door};
use machine::Machines;
pub use netboot::Netboot;
use netboot::NetbootServer;
use pace::Pace;
use seeds::Seeds;
use sparing::Sparing;
use tree::Depot;

use crate::cluster::Cluster;
use crate::report::{Event, Reporter};

/// TLS, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where to listen.
    pub listen: SocketAddr,
    /// PEM: the certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM: its key.
    pub key: PathBuf,
}

/// What to serve, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// The delivery.
    pub dist: PathBuf,
    /// The record of what was handed out.
    pub record: PathBuf,
    /// What machines boot; nothing boots where `None`.
    pub boot: Option<PathBuf>,
    /// Where to listen for HTTP; port 8080 of the interface for network boot, if `None` and there is one.
    pub listen: Option<SocketAddr>,
    /// Where to listen for HTTPS. With it, seeds are handed out there alone.
    pub tls: Option<Tls>,
    /// Where to show the live table.
    pub status: Option<SocketAddr>,
    /// Network boot; no DHCP and no TFTP where `None`.
    pub netboot: Option<Netboot>,
}

/// Where HTTP is served on the interface for network boot, unless the user says otherwise.
const PORT: u16 = 8080;

/// Servers whose sockets are open.
pub struct Server {
    site: Arc<Site>,
    doors: Vec<(Door, Content)>,
    netboot: Option<NetbootServer>,
    /// Where the depot and the seeds are, as URLs without a closing slash; for people.
    pub places: Vec<String>,
}

/// Opens everything that `options` name. [`Server::run`] then answers.
///
/// # Errors
/// No delivery, a record that cannot be kept, an address that cannot be had.
pub fn serve(cluster: &Cluster, options: &ServeOptions, reporter: Arc<dyn Reporter>) -> Result<Server, ServeError> {
    let reporter: Arc<dyn Reporter> = Arc::new(Sparing::new(reporter));
    let machines = Machines::of(cluster);
    let depot = Depot::open(&options.dist)?;
    let ledger = Ledger::open(&options.record)?;
    let boot = options.boot.as_deref().map(BootFiles::open).transpose()?.unwrap_or_default();
    if !allow_many_files() {
        let text = "this process may not open many files: fewer clients can be served at once".to_owned();
        reporter.report(Event::Warning { text });
    }
    let mut places = Vec::new();
    let plain = match (options.listen, &options.netboot) {
        (Some(address), _) => Some(Door::open(address, None, None)?),
        (None, Some(netboot)) => {
            let address = SocketAddr::from((netboot::address(netboot)?, PORT));
            Some(Door::open(address, Some(&netboot.interface), None)?)
        }
        (None, None) => None,
    };
    let http = plain.as_ref().map(Door::address).transpose()?;
    let tls = match &options.tls {
        Some(tls) => Some(Door::open(tls.listen, None, Some(listen::acceptor(&tls.certificate, &tls.key)?))?),
        None => None,
    };
    let page = options.status.map(|address| Door::open(address, None, None)).transpose()?;
    let seed_url = match &tls {
        Some(door) => Some(format!("https://{}/secret", door.address()?)),
        None => None,
    };
    let board = Arc::new(Board::new(&machines));
    let seeds = Seeds::new(ledger)?;
    let pace = Pace::default();
    let site = Arc::new(Site { machines, depot, boot, seeds, board, pace, seed_url, reporter });
    let mut doors = Vec::new();
    for (door, scheme, content) in [
        (plain, "http", Content::Site(Arc::clone(&site), tls.is_none())),
        (tls, "https", Content::Site(Arc::clone(&site), true)),
        (page, "http", Content::Page(Arc::clone(&site.board))),
    ] {
        let Some(door) = door else { continue };
        let address = door.address()?;
        match &content {
            Content::Site(_, secrets) => {
                places.push(format!("{scheme}://{address}/public"));
                places.extend(secrets.then(|| format!("{scheme}://{address}/secret")));
            }
            Content::Page(_) => places.push(format!("{scheme}://{address}/")),
        }
        doors.push((door, content));
    }
    let netboot = match (&options.netboot, http) {
        (Some(netboot), Some(http)) => {
            places.extend(NetbootServer::places(netboot, netboot::address(netboot)?));
            Some(NetbootServer::open(netboot, http, Arc::clone(&site))?)
        }
        _ => None,
    };
    Ok(Server { site, doors, netboot, places })
}

/// Lets these nodes fetch their seeds once more. A server that is running learns of it.
///
/// # Errors
/// A node that the cluster does not have; a record that cannot be written.
pub fn rearm(cluster: &Cluster, record: &Path, nodes: &[String]) -> Result<(), ServeError> {
    if let Some(name) = nodes.iter().find(|name| !cluster.nodes.iter().any(|node| node.name == **name)) {
        return Err(ServeError::NoNode { name: name.clone() });
    }
    Ledger::open(record)?.rearm(nodes)
}

impl Server {
    /// The live table.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.site.board)
    }

    /// Answers until it is dropped.
    pub async fn run(self) {
        let doors = self.doors.into_iter().map(|(door, content)| async move { match door.serve(content).await {} });
        let netboot = async {
            if let Some(netboot) = self.netboot {
                netboot.serve().await;
            }
        };
        futures_util::future::join(futures_util::future::join_all(doors), netboot).await;
    }
}

/// Each client is a descriptor, and its file another. Says whether the soft limit could be raised to the hard one.
fn allow_many_files() -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_ok()
}
