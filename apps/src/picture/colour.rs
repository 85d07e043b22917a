//! The colours of a picture: a scale from indigo over crimson to pale yellow.
//!
//! Invariants: lightness, as the eye sees it, rises evenly with the shade, so that the scale is read
//! right without hue, in grey print and by the colour-blind; chroma is lowered where the screen
//! cannot show it. Deliberately absent: a choice of scales.
//!
//! # Source
//! B. Ottosson, *A perceptual color space for image processing*, 2020: the matrices of Oklab.

/// The number of shades.
pub const SHADES: u8 = 236;

/// Lightness of the first and the last shade.
const LIGHTNESS: (f64, f64) = (0.22, 0.96);
/// Green to red and blue to yellow, evenly from the first to the last shade.
const HUES: [(f64, f64); 6] =
    [(0.02, -0.10), (0.10, -0.13), (0.18, -0.03), (0.17, 0.09), (0.07, 0.15), (-0.02, 0.08)];

/// The colour of a shade: red, green, blue.
#[must_use]
pub(super) fn of(shade: u8) -> [u8; 3] {
    let t = f64::from(shade) / f64::from(SHADES - 1);
    let lightness = LIGHTNESS.0 + (LIGHTNESS.1 - LIGHTNESS.0) * t;
    let (a, b) = hue(t);
    // As much chroma as the screen can show; grey it always can.
    let with = |chroma: f64| linear(lightness, a * chroma, b * chroma);
    let is_shown = |colour: [f64; 3]| colour.iter().all(|part| (0.0..=1.0).contains(part));
    let (mut least, mut most) = (0.0, 1.0);
    if is_shown(with(most)) {
        least = most;
    }
    for _ in 0..30 {
        let middle = (least + most) / 2.0;
        let bound = if is_shown(with(middle)) { &mut least } else { &mut most };
        *bound = middle;
    }
    with(least).map(encoded)
}

/// A smooth way through the hues.
fn hue(t: f64) -> (f64, f64) {
    let last = HUES.len() - 1;
    let at = t * last as f64;
    let i = (at as usize).min(last - 1);
    let f = at - i as f64;
    let near = |k: usize| HUES[k.saturating_sub(1).min(last)];
    let [before, from, to, behind] = [near(i), near(i + 1), near(i + 2), near(i + 3)];
    let through = |p: f64, q: f64, r: f64, s: f64| {
        let (first, second) = ((r - p) / 2.0, (s - q) / 2.0);
        let (f2, f3) = (f * f, f * f * f);
        q * (2.0 * f3 - 3.0 * f2 + 1.0)
            + first * (f3 - 2.0 * f2 + f)
            + r * (3.0 * f2 - 2.0 * f3)
            + second * (f3 - f2)
    };
    (through(before.0, from.0, to.0, behind.0), through(before.1, from.1, to.1, behind.1))
}

/// Oklab to linear red, green and blue.
fn linear(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let cube = |x: f64| x * x * x;
    let l = cube(lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b);
    let m = cube(lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b);
    let s = cube(lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

/// Linear light as a byte of sRGB.
fn encoded(light: f64) -> u8 {
    let curve =
        if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (curve * 255.0).round() as u8
}
