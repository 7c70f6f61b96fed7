//! Where the table of contents lies in a bundle: the last bytes of the file, which decompress to nothing.
//!
//! ```text
//! tar.zst   a skippable frame (RFC 8878 §3.1.2)                  tag, offset, size
//! tar.gz    a member without content, in its extra field (RFC 1952 §2.3.1.1)     "
//! ```

use super::compress::Format;

/// Says that what follows is a locator, and of which kind.
const TAG: [u8; 8] = *b"khimgtoc";

/// Tag, offset and size.
const PAYLOAD: usize = 24;

/// Magic number of the skippable frame, any of sixteen, and the payload's size, both little-endian.
const ZST_HEAD: [u8; 8] = [0x5f, 0x2a, 0x4d, 0x18, PAYLOAD as u8, 0, 0, 0];

/// A member's header with an extra field and no time, from an unknown system; the field's size; a subfield's two letters and size.
const GZ_HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, PAYLOAD as u8 + 4, 0, b'k', b'h', PAYLOAD as u8, 0];

/// A deflate block without content, and the check sum and size of nothing.
const GZ_TAIL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A stretch of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Locator {
    /// Where it begins, in bytes from the beginning of the file.
    pub(crate) offset: u64,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl Locator {
    /// The most bytes that [`Locator::to_bytes`] gives.
    pub(crate) const MOST: usize = GZ_HEAD.len() + PAYLOAD + GZ_TAIL.len();

    /// The last bytes of a bundle.
    pub(crate) fn to_bytes(self, format: Format) -> Vec<u8> {
        let payload = [TAG, self.offset.to_le_bytes(), self.size.to_le_bytes()].concat();
        match format {
            Format::TarZst => [&ZST_HEAD[..], &payload].concat(),
            Format::TarGz => [&GZ_HEAD[..], &payload, &GZ_TAIL].concat(),
        }
    }

    /// Reads the last bytes of a bundle of this format; `None` where they are nothing that [`Locator::to_bytes`] gives.
    pub(crate) fn of_end(end: &[u8], format: Format) -> Option<Self> {
        let behind = match format {
            Format::TarZst => 0,
            Format::TarGz => GZ_TAIL.len(),
        };
        let (front, _) = end.split_at_checked(end.len().checked_sub(behind)?)?;
        let (front, size) = front.split_last_chunk()?;
        let (_, offset) = front.split_last_chunk()?;
        let locator = Self { offset: u64::from_le_bytes(*offset), size: u64::from_le_bytes(*size) };
        end.ends_with(&locator.to_bytes(format)).then_some(locator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let locator = Locator { offset: 123_456_789_012, size: 4711 };
        for format in Format::ALL {
            let bytes = locator.to_bytes(format);
            assert!(bytes.len() <= Locator::MOST);
            assert_eq!(Locator::of_end(&[b"before", &bytes[..]].concat(), format), Some(locator));
            for end in 0..bytes.len() {
                assert_eq!(Locator::of_end(&bytes[..end], format), None, "{format} {end}");
            }
            let payload = bytes.len() - if format == Format::TarGz { 26 } else { 16 };
            for place in (0..payload).chain(payload + 16..bytes.len()) {
                let mut broken = bytes.clone();
                broken[place] ^= 1;
                assert_eq!(Locator::of_end(&broken, format), None, "{format} {place}");
            }
        }
    }

    #[test]
    fn is_nothing_to_other_readers() {
        for format in Format::ALL {
            let bytes = Locator { offset: 1, size: 2 }.to_bytes(format);
            let mut decoded = Vec::new();
            let mut decoder = crate::pack::decode(&bytes[..], format).expect("a decoder");
            std::io::Read::read_to_end(&mut decoder, &mut decoded).expect("sound");
            assert!(decoded.is_empty(), "{format}");
        }
    }
}
