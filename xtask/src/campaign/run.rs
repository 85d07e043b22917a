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

use mainstay_types::exit;
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::Value;

use super::case::{Case, Expected, OutsideKill};
use super::reference::{PROGRAMS, Reference};
use crate::{Failure, workspace};

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Why it fails; `None` if it ended as it has to.
    pub(crate) wrong: Option<String>,
    /// Whether the injection at its point left a receipt.
    pub(crate) hit: bool,
    /// How many failures its summary lists.
    pub(crate) failures: usize,
    /// How many kills from outside found their process alive.
    pub(crate) outside: usize,
    /// How long it took.
    pub(crate) took: Duration,
}

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
        let (program, arguments) = PROGRAMS[case.program];
        let mut command = Command::new(self.programs.join("mainstay"));
        command.args(["run", "--json"]).args(&case.options);
        command.arg("--ckpt-dir").arg(self.checkpoints(case));
        command.arg(self.programs.join(program)).args(arguments);
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
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors)?);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("no pipe to the launcher")?;
        let program = self.programs.join(PROGRAMS[case.program].0);
        let seen = watch(&mut child, stdout, case, &program, started + self.deadline);
        let status = child.wait()?;
        let mut report = Report {
            took: started.elapsed(),
            ..Report::default()
        };
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

/// What was seen of a run.
#[derive(Debug, Default)]
struct Seen {
    summary: Value,
    outside: usize,
    hung: bool,
    left_behind: Vec<u64>,
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
    let mut all_pids = Vec::new();
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
    seen.left_behind = all_pids
        .into_iter()
        .filter(|pid| runs(*pid, program))
        .collect();
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

impl Report {
    fn judge(&mut self, case: &Case, reference: &Reference, seen: &Seen, code: Option<i32>) {
        let summary = &seen.summary;
        let list = |key: &str| summary[key].as_array().cloned().unwrap_or_default();
        self.failures = list("failures").len();
        self.outside = seen.outside;
        let missed = list("not_injected");
        if let Some((_, aimed)) = &case.aim {
            let without_receipt = missed.iter().any(|injection| injection == aimed.as_str());
            self.hit = summary["event"] == "summary" && !without_receipt;
        }
        let digest = summary["result_digest"].as_str();
        let code = code.and_then(|code| u8::try_from(code).ok());
        let may_miss = code == Some(exit::NOT_INJECTED) && !missed.is_empty();
        self.wrong = if seen.hung {
            Some("hangs: the deadline is over".to_owned())
        } else if !seen.left_behind.is_empty() {
            Some(format!("leaves processes behind: {:?}", seen.left_behind))
        } else if summary["event"] != "summary" {
            Some(format!("ends with {code:?} and without a summary"))
        } else {
            match case.expected {
                Expected::SameBits if !(code == Some(exit::OK) || may_miss) => {
                    Some(format!("ends with {code:?}"))
                }
                Expected::SameBits if digest != Some(reference.digest.as_str()) => {
                    Some(format!("gives {digest:?}, not {}", reference.digest))
                }
                Expected::GivenUp if code != Some(exit::of_signal(9)) || digest.is_some() => Some(
                    format!("ends with {code:?} where 137 and no answer are right"),
                ),
                Expected::GivenUp
                    if list("failures")
                        .iter()
                        .all(|failure| failure["cause"] != "signal:9") =>
                {
                    Some("does not name the cause signal:9".to_owned())
                }
                _ => None,
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(case: &Case, summary: Value, code: i32) -> Report {
        let reference = Reference {
            digest: "aa".into(),
            steps: 40,
            took_us: 1000,
        };
        let seen = Seen {
            summary,
            ..Seen::default()
        };
        let mut report = Report::default();
        report.judge(case, &reference, &seen, Some(code));
        report
    }

    fn case(expected: Expected) -> Case {
        (0..)
            .map(|seed| {
                let reference = Reference {
                    digest: "aa".into(),
                    steps: 40,
                    took_us: 1000,
                };
                Case::new(seed, 2, &reference)
            })
            .find(|case| case.expected == expected)
            .unwrap()
    }

    #[test]
    fn only_the_right_bits_pass() {
        let case = case(Expected::SameBits);
        let aimed = case.aim.clone().unwrap().1;
        let summary = |digest: &str, missed: &[&str]| {
            json!({"event": "summary", "result_digest": digest, "not_injected": missed,
                   "failures": []})
        };
        let good = judged(&case, summary("aa", &[]), 0);
        assert!(good.wrong.is_none() && good.hit);
        let missed = judged(&case, summary("aa", &[&aimed]), 75);
        assert!(missed.wrong.is_none() && !missed.hit);
        assert!(judged(&case, summary("ab", &[]), 0).wrong.is_some());
        assert!(judged(&case, summary("aa", &[]), 75).wrong.is_some());
        assert!(judged(&case, summary("aa", &[]), 137).wrong.is_some());
        assert!(judged(&case, Value::Null, 0).wrong.is_some());
    }

    #[test]
    fn only_the_right_diagnosis_passes() {
        let case = case(Expected::GivenUp);
        let summary = |cause: &str| {
            json!({"event": "summary", "result_digest": null, "not_injected": [],
                   "failures": [{"cause": cause}]})
        };
        assert!(judged(&case, summary("signal:9"), 137).wrong.is_none());
        assert!(judged(&case, summary("panic"), 137).wrong.is_some());
        assert!(judged(&case, summary("signal:9"), 0).wrong.is_some());
    }
}
