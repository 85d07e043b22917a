//! Suite `overhead`: real programs with checkpoints on, with checkpoints off, and without a launcher.
//!
//! Two comparisons, each of wall time from before the launch until the end, input and result
//! included. *On against off*: one job of as many ranks as cores. *Jobs against bare*: a program
//! without its launcher is one rank without protection, so as many processes as cores run side by
//! side, each on a problem of one rank's size, once each as a job of one rank with checkpoints on,
//! once bare. The second therefore has no messages on either side.
//!
//! Invariant: all four take turns, do the same work, and ratios are taken within a round; a job with
//! checkpoints on that committed none is an error. Deliberately absent: failures.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::build::Built;
use crate::peers::cores;
use crate::report::{Report, Section};
use crate::stats::interval;
use crate::{Context, Failure, inputs, job, process};

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
/// Memory level each second, disk each ten.
const ON: [&str; 2] = ["--ckpt-every", "1s"];
const DISK: [&str; 2] = ["--disk-every", "10s"];
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
    /// Two amounts of work from whose times the rest is estimated.
    probe: (u64, u64),
    input: fn(&Path, u64, bool) -> Result<(), Failure>,
}

const PROGRAMS: [Program; 2] = [
    Program {
        name: "cg",
        work: ("--repeat", (STATE_BYTES / 8).div_ceil(CG_COLUMNS * CG_ROWS) - 3),
        probe: (2, 6),
        input: |path, parts, quick| {
            inputs::matrix(path, (CG_COLUMNS, CG_ROWS * parts), if quick { 4.2 } else { 4.01 })
        },
    },
    Program {
        name: "heat",
        work: ("--steps", 1),
        probe: (5, 25),
        input: |path, parts, _| inputs::raster(path, (HEAT_COLUMNS, HEAT_ROWS * parts)),
    },
];

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
    for program in &PROGRAMS {
        let Some(executable) = Built::app(program.name)? else {
            report.note(format!("{}: not measured: there is no such program", program.name));
            continue;
        };
        let directory = job::directory();
        std::fs::create_dir_all(&directory)?;
        let seconds = if context.quick { 10 } else { 66 };
        let on = on.clone();
        let ready = Ready { context, program, executable, directory, on, seconds };
        let outcome = ready.measure(&mut report);
        std::fs::remove_dir_all(&ready.directory)?;
        outcome?;
    }
    Ok(report)
}

impl Ready<'_> {
    fn measure(&self, report: &mut Report) -> Result<(), Failure> {
        let cores = cores() as u64;
        (self.program.input)(&self.input(cores), cores, self.context.quick)?;
        (self.program.input)(&self.input(1), 1, self.context.quick)?;
        let work = self.work(cores)?;
        let rounds = if self.context.quick { 3 } else { 10 };
        let (mut times, mut versions) = ([const { Vec::new() }; 4], Vec::new());
        for round in 1..=rounds {
            eprintln!("bench: {}, round {round} of {rounds}", self.program.name);
            let (protected, committed) = self.seconds(self.job(cores, &self.on, work))?;
            if committed == 0 {
                return Err(format!("{}: no version was committed", self.program.name).into());
            }
            versions.push(committed as f64);
            times[0].push(protected);
            times[1].push(self.seconds(self.job(cores, &OFF, work))?.0);
            times[2].push(self.seconds(self.beside(cores, Some(&self.on), work))?.0);
            times[3].push(self.seconds(self.beside(cores, None, work))?.0);
        }
        let name = self.program.name;
        let [on, off, jobs, bare] = times;
        let mut section = Section::new(format!("{name}, {} {work}", self.program.work.0));
        section.add("versions committed", versions);
        self.compare(&mut section, report, ("1 job, on", on), ("1 job, off", off));
        let (jobs, bare) = ((format!("{cores} jobs of 1"), jobs), (format!("{cores} bare"), bare));
        self.compare(&mut section, report, (&jobs.0, jobs.1), (&bare.0, bare.1));
        report.add(section);
        Ok(())
    }

    fn compare(
        &self,
        section: &mut Section,
        report: &mut Report,
        (name, times): (&str, Vec<f64>),
        (other_name, other): (&str, Vec<f64>),
    ) {
        let ratios: Vec<f64> = times.iter().zip(&other).map(|(time, other)| time / other).collect();
        section.add(&format!("{name}: s"), times);
        section.add(&format!("{other_name}: s"), other);
        section.promised(&format!("{name} / {other_name}"), ratios.iter().copied(), RATIO);
        if let Some((low, high)) = interval(&ratios) {
            report.note(format!(
                "{}: median of {name} / {other_name}: {low:.4} to {high:.4} (95 %, bootstrap)",
                self.program.name
            ));
        }
    }

    /// How much work takes as long as it should, from two short runs with checkpoints off.
    fn work(&self, cores: u64) -> Result<u64, Failure> {
        let (few, more) = self.program.probe;
        let (short, _) = self.seconds(self.job(cores, &OFF, few))?;
        let (long, _) = self.seconds(self.job(cores, &OFF, more))?;
        Ok(amount((few, short), (more, long), self.seconds as f64).max(self.program.work.1))
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

    /// How long it took, and how many versions were committed.
    fn seconds(&self, mut command: Command) -> Result<(f64, usize), Failure> {
        let deadline = Duration::from_secs(60 + self.seconds) * PATIENCE;
        let ended = process::run(&mut command, deadline)?;
        if let Some(failure) = ended.failure {
            return Err(format!("{}: {failure}", self.program.name).into());
        }
        let events = ended.output.lines().filter_map(|line| serde_json::from_str(line).ok());
        let committed =
            |event: &Value| event["event"] == "checkpoint" && event["state"] == "committed";
        Ok((ended.took.as_secs_f64(), events.filter(committed).count()))
    }
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
