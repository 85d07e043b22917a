//! Copies that fold the CRC-32C of what they copy, in one pass over the bytes.
//!
//! Invariants: the sum is that of the bytes stored, because both come from the same registers; all
//! kernels agree with the `crc32c` crate, bit by bit. Memory shared with another process is only
//! touched through raw pointers. Deliberately absent: threads, and any choice of what is copied.

mod poly;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse42;
#[cfg(target_arch = "x86_64")]
mod vpclmul;

/// Where the copy's destination should be when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// In the caches: it will be read soon.
    Cached,
    /// In memory: it will not be read soon, and the caches have better use. Copies of less than
    /// [`STREAM_BYTES_MIN`] are cached all the same.
    Streaming,
}

/// Shortest copy for which non-temporal stores pay.
pub const STREAM_BYTES_MIN: usize = 256 * 1024;

/// Longest copy that goes word by word without a look for something better, which costs as much.
#[cfg(target_arch = "x86_64")]
const SHORT_BYTES_MAX: usize = 128;

/// A way to copy and sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Through a small buffer, with the `crc32c` crate: on every processor.
    Portable,
    /// Three lanes of the `crc32` instruction.
    #[cfg(target_arch = "x86_64")]
    Sse42,
    /// Carry-less multiplication of 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    Vpclmul,
}

impl Kernel {
    /// Every kernel that was compiled, slowest first.
    pub const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_arch = "x86_64")]
        Self::Sse42,
        #[cfg(target_arch = "x86_64")]
        Self::Vpclmul,
    ];

    /// The kernels that this processor runs, slowest first.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.iter().copied().filter(|k| k.is_available())
    }

    /// The fastest kernel that this processor runs.
    #[must_use]
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self::Portable)
    }

    /// Whether this processor runs it. The answer is remembered by the standard library.
    #[inline]
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Sse42 => is_x86_feature_detected!("sse4.2"),
            #[cfg(target_arch = "x86_64")]
            Self::Vpclmul => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("vpclmulqdq")
                    && is_x86_feature_detected!("pclmulqdq")
                    && is_x86_feature_detected!("sse4.2")
            }
        }
    }

    /// The name in measurements.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Sse42 => "sse4.2",
            #[cfg(target_arch = "x86_64")]
            Self::Vpclmul => "vpclmulqdq",
        }
    }

    /// Copies `src` to `dst` and returns the CRC-32C of the bytes summed in `crc` followed by
    /// `src`.
    ///
    /// # Panics
    /// When the lengths differ, or this processor does not run the kernel.
    pub fn copy_crc(self, dst: &mut [u8], src: &[u8], crc: u32, hint: Residency) -> u32 {
        assert_eq!(dst.len(), src.len(), "a copy fills its destination");
        assert!(self.is_available(), "{} does not run here", self.name());
        // SAFETY: both slices are valid for the same length and, one being exclusive, do not
        // overlap; the processor was asked just above.
        unsafe { self.run(dst.as_mut_ptr(), src.as_ptr(), src.len(), crc, hint) }
    }

    /// # Safety
    /// As [`copy_crc_raw`], and the kernel is available.
    unsafe fn run(
        self,
        dst: *mut u8,
        src: *const u8,
        len: usize,
        crc: u32,
        hint: Residency,
    ) -> u32 {
        let stream = hint == Residency::Streaming && len >= STREAM_BYTES_MIN;
        match self {
            // SAFETY: the caller's promise about the pointers.
            Self::Portable => unsafe { portable::copy(dst, src, len, crc) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the caller's promises about the pointers and the processor.
            Self::Sse42 => unsafe { sse42::copy(dst, src, len, crc, stream) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the caller's promises about the pointers and the processor.
            Self::Vpclmul => unsafe { vpclmul::copy(dst, src, len, crc, stream) },
        }
    }
}

/// Copies `src` to `dst` and returns the CRC-32C of the bytes summed in `crc` followed by `src`.
///
/// A sum over several pieces starts with 0 and hands each result to the next call.
///
/// # Panics
/// When the lengths differ.
///
/// # Examples
/// ```
/// use mainstay_ckpt::{Residency, copy_crc};
/// let mut copy = [0; 9];
/// let crc = copy_crc(&mut copy, b"123456789", 0, Residency::Cached);
/// assert_eq!((&copy, crc), (b"123456789", 0xE306_9283));
/// ```
pub fn copy_crc(dst: &mut [u8], src: &[u8], crc: u32, hint: Residency) -> u32 {
    assert_eq!(dst.len(), src.len(), "a copy fills its destination");
    // SAFETY: both slices are valid for the same length and, one being exclusive, do not overlap.
    unsafe { copy_crc_raw(dst.as_mut_ptr(), src.as_ptr(), src.len(), crc, hint) }
}

/// The CRC-32C of a few bytes whose number is known when this is compiled, such as a frame's header.
#[inline]
#[must_use]
pub fn crc_of<const N: usize>(bytes: &[u8; N]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if Kernel::Sse42.is_available() {
        // SAFETY: the processor was asked just above.
        return unsafe { sse42::sum(bytes) };
    }
    mainstay_types::crc32c(bytes)
}

/// The CRC-32C of bytes whose sum is `crc`, once some of them whose sum is `old` are replaced by as many
/// whose sum is `new`, with `after` bytes behind them.
///
/// # Examples
/// ```
/// use mainstay_ckpt::kernel::crc_replaced;
/// let crc = |bytes: &[u8]| mainstay_types::crc32c(bytes);
/// let replaced = crc_replaced(crc(b"one two three"), crc(b"two"), crc(b"TWO"), 6);
/// assert_eq!(replaced, crc(b"one TWO three"));
/// ```
#[must_use]
pub fn crc_replaced(crc: u32, old: u32, new: u32, after: usize) -> u32 {
    crc ^ poly::followed(old ^ new, after)
}

/// [`copy_crc`] between memory that may be shared with another process.
///
/// When it returns, everything is stored as ordinary stores would have been: a release store or a
/// system call after it publishes the copy, also a streaming one.
///
/// # Safety
/// `src` is readable and `dst` writable for `len` bytes, and they do not overlap. Another process
/// may write `src` meanwhile: then the bytes are a mixture, and the sum is that of the mixture
/// stored. No other thread of this process writes `src` or touches `dst` meanwhile.
#[inline]
pub unsafe fn copy_crc_raw(
    dst: *mut u8,
    src: *const u8,
    len: usize,
    crc: u32,
    hint: Residency,
) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if len <= SHORT_BYTES_MAX && Kernel::Sse42.is_available() {
        // SAFETY: the caller's promise about the pointers; the processor was asked just above.
        return !unsafe { sse42::words(dst, src, len, !crc) };
    }
    // SAFETY: the caller's promise; `best` is available by its definition.
    unsafe { Kernel::best().run(dst, src, len, crc, hint) }
}
