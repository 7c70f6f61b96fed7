//! `khimg store`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Subcommand;
use indicatif::HumanBytes;
use khimg::store::Store;
use serde_json::json;

use super::project::store_directory;
use super::{Failure, Global, Output};

/// Look after the content-addressed store
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read every blob again and remove those whose bytes have changed
    Verify,
    /// Remove everything that no given lock names
    Gc {
        /// A lock whose artifacts stay (may be repeated)
        #[arg(long = "lock", value_name = "FILE", default_value = "khimg.lock")]
        locks: Vec<PathBuf>,
    },
}

pub fn run(command: &StoreCommand, global: &Global, output: &Output) -> Result<(), Failure> {
    let store = Store::open(&store_directory(global)?)?;
    match command {
        StoreCommand::Verify => {
            let verified = store.verify(&*output.reporter())?;
            if output.json() {
                output.data(&json!({"blobs": verified.blobs, "bytes": verified.bytes, "removed": verified.removed}));
            } else {
                output.text(&format!(
                    "{} blobs, {}, {} removed",
                    verified.blobs,
                    HumanBytes(verified.bytes),
                    verified.removed.len()
                ));
            }
        }
        StoreCommand::Gc { locks } => {
            let mut keep = BTreeSet::new();
            for path in locks {
                keep.extend(khimg::lock::read(path)?.digests());
            }
            let freed = store.gc(&keep)?;
            if output.json() {
                output.data(&json!({"removed": freed.blobs, "bytes": freed.bytes}));
            } else {
                output.text(&format!("{} blobs removed, {} freed", freed.blobs, HumanBytes(freed.bytes)));
            }
        }
    }
    Ok(())
}
