//! Suite `recovery`: a rank of four is killed, and the time until all are where they were.
//!
//! Every run kills one rank by `--inject` at a step, a few steps after a version was committed. The
//! phases come from the launcher's summary. Two things are read from the events: the moment at
//! which the epoch opened, when the first rank began to restore; and how long each rank copied,
//! which stands against the plain copies that the same processes time a few steps later.
//!
//! Invariant: a run in which the version was not restored from memory by all ranks is an error.
//! Deliberately absent: a job's input; each incarnation loads its own.

use serde_json::Value;

use crate::job::{self, Events, number};
use crate::report::{Report, Section};
use crate::stats::Spread;
use crate::{Context, Failure, host};

/// Ranks of each run.
const RANKS: u64 = 4;
/// The rank that is killed.
const VICTIM: u64 = 2;
/// The step that is captured. After that of the kill come [`MORE`] to the end.
const COMMIT: u64 = 10;
const MORE: u64 = 3;
/// What was promised, and what is aimed at.
const READY_MS: f64 = 15.0;
const RESTORE_RATIO: f64 = 1.3;
const FIRST_STEP_MS: f64 = 50.0;
/// So much memory a run needs beside the state of the rank that is killed: two arenas, what the
/// kernel still takes down, and the new incarnation's.
const MEMORY_FACTOR: u64 = 5;

/// What differs between the sections.
struct Case {
    title: &'static str,
    /// State of the rank that is killed, and of each other.
    mib: (u64, u64),
    /// Computing between two calls in each step.
    kernel_ms: u64,
    /// Whether the version is on disk before the rank is killed, so that the launcher is idle.
    published: bool,
    runs: usize,
    /// The step in which the rank is killed. If it is the first after the captured one, what is done
    /// again is the first step of all ranks.
    kill: u64,
    /// Whether the promises are about this case.
    promised: bool,
}

/// One rank's restore and its plain copies.
struct Copy {
    restore_ms: f64,
    memcpy_ms: f64,
}

/// One run.
struct Run {
    detect_ms: f64,
    respawn_ms: f64,
    /// From the raised epoch until it opened: all acknowledged, the new incarnation there.
    open_ms: f64,
    restore_ms: f64,
    redo_ms: f64,
    survivors: Vec<Copy>,
    respawned: Copy,
}

/// Measures all cases.
///
/// # Errors
/// A run that did not go as asked.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let few = |many: usize| if context.quick { many.min(5) } else { many };
    let case = |title, mib, kernel_ms, runs| Case {
        title,
        mib,
        kernel_ms,
        published: true,
        runs: few(runs),
        kill: COMMIT + 4,
        promised: false,
    };
    let first = |title, kernel_ms, runs| Case {
        kill: COMMIT + 1,
        ..case(title, (64, 64), kernel_ms, runs)
    };
    let base = case("4 ranks, 64 MiB each", (64, 64), 0, 21);
    let draining = case("the same, while the version is written to disk", (64, 64), 0, 11);
    let cases = [
        Case { promised: true, ..base },
        Case { published: false, ..draining },
        case("the same, survivors in a kernel of 20 ms", (64, 64), 20, 11),
        first("4 ranks, 64 MiB each, killed in the step after the captured one", 0, 21),
        first("the same, survivors in a kernel of 20 ms", 20, 11),
        case("the killed rank holds 1 GiB, the others 1 MiB", (1 << 10, 1), 0, 3),
        case("the killed rank holds 8 GiB, the others 1 MiB", (8 << 10, 1), 0, 3),
    ];
    let mut report = Report::default();
    for case in &cases {
        let (needed, there) = ((case.mib.0 * MEMORY_FACTOR) << 20, host::available_bytes());
        if needed > there {
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let (needed, there) = (gib(needed), gib(there));
            let why = format!("needs {needed:.1} GiB of memory, {there:.1} GiB are available");
            report.note(format!("{}: not measured: {why}", case.title));
            continue;
        }
        eprintln!("bench: {}", case.title);
        // The first run faults memory of the machine in and is not counted.
        one(context, case)?;
        let runs = (0..case.runs).map(|_| one(context, case)).collect::<Result<Vec<_>, _>>()?;
        report.add(section(case, &runs));
    }
    Ok(report)
}

