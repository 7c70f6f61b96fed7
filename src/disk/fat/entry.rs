//! Entries of directories (§6, §7): a short name for everything, before it a long one in pieces where the short one is not the name.

/// Bytes of an entry.
pub(super) const ENTRY: usize = 32;

/// UTF-16 units in one piece of a long name.
const PIECE: usize = 13;

const DIRECTORY: u8 = 0x10;
const FILE: u8 = 0x20;
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;

/// The first of January 1980: year 0, month 1, day 1.
const DATE: u16 = 1 << 5 | 1;

/// A file or directory of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// A file's size in bytes; none for a directory.
    pub(super) size: Option<u32>,
    /// Its place in the directory, from 1 on, which makes its short name its own.
    pub(super) number: u32,
}

impl Entry<'_> {
    /// The volume's name, as the root directory has it.
    pub(super) fn label(label: [u8; 11]) -> [u8; ENTRY] {
        short(label, LABEL, 0, 0)
    }

    /// `.` or `..`.
    pub(super) fn dot(dots: usize, cluster: u32) -> [u8; ENTRY] {
        let mut name = [b' '; 11];
        name.iter_mut().take(dots).for_each(|byte| *byte = b'.');
        short(name, DIRECTORY, cluster, 0)
    }

    /// How many entries it takes.
    pub(super) fn slots(&self) -> usize {
        match self.plain() {
            Some(_) => 1,
            None => self.name.encode_utf16().count().div_ceil(PIECE) + 1,
        }
    }

    /// Its entries, where its content begins at `cluster`.
    pub(super) fn bytes(&self, cluster: u32) -> Vec<u8> {
        let attribute = if self.size.is_some() { FILE } else { DIRECTORY };
        let plain = self.plain();
        let name = plain.unwrap_or_else(|| self.alias());
        let mut bytes = if plain.is_some() { Vec::new() } else { self.long(checksum(&name)) };
        bytes.extend(short(name, attribute, cluster, self.size.unwrap_or(0)));
        bytes
    }

    /// The name as a short one, if it is one.
    fn plain(&self) -> Option<[u8; 11]> {
        plain(self.name)
    }

    /// A short name that no other entry of the directory has: its own in capitals, where that is one.
    fn alias(&self) -> [u8; 11] {
        plain(&self.name.to_ascii_uppercase()).unwrap_or_else(|| padded(&format!("KHIMG~{:02}", self.number % 100), ""))
    }

    /// The name in pieces, the last one first.
    fn long(&self, checksum: u8) -> Vec<u8> {
        let mut units: Vec<u16> = self.name.encode_utf16().collect();
        if !units.len().is_multiple_of(PIECE) {
            units.push(0);
        }
        units.resize(units.len().next_multiple_of(PIECE), 0xffff);
        let last = units.len() / PIECE;
        let mut bytes = Vec::new();
        for (number, piece) in units.chunks(PIECE).enumerate().map(|(at, piece)| (at + 1, piece)).rev() {
            let mut units = piece.iter().flat_map(|unit| unit.to_le_bytes());
            let order = number as u8 | if number == last { 0x40 } else { 0 };
            bytes.push(order);
            bytes.extend(units.by_ref().take(10));
            bytes.extend([LONG_NAME, 0, checksum]);
            bytes.extend(units.by_ref().take(12));
            bytes.extend([0, 0]);
            bytes.extend(units);
        }
        bytes
    }
}

/// A short name: eight and three capitals or digits.
fn plain(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = |text: &str, most: usize| {
        text.len() <= most && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let sound = !base.is_empty() && fits(base, 8) && fits(extension, 3) && !name.ends_with('.');
    sound.then(|| padded(base, extension))
}

fn padded(base: &str, extension: &str) -> [u8; 11] {
    let mut name = [b' '; 11];
    let (first, second) = name.split_at_mut(8);
    first.iter_mut().zip(base.bytes()).for_each(|(byte, from)| *byte = from);
    second.iter_mut().zip(extension.bytes()).for_each(|(byte, from)| *byte = from);
    name
}

/// Of a short name, by which its long one is known to belong to it.
fn checksum(name: &[u8; 11]) -> u8 {
    name.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

fn short(name: [u8; 11], attribute: u8, cluster: u32, size: u32) -> [u8; ENTRY] {
    let [low, high] = [cluster as u16, (cluster >> 16) as u16];
    let mut bytes = Vec::with_capacity(ENTRY);
    bytes.extend(name);
    bytes.extend([attribute, 0, 0, 0, 0]);
    for field in [DATE, DATE, high, 0, DATE, low] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(size.to_le_bytes());
    let mut entry = [0; ENTRY];
    entry.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = from);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry<'_> {
        Entry { name, size: Some(7), number: 3 }
    }

    #[test]
    fn capitals_need_no_long_name() {
        assert_eq!((entry("BOOTX64.EFI").slots(), entry("BOOT").slots()), (1, 1));
        let bytes = entry("BOOTX64.EFI").bytes(0x0001_0203);
        assert_eq!(
            (&bytes[..11], &bytes[20..22], &bytes[26..32]),
            (&b"BOOTX64 EFI"[..], &[1, 0][..], &[3, 2, 7, 0, 0, 0][..])
        );
    }

    #[test]
    fn other_names_come_in_pieces() {
        let long = entry("a name of 25 characters..");
        assert_eq!((long.slots(), entry("grubx64.efi").slots(), entry("thirteen.char").slots()), (3, 2, 2));
        assert_eq!(&entry("grubx64.efi").bytes(2)[32..43], b"GRUBX64 EFI");
        let bytes = long.bytes(2);
        assert_eq!((bytes.len(), bytes[0], bytes[32], &bytes[64..75]), (96, 0x42, 1, &b"KHIMG~03   "[..]));
        assert_eq!((bytes[13], bytes[45]), (checksum(b"KHIMG~03   "), checksum(b"KHIMG~03   ")));
    }
}
