//! A chain of ranks whose messages cross every cut, in both directions.
//!
//! In step s, rank r sends a message to r + 1 before its checkpoint, and r + 1 receives it after its
//! own: a late message, which a version must hold. And r + 1 sends a message after its checkpoint
//! that r receives before its own: an early message, which must not arrive twice after a rollback.
//!
//! ```text
//!   r      late→  ←early  checkpoint s
//!   r + 1                 checkpoint s  early→ ←late
//! ```
//!
//! Before all that, in each entry, the chain exchanges its ranks' numbers on the same tags: a
//! prologue whose messages must not be taken for those of a version, nor they for them.
//!
//! Invariants: a message is mixed into the state exactly once, so that a lost, doubled or stale one
//! changes the answer. The last rank of the chain checkpoints first, so nobody waits in a circle.

use mainstay::{Comm, Error, Fields, Job, Result, State};

use super::load::{Load, spin};
use crate::rhs;

const LATE: u32 = 2;
const EARLY: u32 = 3;

/// The protected state of one rank of the chain.
struct Link {
    /// Steps completed; what follows the checkpoint of a step is not yet done.
    step: u64,
    /// Everything received so far, mixed in order.
    mixed: u64,
    /// One word a step, and padding up to the size asked for: the answer.
    history: Vec<u64>,
}

impl State for Link {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        f.value("mixed", &mut self.mixed);
        f.array("history", &mut self.history);
    }
}

impl Link {
    fn new(rank: usize, load: Load) -> Self {
        let words = (load.bytes / 8).max(load.steps as usize + 1);
        Self { step: 0, mixed: rank as u64, history: vec![0; words] }
    }

    /// A message of varying length whose words follow from the state: mostly short, sometimes of
    /// several chunks, and then sometimes longer than a ring of a large job.
    fn message(&self, tag: u32) -> Vec<u64> {
        let random = rhs::word(u64::from(tag), self.step, 0);
        let words = match random % 7 {
            0 => 5000 + random % 7000,
            _ => 1 + random % 200,
        };
        (0..words).map(|k| rhs::word(self.mixed, u64::from(tag), k)).collect()
    }

    /// Receives a message of `tag` and mixes it in.
    fn receive(&mut self, world: &Comm, source: usize, tag: u32) -> Result<()> {
        for word in world.irecv::<u64>(source, tag)?.wait()? {
            self.mixed = rhs::word(self.mixed ^ word, u64::from(tag), self.step);
        }
        Ok(())
    }

    /// What comes after the checkpoint of a step: the early message down, the late one from there.
    fn after_checkpoint(&mut self, world: &Comm) -> Result<()> {
        if let Some(before) = world.rank().checked_sub(1) {
            world.send(&self.message(EARLY), before, EARLY)?;
            self.receive(world, before, LATE)?;
        }
        Ok(())
    }

    /// What comes before it: the late message up, the early one from there.
    fn before_checkpoint(&mut self, world: &Comm) -> Result<()> {
        let after = world.rank() + 1;
        if after < world.size() {
            world.send(&self.message(LATE), after, LATE)?;
            self.receive(world, after, EARLY)?;
        }
        self.step += 1;
        self.history[self.step as usize] ^= self.mixed;
        Ok(())
    }
}

/// Tells both neighbours this rank's number, and requires theirs.
fn prologue(world: &Comm) -> Result<()> {
    let (me, size) = (world.rank(), world.size());
    let neighbours = [(me.checked_sub(1), EARLY, LATE), (Some(me + 1), LATE, EARLY)];
    let known = |peer: &usize| *peer < size;
    for (peer, tag, _) in neighbours {
        if let Some(peer) = peer.filter(known) {
            world.send(&[me as u64], peer, tag)?;
        }
    }
    for (peer, _, tag) in neighbours {
        if let Some(peer) = peer.filter(known) {
            let got = world.irecv::<u64>(peer, tag)?.wait()?;
            if got != [peer as u64] {
                let words = got.len();
                return Err(Error::msg(format!("{words} words of rank {peer} in the prologue")));
            }
        }
    }
    Ok(())
}

/// Sends messages across every cut, and finishes with the history of all that was received.
///
/// # Errors
/// An interruption.
pub fn pipeline(job: &Job, load: Load) -> Result<()> {
    let world = job.world();
    prologue(&world)?;
    let mut link = job.protect("link", || Link::new(job.rank(), load))?;
    loop {
        // First what follows the last checkpoint: a restored state stands right behind it.
        if link.step > 0 {
            link.after_checkpoint(&world)?;
        }
        if link.step == load.steps {
            break;
        }
        spin(load.spin);
        link.before_checkpoint(&world)?;
        job.checkpoint(&mut link)?;
    }
    link.history[0] = link.mixed;
    job.finish(&link.history)
}
