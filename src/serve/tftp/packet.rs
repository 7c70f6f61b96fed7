//! TFTP packets (RFC 1350) with the options of RFC 2347, 2348, 2349 and 7440, as a server of files reads and writes them.

/// A request has at most so many bytes (RFC 2347).
const LONGEST: usize = 512;

/// Block size of whoever asks for none (RFC 1350).
const BLOCK: u16 = 512;

/// Largest block that is sent, in bytes: what fits into an Ethernet frame (1500 less 20, 8 and 4). More would come in fragments,
/// which boot firmware does not always put together.
const LARGEST_BLOCK: u16 = 1468;

/// Most blocks that are sent before an acknowledgement is waited for.
const WIDEST: u16 = 16;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// It wants a file.
    Read(Read),
    /// It wants to write one.
    Write,
    /// It has everything up to this block.
    Acknowledge(u16),
    /// It gives up.
    Error,
}

/// A wish for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The file's name, as it was sent.
    pub file: String,
    /// What was asked for beside it, within the bounds that are granted; in the order in which it is answered.
    pub options: Options,
}

/// Options of a transfer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Bytes in a block, if it is not the usual size.
    pub block: Option<u16>,
    /// Whether the file's size is to be told.
    pub size: bool,
    /// Seconds until something is sent again.
    pub timeout: Option<u8>,
    /// Blocks in a window.
    pub window: Option<u16>,
}

impl Options {
    /// Bytes in a block.
    pub fn block(&self) -> u16 {
        self.block.unwrap_or(BLOCK)
    }

    /// Blocks in a window.
    pub fn window(&self) -> u16 {
        self.window.unwrap_or(1)
    }
}

/// Reads a packet; `None` for what is none.
pub fn parse(bytes: &[u8]) -> Option<Packet> {
    let (code, rest) = bytes.split_first_chunk::<2>()?;
    match u16::from_be_bytes(*code) {
        1 if bytes.len() <= LONGEST => read(rest).map(Packet::Read),
        2 => Some(Packet::Write),
        4 => Some(Packet::Acknowledge(u16::from_be_bytes(*rest.first_chunk::<2>()?))),
        5 => Some(Packet::Error),
        _ => None,
    }
}

fn read(bytes: &[u8]) -> Option<Read> {
    // Each text ends with a zero, the last one, too.
    let mut texts = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0).map(std::str::from_utf8);
    let file = texts.next()?.ok()?.to_owned();
    let mode = texts.next()?.ok()?;
    // Firmware and boot loaders ask for bytes as they are.
    if file.is_empty() || !mode.eq_ignore_ascii_case("octet") {
        return None;
    }
    let mut options = Options::default();
    while let Some(name) = texts.next() {
        let (name, value) = (name.ok()?, texts.next()?.ok()?);
        let number: Option<u32> = value.parse().ok();
        // What is not understood or out of range is not answered, as if it had not been asked for (RFC 2347).
        match (name.to_ascii_lowercase().as_str(), number) {
            ("blksize", Some(size @ 8..=65464)) => {
                options.block = u16::try_from(size).ok().map(|size| size.min(LARGEST_BLOCK));
            }
            ("tsize", Some(0)) => options.size = true,
            ("timeout", Some(seconds @ 1..=255)) => options.timeout = u8::try_from(seconds).ok(),
            ("windowsize", Some(count @ 1..=65535)) => {
                options.window = u16::try_from(count).ok().map(|count| count.min(WIDEST));
            }
            _ => {}
        }
    }
    Some(Read { file, options })
}

/// The answer to options; `None` where none was understood.
pub fn agree(options: &Options, size: u64) -> Option<Vec<u8>> {
    let mut packet = vec![0, 6];
    let told = [
        ("blksize", options.block.map(u64::from)),
        ("tsize", options.size.then_some(size)),
        ("timeout", options.timeout.map(u64::from)),
        ("windowsize", options.window.map(u64::from)),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            packet.extend(format!("{name}\0{value}\0").bytes());
        }
    }
    (packet.len() > 2).then_some(packet)
}

/// One block of a file.
pub fn data(number: u16, bytes: &[u8]) -> Vec<u8> {
    [&[0, 3], &number.to_be_bytes()[..], bytes].concat()
}

/// Why there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such file.
    NotFound,
    /// Writing, a mode that is not `octet`, a packet that is none.
    Illegal,
    /// Too many at once.
    Busy,
}

/// A refusal, as it is sent.
pub fn refuse(refusal: Refusal) -> Vec<u8> {
    let (code, text) = match refusal {
        Refusal::NotFound => (1, "no such file"),
        Refusal::Illegal => (4, "illegal operation"),
        Refusal::Busy => (0, "too many transfers"),
    };
    [&[0, 5, 0, code], text.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(text: &str) -> Option<Read> {
        match parse(&[&[0, 1], text.as_bytes()].concat()) {
            Some(Packet::Read(read)) => Some(read),
            _ => None,
        }
    }

    #[test]
    fn options_are_kept_within_bounds() {
        let asked =
            request("a.efi\0OCTET\0blksize\x0065464\0tsize\x000\0windowsize\x00999\0timeout\x003\0multicast\0\0");
        let options = Options { block: Some(1468), size: true, timeout: Some(3), window: Some(16) };
        assert_eq!(asked, Some(Read { file: "a.efi".to_owned(), options: options.clone() }));
        let agreed = agree(&options, 7).expect("options");
        assert_eq!(agreed, b"\0\x06blksize\x001468\0tsize\x007\0timeout\x003\0windowsize\x0016\0");
        for bad in [
            "blksize\x007\0",
            "blksize\x0065465\0",
            "blksize\0-1\0",
            "tsize\x005\0",
            "timeout\x000\0",
            "windowsize\x000\0",
        ] {
            let asked = request(&format!("a\0octet\0{bad}")).expect("a request");
            assert_eq!((asked.options.clone(), agree(&asked.options, 7)), (Options::default(), None), "{bad}");
        }
        for bad in ["", "a", "a\0", "a\0octet", "\0octet\0", "a\0netascii\0", "a\0octet\0blksize\0", "a\0octet\0x\0y"] {
            assert_eq!(request(bad), None, "{bad:?}");
        }
        assert_eq!(request(&format!("{}\0octet\0", "a".repeat(600))), None);
        assert_eq!(parse(&[0, 2, 0]), Some(Packet::Write));
        assert_eq!((parse(&[0, 4, 1]), parse(&[0, 4, 1, 2])), (None, Some(Packet::Acknowledge(258))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            if let Some(Packet::Read(read)) = parse(&bytes) {
                prop_assert!((8..=LARGEST_BLOCK).contains(&read.options.block()));
                prop_assert!((1..=WIDEST).contains(&read.options.window()));
                prop_assert!(!read.file.contains('\0'));
            }
        }
    }
}
