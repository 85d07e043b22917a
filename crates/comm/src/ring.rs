//! The two ends of a ring of bytes between one writer and one reader.
//!
//! Positions count bytes since the ring was empty and new; they never wrap, their remainder does.
//! The writer copies a frame behind `head` and then publishes it by moving `head`; the reader
//! copies it out and then gives the room back by moving `tail`. Invariants: `tail <= head <=
//! tail + capacity`; bytes between them are whole frames, whatever moment the writer dies at; a
//! word that breaks this is an error, never believed. Deliberately absent: the bytes, and waiting.
//!
//! # When a sleeping writer is woken
//! A fence and a look at the writer's doorbell for every frame would cost the reader more than
//! its small messages. [`Consumer::release`] therefore asks for it once for each quarter of the
//! ring. No wake-up is lost by that: a writer sleeps only for want of a frame's room, a quarter
//! and one header at most; had it missed less than a quarter of freed bytes, the ring would
//! still hold nearly half its capacity, so the reader, which cannot wait for this ring while it
//! holds frames, comes to take them and crosses the quarter.

use mainstay_types::limits::{CHUNK_BYTES, FRAME_HEADER_BYTES};

use crate::words::{Ordering, Word64};

/// Payload bytes of a full frame in a ring of this capacity: several fit, so that writer and
/// reader of one message work at the same time.
#[must_use]
pub fn chunk_bytes(ring_bytes: usize) -> usize {
    (ring_bytes / 4).min(CHUNK_BYTES)
}

/// Bytes that a frame with this much payload takes in a ring.
#[inline]
#[must_use]
pub fn frame_bytes(payload: usize) -> u64 {
    (FRAME_HEADER_BYTES + payload.next_multiple_of(FRAME_HEADER_BYTES)) as u64
}

/// A position word that contradicts the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The writing end.
#[derive(Clone, Debug)]
pub struct Producer {
    head: u64,
    tail: u64,
    capacity: u64,
}

impl Producer {
    /// The writing end of an empty, new ring.
    #[must_use]
    pub fn new(ring_bytes: usize) -> Self {
        Self { head: 0, tail: 0, capacity: ring_bytes as u64 }
    }

    /// Whether `bytes` more fit; looks at the reader's word only if they seem not to.
    ///
    /// # Errors
    /// [`Broken`] when the reader's word lies behind what it was or ahead of what is published.
    #[inline]
    pub fn has_room(&mut self, tail: &impl Word64, bytes: u64) -> Result<bool, Broken> {
        if self.free() >= bytes {
            return Ok(true);
        }
        // Acquire: the reader's copies out of the room it gave back are over.
        let seen = tail.load(Ordering::Acquire);
        if seen < self.tail || seen > self.head {
            return Err(Broken);
        }
        self.tail = seen;
        Ok(self.free() >= bytes)
    }

    /// Where the next frame goes.
    #[inline]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.head
    }

    /// Makes the `bytes` behind [`Producer::position`] visible to the reader.
    #[inline]
    pub fn publish(&mut self, head: &impl Word64, bytes: u64) {
        self.head += bytes;
        // Release: who sees the position sees the bytes before it.
        head.store(self.head, Ordering::Release);
    }

    #[inline]
    fn free(&self) -> u64 {
        self.capacity - (self.head - self.tail)
    }
}

/// The reading end.
#[derive(Clone, Debug)]
pub struct Consumer {
    tail: u64,
    head: u64,
    told: u64,
    capacity: u64,
}

impl Consumer {
    /// The reading end of an empty, new ring.
    #[must_use]
    pub fn new(ring_bytes: usize) -> Self {
        Self { tail: 0, head: 0, told: 0, capacity: ring_bytes as u64 }
    }

    /// How many published bytes are not yet released; looks at the writer's word only if it knows
    /// of none.
    ///
    /// # Errors
    /// [`Broken`] when the writer's word contradicts the ring.
    #[inline]
    pub fn available(&mut self, head: &impl Word64) -> Result<u64, Broken> {
        if self.head == self.tail {
            self.look(head)?;
        }
        Ok(self.head - self.tail)
    }

    /// Whether the writer could lack room for a full frame of `frame_bytes`.
    ///
    /// # Errors
    /// As [`Consumer::available`].
    #[inline]
    pub fn is_crowded(&mut self, head: &impl Word64, frame_bytes: u64) -> Result<bool, Broken> {
        self.look(head)?;
        Ok(self.head - self.tail + frame_bytes > self.capacity)
    }

    #[inline]
    fn look(&mut self, head: &impl Word64) -> Result<(), Broken> {
        // Acquire: the bytes before the position are there.
        let seen = head.load(Ordering::Acquire);
        if seen < self.head || seen - self.tail > self.capacity {
            return Err(Broken);
        }
        self.head = seen;
        Ok(())
    }

    /// Where the next frame lies.
    #[inline]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// Gives back the room of the first `bytes`; true when the writer may sleep for it and its
    /// doorbell has to be looked at.
    #[inline]
    #[must_use]
    pub fn release(&mut self, tail: &impl Word64, bytes: u64) -> bool {
        self.tail += bytes;
        debug_assert!(self.tail <= self.head, "only what was available is released");
        // Release: the copies out of this room are over before the writer sees it as free.
        tail.store(self.tail, Ordering::Release);
        let due = self.tail - self.told >= self.capacity / 4;
        if due {
            self.told = self.tail;
        }
        due
    }
}
