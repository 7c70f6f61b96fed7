//! What a machine boots over the network: an iPXE script of its own, and files from one directory.
//!
//! ```text
//! <role>-<arch>/ or <arch>/    kernel, initrd and whatever the command line names; `cmdline`, if there is one
//! ```

use std::collections::BTreeMap;

use super::error::ServeError;
use super::machine::Machine;
use super::tree::{self, Entry};
use std::path::Path;

/// The command line of a system that live-boot loads into memory, with cloud-init in it.
const CMDLINE: &str = "boot=live fetch={files}/root.squashfs ip=dhcp ds=nocloud-net;s={seed}/";

/// Longest command line that a kernel takes, in bytes (x86: COMMAND_LINE_SIZE).
const LONGEST: u64 = 2048;

/// What machines boot.
#[derive(Debug, Default)]
pub struct BootFiles {
    /// By their path below the directory.
    pub files: BTreeMap<String, Entry>,
    /// The directory's own command lines, by the name of their directory.
    lines: BTreeMap<String, String>,
}

/// URLs that a script names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places<'a> {
    /// Where the files of machines are, without a closing slash.
    pub files: &'a str,
    /// Where seeds are, without a closing slash.
    pub seeds: &'a str,
}

impl BootFiles {
    /// Those below `directory`.
    ///
    /// # Errors
    /// A directory or a command line that cannot be read.
    pub fn open(directory: &Path) -> Result<Self, ServeError> {
        let files = tree::below(directory)?;
        let mut lines = BTreeMap::new();
        for (name, entry) in &files {
            if let Some((place, "cmdline")) = name.rsplit_once('/') {
                let bytes = crate::input::read(&entry.path, LONGEST).map_err(ServeError::io("read", &entry.path))?;
                let text = String::from_utf8_lossy(&bytes);
                lines.insert(place.to_owned(), text.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        Ok(Self { files, lines })
    }

    /// The script that boots `machine`; none where there is nothing for its role and architecture.
    pub fn script(&self, machine: &Machine, places: &Places<'_>) -> Option<String> {
        let (role, arch) = (machine.role.name(), machine.arch.name());
        let own = [format!("{role}-{arch}"), arch.to_owned()];
        let place = own.into_iter().find(|place| self.files.contains_key(&format!("{place}/kernel")))?;
        let files = format!("{}/{place}", places.files);
        let seed = format!("{}/{}", places.seeds, machine.name);
        let line = self.lines.get(&place).map_or(CMDLINE, String::as_str);
        let line = line.replace("{files}", &files).replace("{seed}", &seed);
        Some(format!("#!ipxe\nkernel {files}/kernel initrd=initrd {line}\ninitrd --name initrd {files}/initrd\nboot\n"))
    }
}
