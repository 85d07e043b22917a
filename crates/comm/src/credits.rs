//! Memory for unexpected messages: how much of it each source may fill.
//!
//! Half of the memory is divided into equal shares, one a source, that nobody else can take; the
//! other half is a pool for whoever comes first. A message is paid for from its source's share as far
//! as that goes, and from the pool beyond. Invariants: what is admitted never exceeds the memory; a
//! source within its share is never refused, whatever the others do; each message costs something, so
//! that their number is bounded as well; what is given back was taken before. Deliberately absent:
//! credits that travel. A message that is refused stays in its ring, whose room is the credit that
//! its source has.
//!
//! # Source
//! The division of buffers into private and shared parts is that of dynamic buffer allocation in
//! switches (M. Irland, *Buffer Management in a Packet Switch*, IEEE Trans. Commun. 26(3), 1978).

use mainstay_types::Rank;

/// What a message costs beside its payload: the entries that know of it, with room to grow.
pub const MESSAGE_COST_BYTES: u64 = 256;

/// The account of one rank.
#[derive(Clone, Debug)]
pub struct Credits {
    share: u64,
    pool: u64,
    /// Taken, by source.
    used: Vec<u64>,
    /// Taken beyond shares, by all sources.
    drawn: u64,
}

impl Credits {
    /// Memory of so many bytes for messages of `n` sources.
    #[must_use]
    pub fn new(n: u32, bytes: u64) -> Self {
        let sources = u64::from(n.max(1));
        let share = bytes / 2 / sources;
        let used = Rank::all(n).map(|_| 0).collect();
        Self { share, pool: bytes - share * sources, used, drawn: 0 }
    }

    /// Pays for a message if its source's share and the pool suffice; false if they do not, and
    /// nothing has changed then.
    #[inline]
    #[must_use]
    pub fn admit(&mut self, source: Rank, payload_bytes: u64) -> bool {
        let used = self.used[source.index()].saturating_add(cost(payload_bytes));
        let before = self.beyond(self.used[source.index()]);
        let drawn = (self.drawn - before).saturating_add(self.beyond(used));
        let fits = used <= self.share || drawn <= self.pool;
        if fits {
            self.used[source.index()] = used;
            self.drawn = drawn;
        }
        fits
    }

    /// Pays for a message that has to be kept whatever there is: one that is probed for, that a
    /// version holds, or that a receive has given back. The pool may be overdrawn by it; shares
    /// hold all the same.
    pub fn charge(&mut self, source: Rank, payload_bytes: u64) {
        let used = self.used[source.index()].saturating_add(cost(payload_bytes));
        self.set(source, used);
    }

    /// Gives back what was paid for a message.
    ///
    /// # Panics
    /// When it was not paid for.
    #[inline]
    pub fn refund(&mut self, source: Rank, payload_bytes: u64) {
        let used = self.used[source.index()].checked_sub(cost(payload_bytes));
        self.set(source, used.expect("a message is paid for before it is given back"));
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.used.fill(0);
        self.drawn = 0;
    }

    /// Bytes taken, with what messages cost beside their payload.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.iter().sum()
    }

    /// Bytes that each source has for itself.
    #[must_use]
    pub fn share(&self) -> u64 {
        self.share
    }

    fn set(&mut self, source: Rank, used: u64) {
        let before = std::mem::replace(&mut self.used[source.index()], used);
        self.drawn = (self.drawn - self.beyond(before)).saturating_add(self.beyond(used));
    }

    #[inline]
    fn beyond(&self, used: u64) -> u64 {
        used.saturating_sub(self.share)
    }
}

#[inline]
fn cost(payload_bytes: u64) -> u64 {
    payload_bytes.saturating_add(MESSAGE_COST_BYTES)
}
