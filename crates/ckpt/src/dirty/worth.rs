//! Whether it pays to watch a field for writes.
//!
//! A page that is watched costs its first writer a fault, and a fault costs more than the copy of the
//! page: above a share of written pages, copying all is cheaper. Then a field is not watched for some
//! captures, and for longer each time that it turns out so again. Invariant: a field whose writes become
//! fewer is found within [`PAUSE_MAX`] captures. Deliberately absent: time; the share was measured once,
//! by the suite `dirty` of `bench`.

use super::BLOCK_BYTES;

/// The largest share of a field's blocks, as one of so many, that is worth a fault each.
pub const SHARE_MAX: usize = 5;
/// Captures without a look, at first and at most.
const PAUSE_FIRST: u32 = 4;
const PAUSE_MAX: u32 = 64;

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

    /// So many bytes of a field were written since the last capture; whether it is to be watched on.
    pub fn saw(&mut self, written: usize, bytes: usize) -> bool {
        if written / BLOCK_BYTES * SHARE_MAX <= bytes / BLOCK_BYTES {
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

    #[test]
    fn what_does_not_pay_is_left_alone_for_longer_each_time() {
        let mut worth = Worth::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(worth.may_watch());
            assert!(!worth.saw(21 << 20, 100 << 20));
            pauses.push((0..).take_while(|_| !worth.may_watch()).count());
            // It was asked once more than it refused; the pause is over all the same.
            worth.left = 0;
        }
        assert_eq!(pauses, [4, 8, 16, 32, 64, 64, 64]);
        assert!(worth.saw(20 << 20, 100 << 20), "a fifth pays");
        assert_eq!(worth, Worth::default());
    }
}
