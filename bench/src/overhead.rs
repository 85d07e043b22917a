//! Suite `overhead`: real programs with checkpoints on, with checkpoints off, and without a launcher.
//!
//! First, what a plain write takes from those who compute beside it: see [`toll`]. Then two
//! comparisons, each of the time from before the launch until the end, input and result
//! included. *On against off*: one job of as many ranks as cores. *Jobs against bare*: a program
//! without its launcher is one rank without protection, so as many processes as cores run side by
//! side, each on a problem of one rank's size, once each as a job of one rank with checkpoints on,
//! once bare. The second therefore has no messages on either side.
//!
//! Invariant: both sides of a pair do the same work and take [`turns`], so that a machine that is
//! slower for a while is slower for both; a job with checkpoints on that committed none is an error.
//! Deliberately absent: failures.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::build::Built;
use crate::peers::cores;
use crate::process::Ended;
use crate::report::{Report, Section};
use crate::stats::interval;
use crate::turns::Times;
use crate::{Context, Failure, inputs, job, process, toll, turns};

/// What is aimed at.
const RATIO: f64 = 1.02;
/// State of a rank.
const STATE_BYTES: u64 = 64 << 20;
/// Points of a rank's part in `cg`; its state is three vectors and one for each right-hand side.
const CG_COLUMNS: u64 = 256;
const CG_ROWS: u64 = 240;
/// Cells of a rank's part in `heat`, 8 bytes each.
const HEAT_COLUMNS: u64 = 4096;
const HEAT_ROWS: u64 = STATE_BYTES / 8 / HEAT_COLUMNS;
/// How long one side goes on before the other does.
const TURN: Duration = Duration::from_secs(2);
/// How long each side of a pair takes, about: still a minute if the machine becomes faster by a quarter.
const SECONDS: u64 = 80;
/// The same in a quick run.
const SECONDS_QUICK: u64 = 10;
/// Memory level each second, disk each ten, of the time that the job has its turns.
const ON: [&str; 2] = ["--ckpt-every", "1s"];
const DISK: [&str; 2] = ["--disk-every", "10s"];
const DISK_EVERY: Duration = Duration::from_secs(10);
const OFF: [&str; 2] = ["--ckpt-every", "24h"];
/// So many commands side by side; fails if one does.
const SIDE_BY_SIDE: &str = r#"
    count=$1; shift; all=
    while [ "$count" -gt 0 ]; do "$@" & all="$all $!"; count=$((count - 1)); done
    for one in $all; do wait "$one" || exit 1; done"#;
/// A launch may take so many times what it should, and a minute.
const PATIENCE: u32 = 6;

/// How one program is given its input and made to take long enough.
struct Program {
    name: &'static str,
    /// The option that says how much work there is, and the least of it.
    work: (&'static str, u64),
    /// So little work that it is mostly the start and the end.
    few: u64,
    input: fn(&Path, u64, bool) -> Result<(), Failure>,
}

const PROGRAMS: [Program; 2] = [
    Program {
        name: "cg",
        work: ("--repeat", (STATE_BYTES / 8).div_ceil(CG_COLUMNS * CG_ROWS) - 3),
        few: 2,
        input: |path, parts, quick| {
            inputs::matrix(path, (CG_COLUMNS, CG_ROWS * parts), if quick { 4.2 } else { 4.01 })
        },
    },
    Program {
        name: "heat",
        work: ("--steps", 1),
        few: 5,
        input: |path, parts, _| inputs::raster(path, (HEAT_COLUMNS, HEAT_ROWS * parts)),
    },
];

/// Whether the suite of this name is this one, and has this program.
pub(crate) fn knows(suite: &str, program: &str) -> bool {
    suite == "overhead" && PROGRAMS.iter().any(|known| known.name == program)
}

/// One program, ready to run.
struct Ready<'a> {
    context: &'a Context,
    program: &'a Program,
    executable: PathBuf,
    directory: PathBuf,
    on: Vec<&'static str>,
    seconds: u64,
}

/// Measures all programs.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut on = ON.to_vec();
    if context.knows(DISK[0])? {
        on.extend(DISK);
    } else {
        report.note(format!("`mainstay run` has no {}: every version also goes to disk", DISK[0]));
    }
    let directory = job::directory();
    std::fs::create_dir_all(&directory)?;
    let outcome = in_directory(context, &directory, &on, &mut report);
    std::fs::remove_dir_all(&directory)?;
    outcome.map(|()| report)
}

