//! The same as files, for a web server and a DHCP server that a site has already: nothing of khimg runs then, and so nobody counts how
//! often a seed is handed out.
//!
//! ```text
//! DIR/www/public, www/files, www/boot     for everybody
//! DIR/www/secret/<node>/                  0750, files 0640: for the web server's group
//! DIR/tftp/                               boot programs of iPXE
//! DIR/nginx.conf, DIR/dnsmasq.conf        to be included by the site's own
//! ```

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::boot::{BootFiles, Places};
use super::dhcp::answer::{Dhcp, programs};
use super::dhcp::packet::Firmware;
use super::error::ServeError;
use super::machine::Machines;
use super::netboot;
use super::seeds::FILES;
use super::tree::Depot;
use crate::cluster::Cluster;
use crate::render::{Overlays, fill};

/// Where the two configurations are among the shipped files.
const LAYER: &str = "hosting";

/// Each with its name in the directory.
const CONFIGURATIONS: [(&str, &str); 2] =
    [("/etc/nginx/conf.d/khimg.conf", "nginx.conf"), ("/etc/dnsmasq.d/khimg.conf", "dnsmasq.conf")];

/// What to write, and for where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostingOptions {
    /// The delivery.
    pub dist: PathBuf,
    /// What machines boot; nothing boots where `None`.
    pub boot: Option<PathBuf>,
    /// Where to write; must not exist, or be empty.
    pub directory: PathBuf,
    /// Where the web server will be: `http://ADDRESS[:PORT]`, without a closing slash.
    pub url: String,
    /// What the DHCP server is to do about addresses.
    pub dhcp: Dhcp,
    /// Where iPXE's programs are.
    pub ipxe: PathBuf,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosting {
    /// Nodes without a `mac`, by which alone the DHCP server knows machines.
    pub unknown: Vec<String>,
}

#[derive(Serialize)]
struct Context<'a> {
    directory: String,
    url: &'a str,
    listen: &'a str,
    full: bool,
    subnets: BTreeSet<Subnet>,
    machines: Vec<Row<'a>>,
    programs: Vec<Program>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Subnet {
    network: String,
    mask: String,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    mac: Option<String>,
    address: String,
    gateway: Option<String>,
    boots: bool,
}

/// A boot program, by the words that dnsmasq has for the firmware that loads it.
#[derive(Serialize)]
struct Program {
    firmware: &'static str,
    service: &'static str,
    file: String,
}

/// dnsmasq's words: our tag, and the client system type of `pxe-service` (dnsmasq(8)).
const FIRMWARES: [(Firmware, &str, &str); 3] = [
    (Firmware::Bios, "bios", "X86PC"),
    (Firmware::EfiAmd64, "efi-amd64", "X86-64_EFI"),
    (Firmware::EfiArm64, "efi-arm64", "ARM64_EFI"),
];

/// Writes everything that a site's own servers need.
///
/// # Errors
/// No delivery; a directory that holds something already; a URL that is no web server's; whatever the disk refuses.
pub fn host(cluster: &Cluster, options: &HostingOptions) -> Result<Hosting, ServeError> {
    let listen = listen(&options.url)?;
    let machines = Machines::of(cluster);
    let depot = Depot::open(&options.dist)?.now();
    let boot = options.boot.as_deref().map(BootFiles::open).transpose()?.unwrap_or_default();
    let out = Out::begin(&options.directory)?;

    for (name, entry) in &depot.public {
        out.copy(&format!("www/public/{name}"), &entry.path)?;
    }
    for (name, entry) in &boot.files {
        out.copy(&format!("www/files/{name}"), &entry.path)?;
    }
    let (files, seeds) = (format!("{}/files", options.url), format!("{}/secret", options.url));
    let mut rows = Vec::new();
    for machine in machines.all() {
        let script = boot.script(machine, &Places { files: &files, seeds: &seeds });
        if let Some(script) = &script {
            out.write(&format!("www/boot/{}", machine.name), script.as_bytes(), PUBLIC)?;
        }
        for (name, file) in depot.secret.get(&machine.name).into_iter().flatten() {
            if FILES.contains(&name.as_str()) {
                let bytes = fs::read(&file.path).map_err(ServeError::io("read", &file.path))?;
                out.write(&format!("www/secret/{}/{name}", machine.name), &bytes, SECRET)?;
            }
        }
        rows.push(Row {
            name: &machine.name,
            mac: machine.mac.map(|mac| mac.to_string()),
            address: machine.address.addr().to_string(),
            gateway: machine.gateway.map(|gateway| gateway.to_string()),
            boots: script.is_some(),
        });
    }
    let mut programs_there = Vec::new();
    if options.boot.is_some() {
        let there = netboot::load(&options.ipxe)?;
        for (firmware, tag, service) in FIRMWARES {
            let Some((name, bytes)) = programs(firmware).iter().find_map(|name| there.get_key_value(*name)) else {
                continue;
            };
            out.write(&format!("tftp/{name}"), bytes, PUBLIC)?;
            programs_there.push(Program { firmware: tag, service, file: name.clone() });
        }
    }
    out.directory("tftp", PUBLIC)?;
    let unknown = rows.iter().filter(|row| row.mac.is_none()).map(|row| row.name.to_owned()).collect();
    let context = Context {
        directory: fs::canonicalize(&options.directory)
            .map_err(ServeError::io("read", &options.directory))?
            .display()
            .to_string(),
        url: &options.url,
        listen,
        full: options.dhcp == Dhcp::Full,
        subnets: machines.all().iter().map(|machine| Subnet::of(machine.address)).collect(),
        machines: rows,
        programs: programs_there,
    };
    let overlays = Overlays::load(None)?;
    for (path, name) in CONFIGURATIONS {
        let missing = || ServeError::io("read", Path::new(path))(io::ErrorKind::NotFound.into());
        let layer = overlays.layer(LAYER).ok_or_else(missing)?;
        let found = layer.files.iter().find(|(there, _)| there.as_str() == path);
        let text = fill(found.ok_or_else(missing)?.1, &context)?;
        out.write(name, text.as_bytes(), PUBLIC)?;
    }
    Ok(Hosting { unknown })
}

