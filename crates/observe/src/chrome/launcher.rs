//! The lanes of the launcher: recoveries with their phases, epochs, versions, words.
//!
//! Phases are those of the report: struck to noticed, raised to started again, started to restored,
//! restored to where the job had been. Invariant: phases of one recovery follow each other.
//! Deliberately absent: ranks.

use mainstay_types::event::{Event, VersionState};
use mainstay_types::{Epoch, Rank, Step, Version};

use super::text::{Args, Line};
use super::{Run, Take, lane, nanos};
use crate::nest::{Span, nest, rows};

/// The lanes of the launcher; versions that overlap get further ones behind the last.
pub(super) const LANES: &[(u32, &str)] =
    &[(RECOVERY, "recovery"), (EPOCHS, "epochs"), (WORDS, "words"), (VERSIONS, "versions")];
const RECOVERY: u32 = 1;
const EPOCHS: u32 = 2;
const WORDS: u32 = 3;
const VERSIONS: u32 = 4;

type Spans = Vec<Span<((&'static str, &'static str), Args)>>;

/// Writes all lanes.
pub(super) fn write<E>(run: &Run<'_>, end_ns: u64, line: Take<'_, E>) -> Result<(), E> {
    let mut recoveries = recoveries(run, end_ns);
    nest(&mut recoveries);
    let put = |tid: u32, span: &Span<((&str, &str), Args)>, line: Take<'_, E>| {
        let Span { start, end, what: (name, args) } = span;
        line(&Line::span(lane(0, tid), (*start, *end), *name, args))
    };
    for span in &recoveries {
        put(RECOVERY, span, line)?;
    }
    for span in &epochs(run, end_ns) {
        put(EPOCHS, span, line)?;
    }
    let versions = versions(run, end_ns);
    let rows = rows(&versions);
    for row in 1..=rows.iter().copied().max().unwrap_or(0) {
        let tid = VERSIONS + row as u32;
        line(&Line::metadata(0, Some(tid), "thread_name", &Args::new().text("name", "versions")))?;
    }
    for (span, row) in versions.iter().zip(rows) {
        put(VERSIONS + row as u32, span, line)?;
    }
    moments(run, line)
}

/// A recovery under way.
#[derive(Clone, Copy)]
struct Open {
    began: u64,
    raised: u64,
    up: Option<u64>,
    restored: Option<u64>,
    failures: u64,
}

impl Open {
    fn new(now: u64) -> Self {
        Self { began: now, raised: now, up: None, restored: None, failures: 0 }
    }

    fn close(self, end: u64, name: &'static str, spans: &mut Spans) {
        let args = Args::new().int("failures", self.failures);
        spans.push(Span::new(self.began, end, (("recovery", name), args)));
        let mut phase = |from: u64, until: u64, name| {
            if until > from {
                spans.push(Span::new(from, until, (("recovery", name), Args::new())));
            }
        };
        let up = self.up.unwrap_or(self.raised);
        let restored = self.restored.unwrap_or(end).max(up);
        phase(self.began, self.raised, "detect");
        phase(self.raised, up, "respawn");
        phase(up, restored, "restore");
        if self.restored.is_some() {
            phase(restored, end, "redo");
        }
    }
}

fn recoveries(run: &Run<'_>, end_ns: u64) -> Spans {
    let mut spans = Spans::new();
    let mut open: Option<Open> = None;
    for (at, event) in run.events {
        let now = nanos(*at);
        match event {
            Event::Failure { detect, .. } => {
                let open = open.get_or_insert_with(|| Open::new(now));
                open.failures += 1;
                if let Some(detect) = detect {
                    open.began = open.began.min(open.raised.saturating_sub(nanos(*detect)));
                }
            }
            Event::Epoch { .. } => {
                let open = open.get_or_insert_with(|| Open::new(now));
                // What was done under an older epoch is done again.
                (open.raised, open.up, open.restored) = (now, None, None);
            }
            Event::RankUp { incarnation, .. } if incarnation.0 > 0 => {
                if let Some(open) = &mut open {
                    open.up = Some(now);
                }
            }
            Event::Restored { .. } => {
                if let Some(open) = &mut open {
                    open.restored = Some(now);
                }
            }
            Event::Recovered { .. } => {
                if let Some(open) = open.take() {
                    open.close(now, "recovery", &mut spans);
                }
            }
            _ => {}
        }
    }
    if let Some(open) = open {
        open.close(end_ns, "not recovered", &mut spans);
    }
    spans
}

