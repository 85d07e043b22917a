//! Blocks of numbers by pco, which finds what they have in common as numbers.
//!
//! Invariant: bits come back as they were, those of a NaN too. Deliberately absent: numbers of one
//! byte and opaque elements, which it does not take.

use pco::ChunkConfig;
use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};

use crate::format::kind::Kind;

/// A level at which smooth numbers gain most of what they can, in a fraction of the time of more.
const LEVEL: usize = 4;

/// Whether it takes elements of this kind.
#[must_use]
pub fn takes(kind: Kind) -> bool {
    !matches!(kind, Kind::U8 | Kind::I8 | Kind::Opaque)
}

/// Numbers as they lie in memory on a little-endian machine.
pub(super) trait Bytes: Number {
    /// Appends their bytes, or fills so many of them.
    const BYTES: usize;
    fn get(bytes: &[u8]) -> Self;
    fn put(self, into: &mut [u8]);
}

macro_rules! bytes {
    ($($type:ty),*) => {
        $(impl Bytes for $type {
            const BYTES: usize = size_of::<Self>();

            fn get(bytes: &[u8]) -> Self {
                let mut all = [0; size_of::<Self>()];
                all.copy_from_slice(bytes);
                Self::from_le_bytes(all)
            }

            fn put(self, into: &mut [u8]) {
                into.copy_from_slice(&self.to_le_bytes());
            }
        })*
    };
}

bytes!(u16, u32, u64, i16, i32, i64, f32, f64);

/// Appends `block` to `out`; false if it is none of such numbers.
#[must_use]
pub fn compress(kind: Kind, block: &[u8], out: &mut Vec<u8>) -> bool {
    match kind {
        Kind::U16 => put::<u16>(block, out),
        Kind::U32 => put::<u32>(block, out),
        Kind::U64 => put::<u64>(block, out),
        Kind::I16 => put::<i16>(block, out),
        Kind::I32 => put::<i32>(block, out),
        Kind::I64 => put::<i64>(block, out),
        Kind::F32 => put::<f32>(block, out),
        Kind::F64 => put::<f64>(block, out),
        Kind::U8 | Kind::I8 | Kind::Opaque => false,
    }
}

fn put<T: Bytes>(block: &[u8], out: &mut Vec<u8>) -> bool {
    if !block.len().is_multiple_of(T::BYTES) {
        return false;
    }
    let numbers: Vec<T> = block.chunks_exact(T::BYTES).map(T::get).collect();
    put_numbers(&numbers, out)
}

/// Appends numbers.
pub(super) fn put_numbers<T: Number>(numbers: &[T], out: &mut Vec<u8>) -> bool {
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    simple_compress(numbers, &config).map(|bytes| out.extend_from_slice(&bytes)).is_ok()
}

/// Fills `into` with the numbers that were stored.
///
/// # Errors
/// What is wrong with the stored bytes, in words.
pub fn decompress(kind: Kind, stored: &[u8], into: &mut [u8]) -> Result<(), String> {
    match kind {
        Kind::U16 => get::<u16>(stored, into),
        Kind::U32 => get::<u32>(stored, into),
        Kind::U64 => get::<u64>(stored, into),
        Kind::I16 => get::<i16>(stored, into),
        Kind::I32 => get::<i32>(stored, into),
        Kind::I64 => get::<i64>(stored, into),
        Kind::F32 => get::<f32>(stored, into),
        Kind::F64 => get::<f64>(stored, into),
        Kind::U8 | Kind::I8 | Kind::Opaque => {
            Err(format!("{} cannot be stored as numbers", kind.name()))
        }
    }
}

fn get<T: Bytes>(stored: &[u8], into: &mut [u8]) -> Result<(), String> {
    if !into.len().is_multiple_of(T::BYTES) {
        return Err(format!("{} bytes are no whole numbers", into.len()));
    }
    let numbers = get_numbers::<T>(stored, into.len() / T::BYTES)?;
    for (number, into) in numbers.into_iter().zip(into.chunks_exact_mut(T::BYTES)) {
        number.put(into);
    }
    Ok(())
}

/// Exactly so many numbers.
pub(super) fn get_numbers<T: Number + Default>(
    stored: &[u8],
    count: usize,
) -> Result<Vec<T>, String> {
    let mut numbers = vec![T::default(); count];
    let progress = simple_decompress_into(stored, &mut numbers).map_err(|e| e.to_string())?;
    if progress.n_processed != count || !progress.finished {
        return Err(format!("it does not hold {count} numbers"));
    }
    Ok(numbers)
}
