//! `khimg verify`.

use std::path::PathBuf;

use clap::Args;
use khimg::bill::{self, Bill, BillError};
use khimg::digest::Digest;
use serde_json::json;

use super::{Failure, Global, Output};

/// Prove that a bundle or a depot is whole, and made of what a lock names
///
/// Every byte is read. The exit code is 6 where something is not as it must be.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A bundle file or a delivered directory
    #[arg(default_value = "dist")]
    path: PathBuf,

    /// Every package, file and image must be in this lock, by its digest
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,

    /// The bundle must be this one
    #[arg(long, value_name = "DIGEST")]
    sha256: Option<Digest>,
}

pub fn run(args: &VerifyArgs, _: &Global, output: &Output) -> Result<(), Failure> {
    let bills = bill::read(&args.path)?;
    for found in &bills {
        if let Some(expected) = args.sha256.filter(|expected| *expected != found.sha256) {
            let subject = found.subject.clone();
            return Err(BillError::Another { subject, expected, actual: found.sha256 }.into());
        }
    }
    if let Some(path) = &args.lock {
        let lock = Bill::of_lock(&khimg::lock::read(path)?)?;
        for found in &bills {
            let beyond = found.beyond(&lock);
            if !beyond.is_empty() {
                let parts = beyond.iter().map(|key| format!("{} {}", key.kind.name(), key.name)).collect();
                return Err(BillError::NotLocked { subject: found.subject.clone(), parts }.into());
            }
        }
    }
    if output.json() {
        let told: Vec<_> = bills.iter().map(|bill| json!({"subject": bill.subject, "sha256": bill.sha256})).collect();
        output.data(&told);
        return Ok(());
    }
    for bill in &bills {
        output.text(&format!("{} {}", bill.subject, bill.sha256));
    }
    output.note(if args.lock.is_some() {
        "every digest holds, and the lock names every part"
    } else {
        "every digest holds"
    });
    Ok(())
}
