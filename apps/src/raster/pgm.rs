//! PGM, as text (`P2`) or as bytes (`P5`), of 8 or 16 bits.
//!
//! Invariants: a value is a whole number up to the maximum of the header; there is one raster in a
//! file and nothing behind it; every cell holds a number. Deliberately absent: scaling; the numbers
//! are those of the file.

use super::words::Words;
use super::{Raster, RasterFault, check_size};
use crate::InputError;

/// The greatest maximum of the format.
const MAXIMUM: u32 = 65_535;
/// Bytes read at a time, a whole number of cells of either size.
const BLOCK_BYTES: usize = 64 * 1024;

/// Reads a raster of the family `P1` to `P7`, told by the digit `kind`.
pub(super) fn read(mut words: Words<'_>, kind: u8) -> Result<Raster, InputError> {
    words.advance(true)?;
    if !matches!(kind, b'2' | b'5') {
        return Err(words.fault(RasterFault::Netpbm { kind: char::from(kind) }));
    }
    let columns = header_number(&mut words, "the width", u64::MAX)?;
    let rows = header_number(&mut words, "the height", u64::MAX)?;
    let max = header_number(&mut words, "the maximum", u64::from(MAXIMUM))? as u32;
    let cell_bits = if kind == b'5' && max < 256 { 8 } else { 16 };
    let size = check_size((rows, columns), cell_bits, words.bytes_max());
    let size = size.map_err(|fault| words.fault(fault))?;
    let count = size.0 * size.1;
    let cells =
        if kind == b'2' { text(&mut words, count, max)? } else { bytes(&mut words, count, max)? };
    Raster::new(size, None, cells).map_err(|fault| words.file_fault(fault))
}

fn header_number(words: &mut Words<'_>, key: &'static str, max: u64) -> Result<u64, InputError> {
    if !words.advance(true)? {
        return Err(words.fault(RasterFault::HeaderEnds));
    }
    match words.word().parse() {
        Ok(number @ 1..) if number <= max => Ok(number),
        _ => {
            let wanted = match max {
                u64::MAX => "a whole number from 1 on",
                _ => "a whole number from 1 to 65535",
            };
            Err(words.fault(RasterFault::KeyValue { key, found: words.found(), wanted }))
        }
    }
}

fn text(words: &mut Words<'_>, count: usize, max: u32) -> Result<Vec<f64>, InputError> {
    let mut cells = Vec::new();
    let claimed = count as u64;
    while words.advance(true)? {
        if cells.len() == count {
            return Err(words.fault(RasterFault::TooMany { claimed }));
        }
        match words.word().parse::<u32>() {
            Ok(value) if value <= max => cells.push(f64::from(value)),
            _ => return Err(words.fault(RasterFault::Grey { found: words.found(), max })),
        }
    }
    if cells.len() < count {
        let found = cells.len() as u64;
        return Err(words.fault(RasterFault::TooFew { found, claimed }));
    }
    Ok(cells)
}

fn bytes(words: &mut Words<'_>, count: usize, max: u32) -> Result<Vec<f64>, InputError> {
    if !words.end_header()? {
        return Err(words.fault(RasterFault::HeaderEnds));
    }
    let cell_bytes = if max < 256 { 1 } else { 2 };
    let mut cells = Vec::new();
    let mut block = vec![0; BLOCK_BYTES];
    while cells.len() < count {
        let wanted = ((count - cells.len()) * cell_bytes).min(BLOCK_BYTES);
        let from = words.byte();
        let filled = words.read(&mut block[..wanted])?;
        for (i, cell) in block[..filled].chunks_exact(cell_bytes).enumerate() {
            let value = cell.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
            if value > max {
                let found = format!("{value} (byte {})", from + (i * cell_bytes) as u64);
                return Err(words.file_fault(RasterFault::Grey { found, max }));
            }
            cells.push(f64::from(value));
        }
        if filled < wanted {
            let (found, claimed) = (cells.len() as u64, count as u64);
            return Err(words.file_fault(RasterFault::TooFew { found, claimed }));
        }
    }
    let byte = words.byte();
    match words.read(&mut block[..1])? {
        0 => Ok(cells),
        _ => Err(words.file_fault(RasterFault::Trailing { byte })),
    }
}
