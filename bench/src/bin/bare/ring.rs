//! Two rings in shared memory, one each way.
//!
//! A message is cut into chunks; a slot's word says how many bytes stand behind it. Invariant: a
//! slot belongs to the sender while its word is 0, to the receiver otherwise. Deliberately absent:
//! parking.

use std::hint::spin_loop;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use measured::mapping::Mapping;

/// Slots of a ring, and the bytes of a chunk.
const SLOTS: usize = 16;
const CHUNK_BYTES: usize = 16 << 10;
/// The word, padded so that a short message shares its cache line.
const WORD_BYTES: usize = 8;
const SLOT_BYTES: usize = 64 + CHUNK_BYTES;
const RING_BYTES: usize = SLOTS * SLOT_BYTES;
/// So long the other process may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// The clock is read every so many turns.
const TURNS: u64 = 1 << 20;

/// Both rings, seen from one rank.
pub(crate) struct Rings {
    memory: Mapping,
    rank: usize,
    /// Chunks sent and received so far.
    sent: usize,
    received: usize,
}

impl Rings {
    /// How much memory they take.
    pub(crate) const BYTES: usize = 2 * RING_BYTES;

    /// The rings in this memory, which is all zeros at first.
    pub(crate) fn new(memory: Mapping, rank: usize) -> Self {
        Self { memory, rank, sent: 0, received: 0 }
    }

    /// 0 or 1.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// Copies the message into the ring, as its slots become free.
    ///
    /// # Errors
    /// When the other process is silent too long.
    pub(crate) fn send(&mut self, data: &[u8]) -> io::Result<()> {
        for chunk in data.chunks(CHUNK_BYTES) {
            let slot = self.rank * RING_BYTES + self.sent % SLOTS * SLOT_BYTES;
            let word = self.memory.word(slot);
            wait(word, |value| value == 0)?;
            self.memory.write(slot + WORD_BYTES, chunk);
            word.store(chunk.len() as u64, Ordering::Release);
            self.sent += 1;
        }
        Ok(())
    }

    /// Copies a message of this length out of the ring, as it comes.
    ///
    /// # Errors
    /// When the other process is silent too long, or sent another length.
    pub(crate) fn receive(&mut self, data: &mut [u8]) -> io::Result<()> {
        for chunk in data.chunks_mut(CHUNK_BYTES) {
            let slot = (1 - self.rank) * RING_BYTES + self.received % SLOTS * SLOT_BYTES;
            let word = self.memory.word(slot);
            if wait(word, |value| value != 0)? != chunk.len() as u64 {
                return Err(io::Error::other("a chunk of another length"));
            }
            self.memory.read(slot + WORD_BYTES, chunk);
            word.store(0, Ordering::Release);
            self.received += 1;
        }
        Ok(())
    }
}

fn wait(word: &AtomicU64, done: impl Fn(u64) -> bool) -> io::Result<u64> {
    let (mut turns, mut started) = (0_u64, None);
    loop {
        let value = word.load(Ordering::Acquire);
        if done(value) {
            return Ok(value);
        }
        spin_loop();
        turns += 1;
        if turns.is_multiple_of(TURNS)
            && started.get_or_insert_with(Instant::now).elapsed() > SILENCE
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_longer_than_the_ring_comes_through() {
        let memory = Mapping::zeroed(Rings::BYTES).unwrap();
        let file = memory.file().try_clone().unwrap();
        let long: Vec<u8> = (0..3 * RING_BYTES + 5).map(|k| (k % 251) as u8).collect();
        let mut came = vec![0; long.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut second = Rings::new(Mapping::shared(file, Rings::BYTES).unwrap(), 1);
                second.receive(&mut came).unwrap();
                second.send(&came[..9]).unwrap();
            });
            let mut first = Rings::new(memory, 0);
            first.send(&long).unwrap();
            let mut end = [0; 9];
            first.receive(&mut end).unwrap();
            assert_eq!(end, long[..9]);
        });
        assert!(came == long);
    }
}
