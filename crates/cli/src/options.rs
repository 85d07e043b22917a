//! Values of options that say what is kept of versions, and where.
//!
//! Invariant: whatever is accepted can be meant; a refusal shows what would be. Deliberately absent:
//! what the options do.

use std::time::Duration;

use mainstay_ckpt::Choosing;
use mainstay_host::supervisor::{KeepEvery, MemoryLimit, Storage};
use mainstay_types::limits::NODES_MAX;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Tracking, duration};

use crate::args::Run;

/// What `--ckpt-memory` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CkptMemory {
    arenas: u8,
    limit: Option<MemoryLimit>,
}

/// What `--scrub-every` says; clap takes an option of an option for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScrubEvery(Option<Duration>);

/// What is kept of versions, and where.
pub(crate) fn storage(options: &Run) -> Storage {
    Storage {
        keep: options.keep,
        keep_every: options.keep_every,
        arenas: options.ckpt_memory.arenas,
        limit: options.ckpt_memory.limit,
        scrub_every: options.scrub_every.0,
        tracking: options.track_writes,
    }
}

pub(crate) fn tracking(text: &str) -> Result<Tracking, String> {
    text.parse()
}

/// A number of steps, with its unit; `None` if it is something else.
pub(crate) fn steps(text: &str) -> Option<Result<u64, String>> {
    let number = text.strip_suffix("steps").or_else(|| text.strip_suffix("step"))?;
    Some(match number.trim().parse() {
        Ok(steps) if steps > 0 => Ok(steps),
        _ => Err(format!("`{text}` is not a number of steps from 1: write 100steps")),
    })
}

/// A time that is not zero.
fn time(text: &str) -> Option<Duration> {
    duration::parse(text).ok().filter(|time| !time.is_zero())
}

pub(crate) fn keep_every(text: &str) -> Result<KeepEvery, String> {
    if let Some(steps) = steps(text) {
        return steps.map(KeepEvery::Steps);
    }
    let refused = || format!("`{text}` is not a number of steps (1000steps) or a time (6h)");
    time(text).map(KeepEvery::Period).ok_or_else(refused)
}

pub(crate) fn scrub_every(text: &str) -> Result<ScrubEvery, String> {
    let refused = || format!("`{text}` is not off or a time (10m)");
    match text {
        "off" => Ok(ScrubEvery(None)),
        _ => time(text).map(|time| ScrubEvery(Some(time))).ok_or_else(refused),
    }
}

pub(crate) fn ckpt_memory(text: &str) -> Result<CkptMemory, String> {
    let mut memory = CkptMemory { arenas: 2, limit: None };
    let (mut arenas_said, mut words) = (false, 0);
    for word in text.split(',') {
        words += 1;
        match word {
            "1x" | "2x" if !arenas_said => {
                (memory.arenas, arenas_said) = (if word == "1x" { 1 } else { 2 }, true);
            }
            _ if memory.limit.is_none() => {
                let refused =
                    || format!("`{word}` is not 1x, 2x, a number of bytes (8GiB) or a share (25%)");
                memory.limit = Some(limit(word).ok_or_else(refused)?);
            }
            _ => words = usize::MAX / 2,
        }
    }
    match words <= 2 {
        true => Ok(memory),
        false => Err(format!("`{text}` says more than arenas and one limit: write 1x,8GiB")),
    }
}

/// Bytes with their unit, or a share in percent.
fn limit(text: &str) -> Option<MemoryLimit> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().ok()?;
        return (percent > 0.0 && percent <= 100.0).then_some(MemoryLimit::Share(percent / 100.0));
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit: u64 = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)?;
    Some(MemoryLimit::Bytes(bytes))
}

pub(crate) fn nodes(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(nodes) if (1..=NODES_MAX).contains(&nodes) => Ok(nodes),
        _ => Err(format!("`{text}` is not a number of nodes from 1 to {NODES_MAX}")),
    }
}

pub(crate) fn redundancy(text: &str) -> Result<Redundancy, String> {
    let parity = |text: &str| text.parse().ok().filter(|parity| *parity > 0);
    match (text, text.strip_prefix("parity:").map(parity)) {
        ("none", _) => Ok(Redundancy::None),
        ("partner", _) => Ok(Redundancy::Partner),
        ("xor", _) => Ok(Redundancy::Parity(1)),
        (_, Some(Some(parity))) => Ok(Redundancy::Parity(parity)),
        _ => Err(format!("`{text}` is not none, partner, xor or parity:M with M from 1 to 255")),
    }
}

pub(crate) fn compress(text: &str) -> Result<Choosing, String> {
    let names = Choosing::NAMES.join(", ");
    Choosing::named(text).ok_or_else(|| format!("`{text}` is none of {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_a_number_of_steps_or_a_time() {
        assert_eq!(keep_every("1000steps"), Ok(KeepEvery::Steps(1000)));
        assert_eq!(keep_every("6h"), Ok(KeepEvery::Period(Duration::from_secs(6 * 3600))));
        for bad in ["0steps", "0s", "6", "auto", ""] {
            assert!(keep_every(bad).is_err(), "{bad}");
        }
        assert_eq!(scrub_every("off"), Ok(ScrubEvery(None)));
        assert_eq!(scrub_every("10m"), Ok(ScrubEvery(Some(Duration::from_secs(600)))));
        for bad in ["0s", "on", "10", ""] {
            assert!(scrub_every(bad).unwrap_err().contains("off"), "{bad}");
        }
    }

    #[test]
    fn memory_is_arenas_a_limit_or_both() {
        let memory = |arenas, limit| Ok(CkptMemory { arenas, limit });
        assert_eq!(ckpt_memory("1x"), memory(1, None));
        assert_eq!(ckpt_memory("8GiB"), memory(2, Some(MemoryLimit::Bytes(8 << 30))));
        assert_eq!(ckpt_memory("1x,25%"), memory(1, Some(MemoryLimit::Share(0.25))));
        assert_eq!(ckpt_memory("500MB,2x"), memory(2, Some(MemoryLimit::Bytes(500_000_000))));
        for bad in [
            "3x",
            "1x,2x",
            "8GiB,25%",
            "0",
            "0%",
            "101%",
            "NaN%",
            "-1%",
            "1x,8GiB,9GiB",
            "",
            "8 GiB",
            "18446744073709551616",
            "99999999TiB",
        ] {
            assert!(ckpt_memory(bad).is_err(), "{bad}");
        }
    }
}