fn in_directory(
    context: &Context,
    directory: &Path,
    on: &[&'static str],
    report: &mut Report,
) -> Result<(), Failure> {
    let bytes = STATE_BYTES * cores() as u64;
    match toll::measure(directory, bytes, DISK_EVERY, if context.quick { 3 } else { 10 }) {
        Ok(section) => report.add(section),
        Err(why) => report.note(format!("a plain write: not measured: {why}")),
    }
    let seconds = if context.quick { SECONDS_QUICK } else { SECONDS };
    let mut all = Vec::new();
    let only = context.only.as_deref();
    for program in PROGRAMS.iter().filter(|program| only.is_none_or(|only| only == program.name)) {
        let Some(executable) = Built::app(program.name)? else {
            report.note(format!("{}: not measured: there is no such program", program.name));
            continue;
        };
        let directory = directory.join(program.name);
        std::fs::create_dir(&directory)?;
        all.push(Ready { context, program, executable, directory, on: on.to_vec(), seconds });
    }
    for ready in &all {
        ready.on_against_off(report)?;
    }
    for ready in &all {
        ready.jobs_against_bare(report)?;
    }
    Ok(())
}

impl Ready<'_> {
    fn on_against_off(&self, report: &mut Report) -> Result<(), Failure> {
        let cores = cores() as u64;
        (self.program.input)(&self.input(cores), cores, self.context.quick)?;
        let on = |work| self.job(cores, &self.on, work);
        let off = |work| self.job(cores, &OFF, work);
        self.compare(report, ("1 job, on", &on), ("1 job, off", &off))
    }

    fn jobs_against_bare(&self, report: &mut Report) -> Result<(), Failure> {
        let cores = cores() as u64;
        (self.program.input)(&self.input(1), 1, self.context.quick)?;
        let jobs = |work| self.beside(cores, Some(&self.on), work);
        let bare = |work| self.beside(cores, None, work);
        let names = (format!("{cores} jobs of 1"), format!("{cores} bare"));
        self.compare(report, (&names.0, &jobs), (&names.1, &bare))
    }

    /// Pairs of a command with checkpoints on and another without, by the amount of work.
    fn compare(
        &self,
        report: &mut Report,
        (name, on): (&str, &dyn Fn(u64) -> Command),
        (other_name, off): (&str, &dyn Fn(u64) -> Command),
    ) -> Result<(), Failure> {
        let program = self.program.name;
        let work = self.work(off)?;
        let rounds = if self.context.quick { 3 } else { 10 };
        let times = Times { turn: TURN, deadline: self.deadline() };
        let (mut committed, mut published) = (Vec::new(), Vec::new());
        let (mut times_on, mut times_off) = (Vec::new(), Vec::new());
        let (mut stolen_on, mut stolen_off) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            // Each goes first in every second pair.
            let [turned_on, turned_off] = if round % 2 == 1 {
                turns::run([&mut on(work), &mut off(work)], times)?
            } else {
                let [off, on] = turns::run([&mut off(work), &mut on(work)], times)?;
                [on, off]
            };
            let ended_on = turned_on.ended;
            let (protected, unprotected) =
                (self.seconds(&ended_on)?, self.seconds(&turned_off.ended)?);
            eprintln!(
                "bench: {program}, {name} / {other_name}, pair {round} of {rounds}: \
                 {protected:.2} s / {unprotected:.2} s = {:.4}",
                protected / unprotected
            );
            if versions(&ended_on, "committed") == 0 {
                return Err(format!("{program}: no version was committed").into());
            }
            committed.push(versions(&ended_on, "committed") as f64);
            published.push(versions(&ended_on, "published") as f64);
            times_on.push(protected);
            times_off.push(unprotected);
            stolen_on.push(turned_on.stolen.as_secs_f64());
            stolen_off.push(turned_off.stolen.as_secs_f64());
        }
        let ratios: Vec<f64> = times_on.iter().zip(&times_off).map(|(on, off)| on / off).collect();
        let mut section = Section::new(format!("{program}, {} {work}", self.program.work.0));
        section.add("versions committed", committed);
        section.add("of them published", published);
        section.add(&format!("{name}: s"), times_on);
        section.add(&format!("{other_name}: s"), times_off);
        section.add(&format!("{name}: s of processors that the host took"), stolen_on);
        section.add(&format!("{other_name}: s that it took"), stolen_off);
        section.promised(&format!("{name} / {other_name}"), ratios.iter().copied(), RATIO);
        if let Some((low, high)) = interval(&ratios) {
            report.note(format!(
                "{program}: median of {name} / {other_name}: {low:.4} to {high:.4} (95 %, bootstrap)"
            ));
        }
        report.add(section);
        Ok(())
    }

    /// How much work takes as long as it should, by the line through two runs, of which the second
    /// is long enough to tell.
    fn work(&self, off: &dyn Fn(u64) -> Command) -> Result<u64, Failure> {
        let least = self.seconds as f64 / 8.0;
        let time = |work| self.seconds(&process::run(&mut off(work), self.deadline())?);
        let few = self.program.few;
        let short = time(few)?;
        let mut more = 4 * few;
        loop {
            let long = time(more)?;
            if long - short >= least {
                let work = amount((few, short), (more, long), self.seconds as f64);
                return Ok(work.max(self.program.work.1));
            }
            more *= 2;
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(60 + self.seconds) * PATIENCE
    }

    fn input(&self, parts: u64) -> PathBuf {
        self.directory.join(format!("input-{parts}"))
    }

    /// One job.
    fn job(&self, ranks: u64, options: &[&str], work: u64) -> Command {
        let mut command = Command::new(&self.context.built.mainstay);
        command.args(["run", "--json", "-n", &ranks.to_string()]).args(options);
        self.put_program(&mut command, ranks, work);
        command
    }

    /// As many as there are cores side by side, as jobs of one rank or bare.
    fn beside(&self, cores: u64, options: Option<&[&str]>, work: u64) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", SIDE_BY_SIDE, "sh", &cores.to_string()]);
        if let Some(options) = options {
            command.arg(&self.context.built.mainstay).args(["run", "--json", "-n", "1"]);
            command.args(options);
        }
        self.put_program(&mut command, 1, work);
        command
    }

    fn put_program(&self, command: &mut Command, parts: u64, work: u64) {
        command.arg(&self.executable).arg(self.input(parts));
        command.args([self.program.work.0, &work.to_string()]);
        // Checkpoints go to the disk that holds the build.
        command.env("XDG_STATE_HOME", &self.directory);
    }

    /// How long it took.
    fn seconds(&self, ended: &Ended) -> Result<f64, Failure> {
        match &ended.failure {
            None => Ok(ended.took.as_secs_f64()),
            Some(failure) => Err(format!("{}: {failure}", self.program.name).into()),
        }
    }
}

