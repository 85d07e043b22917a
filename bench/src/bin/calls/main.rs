//! The program of the suites `messages` and `collectives`: calls of Mainstay, timed.
//!
//! `calls BATCHES BATCH_MS KIND:BYTES:WINDOW...` prints, at rank 0, one line for each case. The
//! program `peers/calls.c` does the same with MPI; change both or neither.
//!
//! In a window, long messages are sent from and received into vectors that the requests take over
//! and give back: what MPI does with a pointer. Short ones are sent from one block, as they are
//! copied at once anyhow.
//!
//! Invariant: what arrives is compared after each case. Deliberately absent: checkpoints; no step
//! is taken, so none is due.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use mainstay::{Comm, Error, Job, Op, Request, Result};
use measured::batches::{self, Plan, Timed};
use measured::case::{self, Case, Kind};

const TAG_DATA: u32 = 1;
const TAG_ANSWER: u32 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match mainstay::run(|job| enter(job, &words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "the program's own messages")]
fn say(error: &Error) {
    eprintln!("calls: {error}");
}

fn enter(job: &Job, words: &[String]) -> Result<()> {
    let [batches, batch_ms, cases @ ..] = words else {
        return Err(Error::msg("give BATCHES BATCH_MS KIND:BYTES:WINDOW..."));
    };
    let batch = Duration::from_millis(batch_ms.parse()?);
    let plan = Plan { batches: batches.parse()?, batch };
    for word in cases {
        let case: Case = word.parse()?;
        let mut ops = Ops::new(job.world(), case);
        let mut times = batches::measure(&mut ops, plan)?;
        ops.compare()?;
        let per = match case.kind {
            Kind::PingPong => 2.0,
            _ => case.window as f64,
        };
        times.iter_mut().for_each(|time| *time /= per);
        if job.rank() == 0 {
            writeln!(std::io::stdout(), "{}", case::line(case, &times))?;
        }
    }
    job.finish([0_u8; 1])
}

/// One case at one rank.
struct Ops {
    world: Comm,
    case: Case,
    /// What is sent, a block of it.
    from: Vec<u8>,
    /// What came last.
    to: Vec<u8>,
    /// The vector of an allreduce.
    sum: Vec<f64>,
    /// What came last, in messages.
    blocks: Vec<Vec<u8>>,
    /// What long messages of a window are sent from.
    spare: Vec<Vec<u8>>,
    /// The blocks of all ranks for an alltoall, and what came last.
    rows: Vec<u8>,
    columns: Vec<u8>,
}

/// Bytes of a message from which a request takes its vector over.
const LONG_BYTES: usize = 16 * 1024;

impl Ops {
    fn new(world: Comm, case: Case) -> Self {
        let from: Vec<u8> = (0..case.bytes).map(|k| (k * 7 + 1) as u8).collect();
        let to = vec![1; case.bytes];
        let sum = vec![0.0; case.bytes / 8];
        let all = if case.kind == Kind::Alltoall { world.size() } else { 0 };
        let (rows, columns) = (from.repeat(all), vec![1; case.bytes * all]);
        let long = case.kind == Kind::Window && case.bytes > LONG_BYTES;
        let spare = match long && world.rank() == 0 {
            true => vec![from.clone(); case.window],
            false => Vec::new(),
        };
        let blocks = match case.kind == Kind::Window && world.rank() == 1 {
            true => vec![vec![1; case.bytes]; case.window],
            false => Vec::new(),
        };
        Self { world, case, from, to, sum, blocks, spare, rows, columns }
    }

    fn once(&mut self) -> Result<()> {
        match self.case.kind {
            Kind::PingPong => self.ping_pong(),
            Kind::Window => self.window(),
            Kind::Allreduce => self.world.allreduce(&mut self.sum, Op::Sum),
            Kind::Barrier => self.world.barrier(),
            Kind::Alltoall => self.world.alltoall_into(&self.rows, &mut self.columns),
            Kind::Encode | Kind::Rebuild => Err(mainstay::Error::msg("no call of a communicator")),
        }
    }

    fn ping_pong(&mut self) -> Result<()> {
        match self.world.rank() {
            0 => {
                self.world.send(&self.from, 1, TAG_DATA)?;
                self.world.recv(&mut self.to, 1, TAG_DATA)?;
            }
            1 => {
                self.world.recv(&mut self.to, 0, TAG_DATA)?;
                self.world.send(&self.from, 0, TAG_DATA)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn window(&mut self) -> Result<()> {
        let count = 0..self.case.window;
        let mut answer = [0_u8; 1];
        match self.world.rank() {
            0 => {
                if self.spare.is_empty() {
                    let send = |_| self.world.isend(&self.from, 1, TAG_DATA);
                    Request::wait_all(count.map(send).collect::<Result<Vec<_>>>()?)?;
                } else {
                    let spare = self.spare.drain(..);
                    let sent = spare.map(|block| self.world.isend_vec(block, 1, TAG_DATA));
                    let sent = sent.collect::<Result<Vec<_>>>()?;
                    self.spare = Request::wait_all(sent)?;
                }
                self.world.recv(&mut answer, 1, TAG_ANSWER)?;
            }
            1 => {
                let rooms = self.blocks.drain(..);
                let received = rooms.map(|room| self.world.irecv_into(room, 0, TAG_DATA));
                let received = received.collect::<Result<Vec<_>>>()?;
                self.blocks = Request::wait_all(received)?;
                self.world.send(&answer, 0, TAG_ANSWER)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether what came is what was sent.
    fn compare(&mut self) -> Result<()> {
        let right = match self.case.kind {
            Kind::Allreduce => {
                let (rank, size) = (self.world.rank() as f64, self.world.size() as f64);
                self.sum.fill(rank + 1.0);
                self.once()?;
                self.sum.iter().all(|sum| *sum == size * (size + 1.0) / 2.0)
            }
            Kind::PingPong => self.world.rank() > 1 || self.to == self.from,
            Kind::Alltoall => self.columns == self.rows,
            _ => self.blocks.iter().all(|block| *block == self.from),
        };
        right.then_some(()).ok_or_else(|| Error::msg(format!("{}: a byte differs", self.case)))
    }
}

impl Timed for Ops {
    type Error = Error;

    fn meet(&mut self) -> Result<()> {
        self.world.barrier()
    }

    fn agree(&mut self, number: u64) -> Result<u64> {
        let mut number = [number];
        self.world.broadcast(&mut number, 0)?;
        Ok(number[0])
    }

    fn repeat(&mut self, count: u64) -> Result<()> {
        (0..count).try_for_each(|_| self.once())
    }
}
