//! The disks of this machine: what lsblk tells of them, and whether one of them is empty.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::DataError;
use crate::node::command;

/// The columns of lsblk (util-linux 2.38) that are read. Without `NAME` it would not tell what is on what.
const COLUMNS: &str = "NAME,PATH,TYPE,SIZE,START,RO,RM,HOTPLUG,TRAN,FSTYPE,LABEL,PARTTYPE,PARTUUID,PTTYPE,MOUNTPOINTS";

/// What is read at either end of a disk to prove it empty. Every signature of a file system, a table of partitions, an array, or
/// of encryption lies there.
const ENDS: u64 = 16 << 20;

/// What is read at each of [`SAMPLES`] places in between.
const SAMPLE: u64 = 64 << 10;

/// Something that was written without any signature shows in one of them.
const SAMPLES: u64 = 64;

/// A disk or what is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Its node below `/dev`.
    pub path: PathBuf,
    /// `disk`, `part`, `loop`, `rom`, `lvm`, `crypt`, `raid1`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// In bytes.
    pub size: u64,
    /// Where a partition begins, in sectors of 512 bytes.
    pub start: Option<u64>,
    /// Nothing can be written.
    pub ro: bool,
    /// Can be taken out.
    pub rm: bool,
    /// Can be unplugged.
    pub hotplug: bool,
    /// How it is attached: `sata`, `nvme`, `usb`, `iscsi`, ….
    pub tran: Option<String>,
    /// What kind of file system or the like it holds.
    pub fstype: Option<String>,
    /// The file system's label.
    pub label: Option<String>,
    /// A partition's type.
    pub parttype: Option<String>,
    /// A partition's own identity.
    pub partuuid: Option<String>,
    /// The kind of the table of partitions on it.
    pub pttype: Option<String>,
    /// Where it is mounted, and as what.
    pub mountpoints: Vec<Option<String>>,
    /// What is on it.
    pub children: Vec<Device>,
    /// Whether it is proven that nothing was ever written to it.
    #[serde(skip)]
    pub blank: bool,
}

impl Device {
    /// This one and all on it.
    pub fn all(&self) -> Vec<&Self> {
        [vec![self], self.children.iter().flat_map(Self::all).collect()].concat()
    }

    /// Whether it is mounted or swapped to.
    pub fn is_mounted(&self) -> bool {
        self.mountpoints.iter().any(Option::is_some)
    }

    /// Whether it stays with this machine, and belongs to no other.
    pub fn is_fixed(&self) -> bool {
        let shared = ["usb", "iscsi", "fc", "fcoe", "nbd", "tcp", "rdma"];
        let attached = self.tran.as_deref().unwrap_or_default();
        self.kind == "disk" && !self.ro && !self.rm && !self.hotplug && !shared.contains(&attached)
    }
}

/// Where a file system with this label is told to be, among `devices`.
pub fn labelled<'a>(devices: &'a [Device], labels: &[&str]) -> Vec<&'a Device> {
    let has = |device: &&Device| device.label.as_deref().is_some_and(|label| labels.contains(&label));
    devices.iter().flat_map(Device::all).filter(has).collect()
}

#[derive(Deserialize)]
struct Listing {
    blockdevices: Vec<Device>,
}

/// Reads what lsblk says in JSON.
///
/// # Errors
/// It is something else.
pub fn parse(text: &str) -> Result<Vec<Device>, serde_json::Error> {
    serde_json::from_str::<Listing>(text).map(|listing| listing.blockdevices)
}

/// All devices of this machine, with `blank` set where it is proven. Disks that bear nothing known are read at [`SAMPLES`] places.
pub(super) fn survey() -> Result<Vec<Device>, DataError> {
    let told = command::output("lsblk", &["--json", "--bytes", "--output", COLUMNS])?;
    let mut devices = parse(&told).map_err(|source| DataError::Listing { source })?;
    for device in &mut devices {
        let described = device.fstype.is_some() || device.pttype.is_some() || !device.children.is_empty();
        if device.is_fixed() && !described && !device.is_mounted() && is_hardware(&device.path) {
            // A disk that cannot be read is not known to be empty.
            device.blank = is_blank(&device.path, device.size).unwrap_or(false);
        }
    }
    Ok(devices)
}

/// Not made of memory, of files or of the network: a driver stands behind it.
fn is_hardware(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    Path::new("/sys/class/block").join(name).join("device").exists()
}

/// Whether there are zeros in all places where one looks. Fails where somebody else has the device.
fn is_blank(path: &Path, size: u64) -> io::Result<bool> {
    let exclusive = rustix::fs::OFlags::EXCL.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(exclusive).open(path)?;
    let step = size / (SAMPLES + 1);
    let samples = (1..=SAMPLES).map(|at| (step * at, SAMPLE));
    for (start, length) in [(0, ENDS), (size.saturating_sub(ENDS), ENDS)].into_iter().chain(samples) {
        if !zeros(&mut file, start, length)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn zeros(file: &mut File, start: u64, length: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(start))?;
    let (mut rest, mut buffer) = (file.take(length), vec![0; 1 << 18]);
    loop {
        let read = rest.read(&mut buffer)?;
        if read == 0 {
            return Ok(true);
        }
        if buffer.iter().take(read).any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn one_byte_is_enough() {
        let size = 100 << 20;
        let check = |at: u64| {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.as_file().set_len(size).expect("sparse");
            file.seek(SeekFrom::Start(at)).expect("within");
            file.write_all(b"x").expect("written");
            is_blank(file.path(), size).expect("readable")
        };
        for at in [0, 510, 0x438, ENDS - 1, size - 1, size - 512, size - ENDS, size / 65, size / 65 * 64 + 1] {
            assert!(!check(at), "{at}");
        }
        let empty = tempfile::NamedTempFile::new().expect("a file");
        empty.as_file().set_len(size).expect("sparse");
        assert!(is_blank(empty.path(), size).expect("readable"));
        assert!(is_blank(Path::new("/nonexistent"), size).is_err());
    }

    #[test]
    fn reads_what_lsblk_says() {
        let told = r#"{"blockdevices": [{"path":"/dev/vda","type":"disk","size":8589934592,"start":null,"ro":false,"rm":false,
            "hotplug":false,"tran":"virtio","fstype":null,"label":null,"parttype":null,"partuuid":null,"pttype":"gpt","mountpoints":[null],
            "children":[{"path":"/dev/vda1","type":"part","size":1,"start":2048,"ro":false,"rm":false,"hotplug":false,"tran":"virtio",
            "fstype":"ext4","label":"khimg-data","parttype":"x","partuuid":"y","pttype":"gpt","mountpoints":["/data",null]}]}]}"#;
        let devices = parse(told).expect("a listing");
        let found = labelled(&devices, &["khimg-data"]);
        assert_eq!((found.len(), found[0].is_mounted(), devices[0].is_mounted()), (1, true, false));
        assert!(parse("{}").is_err());
    }
}
