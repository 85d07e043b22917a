//! One run of a command, with a deadline, and nothing left of it afterwards.
//!
//! Launchers of MPI put their ranks into process groups of their own. This process therefore adopts
//! what they leave ([`adopt`]), and ends it. Invariant: after a run, or two that took turns
//! ([`turns`](crate::turns)), this process has no children. Deliberately absent: pipes; output goes
//! to memory files, so that a reader never holds a run back.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use crate::Failure;

/// What a launcher leaves gets so long to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// So much of a run's last words is shown.
const LAST_WORDS: usize = 400;

/// How a run ended.
pub(crate) struct Ended {
    /// From before it was started until it had ended.
    pub(crate) took: Duration,
    /// What it wrote on standard output.
    pub(crate) output: String,
    /// Why it did not go as asked, if so.
    pub(crate) failure: Option<String>,
}

/// Makes this process the parent of what its children leave.
///
/// # Errors
/// What the kernel says.
pub(crate) fn adopt() -> Result<(), Failure> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Runs it to its end or to the deadline.
///
/// # Errors
/// A command that cannot be started, and what the kernel says.
pub(crate) fn run(command: &mut Command, deadline: Duration) -> Result<Ended, Failure> {
    during(command, deadline, |_| Ok(()))
}

/// The same; `meanwhile` is called with its process once it was started.
///
/// # Errors
/// The same, and what `meanwhile` says.
pub(crate) fn during(
    command: &mut Command,
    deadline: Duration,
    meanwhile: impl FnOnce(&mut Child) -> Result<(), Failure>,
) -> Result<Ended, Failure> {
    let mut running = Running::start(command)?;
    let told = meanwhile(&mut running.child);
    let in_time = ended_within(running.pid, deadline.saturating_sub(running.started.elapsed()));
    let took = running.started.elapsed();
    if !matches!(in_time, Ok(true)) || told.is_err() {
        running.kill();
    }
    let ended = running.end(took, deadline);
    sweep()?;
    told?;
    in_time?;
    ended
}

/// A run that was started. It is not ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) pid: Pid,
    pub(crate) started: Instant,
    output: File,
    errors: File,
    killed: bool,
}

impl Running {
    /// Starts it, in a process group of its own.
    ///
    /// # Errors
    /// A command that cannot be started, and what the kernel says.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let (output, errors) = (memory_file()?, memory_file()?);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
        let program = command.get_program().display().to_string();
        let started = Instant::now();
        let spawned = command.process_group(0).spawn();
        let child = spawned.map_err(|error| format!("cannot run {program}: {error}"))?;
        let pid = pid_of(&child)?;
        Ok(Self { child, pid, started, output, errors, killed: false })
    }

    /// Ends it, as one that was not in time.
    pub(crate) fn kill(&mut self) {
        self.killed = true;
        // It may have ended just now.
        let _gone = rustix::process::kill_process_group(self.pid, Signal::KILL);
    }

    /// Waits for its end, and says how it was. It took so long, and was allowed the deadline.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn end(mut self, took: Duration, deadline: Duration) -> Result<Ended, Failure> {
        let status = self.child.wait()?;
        let failure = if self.killed {
            Some(format!("deadline of {} s", deadline.as_secs()))
        } else if status.success() {
            None
        } else {
            Some(format!("{status}: {}", last_words(&text(&mut self.errors)?)))
        };
        Ok(Ended { took, output: text(&mut self.output)?, failure })
    }
}

fn memory_file() -> Result<File, Failure> {
    Ok(rustix::fs::memfd_create("bench-output", MemfdFlags::CLOEXEC)?.into())
}

fn text(file: &mut File) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The id of a child.
///
/// # Errors
/// An id that no process has.
pub(crate) fn pid_of(child: &Child) -> Result<Pid, Failure> {
    Ok(i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a process without an id")?)
}

/// The end of what it said, in one line.
fn last_words(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let start = line.char_indices().rev().nth(LAST_WORDS - 1).map_or(0, |(at, _)| at);
    line[start..].to_owned()
}

/// Whether a child of this process ends in time. It is not reaped.
///
/// # Errors
/// What the kernel says.
pub(crate) fn ended_within(pid: Pid, time: Duration) -> io::Result<bool> {
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&left)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for what the run left, then ends it, and what that leaves in turn.
///
/// # Errors
/// What the kernel says.
pub(crate) fn sweep() -> Result<(), Failure> {
    let until = Instant::now() + GRACE;
    loop {
        let children = children(std::process::id())?;
        if children.is_empty() {
            return Ok(());
        }
        for pid in children {
            if !ended_within(pid, until.saturating_duration_since(Instant::now()))? {
                rustix::process::kill_process(pid, Signal::KILL)?;
            }
            rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
        }
    }
}

/// The children of a process, those that ended included.
pub(crate) fn children(parent: u32) -> Result<Vec<Pid>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // A process may end while the list is read.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        if let Some((pid, its_parent)) = pid_and_parent(&stat)
            && its_parent == parent
        {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Of a line of `/proc/PID/stat`. The name in it may hold anything, parentheses too.
fn pid_and_parent(stat: &str) -> Option<(Pid, u32)> {
    let (pid, _) = stat.split_once(" (")?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let parent = rest.split(' ').nth(1)?.parse().ok()?;
    Some((Pid::from_raw(pid.parse().ok()?)?, parent))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Held by a test that runs something, because a sweep ends all children of this process.
    pub(crate) static ALONE: Mutex<()> = Mutex::new(());

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_run_ends_and_leaves_nothing() {
        let _alone = ALONE.lock();
        adopt().unwrap();
        let minute = Duration::from_secs(60);
        let good = run(&mut shell("echo out; echo err >&2"), minute).unwrap();
        assert_eq!((good.output.as_str(), good.failure), ("out\n", None));
        let bad = run(&mut shell("echo out; echo why >&2; exit 3"), minute).unwrap();
        assert_eq!(bad.failure.unwrap(), "exit status: 3: why");
        let late = run(&mut shell("echo first; sleep 600"), Duration::from_millis(200)).unwrap();
        assert_eq!(late.failure.unwrap(), "deadline of 0 s");
        assert_eq!(late.output, "first\n");
        let leaves = run(&mut shell("setsid sleep 600 & exit 0"), minute).unwrap();
        assert_eq!(leaves.failure, None);
        assert!(children(std::process::id()).unwrap().is_empty());
        assert!(run(&mut Command::new("/no/such/program"), minute).is_err());
    }

    #[test]
    fn a_name_may_hold_parentheses() {
        let read = pid_and_parent("17 (a) R 9 (b) c) S 4 17 17")
            .map(|(pid, parent)| (pid.as_raw_nonzero().get(), parent));
        assert_eq!(read, Some((17, 4)));
        assert_eq!(pid_and_parent("17 (a"), None);
        assert_eq!(pid_and_parent(""), None);
    }

    #[test]
    fn last_words_are_short() {
        assert_eq!(last_words(" a\n\n b "), "a b");
        assert_eq!(last_words(&"é".repeat(1000)).chars().count(), LAST_WORDS);
    }
}
