//! A field as a picture: PNG, with the scale of its colours beside it.
//!
//! ```text
//!   ┌───────────────┐   max 1063
//!   │               │   ┌──┐
//!   │     field     │   │  │─ 1000
//!   │               │   │  │─ 800
//!   └───────────────┘   └──┘
//!   1000 steps          min 197
//! ```
//!
//! A small raster is enlarged, a large one shrunk: a pixel is then the mean of a square of cells.
//! Missing cells are grey and hatched. Ranks turn their rows into shades, and one paints all of
//! them.
//!
//! Invariants: no side of the field is longer than [`LONG_MAX`] pixels, whatever the raster; shades
//! of whole rows of pixels, one behind the other, are the shades of the field. Deliberately absent:
//! smoothing, which would draw numbers that nobody computed.

mod canvas;
mod colour;
mod font;
mod scale;

use canvas::Canvas;
pub use colour::SHADES;

/// The longest side of a field, pixels.
pub const LONG_MAX: usize = 1800;
/// A field whose longer side is shorter than half of this is enlarged.
const LONG_WISHED: usize = 900;
/// The shortest side of a field, pixels: a single row of cells is stretched to it.
const SHORT_MIN: usize = 32;

/// The shade of a missing cell, beyond all others.
const MISSING: u8 = u8::MAX;

/// White around everything, pixels.
const MARGIN: usize = 28;
/// Between the field and the scale.
const GAP: usize = 32;
/// Between a thing and its label.
const NEAR: usize = 8;
/// Between the scale and the numbers of its ends, which no label of a tick reaches.
const ENDS: usize = NEAR + font::MIDDLE - 1;
/// The width of the scale.
const BAR_WIDTH: usize = 22;
/// The least height of the scale.
const BAR_MIN: usize = 180;

/// How a raster of a given size is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    columns: usize,
    /// So many cells by so many are one pixel before enlargement.
    shrink: usize,
    /// Pixels before enlargement.
    width: usize,
    height: usize,
    /// The factors of enlargement.
    across: usize,
    down: usize,
}

impl Picture {
    /// For a raster of `rows` × `columns`.
    #[must_use]
    pub fn new((rows, columns): (usize, usize)) -> Self {
        let shrink = rows.max(columns).div_ceil(LONG_MAX).max(1);
        let (height, width) = (rows.div_ceil(shrink).max(1), columns.div_ceil(shrink).max(1));
        let factor = (LONG_WISHED / height.max(width)).max(1);
        let stretched = |side: usize| factor.max(SHORT_MIN.div_ceil(side));
        Self { columns, shrink, width, height, across: stretched(width), down: stretched(height) }
    }

    /// So many rows of cells make one row of pixels, and must not be divided.
    #[must_use]
    pub fn rows_together(&self) -> usize {
        self.shrink
    }

    /// The shades of whole rows of cells, on a scale from `min` to `max`.
    #[must_use]
    pub fn shades(&self, cells: &[f64], (min, max): (f64, f64)) -> Vec<u8> {
        let mut shades = Vec::with_capacity(cells.len() / self.shrink / self.shrink);
        for rows in cells.chunks(self.shrink * self.columns) {
            for from in (0..self.columns).step_by(self.shrink) {
                let to = self.columns.min(from + self.shrink);
                let square = rows.chunks(self.columns).flat_map(|row| &row[from..to]);
                shades.push(shade(mean(square), (min, max)));
            }
        }
        shades
    }

