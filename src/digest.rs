//! SHA-256 digests: the only identity that an artifact has in khimg.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sha256 digest (64 hex digits, with or without \"sha256:\")")]
pub struct ParseDigestError(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of everything that `reader` yields, and how many bytes that was.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(reader: impl Read) -> io::Result<(Self, u64)> {
        // In pieces that a processor's own cache holds.
        let mut hashing = BufReader::with_capacity(256 << 10, HashingReader::new(reader));
        let size = io::copy(&mut hashing, &mut io::sink())?;
        Ok((hashing.into_inner().finish(), size))
    }

    /// The 64 hex digits without the algorithm's name.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hex digits, for names that people read; never for identity.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseDigestError(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(sha256:)?[0-9a-fA-F]{64}$",
            "description": "SHA-256 digest: 64 hex digits, with or without \"sha256:\" in front.",
        })
    }
}

/// A digest in the making that can be looked at without ending it.
#[derive(Clone, Default)]
pub struct Hasher {
    state: Sha256,
    count: u64,
}

impl Hasher {
    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.count += bytes.len() as u64;
    }

    /// How many bytes were taken in so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of all bytes so far.
    pub fn digest(&self) -> Digest {
        Digest(self.state.clone().finalize().into())
    }

    /// All that later bytes need of the bytes so far, to go on with [`Hasher::resume`]. It says as much of them as their digest
    /// does, and up to 63 of the last ones as they are.
    pub fn pause(&self) -> String {
        hex::encode(self.state.serialize())
    }

    /// Goes on behind the bytes that [`Hasher::pause`] was told of; `None` for a text that it does not write.
    pub fn resume(paused: &str) -> Option<Self> {
        let mut bytes = SerializedState::<Sha256>::default();
        hex::decode_to_slice(paused, &mut bytes).ok()?;
        // The words of the state, the number of whole blocks, the number of bytes behind them, these bytes (sha2 0.11).
        let (blocks, rest) = bytes.get(32..)?.split_first_chunk::<8>()?;
        let count = u64::from_le_bytes(*blocks).checked_mul(64)?.checked_add(u64::from(*rest.first()?))?;
        Some(Self { state: Sha256::deserialize(&bytes).ok()?, count })
    }
}

/// Hashes whatever is read through it.
pub struct HashingReader<R> {
    inner: R,
    state: Sha256,
    count: u64,
}

impl<R: Read> HashingReader<R> {
    /// Wraps `inner`; nothing has been hashed yet.
    pub fn new(inner: R) -> Self {
        Self { inner, state: Sha256::new(), count: 0 }
    }

    /// How many bytes were read so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of all that was read.
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.state.update(&buf[..read]);
        self.count += read as u64;
        Ok(read)
    }
}

/// Hashes whatever is written through it.
pub struct HashingWriter<W> {
    inner: W,
    state: Sha256,
    count: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps `inner`; nothing has been hashed yet.
    pub fn new(inner: W) -> Self {
        Self { inner, state: Sha256::new(), count: 0 }
    }

    /// How many bytes were written so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The inner writer and the digest of all that went through.
    pub fn finish(self) -> (W, Digest) {
        (self.inner, Digest(self.state.finalize().into()))
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.state.update(&buf[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        let digest = Digest::of(b"khimg");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.hex().to_uppercase().parse(), Ok(digest));
        assert!("sha256:12".parse::<Digest>().is_err());
        assert!("".parse::<Digest>().is_err());
    }

    #[test]
    fn goes_on_where_it_paused() {
        let bytes: Vec<u8> = (0..300_u16).map(|number| (number % 251) as u8).collect();
        for cut in 0..bytes.len() {
            let mut first = Hasher::default();
            first.update(&bytes[..cut]);
            let mut second = Hasher::resume(&first.pause()).expect("its own text");
            assert_eq!((second.count(), second.digest()), (cut as u64, first.digest()));
            second.update(&bytes[cut..]);
            assert_eq!((second.count(), second.digest()), (300, Digest::of(&bytes)), "{cut}");
        }
        for text in ["", "00", &"0".repeat(206), &"f".repeat(208), &"x".repeat(208)] {
            assert!(Hasher::resume(text).is_none(), "{text}");
        }
    }

    /// These texts are kept in stores: another one would make every digest that is built on them wrong. If a new sha2 writes
    /// another, give the memos that hold them a new name.
    #[test]
    fn pauses_as_it_always_did() {
        let mut hasher = Hasher::default();
        hasher.update(&[7; 64]);
        hasher.update(b"khimg");
        let state = "5fd7d9828641af4607ed7103a54f0c549b37e116abfe30e55fa25d6fb3140218";
        assert_eq!(hasher.pause(), format!("{state}010000000000000005{}{}", hex::encode(b"khimg"), "0".repeat(116)));
    }

    #[test]
    fn reader_and_writer_agree() {
        let (read, size) = Digest::of_reader(&b"some bytes"[..]).expect("in memory");
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(b"some bytes").expect("in memory");
        assert_eq!((read, size), (Digest::of(b"some bytes"), 10));
        assert_eq!(writer.finish().1, read);
    }
}
