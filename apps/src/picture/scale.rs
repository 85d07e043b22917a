//! The numbers beside a scale.
//!
//! Invariants: ticks are multiples of 1, 2 or 5 times a power of ten and lie within the scale;
//! neighbours have different labels. Deliberately absent: units, which no raster names.

/// The ticks of a scale from `min` to `max`, at most about `count`, with their labels.
pub(super) fn ticks(min: f64, max: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (max - min) / count.max(1) as f64;
    if !(rough.is_normal() && rough > 0.0) {
        return Vec::new();
    }
    let power = rough.log10().floor();
    let tick = [1.0, 2.0, 5.0, 10.0].map(|times| times * 10_f64.powf(power));
    let step = tick.into_iter().find(|step| *step >= rough).unwrap_or(tick[3]);
    let (first, last) = ((min / step).ceil(), (max / step).floor());
    let several = last - first < 64.0 && first.abs().max(last.abs()) < 1e12;
    if !(step.is_normal() && several) {
        return Vec::new();
    }
    let values = (0..=(last - first) as u32).map(|i| (first + f64::from(i)) * step);
    values.map(|value| (value, label(value, step, min.abs().max(max.abs())))).collect()
}

/// The labels of the ends: precise to a hundredth of the distance of ticks or so.
pub(super) fn ends(min: f64, max: f64, ticks: &[(f64, String)]) -> (String, String) {
    let step = match ticks {
        [first, second, ..] => (second.0 - first.0) / 10.0,
        _ if max > min => (max - min) / 100.0,
        _ => min.abs() / 1e4,
    };
    let greatest = min.abs().max(max.abs());
    (label(min, step, greatest), label(max, step, greatest))
}

/// A value to the precision of `step`, among numbers as great as `greatest`.
fn label(value: f64, step: f64, greatest: f64) -> String {
    let plain = if greatest == 0.0 { 0.0..f64::MAX } else { 1e-3..1e6 };
    // Zero beside a step of zero, or anything without one, is told as it is.
    let digits = if step.is_normal() { -step.abs().log10().floor() } else { 0.0 };
    let text = if plain.contains(&greatest) && digits < 7.0 {
        format!("{value:.*}", digits.clamp(0.0, 7.0) as usize)
    } else if value == 0.0 {
        "0".to_owned()
    } else {
        let digits = digits + value.abs().log10().floor();
        format!("{value:.*e}", digits.clamp(0.0, 7.0) as usize)
    };
    // A zero has no sign here.
    let is_zero = text.starts_with('-') && text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    if is_zero { text[1..].to_owned() } else { text }
}
