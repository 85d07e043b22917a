//! Pixels with a palette, and how they become a PNG.
//!
//! Invariant: what is drawn outside is cut off. Deliberately absent: lines that are not upright or
//! level.

use super::colour::{self, SHADES};
use super::font;

/// What surrounds everything.
const PAPER: u8 = SHADES;
/// Letters and ticks.
pub(super) const INK: u8 = SHADES + 1;
/// The frame around the field and the scale.
const FRAME: u8 = SHADES + 2;
/// A missing cell, and the lines that hatch it.
const HOLE: u8 = SHADES + 3;
const HATCH: u8 = SHADES + 4;

/// The colours behind the shades, in the order of the constants.
const FURTHER: [[u8; 3]; 5] =
    [[255, 255, 255], [40, 40, 48], [150, 150, 158], [214, 215, 218], [178, 180, 186]];
/// The distance of the lines of hatching, pixels.
const HATCH_PIXELS: usize = 8;

pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![PAPER; width * height] }
    }

    pub(super) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: u8) {
        self.paint((x, y), (width, height), |_, _| colour);
    }

    /// A missing cell. The lines go on from cell to cell.
    pub(super) fn hatch(&mut self, x: usize, y: usize, width: usize, height: usize) {
        let line = |x: usize, y: usize| (x + y).is_multiple_of(HATCH_PIXELS);
        self.paint((x, y), (width, height), |x, y| if line(x, y) { HATCH } else { HOLE });
    }

    /// A line around a rectangle, outside of it.
    pub(super) fn frame(&mut self, x: usize, y: usize, width: usize, height: usize) {
        self.fill(x - 1, y - 1, width + 2, height + 2, FRAME);
    }

    /// Text in one line, whose letters begin at (x, y) from the top left.
    pub(super) fn text(&mut self, x: usize, y: usize, text: &str) {
        for (i, letter) in text.chars().enumerate() {
            for (column, row) in font::dots(letter) {
                let (left, top) = (x + i * font::ADVANCE, y);
                self.fill(left + column, top + row, font::DOT, font::DOT, INK);
            }
        }
    }

    fn paint(
        &mut self,
        (x, y): (usize, usize),
        (width, height): (usize, usize),
        colour: impl Fn(usize, usize) -> u8,
    ) {
        let right = self.width.min(x + width);
        for y in y..self.height.min(y + height) {
            for x in x..right {
                self.pixels[y * self.width + x] = colour(x, y);
            }
        }
    }

    pub(super) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut bytes, side(self.width), side(self.height));
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        let shades = (0..SHADES).map(colour::of);
        let palette: Vec<u8> = shades.chain(FURTHER).flatten().collect();
        encoder.set_palette(palette);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}
