//! Two commands that take turns on the whole machine until both have ended.
//!
//! A shared machine is slower for a minute and faster for the next, by more than what is to be told
//! apart; for a few seconds it is about the same. So both sides of a pair run at once, one of them
//! stopped as a user stops a job, by SIGTSTP to its process group, while the other goes on.
//!
//! Invariant: time counts for a side from when it is let go on until it is stopped or has ended; so
//! does what it leaves to the kernel, if it waits for that itself. A launcher that is stopped leaves the
//! pause out of its intervals. Deliberately absent: which times are good.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitId, WaitIdOptions};

use crate::process::{Ended, Running, ended_within, sweep};
use crate::{Failure, host};

/// A stopped side has stopped by then, or never does.
const STOPS_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(1);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// A turn.
    pub(crate) turn: Duration,
    /// All turns of a side together.
    pub(crate) deadline: Duration,
}

/// One of the two.
struct Side {
    running: Running,
    took: Duration,
    stolen: Duration,
    ended: bool,
}

/// A side that has ended.
pub(crate) struct Turned {
    pub(crate) ended: Ended,
    /// Time of all processors that the host of a virtual machine took meanwhile, for others and for
    /// devices.
    pub(crate) stolen: Duration,
}

/// Runs both to their ends, the first one first.
///
/// # Errors
/// A command that cannot be started, one that cannot be stopped, and what the kernel says.
pub(crate) fn run(commands: [&mut Command; 2], times: Times) -> Result<[Turned; 2], Failure> {
    let mut sides = [None, None];
    let turns = take(&mut sides, commands, times);
    let ended = sides.map(|side| {
        side.map(|mut side| {
            if !side.ended {
                side.running.kill();
            }
            let stolen = side.stolen;
            side.running.end(side.took, times.deadline).map(|ended| Turned { ended, stolen })
        })
    });
    sweep()?;
    turns?;
    let [Some(first), Some(second)] = ended else { return Err("a side never had a turn".into()) };
    Ok([first?, second?])
}

fn take(
    sides: &mut [Option<Side>; 2],
    commands: [&mut Command; 2],
    Times { turn, deadline }: Times,
) -> Result<(), Failure> {
    for (side, command) in sides.iter_mut().zip(commands) {
        let running = Running::start(command)?;
        let started = running.started;
        let (took, stolen) = (Duration::ZERO, Duration::ZERO);
        side.insert(Side { running, took, stolen, ended: false }).turn(started, turn)?;
    }
    loop {
        let goes_on = |side: &Option<Side>| side.as_ref().is_some_and(|side| !side.ended);
        let both = sides.iter().all(goes_on);
        for side in sides.iter_mut().flatten().filter(|side| !side.ended) {
            let left = deadline.saturating_sub(side.took);
            if left.is_zero() {
                return Ok(());
            }
            let started = Instant::now();
            rustix::process::kill_process_group(side.running.pid, Signal::CONT)?;
            side.turn(started, if both { turn.min(left) } else { left })?;
        }
        if !sides.iter().any(goes_on) {
            return Ok(());
        }
    }
}

impl Side {
    /// A turn that has begun: it ends with the side, or after this time with its stop.
    fn turn(&mut self, started: Instant, time: Duration) -> Result<(), Failure> {
        let stolen = host::stolen()?;
        self.ended = ended_within(self.running.pid, time)?;
        if !self.ended {
            rustix::process::kill_process_group(self.running.pid, Signal::TSTP)?;
            self.ended = self.stopped()?;
        }
        self.took += started.elapsed();
        self.stolen += host::stolen()?.saturating_sub(stolen);
        Ok(())
    }

    /// Waits until it is stopped, or has ended, which is the answer.
    fn stopped(&self) -> Result<bool, Failure> {
        let until = Instant::now() + STOPS_WITHIN;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        while Instant::now() < until {
            // Not looked at here: the end of a child, which would reap it.
            let seen = rustix::process::waitid(WaitId::Pid(self.running.pid), options);
            if seen.is_ok_and(|seen| seen.is_some_and(|status| status.stopped())) {
                return Ok(false);
            }
            if ended_within(self.running.pid, LOOK)? {
                return Ok(true);
            }
        }
        Err("a job does not stop on SIGTSTP".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::tests::ALONE;
    use crate::process::{adopt, children};

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const TIMES: Times =
        Times { turn: Duration::from_millis(30), deadline: Duration::from_millis(600) };

    #[test]
    fn sides_take_turns_and_only_their_own_time_counts() {
        let _alone = ALONE.lock();
        adopt().unwrap();
        // Far more than a turn of work for each.
        let count = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; echo";
        let mut sides = ["one", "other"].map(|name| shell(&format!("{count} {name}")));
        let [one, other] = &mut sides;
        let (started, minute) = (Instant::now(), Duration::from_secs(60));
        let turned = run([one, other], Times { deadline: minute, ..TIMES }).unwrap();
        let [one, other] = turned.map(|side| side.ended);
        let all = started.elapsed();
        assert_eq!((one.failure, one.output.as_str()), (None, "one\n"));
        assert_eq!((other.failure, other.output.as_str()), (None, "other\n"));
        assert!(one.took.min(other.took) > TIMES.turn, "{:?} {:?}", one.took, other.took);
        assert!(one.took + other.took <= all, "{:?} {:?} {all:?}", one.took, other.took);
    }

    #[test]
    fn a_side_that_takes_too_long_is_ended_and_nothing_is_left() {
        let _alone = ALONE.lock();
        adopt().unwrap();
        let turned = run([&mut shell("echo good"), &mut shell("sleep 600")], TIMES).unwrap();
        let [good, late] = turned.map(|side| side.ended);
        assert_eq!((good.failure, good.output.as_str()), (None, "good\n"));
        assert_eq!(late.failure.unwrap(), "deadline of 0 s");
        assert!(run([&mut shell("sleep 600"), &mut Command::new("/no/such")], TIMES).is_err());
        assert!(children(std::process::id()).unwrap().is_empty());
    }
}
