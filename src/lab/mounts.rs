//! What is mounted where, as the kernel tells it (proc(5), `mountinfo`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use super::error::LabError;

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub path: PathBuf,
    /// The type of its file system.
    pub kind: String,
}

/// All mounts of this process's namespace, in the order in which they were made.
pub(super) fn all() -> Result<Vec<Mount>, LabError> {
    let text = std::fs::read(MOUNTINFO).map_err(LabError::io("read", Path::new(MOUNTINFO)))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let path = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mount {
        path: PathBuf::from(OsString::from_vec(unescape(path))),
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Blanks and the like stand there as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                plain.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

/// Unmounts everything at and below `directory`, the last first.
pub(super) fn remove_below(directory: &Path) -> Result<(), LabError> {
    let mounts = all()?;
    for mount in mounts.iter().rev().filter(|mount| mount.path.starts_with(directory)) {
        // Lazily: what still looks at it keeps it alive a moment longer, and nobody finds it any more.
        unmount(&mount.path, UnmountFlags::DETACH)
            .map_err(|error| LabError::io("unmount", &mount.path)(error.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let line = br"36 35 98:0 /mnt1 /a\040b\134 rw,noatime master:1 shared:2 - ext3 /dev/root rw";
        assert_eq!(parse(line), Some(Mount { path: PathBuf::from(r"/a b\"), kind: "ext3".to_owned() }));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"36 35 98:0 /mnt1 /mnt2 rw"), None);
    }

    #[test]
    fn a_lone_backslash_stays() {
        assert_eq!(unescape(br"\9\0"), br"\9\0");
    }
}
