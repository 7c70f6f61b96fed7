//! khimg's own program, which goes into every bundle and must run on nodes with any C library or none.

use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::PackError;
use crate::arch::Arch;
use crate::digest::Digest;
use crate::store::{Stamp, Store};

/// Size of an ELF-64 file header (gABI, "ELF header").
const HEADER: usize = 64;

/// The program header that names a dynamic loader (gABI, "Program header": `PT_INTERP`).
const INTERPRETER: u32 = 3;

/// More of a program than this is not looked at: linkers put the program headers right behind the file header.
const LOOKED_AT: u64 = 64 << 10;

/// Kind of the store's memo: path → [`Record`].
const MEMO: &str = "program-v1";

/// A program's file, and what was read of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    stamp: Stamp,
    sha256: Digest,
    size: u64,
}

/// A khimg program that was read once, so that its digest is known.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
}

impl Program {
    /// Reads the program at `path`, which is to run on nodes of this architecture; its digest only where `store` does not remember
    /// that of the very same file. Whoever packs it proves it once more.
    pub(crate) fn read(path: &Path, arch: Arch, store: Option<&Store>) -> Result<Self, PackError> {
        let failed = |source| PackError::Program { path: path.to_owned(), source };
        let mut begin = Vec::new();
        let mut file = crate::input::open(path).map_err(failed)?;
        let stamp = Stamp::of(&file.metadata().map_err(failed)?);
        (&file).take(LOOKED_AT).read_to_end(&mut begin).map_err(failed)?;
        match judge(&begin, arch) {
            Linkage::Static => {}
            Linkage::Dynamic => return Err(PackError::Dynamic { path: path.to_owned(), arch }),
            Linkage::Foreign => return Err(PackError::Foreign { path: path.to_owned(), arch }),
        }
        let memory = |source| PackError::Store { layer: "khimg".to_owned(), source };
        let key = Digest::of(path.as_os_str().as_bytes());
        if let Some(store) = store
            && let Some(Record { sha256, size, .. }) =
                store.record(MEMO, &key).map_err(memory)?.filter(|known: &Record| known.stamp == stamp)
        {
            return Ok(Self { path: path.to_owned(), sha256, size });
        }
        let (sha256, size) = file.rewind().and_then(|()| Digest::of_reader(file)).map_err(failed)?;
        if let Some(store) = store {
            store.keep_record(MEMO, &key, &Record { stamp, sha256, size }).map_err(memory)?;
        }
        Ok(Self { path: path.to_owned(), sha256, size })
    }

    /// That what was just copied is no longer what was read.
    pub(crate) fn changed() -> io::Error {
        io::Error::other("it changed while it was packed")
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Linkage {
    Static,
    /// Needs a loader and libraries that a node may not have.
    Dynamic,
    /// No program for nodes of this kind.
    Foreign,
}

/// Judges a program by its headers.
fn judge(begin: &[u8], arch: Arch) -> Linkage {
    // gABI: magic, 64 bits, little-endian; then `e_machine`, EM_X86_64 or EM_AARCH64.
    let machine = match arch {
        Arch::Amd64 => 62,
        Arch::Arm64 => 183,
    };
    if begin.len() < HEADER || !begin.starts_with(b"\x7fELF\x02\x01") || short(begin, 18) != Some(machine) {
        return Linkage::Foreign;
    }
    let (Some(table), Some(size), Some(count)) = (long(begin, 32), short(begin, 54), short(begin, 56)) else {
        return Linkage::Foreign;
    };
    for number in 0..u64::from(count) {
        let at = table.checked_add(number * u64::from(size)).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| word(begin, at)) {
            Some(INTERPRETER) => return Linkage::Dynamic,
            Some(_) => {}
            None => return Linkage::Foreign,
        }
    }
    Linkage::Static
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

fn short(from: &[u8], at: usize) -> Option<u16> {
    bytes(from, at).map(u16::from_le_bytes)
}

fn word(from: &[u8], at: usize) -> Option<u32> {
    bytes(from, at).map(u32::from_le_bytes)
}

fn long(from: &[u8], at: usize) -> Option<u64> {
    bytes(from, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with these program headers.
    fn program(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(HEADER, 0);
        program[18..20].copy_from_slice(&machine.to_le_bytes());
        program[32..40].copy_from_slice(&64_u64.to_le_bytes());
        program[54..56].copy_from_slice(&56_u16.to_le_bytes());
        program[56..58].copy_from_slice(&(kinds.len() as u16).to_le_bytes());
        for kind in kinds {
            program.extend(kind.to_le_bytes());
            program.resize(program.len() + 52, 0);
        }
        program
    }

    #[test]
    fn tells_what_runs_on_a_node() {
        // PT_PHDR, PT_LOAD, PT_DYNAMIC: a static program that can be loaded anywhere has the last one too.
        assert_eq!(judge(&program(62, &[6, 1, 2]), Arch::Amd64), Linkage::Static);
        assert_eq!(judge(&program(183, &[1]), Arch::Arm64), Linkage::Static);
        assert_eq!(judge(&program(62, &[6, 1, INTERPRETER]), Arch::Amd64), Linkage::Dynamic);
        assert_eq!(judge(&program(183, &[1]), Arch::Amd64), Linkage::Foreign);
    }

    #[test]
    fn damaged_headers_are_no_program() {
        let whole = program(62, &[6, 1, INTERPRETER]);
        for end in 0..whole.len() - 52 {
            assert_eq!(judge(&whole[..end], Arch::Amd64), Linkage::Foreign, "{end}");
        }
        let mut astray = whole;
        astray[32..40].fill(0xff);
        assert_eq!(judge(&astray, Arch::Amd64), Linkage::Foreign);
        assert_eq!(judge(b"#!/bin/sh\n", Arch::Amd64), Linkage::Foreign);
    }
}
