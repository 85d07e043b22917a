//! The two lanes of a rank: its life, and its calls.
//!
//! Life: incarnations, in them the entries of the program, in them its steps. Calls: collectives,
//! messages, waits, captures. Invariant: the time between calls is the program's own. Deliberately
//! absent: what the launcher decided.

use mainstay_types::event::{Event, Stream};
use mainstay_types::trace::{Parts, Passage, Playback, Record, What};
use mainstay_types::{Incarnation, Rank, WaitKind};

use super::text::{Args, Line};
use super::{Lane, Run, Take, lane, nanos, process};
use crate::flows::Sends;
use crate::nest::{Span, nest};

/// The lanes of each rank.
pub(super) const LANES: &[(u32, &str)] = &[(1, "life"), (2, "calls")];
const LIFE: u32 = 1;
const CALLS: u32 = 2;
/// Longest piece of a line of output that a trace shows, characters.
const LINE_CHARS: usize = 200;

/// When each incarnation of a rank lived.
pub(super) struct Life<'a> {
    rank: Rank,
    run: &'a Run<'a>,
    lives: Vec<(Incarnation, u64, u64)>,
}

impl<'a> Life<'a> {
    /// What the launcher saw of a rank.
    pub(super) fn of(rank: Rank, run: &'a Run<'a>, end_ns: u64) -> Self {
        let mut lives: Vec<(Incarnation, u64, u64)> = Vec::new();
        for (at, event) in run.events {
            let at = nanos(*at);
            let over = |lives: &mut Vec<(Incarnation, u64, u64)>| {
                if let Some(last) = lives.last_mut() {
                    last.2 = last.2.min(at);
                }
            };
            match event {
                Event::RankUp { rank: up, incarnation, .. } if *up == rank => {
                    over(&mut lives);
                    lives.push((*incarnation, at, end_ns));
                }
                Event::Failure { rank: dead, .. } if *dead == rank => over(&mut lives),
                _ => {}
            }
        }
        Self { rank, run, lives }
    }

    /// When an incarnation ended.
    fn end(&self, incarnation: Incarnation) -> Option<u64> {
        self.lives.iter().find(|life| life.0 == incarnation).map(|life| life.2)
    }

    /// Writes the lane.
    pub(super) fn write<E>(&self, tape: &Playback, line: Take<'_, E>) -> Result<(), E> {
        let lane = lane(process(self.rank), LIFE);
        let mut spans: Vec<_> = self
            .lives
            .iter()
            .map(|(incarnation, start, end)| {
                let args = Args::new().int("incarnation", incarnation.0.into());
                Span::new(*start, *end, (("life", "incarnation"), args))
            })
            .collect();
        self.entries(tape, &mut spans);
        nest(&mut spans);
        for Span { start, end, what: (name, args) } in &spans {
            line(&Line::span(lane, (*start, *end), *name, args))?;
        }
        self.moments(lane, line)
    }

    /// Entries of the program and their steps.
    fn entries(
        &self,
        tape: &Playback,
        spans: &mut Vec<Span<((&'static str, &'static str), Args)>>,
    ) {
        let since = |record: &Record| self.run.since(record.start_ns);
        for (i, record) in tape.records.iter().enumerate() {
            let What::Enter { version } = record.what else { continue };
            let same = |later: &&Record| later.incarnation == record.incarnation;
            let mut own = tape.records[i + 1..].iter().take_while(same);
            let over =
                |later: &&Record| matches!(later.what, What::Acknowledge | What::Enter { .. });
            let last = || tape.records.last().map_or(0, |last| self.run.since(last.end_ns()));
            let end = own.find(over).map(since).or_else(|| self.end(record.incarnation));
            let end = end.unwrap_or_else(last);
            let mut args = Args::new().int("epoch", record.epoch.0.into());
            if let Some(version) = version {
                args = args.int("version", version.0);
            }
            spans.push(Span::new(since(record), end, (("entry", "entry"), args)));
        }
        let mut began: Option<&Record> = None;
        for record in &tape.records {
            match (record.what, began) {
                (What::Enter { .. }, _) => began = Some(record),
                (What::Acknowledge, _) => began = None,
                (What::Step(step), from) => {
                    if let Some(from) = from.filter(|from| from.incarnation == record.incarnation) {
                        let args = Args::new().int("step", step.0);
                        let what = (("step", "step"), args);
                        spans.push(Span::new(since(from), since(record), what));
                    }
                    began = Some(record);
                }
                _ => {}
            }
        }
    }

    /// What the launcher told of the rank.
    fn moments<E>(&self, lane: Lane, line: Take<'_, E>) -> Result<(), E> {
        for (at, event) in self.run.events {
            let (name, args) = match event {
                Event::RankUp { rank, incarnation, pid } if *rank == self.rank => {
                    let args = Args::new().int("incarnation", incarnation.0.into());
                    (("up", "up"), args.int("pid", (*pid).into()))
                }
                Event::Failure { rank, incarnation, step, cause, detail, .. }
                    if *rank == self.rank =>
                {
                    let args = Args::new().text("cause", &cause.to_string());
                    let args = args.int("incarnation", incarnation.0.into()).int("step", step.0);
                    (("failure", "failure"), args.text("detail", detail))
                }
                Event::Restored { rank, version, took, .. } if *rank == self.rank => {
                    let args = Args::new().int("took_ns", nanos(*took));
                    let args = match version {
                        Some(version) => args.int("version", version.0),
                        None => args,
                    };
                    (("restore", "restored"), args)
                }
                Event::Output { rank, stream, line, .. } if *rank == self.rank => {
                    let text: String =
                        String::from_utf8_lossy(line).chars().take(LINE_CHARS).collect();
                    let stream = match stream {
                        Stream::Stdout => "stdout",
                        Stream::Stderr => "stderr",
                    };
                    (("output", stream), Args::new().text("line", &text))
                }
                _ => continue,
            };
            line(&Line::moment(lane, nanos(*at), name, &args))?;
        }
        Ok(())
    }
}

