//! Programs that keep others waiting: for ever, or for long.

use std::time::Duration;

use clap::ValueEnum;
use mainstay::{Any, Comm, Job, Op, Request, Result};

use super::load::{Load, spin, steps_with};

/// Tag of the message that nobody sends.
const NEVER: u32 = 7;

/// The call in which a rank waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stuck {
    /// A receive from the next rank
    Receive,
    /// A receive from any rank
    Any,
    /// A probe
    Probe,
    /// A wait for one of two requests
    WaitAny,
    /// A sum that rank 0 does not join, which receives from any rank
    Collective,
    /// A barrier that is started and that rank 0 does not join, which receives from any rank
    Started,
    /// An agreement that rank 0 does not join, which receives from any rank
    Agree,
    /// Rank 0 sends to rank 1 more than it can keep; the others receive from any rank
    Flood,
}

/// After half of the work every rank waits for another, and none sends what it waits for.
///
/// # Errors
/// An interruption.
pub fn deadlock(job: &Job, load: Load, stuck: Stuck) -> Result<()> {
    steps_with(job, load, |world, work| {
        if work.step > load.steps / 2 { wait_for_ever(world, stuck) } else { Ok(()) }
    })
}

fn wait_for_ever(world: &Comm, stuck: Stuck) -> Result<()> {
    let next = (world.rank() + 1) % world.size();
    match stuck {
        Stuck::Collective if world.rank() > 0 => world.allreduce(&mut [0_u64], Op::Sum),
        Stuck::Started if world.rank() > 0 => world.ibarrier()?.wait(),
        Stuck::Agree if world.rank() > 0 => world.agree(true).map(drop),
        Stuck::Flood if world.rank() == 0 => loop {
            world.send(&[0_u8; 1 << 20], 1, NEVER + 1)?;
        },
        Stuck::Receive => world.recv(&mut [0_u64], next, NEVER).map(drop),
        Stuck::Any | Stuck::Collective | Stuck::Started | Stuck::Agree | Stuck::Flood => {
            world.recv(&mut [0_u64], Any, NEVER).map(drop)
        }
        Stuck::Probe => world.probe(next, Any).map(drop),
        Stuck::WaitAny => {
            let requests = [NEVER, NEVER + 1].map(|tag| world.irecv::<u64>(next, tag));
            let mut requests = requests.into_iter().collect::<Result<Vec<_>>>()?;
            Request::wait_any(&mut requests).map(drop)
        }
    }
}

/// In every tenth step each rank computes for `time` between two calls.
///
/// # Errors
/// An interruption.
pub fn long_kernel(job: &Job, load: Load, time: Duration) -> Result<()> {
    steps_with(job, load, |_, work| {
        if work.step % 10 == 5 {
            spin(time);
        }
        Ok(())
    })
}
