//! Network boot on one interface: DHCP or ProxyDHCP, TFTP, and the programs that machines load first.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::answer::Site;
use super::dhcp::answer::{Dhcp, Ours, programs};
use super::dhcp::packet::Firmware;
use super::dhcp::{self, DhcpServer};
use super::error::ServeError;
use super::socket;
use super::tftp::{self, Tftp};
use crate::input;

/// Largest boot program, in bytes. iPXE has less than one megabyte.
const MAX_PROGRAM: u64 = 8 << 20;

/// Network boot, as the user wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netboot {
    /// The only interface on which anything is answered.
    pub interface: String,
    /// What is done about addresses.
    pub dhcp: Dhcp,
    /// Where iPXE's programs are.
    pub ipxe: PathBuf,
}

/// Both servers, their sockets open.
pub struct NetbootServer {
    dhcp: DhcpServer,
    tftp: Tftp,
}

/// The address of the interface.
pub fn address(netboot: &Netboot) -> Result<Ipv4Addr, ServeError> {
    socket::address_of(&netboot.interface).map_err(failed(&netboot.interface, "the address"))
}

fn failed(interface: &str, what: &str) -> impl FnOnce(io::Error) -> ServeError {
    let what = format!("{what} of the interface {interface}");
    move |source| ServeError::Listen { what, source }
}

/// The programs below `directory` that some firmware can load.
pub fn load(directory: &Path) -> Result<BTreeMap<String, Bytes>, ServeError> {
    let mut found = BTreeMap::new();
    for name in [Firmware::Bios, Firmware::EfiAmd64, Firmware::EfiArm64].into_iter().flat_map(programs) {
        let path = directory.join(name);
        match input::read(&path, MAX_PROGRAM) {
            Ok(bytes) => {
                found.insert((*name).to_owned(), bytes.into());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ServeError::io("read", &path)(error)),
        }
    }
    if found.is_empty() {
        return Err(ServeError::NoPrograms { path: directory.to_path_buf() });
    }
    Ok(found)
}

impl NetbootServer {
    /// Opens all sockets; `http` is where scripts and files are served.
    pub fn open(netboot: &Netboot, http: SocketAddr, site: Arc<Site>) -> Result<Self, ServeError> {
        let address = address(netboot)?;
        let files = load(&netboot.ipxe)?;
        let ours = Ours {
            dhcp: netboot.dhcp,
            address,
            scripts: format!("http://{}/boot", SocketAddr::from((address, http.port()))),
            programs: files.keys().cloned().collect(),
        };
        let name = &netboot.interface;
        let reporter = Arc::clone(&site.reporter);
        let tftp = Tftp::open(address.into(), name, files, reporter).map_err(failed(name, "the TFTP port"))?;
        let dhcp = DhcpServer::open(name, site, ours).map_err(failed(name, "the DHCP ports"))?;
        Ok(Self { dhcp, tftp })
    }

    /// Where they listen, for people.
    pub fn places(netboot: &Netboot, address: Ipv4Addr) -> Vec<String> {
        let kind = if netboot.dhcp == Dhcp::Full { "dhcp" } else { "proxydhcp" };
        let on = &netboot.interface;
        vec![format!("{kind}://{address}:{} on {on}", dhcp::DHCP), format!("tftp://{address}:{} on {on}", tftp::PORT)]
    }

    /// Answers for ever.
    pub async fn serve(self) {
        futures_util::future::join(self.dhcp.serve(), self.tftp.serve()).await;
    }
}
