//! Which codec a field is stored by.
//!
//! Storing `b` bytes plainly takes `b / w`, where `w` is how fast the target was measured to take them.
//! A codec of speed `c` that makes them `r` times smaller takes the longer of `b / c` and `b / (r w)`, since
//! the drain packs one piece while the one before is written. Invariants: a codec is taken only if it makes a sample at least 1.3 times
//! smaller and is faster than plain by at least a twentieth; without a measured speed of the target
//! nothing is compressed. Deliberately absent: clocks; the caller measures.

use std::time::Duration;

use super::Codec;

/// What compression has to gain at least, as a fraction.
const GAIN: (u64, u64) = (13, 10);

/// How a codec did on a sample of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which.
    pub codec: Codec,
    /// Bytes that it was given.
    pub given: u64,
    /// Bytes that it made of them.
    pub made: u64,
    /// How long it took.
    pub took: Duration,
}

/// How fields are to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choosing {
    /// As they are.
    #[default]
    Plain,
    /// By the codec that makes a version durable soonest.
    Auto,
    /// By this one, wherever it makes a block smaller.
    Always(Codec),
}

impl Choosing {
    /// The names of all, as an option has them.
    pub const NAMES: [&'static str; 5] = ["auto", "none", "zstd", "lz4", "pco"];

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::Plain),
            "zstd" => Some(Self::Always(Codec::Zstd)),
            "lz4" => Some(Self::Always(Codec::Lz4)),
            "pco" => Some(Self::Always(Codec::Pco)),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Plain | Self::Always(Codec::Plain | Codec::Rounded) => "none",
            Self::Always(codec) => codec.name(),
        }
    }
}

/// The codec by which a field is soonest durable, given what samples of it came to and how long the
/// target took for so many bytes.
#[must_use]
pub fn choose(samples: &[Sample], (bytes, took): (u64, Duration)) -> Codec {
    if bytes == 0 || took.is_zero() {
        return Codec::Plain;
    }
    // Seconds for each GiB: of the order of one, so that f64 has digits to spare.
    let per_byte = |bytes: u64, took: Duration| took.as_secs_f64() / bytes.max(1) as f64;
    let target = per_byte(bytes, took);
    let mut best = (Codec::Plain, target * 0.95);
    for sample in samples.iter().filter(|sample| sample.given > 0) {
        let gains = sample.made.saturating_mul(GAIN.0) <= sample.given.saturating_mul(GAIN.1);
        let left = sample.made as f64 / sample.given as f64;
        let cost = per_byte(sample.given, sample.took).max(left * target);
        if gains && cost < best.1 {
            best = (sample.codec, cost);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sample(codec: Codec, made: u64, took_ms: u64) -> Sample {
        Sample { codec, given: 100 * MIB, made: made * MIB, took: Duration::from_millis(took_ms) }
    }

    #[test]
    fn a_codec_is_taken_where_it_beats_the_target_and_not_else() {
        // 100 MiB in 100 ms: a fast disk; in 1 s: a slow one.
        let disk = |ms| (100 * MIB, Duration::from_millis(ms));
        let zstd = sample(Codec::Zstd, 50, 90);
        let pco = sample(Codec::Pco, 15, 200);
        let lz4 = sample(Codec::Lz4, 70, 20);
        let all = [zstd, lz4, pco];
        assert_eq!(choose(&all, disk(1000)), Codec::Pco, "200 beside 150 of 1000");
        assert_eq!(choose(&all, disk(150)), Codec::Zstd, "90 beside 75 of 150");
        assert_eq!(choose(&[lz4, pco], disk(150)), Codec::Lz4, "20 beside 105 of 150");
        assert_eq!(choose(&[zstd, pco], disk(90)), Codec::Plain, "90 beside 45 of 90");
        assert_eq!(choose(&all, disk(10)), Codec::Plain);
        assert_eq!(choose(&[], disk(1000)), Codec::Plain);
        assert_eq!(choose(&all, (0, Duration::ZERO)), Codec::Plain, "nothing was measured");
    }

    #[test]
    fn too_small_a_gain_is_none_however_slow_the_target() {
        let slow = (MIB, Duration::from_secs(60));
        assert_eq!(choose(&[sample(Codec::Zstd, 77, 1)], slow), Codec::Plain);
        assert_eq!(choose(&[sample(Codec::Zstd, 76, 1)], slow), Codec::Zstd);
    }

    #[test]
    fn names_read_back() {
        for name in Choosing::NAMES {
            assert_eq!(Choosing::named(name).map(Choosing::name), Some(name));
        }
        assert_eq!(Choosing::named("rounded"), None);
    }
}
