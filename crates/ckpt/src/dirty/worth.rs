//! Whether it pays to watch a field for writes.
//!
//! A page that is watched costs its first writer a fault, which takes longer than to copy the page; and
//! pages far from each other are copied more slowly than all of them in one stream. Above some share of
//! written pages, copying all is cheaper. Then a field is not watched for some captures, and for longer
//! each time that it turns out so again. Invariant: a field whose writes become fewer is found within
//! [`PAUSE_MAX`] captures. Deliberately absent: time. What things cost was measured once, by the suite
//! `dirty` of `bench`; where faults are cheaper, watching is given up earlier than it had to be.

use super::BLOCK_BYTES;

/// What things cost, in hundredths of the copy of a block in a stream.
const FAULT: usize = 350;
/// A block that was written is copied into each of two slots.
const COPY: usize = 200;
/// And as often, a run of blocks is begun at some other place.
const RUN: usize = 550;
/// The most that all this may cost, in hundredths of the copy of everything.
const COST_MAX: usize = 80;

/// Captures without a look, at first and at most.
const PAUSE_FIRST: u32 = 4;
/// See above.
pub const PAUSE_MAX: u32 = 64;

/// Of one field, whether it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worth {
    left: u32,
    next: u32,
}

impl Default for Worth {
    fn default() -> Self {
        Self { left: 0, next: PAUSE_FIRST }
    }
}

impl Worth {
    /// Whether the capture that begins now may watch the field. To be asked once each.
    pub fn may_watch(&mut self) -> bool {
        let may = self.left == 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// So many bytes in so many runs were written since the last capture, of so many bytes; whether they
    /// are to be watched on.
    pub fn saw(&mut self, written: usize, runs: usize, bytes: usize) -> bool {
        let cost = written / BLOCK_BYTES * (FAULT + COPY) + runs * RUN;
        if cost <= bytes / BLOCK_BYTES * COST_MAX {
            *self = Self::default();
            return true;
        }
        self.pause();
        false
    }

    /// It could not be watched, or does not pay.
    pub fn pause(&mut self) {
        self.left = self.next;
        self.next = (self.next * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn what_does_not_pay_is_left_alone_for_longer_each_time() {
        let mut worth = Worth::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(worth.may_watch());
            assert!(!worth.saw(30 * MIB, 1, 100 * MIB));
            let mut pause = 0;
            while worth.left > 0 {
                assert!(!worth.may_watch());
                pause += 1;
            }
            pauses.push(pause);
        }
        assert_eq!(pauses, [4, 8, 16, 32, 64, 64, 64]);
        assert!(worth.saw(10 * MIB, 1, 100 * MIB));
        assert_eq!(worth, Worth::default());
    }

    #[test]
    fn pages_side_by_side_pay_longer_than_pages_far_apart() {
        let pays = |percent: usize, run: usize| {
            let pages = 25_600 * percent / 100;
            Worth::default().saw(pages * BLOCK_BYTES, pages / run, 100 * MIB)
        };
        assert_eq!((pays(14, 100), pays(15, 100)), (true, false));
        assert_eq!((pays(7, 1), pays(8, 1)), (true, false));
        assert!(pays(0, 1) && !pays(100, 100));
    }
}