fn epochs(run: &Run<'_>, end_ns: u64) -> Spans {
    let raised = run.events.iter().filter_map(|(at, event)| match event {
        Event::Epoch { epoch, reason } => Some((nanos(*at), *epoch, reason.as_str())),
        _ => None,
    });
    let raised: Vec<_> = raised.collect();
    let first = run.tapes.iter().flat_map(|tape| tape.records.iter().map(|r| r.epoch)).min();
    let before = |(_, epoch, _): &(u64, Epoch, &str)| Epoch(epoch.0.saturating_sub(1));
    let first = raised.first().map(before).or(first.filter(|epoch| epoch.0 > 0));
    let mut all: Vec<(u64, Epoch, &str)> =
        first.into_iter().map(|epoch| (0, epoch, "the job starts")).collect();
    all.extend(raised);
    let ends = all.iter().skip(1).map(|(at, ..)| *at).chain([end_ns]);
    let span = |((at, epoch, reason), end): (&(u64, Epoch, &str), u64)| {
        let args = Args::new().int("epoch", epoch.0.into()).text("reason", reason);
        Span::new(*at, end, (("epoch", "epoch"), args))
    };
    all.iter().zip(ends).map(span).collect()
}

/// Each version from its target to its commit, and from there to the disk.
fn versions(run: &Run<'_>, end_ns: u64) -> Spans {
    let mut spans = Spans::new();
    let mut open: Vec<(Version, Step, u64, &str)> = Vec::new();
    for (at, event) in run.events {
        let now = nanos(*at);
        match event {
            Event::Target { version, step } => open.push((*version, *step, now, "capture")),
            Event::Checkpoint(c) => {
                let known = open.iter().position(|(version, ..)| *version == c.version);
                let began = known.map(|i| open.remove(i));
                let args = Args::new().int("version", c.version.0).int("step", c.step.0);
                let args = args.int("bytes", c.bytes);
                let args = args.int("blocked_ns", nanos(c.blocked_max));
                let name = match (c.state, &began) {
                    (VersionState::Committed, _) => "capture",
                    (VersionState::Published, _) => "write to disk",
                    (VersionState::Void, _) => "void",
                };
                let start = began.map_or(now, |(_, _, start, _)| start);
                spans.push(Span::new(start, now, (("checkpoint", name), args)));
                if c.state == VersionState::Committed {
                    open.push((c.version, c.step, now, "write to disk"));
                }
            }
            _ => {}
        }
    }
    // Whatever was not heard of again: a write that never ended, or one that was never begun.
    for (version, step, start, name) in open {
        if name == "capture" {
            let args = Args::new().int("version", version.0).int("step", step.0);
            spans.push(Span::new(start, end_ns, (("checkpoint", "capture"), args)));
        }
    }
    spans.sort_by_key(|span| (span.start, span.end));
    spans
}

fn moments<E>(run: &Run<'_>, line: Take<'_, E>) -> Result<(), E> {
    for (at, event) in run.events {
        let version = |version: &Version| Args::new().int("version", version.0);
        let of = |rank: &Rank| Args::new().int("rank", rank.0.into());
        let (tid, name, args) = match event {
            Event::Failure { rank, cause, .. } => {
                (RECOVERY, ("failure", "failure"), of(rank).text("cause", &cause.to_string()))
            }
            Event::Target { version: v, step } => {
                (VERSIONS, ("checkpoint", "target"), version(v).int("step", step.0))
            }
            Event::Checkpoint(c) if c.state != VersionState::Void => {
                let args = version(&c.version).int("step", c.step.0);
                (VERSIONS, ("checkpoint", c.state.name()), args)
            }
            Event::Note { text } => (WORDS, ("note", "note"), Args::new().text("text", text)),
            _ => continue,
        };
        line(&Line::moment(lane(0, tid), nanos(*at), name, &args))?;
    }
    Ok(())
}
