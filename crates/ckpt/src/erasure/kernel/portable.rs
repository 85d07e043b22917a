//! Byte by byte, with two look-ups: the twin of all other kernels, and what they leave at the end.

use super::Part;

/// Sums what is left behind the first `done` bytes of the part.
///
/// # Safety
/// As [`Part::run`].
pub(super) unsafe fn run(part: &Part<'_>, done: usize) {
    for (number, output) in part.outputs.iter().enumerate() {
        let factors = part.factors_of(number);
        for at in part.at + done..part.at + part.bytes {
            // SAFETY: within the caller's memory.
            let to = unsafe { output.add(at) };
            let mut sum = 0;
            if part.adds {
                // SAFETY: within the caller's memory, and written by the part before.
                sum = unsafe { to.read() };
            }
            for (factor, input) in factors.iter().zip(part.inputs) {
                // SAFETY: within the caller's memory.
                let from = unsafe { input.add(at) };
                // Volatile: another process may write it, and it is to be read once.
                // SAFETY: within the caller's memory.
                sum ^= factor.times(unsafe { from.read_volatile() });
            }
            // SAFETY: within the caller's memory.
            unsafe { to.write(sum) };
        }
    }
}
