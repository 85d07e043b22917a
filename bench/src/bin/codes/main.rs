//! Times our erasure codes for the suite `erasure`.
//!
//! `codes KERNEL K M BATCHES BATCH_MS KIND:BYTES:WINDOW...` prints the lines of `calls`. BYTES are those of
//! all K data shards. Kind `encode`: M parity shards; kind `rebuild`: the first min(K, M) data shards from
//! the others. KERNEL is a name of `mainstay_ckpt::erasure::Kernel`, or `best`; kernel `copy` copies the
//! data instead, which is the least that memory is asked for.
//!
//! `peers/codes.c` is the same with ISA-L; change both or neither. Invariant: what is rebuilt is compared
//! with what was lost. Deliberately absent: threads.

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use mainstay_ckpt::erasure::{Code, Combination, Kernel};
use measured::batches::{self, Plan, Timed};
use measured::case::{self, Case, Kind};

type Failure = Box<dyn Error>;

/// Shards begin at multiples of this.
const ALIGNMENT: usize = 4096;

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
    eprintln!("codes: {error}");
}

#[allow(clippy::print_stdout, reason = "the program's purpose")]
fn run(words: &[String]) -> Result<(), Failure> {
    let [kernel, k, m, batches, batch_ms, cases @ ..] = words else {
        return Err("give KERNEL K M BATCHES BATCH_MS KIND:BYTES:WINDOW...".into());
    };
    let kernel = match kernel.as_str() {
        "copy" => None,
        "best" => Some(Kernel::best()),
        name => Some(named(name)?),
    };
    let code = Code::new(k.parse()?, m.parse()?)?;
    let batch = Duration::from_millis(batch_ms.parse()?);
    let plan = Plan { batches: batches.parse()?, batch };
    for word in cases {
        let case: Case = word.parse()?;
        let mut work = Work::new(code, kernel, case)?;
        let Ok(times) = batches::measure(&mut work, plan);
        work.compare()?;
        println!("{}", case::line(case, &times));
    }
    Ok(())
}

fn named(name: &str) -> Result<Kernel, Failure> {
    let found = Kernel::available().find(|kernel| kernel.name() == name);
    found.ok_or_else(|| format!("this processor runs no kernel `{name}`").into())
}

/// Shards of one case.
struct Work {
    kernel: Option<Kernel>,
    sums: Combination,
    /// Those that are summed.
    inputs: Vec<Shard>,
    outputs: Vec<Shard>,
    /// What the outputs have to be.
    expected: Vec<Shard>,
}

impl Work {
    fn new(code: Code, kernel: Option<Kernel>, case: Case) -> Result<Self, Failure> {
        let (k, m) = (code.data(), code.parity());
        let bytes = case.bytes / k;
        let data: Vec<_> = (0..k).map(|number| Shard::filled(bytes, number)).collect();
        let mut parity: Vec<_> = (0..m).map(|_| Shard::filled(bytes, 0)).collect();
        apply(&code.encoder(), Kernel::Portable, &data, &mut parity);
        let all: Vec<_> = data.into_iter().chain(parity).collect();
        let (inputs, outputs): (Vec<_>, Vec<_>) = match case.kind {
            Kind::Encode => ((0..k).collect(), (k..k + m).collect()),
            Kind::Rebuild => ((k.min(m)..k + k.min(m)).collect(), (0..k.min(m)).collect()),
            _ => return Err(format!("{case}: neither encode nor rebuild").into()),
        };
        let sums = code.rebuilder(&inputs, &outputs)?;
        let some = |numbers: &[usize]| numbers.iter().map(|i| all[*i].again()).collect::<Vec<_>>();
        let room = outputs.iter().map(|_| Shard::filled(bytes, 1)).collect();
        let (inputs, expected) = (some(&inputs), some(&outputs));
        Ok(Self { kernel, sums, inputs, outputs: room, expected })
    }

    fn compare(&self) -> Result<(), Failure> {
        let same = |(one, other): (&Shard, &Shard)| one.bytes() == other.bytes();
        match self.kernel.is_none() || self.outputs.iter().zip(&self.expected).all(same) {
            true => Ok(()),
            false => Err("a shard differs".into()),
        }
    }
}

impl Timed for Work {
    type Error = Infallible;

    fn meet(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn agree(&mut self, number: u64) -> Result<u64, Infallible> {
        Ok(number)
    }

    fn repeat(&mut self, count: u64) -> Result<(), Infallible> {
        for _ in 0..count {
            match self.kernel {
                Some(kernel) => apply(&self.sums, kernel, &self.inputs, &mut self.outputs),
                None => {
                    for (input, output) in self.inputs.iter().zip(0..) {
                        let output = output % self.outputs.len();
                        self.outputs[output].bytes_mut().copy_from_slice(input.bytes());
                    }
                }
            }
        }
        Ok(())
    }
}

fn apply(sums: &Combination, kernel: Kernel, inputs: &[Shard], outputs: &mut [Shard]) {
    let inputs: Vec<_> = inputs.iter().map(Shard::bytes).collect();
    let mut outputs: Vec<_> = outputs.iter_mut().map(Shard::bytes_mut).collect();
    sums.apply_with(kernel, &inputs, &mut outputs);
}

/// Bytes that begin at a multiple of [`ALIGNMENT`].
struct Shard {
    room: Vec<u8>,
    at: usize,
    bytes: usize,
}

impl Shard {
    fn filled(bytes: usize, number: usize) -> Self {
        let room = vec![1; bytes + ALIGNMENT];
        let at = room.as_ptr().align_offset(ALIGNMENT);
        let mut shard = Self { room, at, bytes };
        let bytes = shard.bytes_mut().iter_mut().enumerate();
        bytes.for_each(|(i, byte)| *byte = (i * 7 + i / 251 + number * 31 + 1) as u8);
        shard
    }

    fn again(&self) -> Self {
        let mut other = Self::filled(self.bytes, 0);
        other.bytes_mut().copy_from_slice(self.bytes());
        other
    }

    fn bytes(&self) -> &[u8] {
        &self.room[self.at..self.at + self.bytes]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.at..self.at + self.bytes]
    }
}
