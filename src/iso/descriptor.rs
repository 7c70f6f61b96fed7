//! Volume descriptors: one sector each (ECMA-119 §8).

use super::SECTOR;
use super::directory::{self, Extent, PATH_TABLE};
use super::field::{LONG_DATE, NO_DATE, both16, both32, ucs2};

/// The escape sequence of Joliet level 3, the whole of UCS-2.
const LEVEL_3: &[u8] = b"%/E";

/// A descriptor that is filled from front to back.
struct Sheet(Vec<u8>);

impl Sheet {
    fn new(kind: u8) -> Self {
        let mut sheet = Self(Vec::with_capacity(SECTOR as usize));
        sheet.put(&[kind]).put(b"CD001").put(&[1, 0]);
        sheet
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text of `width` bytes, filled up with blanks.
    fn text(&mut self, text: &str, width: usize, letters: Letters) -> &mut Self {
        let end = self.0.len() + width;
        let blank: &[u8] = match letters {
            Letters::Ascii => {
                self.put(text.as_bytes());
                b" "
            }
            Letters::Ucs2 => {
                self.put(&ucs2(text));
                &[0, b' ']
            }
        };
        while self.0.len() + blank.len() <= end {
            self.put(blank);
        }
        self.0.resize(end, 0);
        self
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.resize(SECTOR as usize, 0);
        self.0
    }
}

#[derive(Clone, Copy)]
enum Letters {
    Ascii,
    Ucs2,
}

/// The primary descriptor (§8.4).
pub(super) fn primary(label: &str, sectors: u32, path_tables: u32, root: Extent) -> Vec<u8> {
    volume(1, Letters::Ascii, &[], label, sectors, path_tables, root)
}

/// The Joliet descriptor: a supplementary one (§8.5) whose texts are UCS-2.
pub(super) fn joliet(label: &str, sectors: u32, path_tables: u32, root: Extent) -> Vec<u8> {
    volume(2, Letters::Ucs2, LEVEL_3, label, sectors, path_tables, root)
}

/// The end of the descriptors (§8.3).
pub(super) fn terminator() -> Vec<u8> {
    Sheet::new(255).finish()
}

fn volume(
    kind: u8,
    letters: Letters,
    escapes: &[u8],
    label: &str,
    sectors: u32,
    path_tables: u32,
    root: Extent,
) -> Vec<u8> {
    let mut sheet = Sheet::new(kind);
    sheet.text("LINUX", 32, letters).text(label, 32, letters);
    sheet.zeros(8).put(&both32(sectors));
    sheet.put(escapes).zeros(32 - escapes.len());
    // One volume of one, logical blocks as large as sectors.
    sheet.put(&both16(1)).put(&both16(1)).put(&both16(SECTOR as u16));
    sheet.put(&both32(PATH_TABLE));
    sheet.put(&path_tables.to_le_bytes()).zeros(4);
    sheet.put(&(path_tables + 1).to_be_bytes()).zeros(4);
    sheet.put(&directory::root(root));
    // Volume set, publisher, preparer, application; then three file names.
    sheet.text("", 128, letters).text("", 128, letters).text("", 128, letters).text("KHIMG", 128, letters);
    sheet.text("", 37, letters).text("", 37, letters).text("", 37, letters);
    // Made, changed, expires, effective.
    sheet.put(LONG_DATE).put(LONG_DATE).put(NO_DATE).put(NO_DATE);
    sheet.put(&[1]);
    sheet.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_the_standard_says() {
        let sheet = primary("cidata", 0x0102, 19, Extent { sector: 23, size: 2048 });
        assert_eq!(sheet.len(), 2048);
        assert_eq!(&sheet[..7], b"\x01CD001\x01");
        assert_eq!(&sheet[40..72], b"cidata                          ");
        assert_eq!(&sheet[80..88], &both32(0x0102));
        assert_eq!(&sheet[128..132], &both16(2048));
        assert_eq!(&sheet[140..144], &19u32.to_le_bytes());
        assert_eq!(&sheet[148..152], &20u32.to_be_bytes());
        assert_eq!(sheet[156], 34);
        assert_eq!(&sheet[574..579], b"KHIMG");
        assert_eq!(&sheet[813..829], b"2000010100000000");
        assert_eq!(sheet[881], 1);
        let second = joliet("cidata", 0x0102, 21, Extent { sector: 24, size: 2048 });
        assert_eq!(&second[40..44], b"\0c\0i");
        assert_eq!(&second[88..91], LEVEL_3);
        assert_eq!(&second[813..829], b"2000010100000000");
        assert_eq!(&terminator()[..8], b"\xffCD001\x01\0");
    }
}
