//! How a failure is told: an exit code that scripts can rely on, and a remedy.

/// The exit codes of the program, one per kind of failure. They never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A defect in khimg, or something that nobody foresaw.
    Unexpected = 1,
    /// A file or argument of the user's is wrong.
    BadInput = 2,
    /// Each value is fine, but not together.
    Unsupported = 3,
    /// `khimg.lock` is missing, stale or of an unknown version.
    Lock = 4,
    /// No mirror could serve what is needed.
    Network = 5,
    /// Bytes, a signature or a date are not what they must be.
    Verification = 6,
    /// A file on this machine could not be read or written.
    LocalIo = 7,
}

/// What every error of a stage can say beside its message.
pub trait Explain: std::error::Error {
    /// The exit code that this failure ends the program with.
    fn exit(&self) -> Exit;

    /// The exact remedy, where there is one: a command to run or a key to change.
    fn hint(&self) -> Option<String>;

    /// Whether the message is a whole report already, each of its parts with its own remedy.
    fn is_report(&self) -> bool {
        false
    }
}
