//! Fields that both trees are made of.

/// 2000-01-01 00:00:00 UTC in a directory record (ECMA-119 §9.1.5): years since 1900, month, day, hour, minute, second, zone.
pub(super) const DATE: [u8; 7] = [100, 1, 1, 0, 0, 0, 0];

/// The same in a descriptor (§8.4.26.1): 16 digits and the zone.
pub(super) const LONG_DATE: &[u8; 17] = b"2000010100000000\0";

/// No date (§8.4.26.1).
pub(super) const NO_DATE: &[u8; 17] = b"0000000000000000\0";

/// A 16-bit number in both byte orders (§7.2.3).
pub(super) fn both16(value: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d]
}

/// A 32-bit number in both byte orders (§7.3.3).
pub(super) fn both32(value: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d, e, f, g, h]
}

/// `text` as UCS-2, the higher byte first (Joliet). For what [`name`](super::name) and the label let through: ASCII.
pub(super) fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ARCHIVE_EPOCH;

    #[test]
    fn the_date_is_that_of_all_archives() {
        let date = jiff::Timestamp::from_second(ARCHIVE_EPOCH as i64).expect("in range");
        assert_eq!(date.strftime("%Y%m%d%H%M%S00").to_string().as_bytes(), &LONG_DATE[..16]);
        assert_eq!(date.strftime("%Y").to_string(), (1900 + u32::from(DATE[0])).to_string());
    }

    #[test]
    fn numbers_in_both_orders() {
        assert_eq!(both16(0x0102), [2, 1, 1, 2]);
        assert_eq!(both32(0x0102_0304), [4, 3, 2, 1, 1, 2, 3, 4]);
    }
}
