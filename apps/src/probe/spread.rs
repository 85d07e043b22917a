//! An array that all ranks hold together, dealt out to them in turn, and faults in what is said of
//! it.
//!
//! Invariants: without a fault the answer depends on the steps and the rows alone, not on the number
//! of ranks; so it is the same whatever number went on with the job. Deliberately absent: bytes and
//! time; every step is short.

use mainstay::{Comm, Dimension, Error, Fields, Job, Result, State};

use super::load::{Load, spin};
use crate::rhs;

/// Words of a row.
const COLUMNS: u64 = 5;
/// Rows that are dealt out at a time.
const BLOCK: u64 = 3;
/// Tag of a message to the next rank.
const NEXT: u32 = 1;

/// What is wrong in what the program says of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wrong {
    /// A field says nothing.
    Undeclared,
    /// What is declared to be the same on all ranks is not.
    Differs,
    /// The shape of the array depends on the number of ranks.
    Shape,
    /// The kind of a field depends on the number of ranks.
    Kind,
    /// Two ranks have the same rows.
    Doubled,
}

/// The protected state of one rank.
struct Spread {
    step: u64,
    /// The sum over all cells, as of the last step.
    sum: u64,
    cells: Vec<u64>,
    rows: u64,
    ranks: u64,
    rank: u64,
    mine: u64,
    words: Vec<u64>,
    floats: Vec<f64>,
    wrong: Option<Wrong>,
}

impl State for Spread {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step).replicated();
        match self.wrong {
            Some(Wrong::Undeclared) => drop(f.value("sum", &mut self.sum)),
            _ => f.value("sum", &mut self.sum).replicated(),
        }
        let part = if self.wrong == Some(Wrong::Doubled) { 0 } else { self.rank };
        let dealt = Dimension::cyclic(self.rows, BLOCK, self.ranks, part);
        f.array("cells", &mut self.cells).shares([dealt, Dimension::block(COLUMNS, 0, COLUMNS)]);
        f.value("mine", &mut self.mine).replicated();
        if self.wrong == Some(Wrong::Kind) && self.ranks.is_multiple_of(2) {
            f.array("table", &mut self.floats).replicated();
        } else {
            f.array("table", &mut self.words).replicated();
        }
    }
}

impl Spread {
    fn new(job: &Job, rows: u64, wrong: Option<Wrong>) -> Self {
        let (rank, ranks) = (job.rank() as u64, job.size() as u64);
        let extent = rows + if wrong == Some(Wrong::Shape) { ranks } else { 0 };
        let part = if wrong == Some(Wrong::Doubled) { 0 } else { rank };
        let own = (0..extent).filter(|row| row / BLOCK % ranks == part);
        let cells = own.flat_map(|row| (0..COLUMNS).map(move |k| rhs::word(row, k, 0))).collect();
        let mine = if wrong == Some(Wrong::Differs) { rank } else { 0 };
        let (words, floats) = (vec![7; 100], vec![7.0; 100]);
        Self { step: 0, sum: 0, cells, rows: extent, ranks, rank, mine, words, floats, wrong }
    }

    fn advance(&mut self, world: &Comm) -> Result<()> {
        let mut sum = [self.cells.iter().fold(0_u64, |sum, cell| sum.wrapping_add(*cell))];
        world.allreduce_with(&mut sum, u64::wrapping_add)?;
        self.sum = rhs::word(self.sum, sum[0], self.step);
        for cell in &mut self.cells {
            *cell = rhs::word(*cell, self.sum, self.step);
        }
        self.step += 1;
        Ok(())
    }

    /// The rows of this rank, each behind its number.
    fn numbered(&self) -> Vec<[u64; 1 + COLUMNS as usize]> {
        let own = (0..self.rows).filter(|row| row / BLOCK % self.ranks == self.rank);
        let rows = self.cells.chunks_exact(COLUMNS as usize);
        own.zip(rows)
            .map(|(row, cells)| {
                std::array::from_fn(|k| match k {
                    0 => row,
                    k => cells[k - 1],
                })
            })
            .collect()
    }
}

/// Changes the array in every step, and finishes with it row by row. From step `late_from` on a
/// message from each rank to the next crosses every checkpoint.
///
/// # Errors
/// An interruption; a message that is not the one of its step.
pub fn spread(
    job: &Job,
    load: Load,
    rows: u64,
    late_from: Option<u64>,
    wrong: Option<Wrong>,
) -> Result<()> {
    let world = job.world();
    let (next, before) = ((world.rank() + 1) % world.size(), world.rank() + world.size() - 1);
    let before = before % world.size();
    let mut spread = job.protect("spread", || Spread::new(job, rows, wrong))?;
    let crosses = |step: u64| late_from.is_some_and(|from| step > from);
    while spread.step < load.steps {
        spin(load.spin);
        if crosses(spread.step) {
            receive(&world, before, spread.step)?;
        }
        spread.advance(&world)?;
        if crosses(spread.step) {
            world.send(&[spread.step], next, NEXT)?;
        }
        job.checkpoint(&mut spread)?;
    }
    if crosses(spread.step) {
        receive(&world, before, spread.step)?;
    }
    let rows = world.gather(&spread.numbered(), 0)?.unwrap_or_default();
    let mut rows: Vec<[u64; 1 + COLUMNS as usize]> = rows;
    rows.sort_unstable();
    job.finish(rows)
}

fn receive(world: &Comm, before: usize, step: u64) -> Result<()> {
    let got = world.recv_vec::<u64>(before, NEXT)?.0;
    if got == [step] {
        return Ok(());
    }
    Err(Error::msg(format!("{got:?} where the message of step {step} was due")))
}