impl Subnet {
    fn of(address: ipnet::IpNet) -> Self {
        Self { network: address.network().to_string(), mask: address.netmask().to_string() }
    }
}

/// What a web server at `url` listens on.
fn listen(url: &str) -> Result<&str, ServeError> {
    let bad = || ServeError::BadUrl { url: url.to_owned() };
    let place = url.strip_prefix("http://").ok_or_else(bad)?;
    let fine = |c: char| c.is_ascii_alphanumeric() || ".:-[]".contains(c);
    if place.is_empty() || !place.chars().all(fine) { Err(bad()) } else { Ok(place) }
}

/// Modes of a directory and of a file in it.
type Modes = (u32, u32);

/// For everybody.
const PUBLIC: Modes = (0o755, 0o644);

/// For the web server's group, once the user has said which that is.
const SECRET: Modes = (0o750, 0o640);

/// A new directory.
struct Out<'a> {
    path: &'a Path,
}

impl<'a> Out<'a> {
    fn begin(path: &'a Path) -> Result<Self, ServeError> {
        match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Err(ServeError::Occupied { path: path.to_path_buf() }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(ServeError::io("read", path)(error)),
            _ => {}
        }
        let out = Self { path };
        out.directory("www/secret", PUBLIC)?;
        Ok(out)
    }

    fn directory(&self, below: &str, (mode, _): Modes) -> Result<PathBuf, ServeError> {
        let path = self.path.join(below);
        DirBuilder::new().recursive(true).mode(mode).create(&path).map_err(ServeError::io("make", &path))?;
        Ok(path)
    }

    fn place(&self, name: &str, modes: Modes) -> Result<PathBuf, ServeError> {
        let (parent, _) = name.rsplit_once('/').unwrap_or_default();
        self.directory(parent, modes)?;
        Ok(self.path.join(name))
    }

    fn write(&self, name: &str, bytes: &[u8], modes: Modes) -> Result<(), ServeError> {
        let path = self.place(name, modes)?;
        let made = OpenOptions::new().write(true).create_new(true).mode(modes.1).open(&path);
        made.and_then(|mut file| file.write_all(bytes)).map_err(ServeError::io("write", &path))
    }

    /// Large files are linked where that can be: a build replaces them and changes none.
    fn copy(&self, name: &str, from: &Path) -> Result<(), ServeError> {
        let path = self.place(name, PUBLIC)?;
        if fs::hard_link(from, &path).is_err() {
            fs::copy(from, &path).map_err(ServeError::io("write", &path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_server_listens_where_its_url_says() {
        assert_eq!(listen("http://192.168.30.2:8080").ok(), Some("192.168.30.2:8080"));
        assert_eq!(listen("http://[fd00::1]").ok(), Some("[fd00::1]"));
        for bad in ["https://a", "http://", "http://a/b", "http://a;return 200", "a"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }
}
