//! What /proc tells of processes and memory.
//!
//! Invariant: a line that cannot be read gives `None`, never a guess. Deliberately absent: what
//! follows from it; `control::evidence` judges.

use std::fs;

/// A process as its scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `T`, `t`, `Z`, …
    pub state: char,
    /// Processor time of all its threads, ns.
    pub cpu_ns: u64,
}

/// Reads `/proc/PID/stat`.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The name is in parentheses and may hold any character, also ')'.
    let (_, rest) = line.rsplit_once(") ")?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?.chars().next()?;
    let user: u64 = words.nth(10)?.parse().ok()?;
    let system: u64 = words.next()?.parse().ok()?;
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    Some(Stat { state, cpu_ns: (user + system) * tick_ns })
}

/// The status with which a process is ending, as `wait` will give it; `None` while it is not, or
/// where it may not be known.
#[must_use]
pub fn exit_status(pid: u32) -> Option<i32> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = line.rsplit_once(") ")?;
    // The 52nd field; the state, which comes first here, is the third.
    let status: i32 = rest.split_ascii_whitespace().nth(49)?.parse().ok()?;
    (status != 0).then_some(status)
}

/// The name of a process.
#[must_use]
pub fn name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end_matches('\n').to_owned())
}

/// The children of this process's main thread, also those that it adopted.
#[must_use]
pub fn children() -> Vec<u32> {
    let own = std::process::id();
    let text = fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Memory that new processes can use, bytes: what the kernel says, within the cgroup's limit.
#[must_use]
pub fn memory_available() -> Option<u64> {
    let available = kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    Some(cgroup_left().map_or(available, |left| left.min(available)))
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What the tightest cgroup limit leaves, if any cgroup limits memory.
fn cgroup_left() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let number = |file: String| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    std::path::Path::new(&path)
        .ancestors()
        .filter_map(|group| {
            let group = format!("/sys/fs/cgroup{}", group.display());
            let limit = number(format!("{group}/memory.max"))?;
            Some(limit.saturating_sub(number(format!("{group}/memory.current")).unwrap_or(0)))
        })
        .min()
}

/// How often the kernel has ended a process of our cgroup for want of memory.
#[must_use]
pub fn oom_kills() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group = fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.events")).ok();
    let text = group.or_else(|| fs::read_to_string("/proc/vmstat").ok())?;
    let line = text.lines().find(|line| line.starts_with("oom_kill "))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Processors that this process may use.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.state, 'R');
        assert!(stat.cpu_ns > 0);
        assert_eq!(parse_stat("7 (a) R 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_is_seen() {
        assert!(matches!(super::stat(std::process::id()).unwrap().state, 'R' | 'S'));
        assert!(memory_available().unwrap() > 1 << 20);
    }
}