fn one(context: &Context, case: &Case) -> Result<Run, Failure> {
    let directory = job::directory();
    let wait_for = if case.published { directory.as_path() } else { "-".as_ref() };
    let numbers =
        [case.mib.0, case.mib.1, VICTIM, case.kernel_ms, COMMIT, case.kill, case.kill + MORE];
    let mut program = vec![context.built.held.display().to_string()];
    program.extend(numbers.map(|number| number.to_string()));
    program.push(wait_for.display().to_string());
    let (n, every) = (RANKS.to_string(), format!("{COMMIT}steps"));
    let inject = format!("kill:{VICTIM}@step={}", case.kill);
    let options = ["-n", &n, "--ckpt-every", &every, "--inject", &inject];
    Run::read(&job::run(&context.built, &options, &directory, &program)?)
}

impl Run {
    fn read(events: &Events) -> Result<Self, Failure> {
        let summary = events.first("summary")?;
        let failure = &summary["failures"][0];
        let raised_ms = number(events.first("epoch")?, "t_ms")?;
        let (mut opened_ms, mut copies) = (f64::INFINITY, Vec::new());
        for restored in events.of("restored").filter(|event| !event["version"].is_null()) {
            if restored["level"] != "memory" {
                return Err(format!("not restored from memory: {restored}").into());
            }
            let took_ms = number(restored, "took_ms")?;
            opened_ms = opened_ms.min(number(restored, "t_ms")? - took_ms);
            let rank = restored["rank"].as_u64().unwrap_or(RANKS);
            let memcpy_ms = memcpy_ms(summary, rank)?;
            copies.push((rank, Copy { restore_ms: took_ms, memcpy_ms }));
        }
        if copies.len() as u64 != RANKS {
            return Err(format!("{} ranks were restored, not {RANKS}", copies.len()).into());
        }
        copies.sort_by_key(|(rank, _)| *rank == VICTIM);
        let (_, respawned) = copies.pop().ok_or("no rank was restored")?;
        Ok(Self {
            detect_ms: number(failure, "detect_ms")?,
            respawn_ms: number(failure, "respawn_ms")?,
            open_ms: opened_ms - raised_ms,
            restore_ms: number(failure, "restore_ms")?,
            redo_ms: number(failure, "redo_ms")?,
            survivors: copies.into_iter().map(|(_, copy)| copy).collect(),
            respawned,
        })
    }
}

/// The median of the plain copies that a rank timed.
fn memcpy_ms(summary: &Value, rank: u64) -> Result<f64, Failure> {
    let key = format!("memcpy_ns_{rank}");
    let text = summary["report"][&key].as_str().unwrap_or_default();
    let times = text.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let spread = Spread::of(times).ok_or("no copy was timed")?;
    Ok(spread.median / 1e6)
}

fn section(case: &Case, runs: &[Run]) -> Section {
    let mut section = Section::new(case.title);
    let all = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let ready = all(|run| run.detect_ms + run.respawn_ms.max(run.open_ms));
    section.add("detect ms", all(|run| run.detect_ms));
    section.add("respawn ms", all(|run| run.respawn_ms));
    section.add("agree + respawn ms", all(|run| run.respawn_ms.max(run.open_ms)));
    if case.promised {
        section.promised("detect + agree + respawn ms", ready, READY_MS);
    } else {
        section.add("detect + agree + respawn ms", ready);
    }
    section.add("restore ms (hello to last state)", all(|run| run.restore_ms));
    section.add("redo ms", all(|run| run.redo_ms));
    if case.kill == COMMIT + 1 {
        let phases = |run: &Run| run.detect_ms + run.respawn_ms + run.restore_ms + run.redo_ms;
        section.promised("SIGKILL to first step again ms", all(phases), FIRST_STEP_MS);
    }
    let survivors: Vec<&Copy> = runs.iter().flat_map(|run| &run.survivors).collect();
    let respawned: Vec<&Copy> = runs.iter().map(|run| &run.respawned).collect();
    for (kind, copies) in [("survivor", survivors), ("new incarnation", respawned)] {
        let ratios = copies.iter().map(|copy| copy.restore_ms / copy.memcpy_ms);
        section.add(&format!("{kind}: restore ms"), copies.iter().map(|c| c.restore_ms));
        section.add(&format!("{kind}: memcpy ms"), copies.iter().map(|c| c.memcpy_ms));
        let name = format!("{kind}: restore / memcpy");
        if case.promised {
            section.promised(&name, ratios, RESTORE_RATIO);
        } else {
            section.add(&name, ratios);
        }
    }
    section
}
