//! A step that is far off: when to look again how far the ranks are.
//!
//! With a single arena the newest version in memory is given away when the target of the next is
//! proposed, so a target at a multiple of steps is proposed as late as the ranks still all reach it. The
//! wait is half of the time that they seem to need, so that looks grow denser towards the end. Invariants:
//! a look is never further off than [`LONGEST`], and a rank that makes no step is looked at ever more
//! rarely up to that. Deliberately absent: the step, and whether the target then holds.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(100);
/// The steps of so much time are kept between the ranks and a target, at first and at least.
const LEAD: Duration = Duration::from_millis(4);
/// And at most, when targets were passed over.
const LEAD_MAX: Duration = Duration::from_millis(256);

/// What was seen of the way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Approach {
    /// When the highest step was first seen as it is, and which, and the time of a step before that.
    seen: Option<(Duration, u64)>,
    step_time: Option<Duration>,
    /// The target that was far off at the last look.
    toward: Option<u64>,
    /// Steps of so much time are kept free; none yet is [`LEAD`].
    lead: Option<Duration>,
    /// When to look again.
    pub(super) look: Option<Duration>,
}

impl Approach {
    /// Takes a look: the highest rank has completed this step, and the target lies so many steps above
    /// it, of which `margin` are needed. Says whether it is to be proposed now.
    pub(super) fn is_near(
        &mut self,
        now: Duration,
        highest: u64,
        (above, margin): (u64, u64),
    ) -> bool {
        match self.seen {
            Some((at, step)) if step < highest => {
                let steps = u32::try_from(highest - step).unwrap_or(u32::MAX);
                self.step_time = Some(now.saturating_sub(at) / steps);
                self.seen = Some((now, highest));
            }
            Some((_, step)) if step == highest => {}
            _ => *self = Self { seen: Some((now, highest)), lead: self.lead, ..Self::default() },
        }
        // A target that was passed over between two looks: they come too late on this machine.
        let kept = self.lead.unwrap_or(LEAD);
        let passed =
            self.toward.take().is_some_and(|toward| toward < highest.saturating_add(above));
        let kept = if passed { kept.saturating_mul(2).min(LEAD_MAX) } else { kept };
        self.lead = Some(kept);
        let lead = match self.step_time {
            None => 0,
            Some(time) => {
                u64::try_from(kept.as_nanos() / time.as_nanos().max(1)).unwrap_or(u64::MAX)
            }
        };
        let far = above.saturating_sub(margin.saturating_mul(2)).saturating_sub(lead);
        if far == 0 {
            self.look = None;
            self.lead = Some(kept.saturating_sub(kept / 8).max(LEAD));
            return true;
        }
        let since = self.seen.map_or(Duration::ZERO, |(at, _)| now.saturating_sub(at));
        let half = self.step_time.map_or(Duration::ZERO, |time| {
            time.saturating_mul(u32::try_from(far / 2).unwrap_or(u32::MAX))
        });
        self.toward = Some(highest.saturating_add(above));
        self.look = Some(now.saturating_add(half.max(since).clamp(SHORTEST, LONGEST)));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn looks_grow_denser_until_the_target_is_near() {
        // A step takes 500 µs, and the target is at 1,000.
        let (mut approach, mut now, mut looks) = (Approach::default(), us(0), Vec::new());
        let step = |now: Duration| u64::try_from(now.as_micros()).unwrap() / 500;
        while !approach.is_near(now, step(now), (1000 - step(now), 1)) {
            let look = approach.look.unwrap();
            assert!(look > now && look - now <= LONGEST);
            looks.push(look - now);
            now = look;
        }
        assert!(step(now) >= 980 && step(now) < 999, "{}", step(now));
        assert!(looks.len() < 30, "{looks:?}");
        assert_eq!(approach.look, None);
    }

    #[test]
    fn ranks_that_make_no_step_are_looked_at_ever_more_rarely() {
        let (mut approach, mut now, mut looks) = (Approach::default(), us(0), 0);
        while now < us(2_000_000) {
            assert!(!approach.is_near(now, 7, (93, 1)));
            now = approach.look.unwrap();
            looks += 1;
        }
        assert!(looks < 35, "{looks}");
        // A target is passed over: the next one is approached with care.
        let mut hasty = approach;
        assert!(!hasty.is_near(now, 150, (50, 1)));
        assert_eq!(hasty.lead, Some(LEAD * 2));
        // A failure takes them back.
        assert!(!approach.is_near(now, 3, (97, 1)));
        assert_eq!(approach.look, Some(now + SHORTEST));
        assert!(approach.is_near(now, 98, (2, 1)));
    }
}
