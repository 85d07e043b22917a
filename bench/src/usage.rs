//! What processes have used: processor time and switches, from `/proc`.
//!
//! Invariant: all threads of a process count. Deliberately absent: `utime` and `stime`, which count
//! ticks of a hundredth of a second; the scheduler counts nanoseconds.

use std::fs;
use std::ops::{Add, Sub};

use rustix::process::Pid;

use crate::Failure;

/// Since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// On a processor.
    pub(crate) cpu_ns: u64,
    /// Context switches of either kind.
    pub(crate) switches: u64,
}

impl Usage {
    /// Of one process.
    ///
    /// # Errors
    /// A process that is gone, and a kernel that does not count.
    pub(crate) fn of(pid: Pid) -> Result<Self, Failure> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
            let thread = thread?.path();
            let time = fs::read_to_string(thread.join("schedstat"))?;
            let switches = fs::read_to_string(thread.join("status"))?;
            let read = (cpu_ns(&time), switches_of(&switches));
            let (Some(cpu_ns), Some(switches)) = read else {
                return Err("this kernel does not count processor time of threads".into());
            };
            sum = sum + Self { cpu_ns, switches };
        }
        Ok(sum)
    }

    /// Of several.
    ///
    /// # Errors
    /// As [`Usage::of`].
    pub(crate) fn sum(pids: &[Pid]) -> Result<Self, Failure> {
        pids.iter().try_fold(Self::default(), |sum, pid| Ok(sum + Self::of(*pid)?))
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu_ns: self.cpu_ns + other.cpu_ns, switches: self.switches + other.switches }
    }
}

/// A thread that ended in between takes its share with it; less than nothing is nothing.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(other.cpu_ns),
            switches: self.switches.saturating_sub(other.switches),
        }
    }
}

fn cpu_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

fn switches_of(status: &str) -> Option<u64> {
    let of = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    };
    Some(of("voluntary_ctxt_switches:")? + of("nonvoluntary_ctxt_switches:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_the_kernel_puts_them() {
        assert_eq!(cpu_ns("1234 99 7\n"), Some(1234));
        assert_eq!(cpu_ns(""), None);
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(switches_of(status), Some(42));
        assert_eq!(switches_of("Name:\tx\n"), None);
    }

    #[test]
    fn what_this_process_uses_grows() {
        let own = rustix::process::getpid();
        let before = Usage::of(own).unwrap();
        let after = Usage::of(own).unwrap();
        assert!(before.cpu_ns > 0 && after.cpu_ns >= before.cpu_ns);
        assert_eq!((before - after).cpu_ns, 0);
    }
}
