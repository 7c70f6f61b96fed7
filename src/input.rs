//! Files that the user's words or files name. They are read only if they are plain files, and never beyond a limit: a pipe
//! would make khimg wait for its other end, and a device need not have an end.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a plain file, or what a link to one leads to.
///
/// # Errors
/// Those of the file system; anything but a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Without waiting for a pipe's writer; for a plain file it means nothing. Judged after opening, so that nobody can put
    // something else there in between.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// All bytes of a plain file of at most `limit` bytes.
///
/// # Errors
/// Those of [`open`] and of reading; a larger file ([`ErrorKind::FileTooLarge`]).
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_files_within_the_limit_only() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (plain, link, pipe) = (folder.path().join("plain"), folder.path().join("link"), folder.path().join("pipe"));
        std::fs::write(&plain, "four").expect("written");
        std::os::unix::fs::symlink(&plain, &link).expect("linked");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        assert_eq!((read(&plain, 4).ok(), read(&link, 9).ok()), (Some(b"four".to_vec()), Some(b"four".to_vec())));
        assert_eq!(read(&plain, 3).expect_err("too large").kind(), ErrorKind::FileTooLarge);
        for other in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert_eq!(
                read(other, 9).expect_err("no plain file").kind(),
                ErrorKind::InvalidInput,
                "{}",
                other.display()
            );
        }
        assert_eq!(read(&folder.path().join("none"), 9).expect_err("nothing there").kind(), ErrorKind::NotFound);
    }
}
