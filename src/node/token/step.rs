//! What to do about one token: a pure function.

use jiff::{SignedDuration, Timestamp};

/// What the cluster has of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing.
    Missing,
    /// A Secret that is not what it should be.
    Damaged,
    /// A Secret without an end.
    Endless,
    /// A Secret with an end.
    Until(Timestamp),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Leave,
    /// Take it away.
    Remove,
    /// Let it end then.
    Set(Timestamp),
    /// The same, for one that does not live.
    Revive(Timestamp),
}

/// The step for a token, given the date after which nobody may join any more, how long it lives, and a clock that may be wrong.
///
/// An end moves on only where that is worth a write, so that masters whose clocks differ a little do not write in turns. It
/// moves back only to `until`, on which all agree.
pub(super) fn step(sight: Sight, revoked: bool, until: Timestamp, life: SignedDuration, now: Timestamp) -> Step {
    if revoked {
        return if sight == Sight::Missing { Step::Leave } else { Step::Remove };
    }
    let wanted = now.saturating_add(life).unwrap_or(until).min(until);
    let is_over = wanted <= now;
    match sight {
        Sight::Missing if is_over => Step::Leave,
        Sight::Damaged if is_over => Step::Remove,
        Sight::Missing | Sight::Damaged => Step::Revive(wanted),
        Sight::Endless => Step::Set(until),
        Sight::Until(end) if end > until => Step::Set(until),
        Sight::Until(_) if is_over => Step::Leave,
        Sight::Until(end) if end <= now => Step::Revive(wanted),
        Sight::Until(end) if end == wanted => Step::Leave,
        // The last stretch is worth a write, too.
        Sight::Until(end) if end.saturating_add(life / 4).unwrap_or(end) < wanted || wanted == until && end < until => {
            Step::Set(wanted)
        }
        Sight::Until(_) => Step::Leave,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000_000 + hours)
    }

    #[test]
    fn a_token_lives_until_the_date_and_no_longer() {
        let until = at(720);
        let look = |sight, now| step(sight, false, until, DAY, at(now));
        assert_eq!(look(Sight::Missing, 0), Step::Revive(at(24)));
        assert_eq!(look(Sight::Until(at(24)), 1), Step::Leave);
        assert_eq!(look(Sight::Until(at(24)), 7), Step::Set(at(31)));
        assert_eq!(look(Sight::Until(at(24)), 25), Step::Revive(at(49)));
        assert_eq!(look(Sight::Until(at(719)), 718), Step::Set(until));
        assert_eq!(look(Sight::Until(until), 719), Step::Leave);
        assert_eq!(look(Sight::Until(at(721)), 719), Step::Set(until));
        assert_eq!(look(Sight::Until(at(721)), 800), Step::Set(until));
        assert_eq!(look(Sight::Endless, 0), Step::Set(until));
        assert_eq!(look(Sight::Until(until), 721), Step::Leave);
        assert_eq!(look(Sight::Missing, 721), Step::Leave);
        assert_eq!(look(Sight::Damaged, 721), Step::Remove);
        assert_eq!(look(Sight::Damaged, 1), Step::Revive(at(25)));
        assert_eq!(step(Sight::Missing, true, until, DAY, at(0)), Step::Leave);
        assert_eq!(step(Sight::Until(at(24)), true, until, DAY, at(0)), Step::Remove);
    }

    proptest! {
        /// Masters with clocks up to a life apart take turns in any order: while one clock is before the date, the token
        /// lives on by all of them, it never goes back, and it never goes beyond the date.
        #[test]
        fn clocks_may_differ(skews in prop::collection::vec(-6_i64..=6, 1..5), turns in prop::collection::vec(0..5_usize, 1..200)) {
            let until = at(720);
            let mut sight = Sight::Missing;
            for (hour, turn) in turns.iter().enumerate() {
                let hour = i64::try_from(hour).expect("small") * 3;
                let skew = skews[turn % skews.len()];
                let before = sight;
                if let Step::Set(end) | Step::Revive(end) = step(sight, false, until, DAY, at(hour + skew)) {
                    sight = Sight::Until(end);
                }
                if let Sight::Until(end) = sight {
                    prop_assert!(end <= until);
                    if let Sight::Until(earlier) = before {
                        prop_assert!(end >= earlier);
                    }
                    // Everyone who is not past the date lets the token in now.
                    prop_assert!(end > at(hour + 6) || end == until, "hour {hour} skew {skew}: {end}");
                }
                prop_assert_ne!(sight, Sight::Missing);
            }
        }
    }
}
