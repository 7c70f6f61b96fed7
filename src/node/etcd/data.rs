//! etcd's data on this disk: another one in its place, at one stroke, and the former one kept.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::node::durable;
use crate::node::error::NodeError;

/// What an etcd has in its data directory.
const MEMBER: &str = "member";

/// Where the next one is prepared, in the data directory `data` itself: on the same file system.
pub(in crate::node) fn scratch(data: &Path) -> PathBuf {
    data.join("khimg-restore")
}

/// Puts the data that was prepared in the place of what is in `data`. Gives where the former is now, if there was any. At
/// every moment there is one of the two, whole: an empty disk means something else to this node. And whenever it is cut off,
/// the former is still somewhere.
pub(in crate::node) fn exchange(data: &Path) -> Result<Option<PathBuf>, NodeError> {
    let (prepared, own) = (scratch(data).join(MEMBER), data.join(MEMBER));
    if !own.exists() {
        durable::rename(&prepared, &own)?;
        durable::remove(&scratch(data))?;
        return Ok(None);
    }
    // Out of the scratch directory first: whoever begins again empties that, and it must never hold the former.
    let kept = free(data);
    durable::rename(&prepared, &kept)?;
    let failed = NodeError::io("put in place", &own);
    renameat_with(CWD, &kept, CWD, &own, RenameFlags::EXCHANGE).map_err(|error| failed(error.into()))?;
    durable::flush_parent(&own).map_err(NodeError::io("flush", &own))?;
    durable::remove(&scratch(data))?;
    Ok(Some(kept))
}

/// Takes the data away, and gives where it is now; nothing where there is none.
pub(in crate::node) fn set_aside(data: &Path) -> Result<Option<PathBuf>, NodeError> {
    let own = data.join(MEMBER);
    if !own.exists() {
        return Ok(None);
    }
    let kept = free(data);
    durable::rename(&own, &kept)?;
    Ok(Some(kept))
}

/// The first free place for data that is not used any more.
fn free(data: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let path = data.join(format!("{MEMBER}.{number}"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path).expect("a directory");
        fs::write(path.join("wal"), text).expect("written");
    }

    #[test]
    fn the_former_data_stays() {
        let folder = tempfile::tempdir().expect("a directory");
        let data = folder.path();
        let read = |name: &str| fs::read_to_string(data.join(name).join("wal")).expect("there");
        for (round, former) in [None, Some("member.1"), Some("member.2")].into_iter().enumerate() {
            put(&scratch(data).join(MEMBER), &round.to_string());
            assert_eq!(exchange(data).expect("exchanged"), former.map(|name| data.join(name)));
            assert_eq!(read("member"), round.to_string());
            assert!(!scratch(data).exists());
        }
        assert_eq!((read("member.1"), read("member.2")), ("0".to_owned(), "1".to_owned()));
        assert_eq!(set_aside(data).expect("set aside"), Some(data.join("member.3")));
        assert_eq!((set_aside(data).expect("nothing"), read("member.3")), (None, "2".to_owned()));
    }
}
