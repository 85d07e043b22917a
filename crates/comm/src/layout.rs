//! Where every word and ring lies in a job's shared segment, as offsets from its start.
//!
//! ```text
//! control page(s)   the supervisor writes, ranks read
//! bells page(s)     one counter a rank, written by all
//! lane 0 … n-1      written by its rank, read by all: status, points, receipts, counters,
//!                   tails (one for each source), heads (one for each destination),
//!                   sent counters of a cut, then one ring for each destination, then the
//!                   lines of its boards, then their areas, two each
//! ```
//! Invariants: nothing overlaps; each part starts on a page; a word that another process polls has
//! a cache line of its own; the layout is a function of `n` and `ring_bytes` alone.
//! Deliberately absent: memory.

mod names;

use mainstay_types::limits::{INJECTIONS_MAX, RANKS_MAX, RING_BYTES_MIN};
use mainstay_types::{Point, Rank};

pub use names::{Control, Counter, Status};

use crate::board::{AREA_BYTES, BOARDS};

/// The unit of mapping and protection.
pub const PAGE_BYTES: usize = 4096;
/// The unit of sharing between processors.
pub const LINE_BYTES: usize = 64;
/// The first word of a segment.
pub const MAGIC: u64 = u64::from_le_bytes(*b"MSSEGM01");
/// Largest capacity of a ring, bytes.
pub const RING_BYTES_MAX: usize = 1 << 24;

const WAITING_AT: usize = 3 * LINE_BYTES;
const OWNER_AT: usize = 4 * LINE_BYTES;
const COUNTERS_AT: usize = 5 * LINE_BYTES;
const POINTS_AT: usize = COUNTERS_AT + Counter::ALL.len().next_multiple_of(8) * 8;
const RECEIPTS_AT: usize = POINTS_AT + Point::ALL.len().next_multiple_of(8) * 8;
const TAILS_AT: usize = RECEIPTS_AT + INJECTIONS_MAX * 16;
const ORDERS_AT: usize = 4 * LINE_BYTES;

// What is polled by others starts on a line.
// Areas are whole pages.
const _: () = assert!(AREA_BYTES.is_multiple_of(PAGE_BYTES));
const _: () =
    assert!(RECEIPTS_AT.is_multiple_of(LINE_BYTES) && TAILS_AT.is_multiple_of(LINE_BYTES));

/// Why there is no layout for the numbers asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// No ranks, or more than [`RANKS_MAX`].
    Ranks(u32),
    /// A capacity that is no power of two between [`RING_BYTES_MIN`] and [`RING_BYTES_MAX`].
    RingBytes(usize),
}

impl std::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ranks(n) => write!(f, "{n} ranks; from 1 to {RANKS_MAX} fit one machine"),
            Self::RingBytes(bytes) => write!(
                f,
                "rings of {bytes} bytes; a power of two from {RING_BYTES_MIN} to {RING_BYTES_MAX} is"
            ),
        }
    }
}

impl std::error::Error for LayoutError {}

/// The offsets of one segment.
///
/// # Panics
/// Every method that takes a rank, an index or a point panics when it is not one of this job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    ranks: u32,
    n: usize,
    ring_bytes: usize,
    bells_at: usize,
    lanes_at: usize,
    rings_at: usize,
    boards_at: usize,
    areas_at: usize,
    lane_bytes: usize,
}

impl Layout {
    /// The layout for `n` ranks and rings of `ring_bytes` each.
    ///
    /// # Errors
    /// [`LayoutError`] for numbers out of range.
    pub fn new(n: u32, ring_bytes: usize) -> Result<Self, LayoutError> {
        let ranks = n;
        if ranks == 0 || ranks > RANKS_MAX {
            return Err(LayoutError::Ranks(ranks));
        }
        let range = RING_BYTES_MIN..=RING_BYTES_MAX;
        if !ring_bytes.is_power_of_two() || !range.contains(&ring_bytes) {
            return Err(LayoutError::RingBytes(ring_bytes));
        }
        let n = n as usize;
        let bells_at = page(ORDERS_AT + n * 8);
        let lanes_at = bells_at + page(n * LINE_BYTES);
        let rings_at = page(TAILS_AT + 2 * n * LINE_BYTES + n * 8);
        let boards_at = rings_at + n * ring_bytes;
        let areas_at = boards_at + page(BOARDS * LINE_BYTES);
        Ok(Self {
            ranks,
            n,
            ring_bytes,
            bells_at,
            lanes_at,
            rings_at,
            boards_at,
            areas_at,
            lane_bytes: areas_at + 2 * BOARDS * AREA_BYTES,
        })
    }

    /// Number of ranks.
    #[inline]
    #[must_use]
    pub fn n(&self) -> u32 {
        self.ranks
    }

    /// Capacity of a ring.
    #[inline]
    #[must_use]
    pub fn ring_bytes(&self) -> usize {
        self.ring_bytes
    }

