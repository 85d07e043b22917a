//! π by throwing darts, in tasks that rank 0 gives to whoever asks first.
//!
//! ```text
//!   rank 0   ── round r ──────────────────────────────────── checkpoint r ──
//!              ↑result+ask  ↓task   ↑result+ask  ↓no more
//!   rank 1   ──────────────────────────────────────── checkpoint r ── round r + 1
//! ```
//!
//! A task's darts depend on the seed and its number alone, so every task comes out the same on any
//! rank; only the order in which rank 0 adds them up is that of their arrival, and with it the last
//! bits of the sum. Asked to be deterministic, it adds them in the order of their numbers.
//! Invariants: a round begins with no task given out and ends with all done, so a version holds no
//! half of one; asks of the next round have another tag and wait. Deliberately absent: giving a
//! dead worker's task to another, as the whole job goes back to its version.

use mainstay::{Any, Comm, Fields, Job, Result, State};

use crate::rhs::uniform;

/// What a worker says: a task's number and its estimate, or that it has none yet.
const ASK: u32 = 0;
/// What it is told: the number of a task, or that the round is over.
const TASK: u32 = 2;
const NONE: u64 = u64::MAX;

/// What is to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds, each a step of the job.
    pub rounds: u64,
    /// Tasks of a round.
    pub tasks: u64,
    /// Darts of a task.
    pub darts: u64,
    /// Seed of all darts.
    pub seed: u64,
    /// Whether tasks are added up in the order of their numbers.
    pub deterministic: bool,
}

impl Plan {
    /// A task's estimate of π, whoever makes it.
    #[must_use]
    pub fn estimate(&self, task: u64) -> f64 {
        let hit = |dart: &u64| {
            let (x, y) =
                (uniform(self.seed, task, 2 * dart), uniform(self.seed, task, 2 * dart + 1));
            x * x + y * y <= 1.0
        };
        let hits = (0..self.darts).filter(hit).count();
        4.0 * hits as f64 / self.darts as f64
    }
}

/// How far the job is; the sum is rank 0's.
struct Farm {
    round: u64,
    sum: f64,
}

impl State for Farm {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("round", &mut self.round);
        f.value("sum", &mut self.sum);
    }
}

/// Runs the farm; rank 0 finishes with π, the others with nothing.
///
/// # Errors
/// An interruption.
pub fn run(job: &Job, plan: &Plan) -> Result<()> {
    let world = job.world();
    let mut farm = job.protect("farm", || Farm { round: 0, sum: 0.0 })?;
    while farm.round < plan.rounds {
        let tasks = farm.round * plan.tasks..(farm.round + 1) * plan.tasks;
        let ask = ASK + u32::from(farm.round % 2 == 1);
        match (world.rank(), world.size()) {
            (0, 1) => farm.sum = tasks.fold(farm.sum, |sum, task| sum + plan.estimate(task)),
            (0, _) => farm.sum = give(&world, plan, tasks, ask, farm.sum)?,
            _ => work(&world, plan, ask)?,
        }
        farm.round += 1;
        job.checkpoint(&mut farm)?;
    }
    let pi = farm.sum / (plan.rounds * plan.tasks) as f64;
    if world.rank() > 0 {
        return job.finish([0.0_f64; 0]);
    }
    job.report("pi", format_args!("{pi:.16}"))?;
    job.finish([pi])
}

/// Gives out a round's tasks and adds up what comes back.
fn give(
    world: &Comm,
    plan: &Plan,
    mut tasks: std::ops::Range<u64>,
    ask: u32,
    mut sum: f64,
) -> Result<f64> {
    let (first, mut kept) =
        (tasks.start, vec![0.0; if plan.deterministic { tasks.clone().count() } else { 0 }]);
    let mut asking = world.size() - 1;
    while asking > 0 {
        let mut said = [0_u64; 2];
        let status = world.recv_from(&mut said, Any, ask)?;
        let [task, estimate] = [said[0], said[1]];
        if task != NONE {
            let estimate = f64::from_bits(estimate);
            match kept.get_mut((task - first) as usize) {
                Some(place) => *place = estimate,
                None => sum += estimate,
            }
        }
        let next = tasks.next();
        asking -= usize::from(next.is_none());
        world.send(&[next.unwrap_or(NONE)], status.source(), TASK)?;
    }
    Ok(kept.into_iter().fold(sum, |sum, estimate| sum + estimate))
}

/// Asks for tasks until the round is over.
fn work(world: &Comm, plan: &Plan, ask: u32) -> Result<()> {
    let mut said = [NONE, 0];
    loop {
        world.send(&said, 0, ask)?;
        let mut task = [0];
        world.recv(&mut task, 0, TASK)?;
        if task == [NONE] {
            return Ok(());
        }
        said = [task[0], plan.estimate(task[0]).to_bits()];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_those_of_their_numbers_and_near_pi() {
        let plan = Plan { rounds: 1, tasks: 50, darts: 2000, seed: 1, deterministic: true };
        let sum: f64 = (0..50).map(|task| plan.estimate(task)).sum();
        assert!((sum / 50.0 - std::f64::consts::PI).abs() < 0.02, "{sum}");
        assert_eq!(plan.estimate(7), plan.estimate(7));
        assert_ne!(plan.estimate(7), plan.estimate(8));
    }
}
