//! A run as a trace in Chrome's event format, which Perfetto and `chrome://tracing` open.
//!
//! One process for the launcher and one for each rank; the lanes of both, and what each event
//! means, are in `docs/formats/trace.md`. Invariants: one event a line; times are microseconds since
//! the run began, to the nanosecond; of two spans of a lane one contains the other or they do not
//! overlap; an arrow begins in a send and ends in the receive of the same message. Deliberately
//! absent: where the text goes.

mod launcher;
mod ranks;
mod text;

use std::time::Duration;

use mainstay_types::Rank;
use mainstay_types::event::{Event, Summary};
use mainstay_types::trace::Playback;

use crate::flows::Sends;
use text::{Args, Lane, Line};

/// The version of the mapping.
pub const VERSION: u32 = 1;

/// A run, as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// When it began, on the clock of the records.
    pub started: Duration,
    /// What the launcher told, in order, each at a time since the run began.
    pub events: &'a [(Duration, Event)],
    /// Events that were not kept.
    pub left_out: u64,
    /// What each rank recorded.
    pub tapes: &'a [Playback],
    /// How it ended.
    pub summary: &'a Summary,
}

/// Writes a run as a trace, in pieces of text.
///
/// # Errors
/// What `out` returns; nothing is written after that.
pub fn chrome<E>(run: &Run<'_>, out: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let end_ns = end(run);
    out(&head(run, end_ns))?;
    let mut first = true;
    let mut line = |text: &str| {
        out(if std::mem::take(&mut first) { "\n" } else { ",\n" })?;
        out(text)
    };
    name_lanes(run, &mut line)?;
    launcher::write(run, end_ns, &mut line)?;
    let sends = Sends::of(run.tapes);
    let mut arrows = 0;
    for (rank, tape) in Rank::all(u32::try_from(run.tapes.len()).unwrap_or(u32::MAX)).zip(run.tapes)
    {
        let life = ranks::Life::of(rank, run, end_ns);
        life.write(tape, &mut line)?;
        ranks::calls((rank, tape), (&sends, &life), &mut arrows, &mut line)?;
    }
    out("\n]}\n")
}

/// Whoever takes the lines of a trace.
type Take<'a, E> = &'a mut dyn FnMut(&str) -> Result<(), E>;

/// The process of a rank; the launcher's is 0.
fn process(rank: Rank) -> u32 {
    rank.0 + 1
}

/// When the last thing was seen.
fn end(run: &Run<'_>) -> u64 {
    let told = run.events.last().map_or(Duration::ZERO, |(at, _)| *at);
    let records = run.tapes.iter().filter_map(|tape| tape.records.last());
    let open = run.tapes.iter().filter_map(|tape| tape.open.as_ref());
    let seen = records.chain(open).map(|record| run.since(record.end_ns()));
    seen.fold(nanos(told), u64::max)
}

impl Run<'_> {
    /// A time of a record since the run began.
    fn since(&self, clock_ns: u64) -> u64 {
        clock_ns.saturating_sub(nanos(self.started))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Everything before the events.
fn head(run: &Run<'_>, end_ns: u64) -> String {
    let (mut job, mut command, mut policy) = ("", [].as_slice(), run.summary.policy);
    if let Some((_, Event::Start { job: name, command: words, policy: chosen, .. })) =
        run.events.iter().find(|(_, event)| matches!(event, Event::Start { .. }))
    {
        (job, command, policy) = (name, words, chosen);
    }
    let ranks: Vec<_> = run
        .tapes
        .iter()
        .map(|tape| {
            serde_json::json!({
                "records": tape.records.len(),
                "overwritten": tape.overwritten,
                "damaged": tape.damaged,
            })
        })
        .collect();
    let about = serde_json::json!({
        "format": "mainstay trace",
        "v": VERSION,
        "job": job,
        "command": command,
        "policy": policy,
        "exit": run.summary.exit,
        "steps": run.summary.steps,
        "lost_us": run.summary.lost.as_secs_f64() * 1e6,
        "end_us": text::micros(end_ns).parse::<f64>().unwrap_or(0.0),
        "left_out": run.left_out,
        "ranks": ranks,
    });
    format!("{{\"displayTimeUnit\":\"ns\",\"otherData\":{about},\n\"traceEvents\":[")
}

fn name_lanes<E>(run: &Run<'_>, line: Take<'_, E>) -> Result<(), E> {
    let mut name = |pid: u32, tid: Option<u32>, what: &str, value: Args| {
        line(&Line::metadata(pid, tid, what, &value))
    };
    name(0, None, "process_name", Args::new().text("name", "launcher"))?;
    name(0, None, "process_sort_index", Args::new().int("sort_index", 0))?;
    for (tid, lane) in launcher::LANES {
        name(0, Some(*tid), "thread_name", Args::new().text("name", lane))?;
        name(0, Some(*tid), "thread_sort_index", Args::new().int("sort_index", (*tid).into()))?;
    }
    for (rank, tape) in Rank::all(u32::try_from(run.tapes.len()).unwrap_or(u32::MAX)).zip(run.tapes)
    {
        let pid = process(rank);
        name(pid, None, "process_name", Args::new().text("name", &format!("rank {rank}")))?;
        name(pid, None, "process_sort_index", Args::new().int("sort_index", pid.into()))?;
        if tape.overwritten + tape.damaged > 0 {
            let lost = format!("{} records lost", tape.overwritten + tape.damaged);
            name(pid, None, "process_labels", Args::new().text("labels", &lost))?;
        }
        for (tid, lane) in ranks::LANES {
            name(pid, Some(*tid), "thread_name", Args::new().text("name", lane))?;
            name(
                pid,
                Some(*tid),
                "thread_sort_index",
                Args::new().int("sort_index", (*tid).into()),
            )?;
        }
    }
    Ok(())
}

/// A lane of a process.
fn lane(pid: u32, tid: u32) -> Lane {
    Lane { pid, tid }
}
