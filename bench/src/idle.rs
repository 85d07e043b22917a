//! Suite `idle`: what supervision costs while 64 ranks have nothing to do.
//!
//! Processor time and context switches of the launcher and its guardian, in windows of a run in
//! which nothing happens. Invariant: a window is read while all ranks are alive. Deliberately
//! absent: ranks that compute; their time would be theirs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::report::{Report, Section};
use crate::usage::Usage;
use crate::{Context, Failure, job, process};

const RANKS: usize = 64;
/// What is aimed at, in hundredths of a core.
const PERCENT: f64 = 1.0;
/// All ranks are there within this time.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// So long nothing is counted after that.
const SETTLE: Duration = Duration::from_secs(1);
/// Of one run.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often it is looked whether all are there.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Percent of a core, and switches a second.
struct Window {
    launcher: (f64, f64),
    guardian: (f64, f64),
    ranks: (f64, f64),
}

/// Measures both cases.
///
/// # Errors
/// A run that did not go as asked, and a kernel that does not count.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    for (mode, title) in [
        ("waiting", "64 ranks, 63 of them in a barrier"),
        ("outside", "64 ranks asleep outside calls, as in long kernels"),
    ] {
        let windows = run(context, mode)?;
        let mut section = Section::new(title);
        let all = |value: fn(&Window) -> f64| windows.iter().map(value);
        section.promised("launcher % of a core", all(|w| w.launcher.0), PERCENT);
        section.add("launcher switches a second", all(|w| w.launcher.1));
        section.add("guardian % of a core", all(|w| w.guardian.0));
        section.add("guardian switches a second", all(|w| w.guardian.1));
        let both = all(|w| w.launcher.0 + w.guardian.0);
        section.promised("launcher + guardian % of a core", both, PERCENT);
        section.add("all ranks together % of a core", all(|w| w.ranks.0));
        section.add("all ranks: switches a second", all(|w| w.ranks.1));
        report.add(section);
    }
    Ok(report)
}

fn run(context: &Context, mode: &str) -> Result<Vec<Window>, Failure> {
    let file = job::directory().with_extension("there");
    let mut command = Command::new(&context.built.mainstay);
    command.args(["run", "--quiet", "-n", &RANKS.to_string()]).arg(&context.built.quiet);
    command.arg(mode).arg(&file);
    let (count, seconds) = if context.quick { (3, 3) } else { (5, 5) };
    let mut windows = Vec::new();
    let ended = process::during(&mut command, DEADLINE, |child| {
        let outcome = watch(context, child, &file, |processes| {
            for _ in 0..count {
                windows.push(processes.window(Duration::from_secs(seconds))?);
            }
            Ok(())
        });
        let _gone_if_never_made = std::fs::remove_file(&file);
        outcome
    })?;
    ended.failure.map_or(Ok(windows), |failure| Err(failure.into()))
}

/// Those of one run.
struct Processes {
    launcher: Vec<Pid>,
    guardian: Vec<Pid>,
    ranks: Vec<Pid>,
}

/// Calls `count` once all ranks are there and have settled.
fn watch(
    context: &Context,
    child: &mut Child,
    file: &Path,
    count: impl FnOnce(&Processes) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let started = Instant::now();
    while !file.exists() {
        if started.elapsed() > STARTED_WITHIN || child.try_wait()?.is_some() {
            return Err(format!("{RANKS} ranks were not there in time").into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    std::thread::sleep(SETTLE);
    count(&Processes::of(child, &context.built.quiet)?)
}

impl Processes {
    fn of(launcher: &Child, program: &Path) -> Result<Self, Failure> {
        let (mut guardian, mut ranks) = (Vec::new(), Vec::new());
        for pid in process::children(launcher.id())? {
            if executable(pid)? == program.canonicalize()? {
                ranks.push(pid);
            } else {
                guardian.push(pid);
            }
        }
        if ranks.len() != RANKS {
            return Err(format!("{} ranks are alive, not {RANKS}", ranks.len()).into());
        }
        Ok(Self { launcher: vec![process::pid_of(launcher)?], guardian, ranks })
    }

    fn usage(&self) -> Result<[Usage; 3], Failure> {
        let sums = [&self.launcher, &self.guardian, &self.ranks].map(|pids| Usage::sum(pids));
        let [launcher, guardian, ranks] = sums;
        Ok([launcher?, guardian?, ranks?])
    }

    fn window(&self, time: Duration) -> Result<Window, Failure> {
        let (before, started) = (self.usage()?, Instant::now());
        std::thread::sleep(time);
        let (after, seconds) = (self.usage()?, started.elapsed().as_secs_f64());
        let rate = |k: usize| {
            let used = after[k] - before[k];
            (used.cpu_ns as f64 / seconds / 1e7, used.switches as f64 / seconds)
        };
        Ok(Window { launcher: rate(0), guardian: rate(1), ranks: rate(2) })
    }
}

fn executable(pid: Pid) -> Result<PathBuf, Failure> {
    Ok(std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()))?)
}
