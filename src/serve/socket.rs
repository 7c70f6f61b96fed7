//! Sockets that hear one interface only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// A UDP socket that hears and reaches `interface` alone, even before it has its address. Needs root.
pub fn udp(address: SocketAddr, interface: &str) -> io::Result<UdpSocket> {
    let socket = open(interface)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(interface: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

/// The address of `interface`: what it would send a broadcast from. Nothing is sent.
pub fn address_of(interface: &str) -> io::Result<Ipv4Addr> {
    let socket = open(interface)?;
    socket.connect(&SocketAddr::from((Ipv4Addr::BROADCAST, 9)).into())?;
    match socket.local_addr()?.as_socket().map(|address| address.ip()) {
        Some(IpAddr::V4(address)) if !address.is_unspecified() => Ok(address),
        _ => Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "it has no IPv4 address")),
    }
}
