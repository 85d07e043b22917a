//! When a job has to end: as the user says, or as the allocation that it runs in does.
//!
//! Slurm tells the end of an allocation in `SLURM_JOB_END_TIME`, in seconds since 1970, as it was when
//! the job began; a change that is made later is not seen. At that time it ends all processes, so a
//! job ends a little before. Invariants: a variable that makes no sense is refused and not ignored.
//! Deliberately absent: other schedulers, which tell no such time; what is done at the end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mainstay_host::supervisor::Limit;
use mainstay_types::duration;

/// Where Slurm tells the end.
pub(crate) const SLURM: &str = "SLURM_JOB_END_TIME";
/// So long before the end of the allocation the job ends, so that it can still tidy up.
const TIDY: Duration = Duration::from_secs(10);

/// The option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeLimit {
    /// The end of the allocation, if there is one.
    Auto,
    /// No end.
    None,
    /// After so long.
    After(Duration),
}

pub(crate) fn parse(text: &str) -> Result<TimeLimit, String> {
    match (text, duration::parse(text)) {
        ("auto", _) => Ok(TimeLimit::Auto),
        ("none", _) => Ok(TimeLimit::None),
        (_, Ok(after)) if !after.is_zero() => Ok(TimeLimit::After(after)),
        _ => Err(format!("`{text}` is not auto, none or a time (4h)")),
    }
}

/// The end of the job, if it has one. `slurm` is what the environment says.
///
/// # Errors
/// A sentence with the mend, if the environment makes no sense.
pub(crate) fn limit(
    option: TimeLimit,
    slurm: Option<&str>,
    now: SystemTime,
) -> Result<Option<Limit>, String> {
    match (option, slurm) {
        (TimeLimit::None, _) | (TimeLimit::Auto, None) => Ok(None),
        (TimeLimit::After(left), _) => {
            let why = format!("the time limit of {} is reached", duration::format(left));
            Ok(Some(Limit { left, why }))
        }
        (TimeLimit::Auto, Some(end)) => {
            let mend = "give --time-limit none, or a time of your own";
            let seconds: u64 =
                end.parse().map_err(|_| format!("{SLURM} is `{end}`, which is no time: {mend}"))?;
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            let left = Duration::from_secs(seconds).saturating_sub(now).saturating_sub(TIDY);
            if left.is_zero() {
                return Err(format!("by {SLURM} the allocation ends or has ended: {mend}"));
            }
            Ok(Some(Limit { left, why: format!("the allocation ends ({SLURM})") }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_the_users_or_that_of_the_allocation() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let left = |option, slurm| limit(option, slurm, now).map(|limit| limit.map(|l| l.left));
        let hour = Duration::from_secs(3600);
        assert_eq!(left(TimeLimit::Auto, None), Ok(None));
        assert_eq!(left(TimeLimit::None, Some("1000100")), Ok(None));
        assert_eq!(left(TimeLimit::Auto, Some("1000100")), Ok(Some(Duration::from_secs(90))));
        assert_eq!(left(TimeLimit::After(hour), Some("1000100")), Ok(Some(hour)));
        for bad in ["", "tomorrow", "-1", "1000010", "7", "99999999999999999999999"] {
            let error = left(TimeLimit::Auto, Some(bad)).unwrap_err();
            assert!(error.contains(SLURM) && error.contains("--time-limit none"), "{error}");
        }
    }

    #[test]
    fn the_option_is_checked() {
        assert_eq!(parse("auto"), Ok(TimeLimit::Auto));
        assert_eq!(parse("none"), Ok(TimeLimit::None));
        assert_eq!(parse("4h"), Ok(TimeLimit::After(Duration::from_secs(4 * 3600))));
        for bad in ["0s", "4", "never"] {
            assert!(parse(bad).unwrap_err().contains("4h"), "{bad}");
        }
    }
}
