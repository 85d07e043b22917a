//! Collectives of several communicators, blocking and not, on both sides of every cut.
//!
//! The prologue splits the ranks into rows and columns and duplicates the world. In the collectives of
//! step s every rank is before its checkpoint. In those of its crossing most ranks are before their
//! checkpoint and others, in turn, after theirs, now and then on a communicator that is made and used
//! there alone; so these cross the cut of every version.
//!
//! ```text
//!   most      step s   crossing s   checkpoint s
//!   ahead     step s                checkpoint s   crossing s
//! ```
//!
//! Collectives under way are waited for in another order at every second rank. Invariants: whatever a
//! collective gives is mixed into the state once; a nonblocking reduction has the bits of the
//! blocking one, or the program fails. Who is ahead waits for nobody in its checkpoint, so nobody
//! waits in a circle.

use mainstay::{Comm, Error, Fields, Job, Op, Pending, Result, State};

use super::load::{Load, spin};
use crate::rhs;

const RING: u32 = 4;
/// Elements of blocks that take several pieces or rounds, and of others.
const LONG: usize = 9_000;
const SHORT: usize = 5;

/// The protected state of one rank.
struct Point {
    /// Steps completed; what crosses the checkpoint of the last may be still to do.
    step: u64,
    /// Everything that collectives gave, mixed in order.
    mixed: u64,
    /// One word a step, and padding up to the size asked for: the answer.
    history: Vec<u64>,
}

impl State for Point {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        f.value("mixed", &mut self.mixed);
        f.array("history", &mut self.history);
    }
}

impl Point {
    fn new(rank: usize, load: Load) -> Self {
        let words = (load.bytes / 8).max(load.steps as usize + 1);
        Self { step: 0, mixed: rank as u64, history: vec![0; words] }
    }

    fn mix(&mut self, numbers: &[f64]) {
        for number in numbers {
            self.mixed = rhs::word(self.mixed ^ number.to_bits(), self.step, 0);
        }
    }

    /// Numbers of many magnitudes, whose sum has other bits in every order.
    fn numbers(&self, salt: u64, count: usize) -> Vec<f64> {
        let number = |k: usize| {
            let word = rhs::word(self.mixed, salt, k as u64);
            (word >> 11) as f64 * 2_f64.powi((word % 80) as i32 - 70)
        };
        (0..count).map(number).collect()
    }

    /// Blocks of different lengths, one for each rank.
    fn blocks(&self, salt: u64, n: usize) -> Vec<Vec<f64>> {
        let bytes = |k: usize| (rhs::word(self.mixed, salt, k as u64) % 40) as usize;
        (0..n).map(|k| self.numbers(salt + k as u64, bytes(k))).collect()
    }
}

/// The communicators that every entry has.
struct Grid {
    world: Comm,
    row: Comm,
    column: Comm,
    copy: Comm,
}

impl Grid {
    /// Rows of two ranks; ranks count backwards in their columns.
    fn new(world: Comm) -> Result<Self> {
        let rank = world.rank() as u32;
        let whole = |comm: Option<Comm>| comm.ok_or_else(|| Error::msg("a rank without a part"));
        Ok(Self {
            row: whole(world.split(Some(rank / 2), 0)?)?,
            column: whole(world.split(Some(rank % 2), -i64::from(rank))?)?,
            copy: world.dup()?,
            world,
        })
    }

    fn all(&self) -> [&Comm; 4] {
        [&self.world, &self.row, &self.column, &self.copy]
    }

    /// Whether this rank is in the collectives that cross the checkpoint of a step after its own.
    fn is_ahead(&self, step: u64) -> bool {
        (self.world.rank() as u64 + step).is_multiple_of(3)
    }

    /// What every rank does before the checkpoint.
    fn step(&self, point: &mut Point) -> Result<()> {
        let long = if point.step.is_multiple_of(3) { LONG } else { SHORT };
        for comm in self.all() {
            blocking(comm, point, long)?;
        }
        let under_way = self.start(point, long)?;
        self.ring(point)?;
        blocking(&self.copy, point, SHORT)?;
        under_way.finish(!self.world.rank().is_multiple_of(2), point)
    }

    /// What some ranks do before their checkpoint and others after theirs.
    fn crossing(&self, point: &mut Point) -> Result<()> {
        let long = if point.step.is_multiple_of(4) { LONG } else { SHORT };
        let under_way = self.start(point, long)?;
        for comm in [&self.world, &self.column] {
            blocking(comm, point, SHORT)?;
        }
        if point.step.is_multiple_of(5) {
            let half = self.world.split(Some(self.world.rank() as u32 / 3), 0)?;
            let made = half.ok_or_else(|| Error::msg("a rank without a half"))?;
            blocking(&made, point, long)?;
            let sum = made.iallreduce(point.numbers(50, long), Op::Sum)?;
            self.ring(point)?;
            point.mix(&sum.wait()?);
        }
        under_way.finish(self.world.rank().is_multiple_of(2), point)
    }

    /// A message to the next rank and one from the last.
    fn ring(&self, point: &mut Point) -> Result<()> {
        let (rank, size) = (self.world.rank(), self.world.size());
        let sent = self.world.isend(&point.numbers(1, SHORT), (rank + 1) % size, RING)?;
        let got = self.world.irecv::<f64>((rank + size - 1) % size, RING)?.wait()?;
        sent.wait()?;
        point.mix(&got);
        Ok(())
    }

