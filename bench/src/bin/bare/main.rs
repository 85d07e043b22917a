//! The limits that the suite `messages` shows beside the others.
//!
//! `bare MODE BATCHES BATCH_MS KIND:BYTES:WINDOW...` prints the lines of `calls`. Mode `ring`: two
//! processes and a ring in shared memory, and nothing else; the program starts itself once more, in
//! mode `second`. Mode `copy`: for each message a plain copy of so many bytes, in one process.
//!
//! Invariant: the two processes agree on every length, so a ring has no headers. Deliberately
//! absent: matching, checks, parking; a rank that waits spins.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};
use std::time::Duration;

use measured::batches::{self, Plan, Timed};
use measured::case::{self, Case, Kind};
use measured::mapping::Mapping;

mod ring;

use ring::Rings;

const PAGE_BYTES: usize = 4096;

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "the program's own messages")]
fn say(error: &dyn Error) {
    eprintln!("bare: {error}");
}

fn run(words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["copy", ref words @ ..] => measure(None, words),
        ["ring", ref words @ ..] => ring(words),
        ["second", path, ref words @ ..] => {
            let file = File::options().read(true).write(true).open(path)?;
            measure(Some(Rings::new(Mapping::shared(file, Rings::BYTES)?, 1)), words)
        }
        _ => Err("give ring or copy, BATCHES BATCH_MS KIND:BYTES:WINDOW...".into()),
    }
}

fn ring(words: &[&str]) -> Result<(), Failure> {
    let memory = Mapping::zeroed(Rings::BYTES)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.file().as_raw_fd());
    let mut second = Command::new(std::env::current_exe()?);
    let mut second = second.args(["second", &path]).args(words).spawn()?;
    let outcome = measure(Some(Rings::new(memory, 0)), words);
    if outcome.is_err() {
        second.kill()?;
    }
    let ended = second.wait()?;
    outcome?;
    ended.success().then_some(()).ok_or_else(|| format!("the other process: {ended}").into())
}

fn measure(mut rings: Option<Rings>, words: &[&str]) -> Result<(), Failure> {
    let [batches, batch_ms, ref cases @ ..] = *words else {
        return Err("give BATCHES BATCH_MS KIND:BYTES:WINDOW...".into());
    };
    let batch = Duration::from_millis(batch_ms.parse()?);
    let plan = Plan { batches: batches.parse()?, batch };
    for word in cases {
        let case: Case = word.parse()?;
        let (mut times, per) = match &mut rings {
            Some(rings) => {
                let mut ops = Ring { rings, blocks: Blocks::new(case) };
                let times = batches::measure(&mut ops, plan)?;
                ops.blocks.compare()?;
                (times, if case.kind == Kind::PingPong { 2 } else { case.window })
            }
            None => (batches::measure(&mut Blocks::new(case), plan)?, case.window),
        };
        times.iter_mut().for_each(|time| *time /= per as f64);
        if rings.as_ref().is_none_or(|rings| rings.rank() == 0) {
            writeln!(std::io::stdout(), "{}", case::line(case, &times))?;
        }
    }
    Ok(())
}

/// What is sent and where it arrives, in one process. By itself it is the mode `copy`.
struct Blocks {
    case: Case,
    from: Pages,
    /// Room for all messages of a window.
    to: Pages,
}

/// Bytes from the start of a page on: between other places the copy of the C library can be twenty
/// times slower on some processors, which would be no limit of the hardware.
struct Pages {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Pages {
    fn of(length: usize, byte: impl Fn(usize) -> u8) -> Self {
        let mut bytes = vec![0; length + PAGE_BYTES];
        let start = bytes.as_ptr().align_offset(PAGE_BYTES);
        bytes[start..start + length].iter_mut().enumerate().for_each(|(k, b)| *b = byte(k));
        Self { bytes, start, length }
    }

    fn all(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }

    fn all_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

impl Blocks {
    fn new(case: Case) -> Self {
        let byte = |k: usize| (k % case.bytes * 7 + 1) as u8;
        let (from, to) = (Pages::of(case.bytes, byte), Pages::of(case.bytes * case.window, byte));
        Self { case, from, to }
    }

    fn rooms(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.to.all_mut().chunks_mut(self.case.bytes.max(1))
    }

    fn compare(&self) -> Result<(), Failure> {
        let same = self.to.all().chunks(self.case.bytes.max(1)).all(|room| room == self.from.all());
        same.then_some(()).ok_or_else(|| format!("{}: a byte differs", self.case).into())
    }
}

impl Timed for Blocks {
    type Error = Failure;

    fn meet(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn agree(&mut self, number: u64) -> Result<u64, Failure> {
        Ok(number)
    }

    fn repeat(&mut self, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            for room in self.to.all_mut().chunks_mut(self.case.bytes.max(1)) {
                room.copy_from_slice(black_box(self.from.all()));
            }
            black_box(self.to.all());
        }
        Ok(())
    }
}

/// One case at one of two ranks.
struct Ring<'a> {
    rings: &'a mut Rings,
    blocks: Blocks,
}

impl Ring<'_> {
    fn once(&mut self) -> Result<(), Failure> {
        let Self { rings, blocks } = self;
        let first = rings.rank() == 0;
        match blocks.case.kind {
            Kind::PingPong if first => {
                rings.send(blocks.from.all())?;
                rings.receive(blocks.to.all_mut())?;
            }
            Kind::PingPong => {
                rings.receive(blocks.to.all_mut())?;
                rings.send(blocks.from.all())?;
            }
            Kind::Window if first => {
                (0..blocks.case.window).try_for_each(|_| rings.send(blocks.from.all()))?;
                rings.receive(&mut [0])?;
            }
            Kind::Window => {
                blocks.rooms().try_for_each(|room| rings.receive(room))?;
                rings.send(&[0])?;
            }
            _ => {
                return Err(format!("{} is not done here", blocks.case).into());
            }
        }
        Ok(())
    }
}

impl Timed for Ring<'_> {
    type Error = Failure;

    fn meet(&mut self) -> Result<(), Failure> {
        match self.rings.rank() {
            0 => self.rings.send(&[0]).and_then(|()| self.rings.receive(&mut [0]))?,
            _ => self.rings.receive(&mut [0]).and_then(|()| self.rings.send(&[0]))?,
        }
        Ok(())
    }

    fn agree(&mut self, number: u64) -> Result<u64, Failure> {
        let mut bytes = number.to_le_bytes();
        match self.rings.rank() {
            0 => self.rings.send(&bytes)?,
            _ => self.rings.receive(&mut bytes)?,
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn repeat(&mut self, count: u64) -> Result<(), Failure> {
        (0..count).try_for_each(|_| self.once())
    }
}