    /// The picture of a field with these shades.
    ///
    /// # Errors
    /// None that are known of: the picture is made in memory.
    ///
    /// # Panics
    /// If `shades` are not those of the whole field.
    pub fn paint(
        &self,
        shades: &[u8],
        range: (f64, f64),
        caption: &str,
    ) -> Result<Vec<u8>, png::EncodingError> {
        assert_eq!(shades.len(), self.width * self.height, "one shade a pixel");
        let (width, height) = (self.width * self.across, self.height * self.down);
        let bar_height = (height - (height.min(2 * (font::HEIGHT + ENDS)))).max(BAR_MIN);
        let ticks = scale::ticks(range.0, range.1, (bar_height / 64).max(4));
        let (least, most) = scale::ends(range.0, range.1, &ticks);
        let ends = [format!("max {most}"), format!("min {least}")];
        let labels = ticks.iter().map(|(_, label)| BAR_WIDTH + 2 * NEAR + font::width(label));
        let beside = labels.chain(ends.iter().map(|end| font::width(end))).max().unwrap_or(0);
        let bar_top = MARGIN + font::HEIGHT + ENDS;
        let below = MARGIN + height + 2 * NEAR;
        let bottom = (below + font::HEIGHT).max(bar_top + bar_height + ENDS + font::HEIGHT);
        let has_missing = shades.contains(&MISSING);
        let legend = font::width(caption) + if has_missing { legend_width() } else { 0 };
        let left = width.max(legend);
        let mut canvas = Canvas::new(2 * MARGIN + left + GAP + beside, bottom + MARGIN);
        self.field(&mut canvas, shades);
        let bar_left = MARGIN + left + GAP;
        let bar = (bar_left, bar_top, bar_height);
        bar_of(&mut canvas, bar, range, &ticks);
        canvas.text(bar_left, MARGIN, &ends[0]);
        canvas.text(bar_left, bar_top + bar_height + ENDS, &ends[1]);
        canvas.text(MARGIN, below, caption);
        if has_missing {
            let swatch = MARGIN + font::width(caption) + GAP;
            canvas.hatch(swatch, below, BAR_WIDTH, font::HEIGHT);
            canvas.text(swatch + BAR_WIDTH + NEAR, below, LEGEND);
        }
        canvas.png()
    }

    fn field(&self, canvas: &mut Canvas, shades: &[u8]) {
        let (across, down) = (self.across, self.down);
        canvas.frame(MARGIN, MARGIN, self.width * across, self.height * down);
        for (cell, shade) in shades.iter().enumerate() {
            let x = MARGIN + cell % self.width * across;
            let y = MARGIN + cell / self.width * down;
            match *shade {
                MISSING => canvas.hatch(x, y, across, down),
                shade => canvas.fill(x, y, across, down, shade),
            }
        }
    }
}

/// What the hatching means.
const LEGEND: &str = "missing";

fn legend_width() -> usize {
    GAP + BAR_WIDTH + NEAR + font::width(LEGEND)
}

fn bar_of(
    canvas: &mut Canvas,
    (left, top, height): (usize, usize, usize),
    (min, max): (f64, f64),
    ticks: &[(f64, String)],
) {
    canvas.frame(left, top, BAR_WIDTH, height);
    for y in 0..height {
        let up = (height - 1 - y) as f64 / (height - 1) as f64;
        canvas.fill(left, top + y, BAR_WIDTH, 1, shade(up, (0.0, 1.0)));
    }
    for (value, label) in ticks {
        let up = share(*value, (min, max)) * (height - 1) as f64;
        let y = top + height - 1 - up.round() as usize;
        canvas.fill(left + BAR_WIDTH + 1, y, NEAR - 2, 1, canvas::INK);
        canvas.text(left + BAR_WIDTH + 2 * NEAR, y.saturating_sub(font::MIDDLE), label);
    }
}

fn mean<'a>(cells: impl Iterator<Item = &'a f64>) -> f64 {
    let present = cells.filter(|value| !value.is_nan());
    let (sum, count) = present.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    // Nothing over nothing is not a number, as a missing cell is.
    sum / count
}

/// Where a value lies from `min`, 0, to `max`, 1. A single value lies in the middle.
fn share(value: f64, (min, max): (f64, f64)) -> f64 {
    // Halves, so that no difference overflows.
    let whole = max / 2.0 - min / 2.0;
    if whole > 0.0 { ((value / 2.0 - min / 2.0) / whole).clamp(0.0, 1.0) } else { 0.5 }
}

fn shade(value: f64, range: (f64, f64)) -> u8 {
    if value.is_nan() {
        return MISSING;
    }
    (share(value, range) * f64::from(SHADES - 1)).round() as u8
}

#[cfg(test)]
mod tests;