    /// Starts collectives, several on one communicator.
    fn start(&self, point: &Point, long: usize) -> Result<UnderWay> {
        let (world, root) = (&self.world, point.step as usize % self.world.size());
        let blocks = point.blocks(20, world.size());
        let blocks: Vec<&[f64]> = blocks.iter().map(Vec::as_slice).collect();
        let sums = [(world, long), (world, long + 1), (&self.copy, SHORT), (&self.row, long)];
        let mut reduced = Vec::new();
        for ((comm, count), salt) in sums.into_iter().zip(30..) {
            let data = point.numbers(salt, count);
            let started = comm.iallreduce(data.clone(), Op::Sum)?;
            reduced.push((comm.clone(), data, started));
        }
        Ok(UnderWay {
            reduced,
            vectors: vec![
                world.ibroadcast(point.numbers(40, SHORT), root)?,
                world.iallgather(&point.numbers(41, 1 + world.rank()))?,
                self.column.iallgather(&point.numbers(42, long / (1 + world.rank())))?,
                world.iallreduce_with(point.numbers(43, SHORT), |a, b| a - b)?,
            ],
            at_root: vec![
                world.ireduce(&point.numbers(44, SHORT), Op::Sum, root)?,
                world.igather(&point.numbers(45, 3), root)?,
            ],
            exchanged: world.ialltoall(&blocks)?,
            all_here: world.ibarrier()?,
        })
    }
}

/// Blocking collectives of one communicator, with long blocks and short ones.
fn blocking(comm: &Comm, point: &mut Point, long: usize) -> Result<()> {
    let root = point.step as usize % comm.size();
    comm.barrier()?;
    for (count, salt) in [(SHORT, 10), (long, 11)] {
        let mut sum = point.numbers(salt, count);
        comm.allreduce(&mut sum, Op::Sum)?;
        point.mix(&sum);
    }
    let blocks = point.blocks(12, comm.size());
    let blocks: Vec<&[f64]> = blocks.iter().map(Vec::as_slice).collect();
    point.mix(&comm.alltoall(&blocks)?.concat());
    point.mix(&comm.allgather(&point.numbers(13, 1 + comm.rank()))?);
    let mut plan = point.numbers(14, SHORT);
    comm.broadcast(&mut plan, root)?;
    comm.scan(&mut plan, Op::Sum)?;
    point.mix(&plan);
    Ok(())
}

/// Collectives under way.
struct UnderWay {
    reduced: Vec<(Comm, Vec<f64>, Pending<Vec<f64>>)>,
    vectors: Vec<Pending<Vec<f64>>>,
    at_root: Vec<Pending<Option<Vec<f64>>>>,
    exchanged: Pending<Vec<Vec<f64>>>,
    all_here: Pending<()>,
}

impl UnderWay {
    /// Waits for all in one of two orders; mixes what they gave in one.
    fn finish(self, backwards: bool, point: &mut Point) -> Result<()> {
        let (mut sums, mut sent) = (Vec::new(), Vec::new());
        for (comm, data, sum) in self.reduced {
            sums.push(sum);
            sent.push((comm, data));
        }
        let mut under_way: Vec<_> = sums.into_iter().chain(self.vectors).map(Some).collect();
        let (count, mut got) = (under_way.len(), vec![Vec::new(); under_way.len()]);
        for turn in 0..count {
            let place = if backwards { count - 1 - turn } else { turn };
            if let Some(mut started) = under_way[place].take() {
                // Asked for now and then, as a choice that a recovery has to repeat.
                let _complete = point.step.is_multiple_of(2) && started.test()?;
                got[place] = started.wait()?;
            }
        }
        self.all_here.wait()?;
        point.mix(&self.exchanged.wait()?.concat());
        for at_root in self.at_root {
            point.mix(&at_root.wait()?.unwrap_or_default());
        }
        for (k, (comm, mut data)) in sent.into_iter().enumerate() {
            comm.allreduce(&mut data, Op::Sum)?;
            if !data.iter().zip(&got[k]).all(|(a, b)| a.to_bits() == b.to_bits()) {
                return Err(Error::msg(format!(
                    "a nonblocking sum of {} numbers over {} ranks has other bits than the \
                     blocking one",
                    data.len(),
                    comm.size()
                )));
            }
        }
        got.iter().for_each(|numbers| point.mix(numbers));
        Ok(())
    }
}

/// Does all that in each step, and finishes with the history of all that was given.
///
/// # Errors
/// An interruption, or a nonblocking sum with other bits than the blocking one.
pub fn communicators(job: &Job, load: Load) -> Result<()> {
    let grid = Grid::new(job.world())?;
    let mut point = job.protect("point", || Point::new(job.rank(), load))?;
    loop {
        // First what follows the last checkpoint: a restored state stands right behind it.
        if point.step > 0 && grid.is_ahead(point.step) {
            grid.crossing(&mut point)?;
        }
        if point.step == load.steps {
            break;
        }
        spin(load.spin);
        grid.step(&mut point)?;
        point.step += 1;
        if !grid.is_ahead(point.step) {
            grid.crossing(&mut point)?;
        }
        let at = point.step as usize;
        point.history[at] ^= point.mixed;
        job.checkpoint(&mut point)?;
    }
    point.history[0] = point.mixed;
    job.finish(&point.history)
}
