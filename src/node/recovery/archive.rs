//! A snapshot file, looked at before anything is done with it.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::RecoveryError;
use crate::digest::Digest;
use crate::input;
use crate::node::error::NodeError;

/// etcd's own SHA-256 behind the database.
const TRAILER: u64 = 32;

/// Sizes of databases are multiples of this (etcd `etcdutl/snapshot`).
const PAGE: u64 = 512;

/// Proves that `path` is a whole snapshot, by the digest that etcd put at its end.
pub(super) fn verify(path: &Path) -> Result<Digest, NodeError> {
    let io = NodeError::io("read", path);
    let mut file = input::open(path).map_err(&io)?;
    let size = file.metadata().map_err(&io)?.len();
    let wrong = |reason: String| NodeError::from(RecoveryError::Snapshot { path: path.to_owned(), reason });
    if size <= TRAILER || size % PAGE != TRAILER {
        return Err(wrong(format!("{size} bytes are not a database with its digest")));
    }
    let (actual, _) = Digest::of_reader((&mut file).take(size - TRAILER)).map_err(&io)?;
    let mut trailer = Vec::new();
    file.seek(SeekFrom::Start(size - TRAILER)).map_err(&io)?;
    file.take(TRAILER).read_to_end(&mut trailer).map_err(&io)?;
    let expected = hex::encode(trailer);
    if actual.hex() != expected {
        return Err(wrong(format!("it has {actual}, and its end says sha256:{expected}")));
    }
    Ok(actual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_snapshots_pass() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("snapshot.db");
        let database = [3_u8; 2048];
        let good = [database.as_slice(), &hex::decode(Digest::of(&database).hex()).expect("hex")].concat();
        std::fs::write(&path, &good).expect("written");
        assert_eq!(verify(&path).expect("whole"), Digest::of(&database));
        for (bytes, why) in [
            (good[..good.len() - 1].to_vec(), "2079 bytes"),
            (good[512..].to_vec(), "its end says"),
            (database.to_vec(), "2048 bytes"),
            ([&good[..9], &[4], &good[10..]].concat(), "its end says"),
            (good[2048..].to_vec(), "32 bytes"),
            (vec![], "0 bytes"),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let error = std::error::Error::source(&verify(&path).expect_err(why)).map(ToString::to_string);
            let shown = error.unwrap_or_else(|| verify(&path).expect_err(why).to_string());
            assert!(shown.contains(why), "{shown}");
        }
    }
}
