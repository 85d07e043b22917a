//! A command under watch: its events as they come, a deadline, and what it leaves behind.
//!
//! Invariants: a command that outlives its deadline is killed and said to hang; every process of it
//! carries a mark in its environment, so that one that outlives it is found whoever its parent is.
//! Only processes that carry the mark are struck, through a descriptor taken before the look.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::Value;

use crate::Failure;

/// In the environment of every process of a cell.
const MARK: &str = "MAINSTAY_DISASTER";
/// Processes that were killed may take so long to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it said on standard output, one object a line.
    pub(crate) events: Vec<Value>,
    /// What it said on standard error.
    pub(crate) stderr: String,
    /// Whether it had to be killed at the deadline.
    pub(crate) hung: bool,
    /// Processes that were there when it was gone.
    pub(crate) left: Vec<i32>,
}

impl Ended {
    /// The events of that name, or `ckpt` objects of that kind.
    pub(crate) fn named(&self, name: &'static str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["event"] == name || event["kind"] == name)
    }

    /// The last of them, or null.
    pub(crate) fn last(&self, name: &'static str) -> &Value {
        self.named(name).last().unwrap_or(&Value::Null)
    }

    /// What is wrong whatever was asked: a hang, a panic, something left behind.
    pub(crate) fn disorder(&self) -> Option<String> {
        if self.hung {
            return Some("hangs: it was killed at its deadline".to_owned());
        }
        if let Some(line) = self.stderr.lines().find(|line| line.contains("panicked")) {
            return Some(format!("panics: {line}"));
        }
        (!self.left.is_empty()).then(|| format!("leaves processes behind: {:?}", self.left))
    }
}

/// What may be struck while a command runs.
pub(crate) struct Hand<'a> {
    child: &'a mut Child,
    mark: &'a str,
    pids: &'a BTreeMap<(bool, u64), i32>,
}

impl Hand<'_> {
    /// Kills a rank. False if it is gone already.
    pub(crate) fn rank(&self, rank: u64) -> bool {
        self.pids.get(&(false, rank)).is_some_and(|pid| strike(*pid, self.mark))
    }

    /// Kills the process of a node, which takes its ranks with it.
    pub(crate) fn node(&self, node: u64) -> bool {
        self.pids.get(&(true, node)).is_some_and(|pid| strike(*pid, self.mark))
    }

    /// Kills the launcher.
    pub(crate) fn launcher(&mut self) -> bool {
        self.child.kill().is_ok()
    }
}

/// Runs a command to its end, giving each event to `on` as it comes.
///
/// # Errors
/// It cannot be started.
pub(crate) fn run(
    mut command: Command,
    deadline: Duration,
    mut on: impl FnMut(&Value, &mut Hand<'_>),
) -> Result<Ended, Failure> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    command.env(MARK, &mark).env_remove("SLURM_JOB_END_TIME").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let until = Instant::now() + deadline;
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = stdout.zip(stderr).ok_or("no pipe to the command")?;
    let (tell, events) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            if tell.send(event).is_err() {
                break;
            }
        }
    });
    let errors = thread::spawn(move || {
        let mut said = Vec::new();
        let _cut_short = BufReader::new(stderr).read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let mut ended = Ended::default();
    let mut pids = BTreeMap::new();
    loop {
        match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(event) => {
                for (is_node, who) in [(false, "rank_up"), (true, "node_up")] {
                    let index = event[if is_node { "node" } else { "rank" }].as_u64();
                    let pid = event["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
                    if event["event"] == who
                        && let Some((index, pid)) = index.zip(pid)
                    {
                        pids.insert((is_node, index), pid);
                    }
                }
                on(&event, &mut Hand { child: &mut child, mark: &mark, pids: &pids });
                ended.events.push(event);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                ended.hung = true;
                let _already_gone = child.kill();
                break;
            }
        }
    }
    ended.code = wait(&mut child, until, &mut ended.hung);
    ended.left = left(&mark);
    for pid in &ended.left {
        strike(*pid, &mark);
    }
    if ended.left.is_empty() {
        ended.stderr = errors.join().unwrap_or_default();
    }
    Ok(ended)
}

/// Waits for a command that has closed its output, and kills it at the deadline.
fn wait(child: &mut Child, until: Instant, hung: &mut bool) -> Option<i32> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.code(),
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
            _ => {
                *hung = true;
                let _already_gone = child.kill();
                return child.wait().ok().and_then(|status| status.code());
            }
        }
    }
}

/// Processes with the mark that do not go.
fn left(mark: &str) -> Vec<i32> {
    let until = Instant::now() + GONE_WITHIN;
    loop {
        let marked: Vec<i32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| has_mark(*pid, mark))
            .collect();
        if marked.is_empty() || Instant::now() >= until {
            return marked;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process is of the command with this mark. One that is dead has no environment.
fn has_mark(pid: i32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("{MARK}={mark}");
    environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
}

/// Kills a process with the mark. False if there is none.
fn strike(pid: i32, mark: &str) -> bool {
    let Some(pid_of) = Pid::from_raw(pid) else { return false };
    // The descriptor first, the check second: what is checked is what will be struck.
    let Ok(process) = rustix::process::pidfd_open(pid_of, PidfdFlags::empty()) else {
        return false;
    };
    has_mark(pid, mark) && rustix::process::pidfd_send_signal(process, Signal::KILL).is_ok()
}
