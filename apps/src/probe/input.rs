//! A program with a large input, kept by the job rather than by its ranks.

use std::io::Read;

use mainstay::{Job, Result};

use super::load::{Load, Work, go_on};
use crate::rhs;

/// Loads `bytes` of input once and reads another part of it in each step.
///
/// # Errors
/// An interruption, or an input that the job cannot keep.
pub fn big_input(job: &Job, load: Load, bytes: usize) -> Result<()> {
    let input = job.input("big", || Ok::<_, mainstay::Error>(bytes_of_input(bytes)))?;
    let mut work = job.protect("work", || Work::new(job.rank(), load.bytes))?;
    go_on(job, load, &mut work, |work| {
        let part = input.chunks(4096).nth(work.step as usize % input.len().div_ceil(4096).max(1));
        for byte in part.unwrap_or_default() {
            work.words[0] = work.words[0].rotate_left(8) ^ u64::from(*byte);
        }
        Ok(())
    })?;
    job.finish(&work.words)
}

/// Loads all of standard input and hands in, on each rank, what it was given. Before that rank 0
/// waits for a message of the last rank, or, if `skips`, for ever: it does not ask for the input.
///
/// # Errors
/// An interruption, or standard input that cannot be read.
pub fn stdin(job: &Job, skips: bool) -> Result<()> {
    let (world, last) = (job.world(), job.size() - 1);
    if job.rank() == last && last > 0 && !skips {
        world.send(&[0_u8], 0, 1)?;
    }
    if job.rank() == 0 && last > 0 {
        world.recv(&mut [0_u8], last, 1)?;
    }
    let input = job.input("stdin", || {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    })?;
    let all = world.allgather(&[input.len() as u64])?;
    job.report("bytes", format_args!("{all:?}"))?;
    job.finish(&*input)
}

fn bytes_of_input(bytes: usize) -> Vec<u8> {
    let words = (0..bytes.div_ceil(8) as u64).flat_map(|k| rhs::word(1, 0, k).to_le_bytes());
    words.take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_has_the_size_asked_for() {
        assert_eq!(bytes_of_input(0).len(), 0);
        assert_eq!(bytes_of_input(13).len(), 13);
        assert_eq!(bytes_of_input(16)[..13], bytes_of_input(13)[..]);
    }
}
