//! State that is written and moved in every way that safe code has: what notices writes must see all of it.
//!
//! Invariant: every number is a function of its rank, its place and the step. Deliberately absent: memory
//! that another process writes too, which a field cannot be.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use mainstay::{Fields, Job, Op, Result, State};

use super::load::{self, Load};
use crate::rhs;

/// Bytes that are received in a step.
const RECEIVED: usize = 10_000;

struct Moves {
    step: u64,
    /// A few numbers far from each other change.
    sparse: Vec<u64>,
    /// Grows in each step, and from time to time gives memory back.
    grown: Vec<u64>,
    /// Is given back and had again in each step, perhaps at the same address.
    fresh: Vec<u64>,
    /// These two change places.
    left: Vec<u64>,
    right: Vec<u64>,
    /// The kernel writes some of it.
    received: Vec<u8>,
}

impl State for Moves {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        f.array("sparse", &mut self.sparse);
        f.array("grown", &mut self.grown);
        f.array("fresh", &mut self.fresh);
        f.array("left", &mut self.left);
        f.array("right", &mut self.right);
        f.array("received", &mut self.received);
    }
}

impl Moves {
    fn new(rank: u64, bytes: usize) -> Self {
        let numbers =
            |system| (0..bytes as u64 / 8).map(move |i| rhs::word(system, rank, i)).collect();
        Self {
            step: 0,
            sparse: numbers(1),
            grown: numbers(2),
            fresh: numbers(3),
            left: numbers(4),
            right: numbers(5),
            received: vec![0; bytes.max(RECEIVED)],
        }
    }

    fn advance(&mut self, rank: u64) -> Result<()> {
        self.step += 1;
        let step = self.step;
        let at = |k: u64, len: usize| (rhs::word(step, rank, k) % len.max(1) as u64) as usize;
        for k in 0..5 {
            let i = at(k, self.sparse.len());
            self.sparse[i] = self.sparse[i].wrapping_mul(5).wrapping_add(step);
        }
        if step.is_multiple_of(7) {
            let least = self.sparse.len();
            self.grown.truncate(least);
            self.grown.shrink_to_fit();
        }
        self.grown.extend((0..40_000).map(|i| rhs::word(step, rank, i)));
        let (len, first) = (self.fresh.len(), self.fresh.first().copied().unwrap_or(0));
        // Given back before it is had again.
        drop(std::mem::take(&mut self.fresh));
        self.fresh = (0..len as u64).map(|i| i.wrapping_mul(step) ^ first).collect();
        std::mem::swap(&mut self.left, &mut self.right);
        let (l, r) = (at(8, self.left.len()), at(9, self.right.len()));
        self.left[l] ^= step;
        self.right[r] ^= step;
        let (mut sender, mut receiver) = UnixStream::pair()?;
        let sent: Vec<u8> = (0..RECEIVED as u64).map(|i| rhs::word(step, rank, i) as u8).collect();
        sender.write_all(&sent)?;
        let first = at(10, self.received.len() - RECEIVED + 1);
        receiver.read_exact(&mut self.received[first..first + RECEIVED])?;
        Ok(())
    }
}

/// Does the steps, and finishes with all of the state.
///
/// # Errors
/// An interruption.
pub fn moves(job: &Job, load: Load) -> Result<()> {
    let world = job.world();
    let rank = job.rank() as u64;
    let mut state = job.protect("moves", || Moves::new(rank, load.bytes))?;
    while state.step < load.steps {
        let mut turns = [1_u64];
        world.allreduce(&mut turns, Op::Sum)?;
        state.advance(rank)?;
        load::spin(load.spin);
        job.checkpoint(&mut state)?;
    }
    let Moves { sparse, grown, fresh, left, right, received, .. } = &*state;
    let numbers = [sparse, grown, fresh, left, right].into_iter().flatten();
    let bytes = numbers.flat_map(|number| number.to_le_bytes()).chain(received.iter().copied());
    job.finish(bytes.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_does_depends_on_the_step_and_the_rank_alone() {
        let run = |rank| {
            let mut moves = Moves::new(rank, 50_000);
            (0..9).for_each(|_| moves.advance(rank).unwrap());
            (moves.sparse, moves.grown, moves.fresh, moves.left, moves.right, moves.received)
        };
        assert!(run(1) == run(1) && run(1) != run(2));
    }
}
