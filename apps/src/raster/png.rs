//! Grey PNG of up to 16 bits.
//!
//! A pixel that is wholly transparent, by an alpha channel or by the one transparent shade of the
//! file, is a missing cell; otherwise opacity has no meaning. Shades of fewer than 8 bits are
//! spread over 0 to 255, as every viewer does.
//!
//! Invariants: checksums are verified; nothing stands behind the end of the picture. Deliberately
//! absent: colour, palettes, gamma and the further frames of an animation.

use std::io::{Cursor, Read};
use std::path::Path;

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Info, Transformations};

use super::{CELLS_MAX, Raster, RasterFault, check_size};
use crate::InputError;
use crate::source::{DEFLATE_GROWTH_MAX, Source};

/// How every PNG begins.
pub(super) const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The most bytes of a file: twice those of 16-bit cells without compression.
const BYTES_MAX: u64 = CELLS_MAX * 4;

pub(super) fn read(path: &Path, mut source: Source) -> Result<Raster, InputError> {
    let mut bytes = Vec::new();
    let read = (&mut source.reader).take(BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| InputError::of_file(path, source.classify(e)))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(InputError::of_file(path, RasterFault::PngBytes { max: BYTES_MAX }));
    }
    decode(&bytes).map_err(|fault| InputError::of_file(path, fault))
}

fn decode(bytes: &[u8]) -> Result<Raster, RasterFault> {
    let mut cursor = Cursor::new(bytes);
    let decoded = pixels(&mut cursor, bytes.len() as u64);
    let byte = cursor.position();
    let ((rows, columns), cells) = decoded.map_err(|refused| match refused {
        Refused::Fault(fault) => fault,
        Refused::Decoder(what) => RasterFault::Damaged { byte, what: what.to_string() },
    })?;
    if byte < bytes.len() as u64 {
        return Err(RasterFault::Trailing { byte });
    }
    Raster::new((rows, columns), None, cells)
}

/// Why there are no pixels.
enum Refused {
    Fault(RasterFault),
    Decoder(DecodingError),
}

impl From<DecodingError> for Refused {
    fn from(error: DecodingError) -> Self {
        Self::Decoder(error)
    }
}

type Pixels = ((usize, usize), Vec<f64>);

fn pixels(cursor: &mut Cursor<&[u8]>, bytes: u64) -> Result<Pixels, Refused> {
    let mut decoder = Decoder::new(cursor);
    decoder.set_transformations(Transformations::EXPAND);
    let size = check(decoder.read_header_info()?, bytes).map_err(Refused::Fault)?;
    let mut reader = decoder.read_info()?;
    let limits = || Refused::Decoder(DecodingError::LimitsExceeded);
    let mut buffer = vec![0; reader.output_buffer_size().ok_or_else(limits)?];
    reader.next_frame(&mut buffer)?;
    let (colour, depth) = reader.output_color_type();
    reader.finish()?;
    let wide = depth == BitDepth::Sixteen;
    let samples = if colour == ColorType::GrayscaleAlpha { 2 } else { 1 };
    let sample_bytes = if wide { 2 } else { 1 };
    let sample = |bytes: &[u8]| {
        f64::from(bytes.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)))
    };
    let cells = buffer.chunks_exact(samples * sample_bytes).map(|pixel| {
        let (grey, alpha) = pixel.split_at(sample_bytes);
        let is_missing = samples == 2 && alpha.iter().all(|byte| *byte == 0);
        if is_missing { f64::NAN } else { sample(grey) }
    });
    Ok((size, cells.collect()))
}

/// Judges what the header says, before memory is taken for it.
fn check(info: &Info<'_>, bytes: u64) -> Result<(usize, usize), RasterFault> {
    let samples = match info.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Indexed => return Err(RasterFault::Colour { found: "palette" }),
        ColorType::Rgb | ColorType::Rgba => return Err(RasterFault::Colour { found: "colour" }),
    };
    let bits = u64::from(info.bit_depth as u8) * samples;
    let size = (u64::from(info.height), u64::from(info.width));
    check_size(size, bits, bytes.saturating_mul(DEFLATE_GROWTH_MAX))
}
