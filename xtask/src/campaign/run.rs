//! One case, run and judged.
//!
//! Invariants: a run that outlives its deadline is killed and is a failure; a process of the job
//! that outlives the launcher is one, too. A kill from outside goes through a pidfd that is
//! checked to be the program, so that a reused pid never hits a stranger.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::Value;

use super::case::{Case, OutsideKill};
use super::judge::{Report, Seen};
use super::reference::{PROGRAMS, Program, Reference};
use crate::{Failure, workspace};

/// The surroundings of a case.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// Where the built programs lie.
    pub(crate) programs: PathBuf,
    /// Where checkpoint directories are made.
    pub(crate) directory: PathBuf,
    /// How long a run may take.
    pub(crate) deadline: Duration,
}

impl Bench {
    /// The command of a case, as a person would type it.
    pub(crate) fn command(&self, case: &Case) -> Command {
        let Program { name, arguments, .. } = PROGRAMS[case.program];
        let mut command = Command::new(self.programs.join("mainstay"));
        command.args(["run", "--json"]).args(&case.options);
        command.arg("--ckpt-dir").arg(self.checkpoints(case));
        command.arg(self.programs.join(name)).args(arguments);
        command.current_dir(workspace::root());
        command
    }

    fn checkpoints(&self, case: &Case) -> PathBuf {
        self.directory.join(format!("seed-{}", case.seed))
    }

    /// Runs a case and judges it.
    ///
    /// # Errors
    /// A command that cannot be started.
    pub(crate) fn run(&self, case: &Case, reference: &Reference) -> Result<Report, Failure> {
        let _none_there = fs::remove_dir_all(self.checkpoints(case));
        let started = Instant::now();
        let errors = self.directory.join(format!("seed-{}.err", case.seed));
        let mut command = self.command(case);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&errors)?);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("no pipe to the launcher")?;
        let program = self.programs.join(PROGRAMS[case.program].name);
        let seen = watch(&mut child, stdout, case, &program, started + self.deadline);
        let status = child.wait()?;
        let mut report = Report { took: started.elapsed(), ..Report::default() };
        report.judge(case, reference, &seen, status.code());
        if let Some(wrong) = &mut report.wrong {
            let said = fs::read_to_string(&errors).unwrap_or_default();
            let tail: Vec<_> = said.lines().rev().take(6).collect();
            for line in tail.iter().rev() {
                wrong.push_str("\n      ");
                wrong.push_str(line);
            }
        } else {
            let _kept_if_busy = fs::remove_dir_all(self.checkpoints(case));
            let _kept_if_busy = fs::remove_file(&errors);
        }
        Ok(report)
    }
}

/// Follows a run to its end, killing ranks when their moment comes.
fn watch(
    child: &mut Child,
    stdout: ChildStdout,
    case: &Case,
    program: &Path,
    deadline: Instant,
) -> Seen {
    let (tell, events) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(event) = serde_json::from_str::<Value>(&line)
                && tell.send(event).is_err()
            {
                break;
            }
        }
    });
    let mut seen = Seen::default();
    let mut pids = vec![None; usize::try_from(case.n).unwrap_or(0)];
    let (mut all_pids, mut nodes) = (Vec::new(), Vec::new());
    let mut all_up: Option<Instant> = None;
    let mut kills: Vec<OutsideKill> = case.kills.clone();
    kills.sort_by_key(|kill| kill.after_us);
    loop {
        let next_kill = all_up.zip(kills.first());
        let next_kill = next_kill.map(|(up, kill)| up + Duration::from_micros(kill.after_us));
        let until = next_kill.unwrap_or(deadline).min(deadline);
        match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(event) => {
                if event["event"] == "rank_up" {
                    let (rank, pid) = (event["rank"].as_u64(), event["pid"].as_u64());
                    all_pids.extend(pid);
                    let slot = rank.and_then(|rank| pids.get_mut(usize::try_from(rank).ok()?));
                    if let Some(slot) = slot {
                        *slot = pid;
                    }
                    if all_up.is_none() && pids.iter().all(Option::is_some) {
                        all_up = Some(Instant::now());
                    }
                } else if event["event"] == "node_up" {
                    nodes.extend(event["pid"].as_u64());
                } else if event["event"] == "node_lost" {
                    seen.nodes.0 += 1;
                } else if event["event"] == "rebuilt" {
                    seen.nodes.1 += 1;
                } else if event["event"] == "summary" {
                    seen.summary = event;
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                seen.hung = true;
                let _already_gone = child.kill();
                break;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let kill = kills.remove(0);
                let pid = usize::try_from(kill.rank).ok().and_then(|rank| pids[rank]);
                seen.outside += usize::from(pid.is_some_and(|pid| strike(pid, program)));
            }
        }
    }
    seen.hung |= !ends_by(child, deadline);
    if !seen.hung {
        let _no_panics_there = reader.join();
    }
    let launcher = program.with_file_name("mainstay");
    let ranks = all_pids.into_iter().filter(|pid| runs(*pid, program));
    seen.left_behind = ranks.chain(nodes.into_iter().filter(|pid| runs(*pid, &launcher))).collect();
    seen
}

/// Waits for a launcher that has closed its output; kills it at the deadline. False if it had to.
fn ends_by(child: &mut Child, deadline: Instant) -> bool {
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return true,
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            _ => {
                let _already_gone = child.kill();
                let _already_gone = child.wait();
                return false;
            }
        }
    }
}

/// Whether a process runs this program; a dead one that was not reaped does not.
fn runs(pid: u64, program: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)
}

/// Kills a process that runs this program. False if there is none.
fn strike(pid: u64, program: &Path) -> bool {
    let Some(pid_t) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // The descriptor first, the check second: what is checked is what will be struck.
    let Ok(process) = rustix::process::pidfd_open(pid_t, PidfdFlags::empty()) else {
        return false;
    };
    runs(pid, program) && rustix::process::pidfd_send_signal(process, Signal::KILL).is_ok()
}
