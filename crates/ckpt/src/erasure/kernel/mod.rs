//! Sums of products of long vectors over GF(2⁸): what encodes parity and rebuilds what is lost.
//!
//! All outputs of a group are summed up from a block of all inputs before the next block, so that an
//! input is read from memory once. Invariants: all kernels give the same bytes; inputs may be shared with
//! another process, so they are read through raw pointers, and each byte of one once a group. Deliberately
//! absent: which factors; a [`Code`](super::Code) knows.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod gfni;
mod portable;

use super::factor::Factor;

/// So many bytes of each input are read before the next group of outputs: those of all fit the caches.
const BLOCK_BYTES: usize = 4096;
/// Inputs that are read side by side: no more streams than a processor follows.
const INPUTS: usize = 8;
/// Outputs that are summed side by side: as many as registers hold.
const OUTPUTS: usize = 4;

/// A way to sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Two look-ups a byte: on every processor.
    Portable,
    /// Two look-ups of 32 bytes at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// One product of a matrix of bits and 64 bytes at a time.
    #[cfg(target_arch = "x86_64")]
    Gfni,
}

impl Kernel {
    /// Every kernel that was compiled, slowest first.
    pub const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Gfni,
    ];

    /// The kernels that this processor runs, slowest first.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.iter().copied().filter(|kernel| kernel.is_available())
    }

    /// The fastest kernel that this processor runs.
    #[must_use]
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self::Portable)
    }

    /// Whether this processor runs it. The answer is remembered by the standard library.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Gfni => is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx512f"),
        }
    }

    /// The name in measurements.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Gfni => "gfni",
        }
    }
}

/// Outputs as sums of inputs, each times a factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    inputs: usize,
    /// That of output o and input i at o · inputs + i.
    factors: Vec<Factor>,
}

impl Combination {
    /// Factors of the first output first; at least one input.
    pub(super) fn new(inputs: usize, factors: impl Iterator<Item = u8>) -> Self {
        Self { inputs, factors: factors.map(Factor::of).collect() }
    }

    /// How many inputs it has.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many outputs it has.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.factors.len() / self.inputs
    }

    /// Whether its only output is its only input.
    #[must_use]
    pub fn is_a_copy(&self) -> bool {
        self.inputs == 1 && matches!(self.factors[..], [factor] if factor == Factor::of(1))
    }

    /// Overwrites the outputs with their sums, by the fastest kernel.
    ///
    /// # Panics
    /// When there are not as many inputs and outputs as it has, or their lengths differ.
    pub fn apply(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        self.apply_with(Kernel::best(), inputs, outputs);
    }

    /// As [`Combination::apply`], by this kernel.
    ///
    /// # Panics
    /// As [`Combination::apply`], and when this processor does not run the kernel.
    pub fn apply_with(&self, kernel: Kernel, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        let bytes = outputs.first().map_or(0, |output| output.len());
        assert!(inputs.iter().all(|input| input.len() == bytes), "inputs of the outputs' length");
        assert!(outputs.iter().all(|output| output.len() == bytes), "outputs of one length");
        assert!(kernel.is_available(), "{} does not run here", kernel.name());
        let inputs: Vec<_> = inputs.iter().map(|input| input.as_ptr()).collect();
        let outputs: Vec<_> = outputs.iter_mut().map(|output| output.as_mut_ptr()).collect();
        // SAFETY: all are slices of `bytes`, of which the exclusive ones overlap no other; the
        // processor was asked just above.
        unsafe { self.run(kernel, &inputs, &outputs, bytes) }
    }

    /// [`Combination::apply`] between memory that may be shared with another process, `bytes` of each.
    ///
    /// # Panics
    /// When there are not as many inputs and outputs as it has.
    ///
    /// # Safety
    /// Inputs are readable and outputs writable for `bytes`, and no output overlaps anything else. Another
    /// process may write inputs meanwhile: the outputs are then any bytes. No other thread of this process
    /// writes inputs or touches outputs meanwhile.
    pub unsafe fn apply_raw(&self, inputs: &[*const u8], outputs: &[*mut u8], bytes: usize) {
        // SAFETY: the caller's promise; `best` is available by its definition.
        unsafe { self.run(Kernel::best(), inputs, outputs, bytes) }
    }

    /// # Safety
    /// As [`Combination::apply_raw`], and the kernel is available.
    unsafe fn run(&self, kernel: Kernel, inputs: &[*const u8], outputs: &[*mut u8], bytes: usize) {
        assert_eq!(inputs.len(), self.inputs(), "as many inputs as it has");
        assert_eq!(outputs.len(), self.outputs(), "as many outputs as it has");
        for at in (0..bytes).step_by(BLOCK_BYTES) {
            let bytes = BLOCK_BYTES.min(bytes - at);
            for (i, inputs) in inputs.chunks(INPUTS).enumerate() {
                for (o, outputs) in outputs.chunks(OUTPUTS).enumerate() {
                    let factors = &self.factors[o * OUTPUTS * self.inputs + i * INPUTS..];
                    let (stride, adds) = (self.inputs, i > 0);
                    let part = Part { factors, stride, inputs, outputs, at, bytes, adds };
                    // SAFETY: `at + bytes` is at most what the caller promised.
                    unsafe { part.run(kernel) }
                }
            }
        }
    }
}

/// A block of some inputs and some outputs.
struct Part<'a> {
    /// That of output o and input i at o · stride + i.
    factors: &'a [Factor],
    stride: usize,
    inputs: &'a [*const u8],
    outputs: &'a [*mut u8],
    at: usize,
    bytes: usize,
    /// Whether the outputs hold a sum that this is added to.
    adds: bool,
}

impl Part<'_> {
    /// The factors of an output.
    fn factors_of(&self, output: usize) -> &[Factor] {
        &self.factors[output * self.stride..][..self.inputs.len()]
    }

    /// # Safety
    /// The processor runs the kernel; inputs are readable and outputs writable up to `at + bytes`, and no
    /// output overlaps anything else.
    unsafe fn run(&self, kernel: Kernel) {
        let done = match kernel {
            Kernel::Portable => 0,
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the caller's promise.
            Kernel::Avx2 => unsafe { avx2::run(self) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the caller's promise.
            Kernel::Gfni => unsafe { gfni::run(self) },
        };
        // SAFETY: the caller's promise.
        unsafe { portable::run(self, done) }
    }
}
