//! DHCP for network boots: beside another server, or alone. Only machines of the cluster file are answered.

pub mod answer;
pub mod packet;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::answer::Site;
use super::socket;
use crate::cluster::Mac;
use crate::report::Event;
use answer::{Ours, Port, To};

/// Where everybody asks.
pub const DHCP: u16 = 67;

/// Where firmware asks a server of boots alone.
const BOOT: u16 = 4011;

/// Where clients listen.
const CLIENT: u16 = 68;

/// A UDP datagram of an Ethernet frame has no more bytes.
const DATAGRAM: usize = 1500;

/// A machine is answered so often in this time; a flood that bears its address is not.
const OFTEN: (u32, Duration) = (20, Duration::from_secs(1));

/// The server.
pub struct DhcpServer {
    dhcp: UdpSocket,
    boot: UdpSocket,
    site: Arc<Site>,
    ours: Ours,
    recent: BTreeMap<Mac, (Instant, u32)>,
}

impl DhcpServer {
    /// Opens both ports on one interface.
    pub fn open(interface: &str, site: Arc<Site>, ours: Ours) -> io::Result<Self> {
        let open = |port| socket::udp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), interface);
        Ok(Self { dhcp: open(DHCP)?, boot: open(BOOT)?, site, ours, recent: BTreeMap::new() })
    }

    /// Answers for ever.
    pub async fn serve(mut self) {
        let (mut first, mut second) = ([0; DATAGRAM], [0; DATAGRAM]);
        loop {
            let (port, received, bytes) = tokio::select! {
                received = self.dhcp.recv_from(&mut first) => (Port::Dhcp, received, &first),
                received = self.boot.recv_from(&mut second) => (Port::Boot, received, &second),
            };
            // An error here is one of an earlier answer, such as an unreachable port.
            let Ok((count, peer)) = received else { continue };
            let packet = bytes.get(..count).unwrap_or_default().to_vec();
            if let Some((packet, to)) = self.answer(&packet, port, peer) {
                let socket = if port == Port::Dhcp { &self.dhcp } else { &self.boot };
                // A client that hears nothing asks again.
                let _lost = socket.send_to(&packet, to).await;
            }
        }
    }

    fn answer(&mut self, packet: &[u8], port: Port, peer: SocketAddr) -> Option<(Vec<u8>, SocketAddr)> {
        let request = packet::parse(packet)?;
        let site = Arc::clone(&self.site);
        let machine = site.machines.with(request.mac, request.uuid)?;
        if !self.is_sparing(request.mac) {
            return None;
        }
        let (reply, to) = answer::answer(&request, port, machine, &self.ours)?;
        if !reply.file.is_empty() {
            let text = format!("{} ({}) is told to boot {}", machine.name, request.mac, reply.file);
            site.reporter.report(Event::Note { text });
        }
        let to = match to {
            To::Everybody => SocketAddr::from((Ipv4Addr::BROADCAST, CLIENT)),
            To::One(address) => address.into(),
            To::Back => peer,
        };
        Some((reply.to(&request)?, to))
    }

    /// Whether the machine does not ask too often. The table has no more rows than there are machines.
    fn is_sparing(&mut self, mac: Mac) -> bool {
        let (most, time) = OFTEN;
        if self.recent.len() > self.site.machines.all().len() {
            self.recent.clear();
        }
        let now = Instant::now();
        let (since, count) = self.recent.entry(mac).or_insert((now, 0));
        if now.duration_since(*since) > time {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= most
    }
}
