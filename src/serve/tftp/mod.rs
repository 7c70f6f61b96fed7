//! TFTP: the first program that a machine without a system loads. Reads only, from a list of files in memory.

pub mod packet;
pub mod transfer;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::socket;
use crate::report::{Event, Reporter};
use packet::{Packet, Read, Refusal};
use transfer::{Step, Transfer};

/// Its port.
pub const PORT: u16 = 69;

/// How many transfers go on at once.
const CROWD: usize = 256;

/// How many of them from one address: a machine and its impatience.
const FROM_ONE: usize = 4;

/// How long a client may be silent before it is sent the same again, unless it says otherwise.
const SILENCE: Duration = Duration::from_secs(1);

/// How long a transfer may last.
const LONGEST: Duration = Duration::from_secs(300);

/// A UDP datagram of an Ethernet frame has no more bytes.
const DATAGRAM: usize = 1500;

/// The server.
pub struct Tftp {
    socket: UdpSocket,
    interface: String,
    files: Arc<BTreeMap<String, Bytes>>,
    reporter: Arc<dyn Reporter>,
    running: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Tftp {
    /// Opens the port on one address of one interface.
    pub fn open(
        address: IpAddr,
        interface: &str,
        files: BTreeMap<String, Bytes>,
        reporter: Arc<dyn Reporter>,
    ) -> io::Result<Self> {
        let socket = socket::udp(SocketAddr::new(address, PORT), interface)?;
        let (interface, files) = (interface.to_owned(), Arc::new(files));
        Ok(Self { socket, interface, files, reporter, running: Arc::default() })
    }

    /// Answers for ever.
    pub async fn serve(self) {
        let mut buffer = [0; DATAGRAM];
        loop {
            // An error here is one of an earlier answer, such as an unreachable port.
            let Ok((count, peer)) = self.socket.recv_from(&mut buffer).await else { continue };
            let refusal = match packet::parse(buffer.get(..count).unwrap_or_default()) {
                Some(Packet::Read(read)) => self.begin(read, peer),
                Some(Packet::Write) => Some(Refusal::Illegal),
                // Not for this port. Nothing is answered, or two servers could go on for ever.
                Some(Packet::Acknowledge(_) | Packet::Error) | None => None,
            };
            if let Some(refusal) = refusal {
                // A client that hears nothing asks again.
                let _lost = self.socket.try_send_to(&packet::refuse(refusal), peer);
            }
        }
    }

    fn begin(&self, read: Read, peer: SocketAddr) -> Option<Refusal> {
        let name = read.file.trim_start_matches('/');
        let Some(content) = self.files.get(name).cloned() else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            self.reporter
                .report(Event::Note { text: format!("{} asks for the unknown file {shown:?} by TFTP", peer.ip()) });
            return Some(Refusal::NotFound);
        };
        let Some(place) = Place::take(&self.running, peer.ip()) else { return Some(Refusal::Busy) };
        let local = self.socket.local_addr().ok()?.ip();
        let socket = socket::udp(SocketAddr::new(local, 0), &self.interface).ok()?;
        tokio::spawn(async move {
            // A client that goes away is nothing to tell.
            let _ended = tokio::time::timeout(LONGEST, send(socket, peer, content, read)).await;
            drop(place);
        });
        None
    }
}

/// A place among those that are served.
struct Place {
    running: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Place {
    fn take(running: &Arc<Mutex<BTreeMap<IpAddr, usize>>>, address: IpAddr) -> Option<Self> {
        let mut counts = running.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= CROWD || counts.get(&address).is_some_and(|count| *count >= FROM_ONE) {
            return None;
        }
        *counts.entry(address).or_default() += 1;
        Some(Self { running: Arc::clone(running), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn send(socket: UdpSocket, peer: SocketAddr, content: Bytes, read: Read) -> io::Result<()> {
    // From now on only the client is heard.
    socket.connect(peer).await?;
    let silence = read.options.timeout.map_or(SILENCE, |seconds| Duration::from_secs(seconds.min(10).into()));
    let (mut transfer, mut step) = Transfer::new(content, &read.options);
    let mut buffer = [0; DATAGRAM];
    let mut until = Instant::now() + silence;
    loop {
        match &step {
            Step::Send(packets) => {
                for packet in packets {
                    socket.send(packet).await?;
                }
                until = Instant::now() + silence;
            }
            // Packets that make no sense do not put off what is due.
            Step::Wait => {}
            Step::Done | Step::Over => return Ok(()),
        }
        step = match tokio::time::timeout_at(until, socket.recv(&mut buffer)).await {
            Ok(count) => transfer.heard(packet::parse(buffer.get(..count?).unwrap_or_default())),
            Err(_) => transfer.silence(),
        };
    }
}
