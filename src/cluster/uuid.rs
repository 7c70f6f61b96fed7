//! The UUID of a machine, as SMBIOS has it (DMTF DSP0134, "System — UUID").

use std::fmt;
use std::str::FromStr;

/// A machine's UUID, printed in lower case with hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a UUID such as \"4c4c4544-0042-3510-8051-b4c04f4a4e31\"")]
pub struct ParseUuidError(String);

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseUuidError(text.to_owned());
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
            return Err(bad());
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(groups.concat(), &mut bytes).map_err(|_| bad())?;
        Ok(Self(bytes))
    }
}

impl From<[u8; 16]> for Uuid {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl Uuid {
    /// Whether it says "none" or "not set": all zeros or all ones (DSP0134).
    pub fn is_blank(self) -> bool {
        self.0 == [0; 16] || self.0 == [0xff; 16]
    }

    /// The same with the first three groups' bytes reversed: since SMBIOS 2.6 those are little-endian, and not all firmware and
    /// not all readers agree.
    pub fn swapped(self) -> Self {
        let mut bytes = self.0;
        bytes[0..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        Self(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let text = "4c4c4544-0042-3510-8051-b4c04f4a4e31";
        let uuid: Uuid = text.to_uppercase().parse().expect("a UUID");
        assert_eq!((uuid.to_string().as_str(), uuid.swapped().swapped()), (text, uuid));
        assert_eq!(uuid.swapped().to_string(), "44454c4c-4200-1035-8051-b4c04f4a4e31");
        for bad in
            ["", "4c4c4544", "4c4c45440042351080-51b4c04f4a4e31----", "4c4c4544-0042-3510-8051-b4c04f4a4e3g", "é"]
        {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
        assert!(Uuid([0; 16]).is_blank() && Uuid([0xff; 16]).is_blank() && !uuid.is_blank());
    }
}
