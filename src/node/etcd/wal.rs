//! Whose data a directory of etcd's holds, read without etcd: each file of its write-ahead log begins with a checksum and the
//! identity of the member that wrote it (etcd `server/wal`, `Create` and `cut`).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::MemberId;

/// How much of a file its first records can take.
const HEAD: u64 = 4 << 10;

/// A record that holds the identity (etcd `server/wal`, `MetadataType`).
const METADATA: u64 = 1;

/// The member that data belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::node) struct Owner {
    /// The member.
    pub(in crate::node) member: MemberId,
    /// Its cluster's own number.
    pub(in crate::node) cluster: u64,
}

/// The owner of the data below `directory`; `None` where there is no log that names one.
///
/// # Errors
/// The log cannot be read.
pub(in crate::node) fn owner(directory: &Path) -> io::Result<Option<Owner>> {
    let mut newest = None;
    for entry in fs::read_dir(directory.join("member/wal"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "wal") {
            newest = newest.max(Some(path));
        }
    }
    let Some(path) = newest else { return Ok(None) };
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(owner_in(&head))
}

/// Records follow each other, each behind its length in eight bytes, of which the highest tells the padding.
fn owner_in(mut head: &[u8]) -> Option<Owner> {
    loop {
        let length = u64::from_le_bytes(head.get(..8)?.try_into().ok()?);
        let padding = if length >> 63 == 1 { length >> 56 & 7 } else { 0 };
        let length = length & !(0xff << 56);
        let end = usize::try_from(length.checked_add(8)?).ok()?;
        let record = Message::read(head.get(8..end)?)?;
        if record.number(1) == Some(METADATA) {
            let identity = Message::read(record.bytes(3)?)?;
            return Some(Owner { member: MemberId(identity.number(1)?), cluster: identity.number(2)? });
        }
        head = head.get(end + usize::try_from(padding).ok()?..)?;
    }
}

/// The fields of a message of protocol buffers, as far as they occur here.
struct Message<'a>(Vec<(u64, Field<'a>)>);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    fn read(mut rest: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            let field = match key & 7 {
                0 => Field::Number(varint(&mut rest)?),
                2 => {
                    let length = usize::try_from(varint(&mut rest)?).ok()?;
                    let (bytes, after) = rest.split_at_checked(length)?;
                    rest = after;
                    Field::Bytes(bytes)
                }
                _ => return None,
            };
            fields.push((key >> 3, field));
        }
        Some(Self(fields))
    }

    fn number(&self, wanted: u64) -> Option<u64> {
        self.0.iter().find_map(|(key, field)| match field {
            Field::Number(number) if *key == wanted => Some(*number),
            _ => None,
        })
    }

    fn bytes(&self, wanted: u64) -> Option<&'a [u8]> {
        self.0.iter().find_map(|(key, field)| match field {
            Field::Bytes(bytes) if *key == wanted => Some(*bytes),
            _ => None,
        })
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first bytes of a log as etcd 3.4.23 wrote it: a checksum of nothing, the identity, a first entry.
    const HEAD: [u8; 64] = [
        0x04, 0, 0, 0, 0, 0, 0, 0x84, 0x08, 0x04, 0x10, 0, 0, 0, 0, 0, 0x1d, 0, 0, 0, 0, 0, 0, 0x83, 0x08, 0x01, 0x10,
        0x8d, 0x9c, 0xf9, 0x16, 0x1a, 0x14, 0x08, 0xc0, 0xc0, 0xca, 0xaf, 0xc1, 0xba, 0x96, 0x89, 0x2e, 0x10, 0x87,
        0xd5, 0xed, 0xba, 0x8f, 0xd5, 0x9d, 0xc1, 0x04, 0, 0, 0, 0x0e, 0, 0, 0, 0, 0, 0, 0x82,
    ];

    #[test]
    fn an_owner_is_read() {
        let owner = Owner { member: MemberId(0x2e12_59d4_15f2_a040), cluster: 0x0482_76a8_f75b_6a87 };
        assert_eq!(owner_in(&HEAD), Some(owner));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..64, at in 0_usize..64) {
            let _ = owner_in(&bytes);
            let mut head = HEAD;
            let _ = owner_in(&head[..cut]);
            if let (Some(byte), Some(other)) = (head.get_mut(at), bytes.first()) {
                *byte = *other;
            }
            let _ = owner_in(&head);
        }
    }
}