    /// Bytes of the whole segment.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.lanes_at + self.n * self.lane_bytes
    }

    /// Start and length of the pages with the bells.
    #[must_use]
    pub fn bells(&self) -> (usize, usize) {
        (self.bells_at, self.lanes_at - self.bells_at)
    }

    /// Start and length of a rank's lane.
    #[must_use]
    pub fn lane(&self, rank: Rank) -> (usize, usize) {
        (self.lane_at(rank), self.lane_bytes)
    }

    /// A word of the control page (u64).
    #[inline]
    #[must_use]
    pub fn control(&self, word: Control) -> usize {
        word.at()
    }

    /// The order for a rank's next call (u64): the number of an injection plus 1, or 0.
    #[inline]
    #[must_use]
    pub fn order(&self, rank: Rank) -> usize {
        ORDERS_AT + self.index(rank) * 8
    }

    /// A rank's doorbell counter (u32).
    #[inline]
    #[must_use]
    pub fn bell(&self, rank: Rank) -> usize {
        self.bells_at + self.index(rank) * LINE_BYTES
    }

    /// The words of a rank's lane that are used often.
    #[inline]
    #[must_use]
    pub fn words(&self, rank: Rank) -> Words {
        Words { at: self.lane_at(rank) }
    }

    /// Where the channel from one rank to another lies.
    #[must_use]
    pub fn channel(&self, from: Rank, to: Rank) -> Channel {
        Channel {
            head: self.head(from, to),
            tail: self.tail(to, from),
            ring: self.ring(from, to),
            waiting: self.waiting(to),
        }
    }

    /// A status word of a lane (u64).
    #[inline]
    #[must_use]
    pub fn status(&self, rank: Rank, word: Status) -> usize {
        self.words(rank).status(word)
    }

    /// Whether the rank sleeps on its doorbell (u32).
    #[inline]
    #[must_use]
    pub fn waiting(&self, rank: Rank) -> usize {
        self.lane_at(rank) + WAITING_AT
    }

    /// The robust lock that a rank holds for its life: a line, whose first word (u32) the kernel
    /// marks when the rank's thread ends.
    #[must_use]
    pub fn owner(&self, rank: Rank) -> usize {
        self.lane_at(rank) + OWNER_AT
    }

    /// A counter of a lane (u64).
    #[inline]
    #[must_use]
    pub fn counter(&self, rank: Rank, counter: Counter) -> usize {
        self.words(rank).counter(counter)
    }

    /// How often the rank passed a point (u64).
    #[inline]
    #[must_use]
    pub fn point(&self, rank: Rank, point: Point) -> usize {
        self.words(rank).point(point)
    }

    /// An injection's receipt: two u64, how often it fired and when it last did (ns, monotonic).
    ///
    /// # Panics
    /// For a number from [`INJECTIONS_MAX`] on.
    #[must_use]
    pub fn receipt(&self, rank: Rank, injection: usize) -> (usize, usize) {
        assert!(injection < INJECTIONS_MAX, "no injection {injection}");
        let at = self.lane_at(rank) + RECEIPTS_AT + injection * 16;
        (at, at + 8)
    }

    /// How far `rank` has read the ring from `source` (u64, in the lane of `rank`).
    #[inline]
    #[must_use]
    pub fn tail(&self, rank: Rank, source: Rank) -> usize {
        self.lane_at(rank) + TAILS_AT + self.index(source) * LINE_BYTES
    }

    /// How far `rank` has written the ring to `destination` (u64, in the lane of `rank`).
    #[inline]
    #[must_use]
    pub fn head(&self, rank: Rank, destination: Rank) -> usize {
        self.lane_at(rank) + TAILS_AT + (self.n + self.index(destination)) * LINE_BYTES
    }

    /// Messages that `rank` had sent to `destination` at its last capture (u64).
    #[must_use]
    pub fn cap_sent(&self, rank: Rank, destination: Rank) -> usize {
        self.lane_at(rank) + TAILS_AT + 2 * self.n * LINE_BYTES + self.index(destination) * 8
    }

    /// The first byte of the ring from `rank` to `destination`.
    #[inline]
    #[must_use]
    pub fn ring(&self, rank: Rank, destination: Rank) -> usize {
        self.lane_at(rank) + self.rings_at + self.index(destination) * self.ring_bytes
    }

    /// The first word (u64) of a rank's line on a board.
    ///
    /// # Panics
    /// For a number from [`BOARDS`] on.
    #[inline]
    #[must_use]
    pub fn board(&self, rank: Rank, board: usize) -> usize {
        assert!(board < BOARDS, "no board {board}");
        self.lane_at(rank) + self.boards_at + board * LINE_BYTES
    }

    /// The first byte of a rank's area for a round on a board.
    ///
    /// # Panics
    /// As [`Layout::board`].
    #[inline]
    #[must_use]
    pub fn area(&self, rank: Rank, board: usize, round: u64) -> usize {
        assert!(board < BOARDS, "no board {board}");
        let area = 2 * board + crate::board::area(round);
        self.lane_at(rank) + self.areas_at + area * AREA_BYTES
    }

    #[inline]
    fn lane_at(&self, rank: Rank) -> usize {
        self.lanes_at + self.index(rank) * self.lane_bytes
    }

    #[inline]
    fn index(&self, rank: Rank) -> usize {
        assert!(rank.index() < self.n, "rank {rank} of {}", self.n);
        rank.index()
    }
}

/// A rank's lane, found once: its words for less than a look at the layout each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    at: usize,
}

impl Words {
    /// A status word (u64).
    #[inline]
    #[must_use]
    pub fn status(self, word: Status) -> usize {
        self.at + word.at()
    }

    /// A counter (u64).
    #[inline]
    #[must_use]
    pub fn counter(self, counter: Counter) -> usize {
        self.at + COUNTERS_AT + counter as usize * 8
    }

    /// How often the rank passed a point (u64).
    #[inline]
    #[must_use]
    pub fn point(self, point: Point) -> usize {
        self.at + POINTS_AT + point.index() * 8
    }
}

/// Where a channel lies, found once as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// How far it is written (u64).
    pub head: usize,
    /// How far it is read (u64).
    pub tail: usize,
    /// The first byte of its ring.
    pub ring: usize,
    /// Whether its reader sleeps (u32).
    pub waiting: usize,
}

const fn page(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}
