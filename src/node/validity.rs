//! For how long a certificate is good.

use jiff::{SignedDuration, Timestamp};
use x509_parser::pem::Pem;

/// From when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    /// Its first second.
    pub(super) begins: Timestamp,
    /// Its last.
    pub(super) ends: Timestamp,
}

impl Validity {
    /// That of the first certificate in PEM text; `None` if there is none.
    pub(super) fn of(pem: &[u8]) -> Option<Self> {
        // A key may come before it, as in what a kubelet keeps.
        let mut blocks = Pem::iter_from_buffer(pem).map_while(Result::ok);
        let block = blocks.find(|block| block.label == "CERTIFICATE")?;
        let certificate = block.parse_x509().ok()?;
        let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some(Self { begins: at(certificate.validity().not_before)?, ends: at(certificate.validity().not_after)? })
    }

    /// Whether it is good at this moment.
    pub(super) fn is_good(self, now: Timestamp) -> bool {
        self.begins <= now && now < self.ends
    }

    /// What is left of it, below zero once it has ended.
    pub(super) fn left(self, now: Timestamp) -> SignedDuration {
        self.ends.duration_since(now)
    }

    /// Whether less than a quarter is left: 91 days of a year.
    pub(super) fn is_due(self, now: Timestamp) -> bool {
        self.left(now) < self.ends.duration_since(self.begins) / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{Authority, KeyAlgorithm, Usage};

    #[test]
    fn a_quarter_is_when_to_act() {
        let day = |day: i64| Timestamp::from_second(day * 86_400).expect("a time");
        let year = Validity { begins: day(0), ends: day(364) };
        assert_eq!([272, 273, 274].map(|now| year.is_due(day(now))), [false, false, true]);
        assert_eq!([-1, 0, 363, 364].map(|now| year.is_good(day(now))), [false, true, true, false]);
        let short = Validity { begins: day(0), ends: day(8) };
        assert_eq!([5, 6, 7, 9].map(|now| short.is_due(day(now))), [false, false, true, true]);
        assert!(short.left(day(9)).is_negative());
    }

    #[test]
    fn it_is_read_from_what_a_kubelet_keeps() {
        let authority = Authority::generate("ca", KeyAlgorithm::EcdsaP256).expect("an authority");
        let issued = authority.issue("system:node:w1", &[], Usage::Client).expect("a certificate");
        let (certificate, key) = (issued.certificate.as_bytes(), issued.key.expose().as_bytes());
        let read = Validity::of(certificate).expect("a certificate");
        assert!(read.is_good(crate::clock::now()) && !read.is_due(crate::clock::now()));
        assert_eq!(Validity::of(&[key, certificate].concat()), Some(read));
        assert_eq!([Validity::of(key), Validity::of(b"")], [None, None]);
        let broken = issued.certificate.replace("MII", "AAA");
        assert_eq!(Validity::of(broken.as_bytes()), None);
    }
}
