//! The one place that reads the clock, and the dates that may reach an output byte.

use jiff::Timestamp;

/// The time stamp of every entry in every archive: 2000-01-01T00:00:00Z.
///
/// A constant, not `SOURCE_DATE_EPOCH`: two people with the same lock must get the same bytes without agreeing on a variable.
/// Not 0, because tools warn of files that are implausibly old.
pub const ARCHIVE_EPOCH: u64 = 946_684_800;

/// Now, for expiry checks and log lines. Never for an output byte.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
