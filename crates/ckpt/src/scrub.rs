//! Which copy of which version is read again next, and how fast.
//!
//! A copy is a rank's part of a version at a level. Each is to be read once in a period, counted from
//! when it was last known to be right; a copy that is gone before its period is over is never read.
//! Reading is spread: at twice the rate that all copies need in a period, within bounds, so that it is
//! done half of the time at most. Invariants: one copy at a time; never faster than
//! [`RATE_MAX`]. Deliberately absent: reading, clocks, and what follows from what was found; the ledger
//! says from where a copy can be [mended](crate::ledger::Ledger::mends_from).

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_types::event::Level;
use mainstay_types::{Rank, Version};

/// The least rate, bytes a second: below it, a small copy would take long for nothing.
pub const RATE_MIN: u64 = 16 << 20;
/// The greatest rate, bytes a second. If it does not suffice, copies are read more rarely.
pub const RATE_MAX: u64 = 256 << 20;

/// Bytes a second at which so many bytes are read in half of a period, within bounds.
#[must_use]
pub fn rate_for(bytes: u64, every: Duration) -> u64 {
    let needed = u128::from(bytes) * 2000 / every.as_millis().max(1);
    u64::try_from(needed).unwrap_or(u64::MAX).clamp(RATE_MIN, RATE_MAX)
}

/// A rank's part of a version at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copy {
    /// Which version.
    pub version: Version,
    /// Where it lies.
    pub level: Level,
    /// Whose part.
    pub rank: Rank,
}

/// What is known of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    /// When it was last known to be right.
    at: Duration,
}

/// A copy to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub copy: Copy,
    /// Bytes a second at most.
    pub rate: u64,
}

/// The engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrub {
    every: Duration,
    copies: BTreeMap<Copy, Seen>,
    under_way: Option<Copy>,
}

impl Scrub {
    /// An engine that has each copy read once in this time.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self { every, copies: BTreeMap::new(), under_way: None }
    }

    /// A copy is there, and was right a moment ago: it was checked as it was made.
    pub fn appeared(&mut self, copy: Copy, bytes: u64, now: Duration) {
        self.copies.insert(copy, Seen { bytes, at: now });
    }

    /// The copies of a version at a level are gone.
    pub fn gone(&mut self, version: Version, level: Level) {
        self.copies.retain(|copy, _| (copy.version, copy.level) != (version, level));
    }

    /// A copy need not be read any more: it is known to be bad.
    pub fn bad(&mut self, copy: Copy) {
        self.copies.remove(&copy);
    }

    /// The copy to be read now, if one is due and none is being read. It is, until
    /// [`checked`](Self::checked).
    #[must_use]
    pub fn due(&mut self, now: Duration) -> Option<Check> {
        if self.due_in(now) != Some(Duration::ZERO) {
            return None;
        }
        let (copy, _) = self.oldest()?;
        self.under_way = Some(copy);
        Some(Check { copy, rate: self.rate() })
    }

    /// How long until a copy is due; `None` while one is being read, or if there is none.
    #[must_use]
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        if self.under_way.is_some() {
            return None;
        }
        let (_, seen) = self.oldest()?;
        Some(seen.at.saturating_add(self.every).saturating_sub(now))
    }

    fn oldest(&self) -> Option<(Copy, Seen)> {
        // The first of those of one time, so that the order is always the same.
        let oldest = self.copies.iter().min_by_key(|(copy, seen)| (seen.at, **copy));
        oldest.map(|(copy, seen)| (*copy, *seen))
    }

    /// Bytes a second, for all copies to be read in half a period.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let bytes = self.copies.values().map(|seen| seen.bytes).fold(0_u64, u64::saturating_add);
        rate_for(bytes, self.every)
    }

    /// The copy that was being read is done with, whatever was found of it.
    pub fn checked(&mut self, now: Duration) {
        if let Some(seen) = self.under_way.take().and_then(|copy| self.copies.get_mut(&copy)) {
            seen.at = now;
        }
    }

    /// The job stood still for so long.
    pub fn suspended(&mut self, paused: Duration) {
        for seen in self.copies.values_mut() {
            seen.at = seen.at.saturating_add(paused);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn copy(version: u64, level: Level, rank: u32) -> Copy {
        Copy { version: Version(version), level, rank: Rank(rank) }
    }

    #[test]
    fn each_copy_is_read_once_in_a_period_the_oldest_first_and_one_at_a_time() {
        let mut scrub = Scrub::new(s(60));
        assert_eq!((scrub.due(s(0)), scrub.due_in(s(0))), (None, None));
        scrub.appeared(copy(2, Level::Memory, 0), 10, s(10));
        scrub.appeared(copy(1, Level::Disk, 1), 10, s(5));
        scrub.appeared(copy(1, Level::Disk, 0), 10, s(5));
        assert_eq!((scrub.due(s(64)), scrub.due_in(s(64))), (None, Some(s(1))));
        let mut order = Vec::new();
        for now in [65, 66, 70, 71, 126] {
            let due = scrub.due(s(now));
            assert_eq!(scrub.due(s(now)), None, "one at a time");
            order.extend(due.map(|due| due.copy));
            scrub.checked(s(now));
        }
        let expected = [
            copy(1, Level::Disk, 0),
            copy(1, Level::Disk, 1),
            copy(2, Level::Memory, 0),
            copy(1, Level::Disk, 0),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn what_is_gone_or_bad_is_not_read_and_a_pause_counts_for_nothing() {
        let mut scrub = Scrub::new(s(60));
        for rank in 0..2 {
            scrub.appeared(copy(1, Level::Memory, rank), 10, s(0));
            scrub.appeared(copy(1, Level::Disk, rank), 10, s(1));
        }
        scrub.gone(Version(1), Level::Memory);
        scrub.bad(copy(1, Level::Disk, 0));
        scrub.suspended(s(100));
        assert_eq!(scrub.due(s(160)), None);
        assert_eq!(scrub.due(s(161)).unwrap().copy, copy(1, Level::Disk, 1));
        // It goes while it is read.
        scrub.gone(Version(1), Level::Disk);
        scrub.checked(s(162));
        assert_eq!(scrub.due_in(s(999)), None);
    }

    #[test]
    fn the_rate_suffices_for_half_a_period_within_its_bounds() {
        let mut scrub = Scrub::new(s(60));
        scrub.appeared(copy(1, Level::Memory, 0), 1 << 20, s(0));
        assert_eq!(scrub.rate(), RATE_MIN);
        scrub.appeared(copy(1, Level::Memory, 1), 3 << 30, s(0));
        assert_eq!(scrub.rate(), ((3_u64 << 30) + (1 << 20)) * 2 / 60);
        scrub.appeared(copy(1, Level::Memory, 2), u64::MAX, s(0));
        assert_eq!(scrub.rate(), RATE_MAX);
    }
}