/// Writes the calls of a rank, with the arrows to its receives; `arrows` counts them.
pub(super) fn calls<E>(
    (rank, tape): (Rank, &Playback),
    (sends, life): (&Sends, &Life<'_>),
    arrows: &mut u64,
    line: Take<'_, E>,
) -> Result<(), E> {
    let run = life.run;
    let own = lane(process(rank), CALLS);
    let is_call = |record: &&Record| !matches!(record.what, What::Step(_) | What::Enter { .. });
    let mut spans: Vec<Span<&Record>> = tape
        .records
        .iter()
        .filter(is_call)
        .map(|record| Span::new(run.since(record.start_ns), run.since(record.end_ns()), record))
        .collect();
    if let Some(open) = &tape.open {
        let end = life.end(open.incarnation).unwrap_or_else(|| run.since(open.start_ns));
        spans.push(Span::new(run.since(open.start_ns), end, open));
    }
    nest(&mut spans);
    for Span { start, end, what: record } in &spans {
        let unfinished = tape.open.as_ref().is_some_and(|open| std::ptr::eq(open, *record));
        let (name, mut args) = call(record);
        if unfinished {
            args = args.text("end", "it never came");
        }
        if matches!(record.what, What::Acknowledge) {
            line(&Line::moment(own, *start, name, &args))?;
            continue;
        }
        line(&Line::span(own, (*start, *end), name, &args))?;
        let What::Receive(m) = record.what else { continue };
        if let Some(sent) = sends.of_receive(rank, record, m) {
            *arrows += 1;
            let arrival = end.saturating_sub(1).max(*start);
            let from = lane(process(m.peer), CALLS);
            line(&Line::arrow(from, run.since(sent), *arrows, false))?;
            line(&Line::arrow(own, arrival, *arrows, true))?;
        }
    }
    Ok(())
}

/// Category, name and arguments of a call.
fn call(record: &Record) -> ((&'static str, &'static str), Args) {
    let args = Args::new();
    match record.what {
        What::Send(m) => (("send", "send"), passage("to", m)),
        What::Receive(m) => (("receive", "receive"), passage("from", m)),
        What::Wait { kind, peer, tag } => {
            let args = peer.map_or(args, |peer| Args::new().int("peer", peer.0.into()));
            let args = match tag {
                Some(tag) => args.int("tag", tag.into()),
                None => args,
            };
            (("wait", wait(kind)), args)
        }
        What::Collective(parts) => (("collective", collective(parts)), args),
        What::Capture { version, bytes } => {
            (("checkpoint", "capture"), args.int("version", version.0).int("bytes", bytes))
        }
        What::Restore { version } => (("restore", "restore"), args.int("version", version.0)),
        What::Acknowledge => (("recovery", "acknowledge"), args),
        What::Finish => (("finish", "finish"), args),
        // On the other lane.
        What::Step(step) => (("step", "step"), args.int("step", step.0)),
        What::Enter { .. } => (("entry", "entry"), args),
    }
}

fn passage(end: &str, m: Passage) -> Args {
    let args = Args::new().int(end, m.peer.0.into()).int("bytes", m.bytes);
    let args = args.int("tag", m.tag.into()).int("context", m.context.into());
    let args = args.int("sequence", m.sequence);
    if m.prologue { args.text("of", "prologue") } else { args }
}

fn wait(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Send => "wait for room",
        WaitKind::Receive => "wait for a message",
        WaitKind::Collective => "wait in a collective",
        WaitKind::Finish => "wait for the others to finish",
        WaitKind::Supervisor => "wait for the launcher",
        WaitKind::Bounded => "wait with a deadline",
        WaitKind::Requests => "wait for requests",
        WaitKind::Agree => "wait for all to agree",
    }
}

/// The collective that is made of messages of these kinds, by the tags of `docs/formats/trace.md`.
fn collective(Parts(parts): Parts) -> &'static str {
    const NAMES: [(u32, &str); 13] = [
        (1 << 1, "barrier"),
        (1 << 2, "broadcast"),
        (1 << 3, "reduce"),
        (1 << 3 | 1 << 4, "reduce"),
        (1 << 2 | 1 << 3, "allreduce"),
        (1 << 5, "gather"),
        (1 << 2 | 1 << 5 | 1 << 6, "allgather"),
        (1 << 7, "scatter"),
        (1 << 3 | 1 << 7, "reduce_scatter"),
        (1 << 3 | 1 << 4 | 1 << 7, "reduce_scatter"),
        (1 << 8, "alltoall"),
        (1 << 9, "scan"),
        (1 << 10, "start of a collective"),
    ];
    NAMES.iter().find(|(set, _)| *set == parts).map_or("collective", |(_, name)| name)
}