/// How many versions came to a state, over all jobs.
fn versions(ended: &Ended, state: &str) -> usize {
    let events = ended.output.lines().filter_map(|line| serde_json::from_str(line).ok());
    let came = |event: &Value| event["event"] == "checkpoint" && event["state"] == state;
    events.filter(came).count()
}

/// How much work takes so many seconds, by the line through two measurements.
fn amount((few, short): (u64, f64), (more, long): (u64, f64), seconds: f64) -> u64 {
    let each = ((long - short) / (more - few) as f64).max(1e-6);
    // What is not a number, or too large for one, is clamped by the conversion.
    (few as f64 + (seconds - short) / each).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_estimated_by_a_line() {
        assert_eq!(amount((2, 3.0), (6, 5.0), 10.0), 16);
        assert_eq!(amount((2, 30.0), (6, 50.0), 10.0), 0);
        assert!(amount((2, 3.0), (6, 3.0), 10.0) > 1_000_000);
    }

    #[test]
    fn the_least_work_makes_the_state_large_enough() {
        let vectors = PROGRAMS[0].work.1 + 3;
        let bytes = vectors * CG_COLUMNS * CG_ROWS * 8;
        assert!((STATE_BYTES..STATE_BYTES + STATE_BYTES / 64).contains(&bytes), "{bytes}");
        assert_eq!(HEAT_COLUMNS * HEAT_ROWS * 8, STATE_BYTES);
    }
}
