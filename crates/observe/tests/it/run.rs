//! A small run with everything in it: two ranks, a collective, a death, a recovery.

use std::time::Duration;

use mainstay_observe::{Run, chrome};
use mainstay_types::event::{Checkpoint, Event, Level, Stream, Summary, VersionState};
use mainstay_types::trace::{Parts, Passage, Playback, Record, What};
use mainstay_types::{Cause, Epoch, Incarnation, Rank, Step, Version, WaitKind};

/// When the run begins, on the records' clock.
const START_NS: u64 = 5_000_000_000;

/// What is seen of the run.
pub(crate) struct Seen {
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) tapes: Vec<Playback>,
    pub(crate) summary: Summary,
}

/// A record that begins and ends at these microseconds of the run.
pub(crate) fn record(
    (start, end): (u64, u64),
    (epoch, incarnation): (u32, u32),
    what: What,
) -> Record {
    Record {
        start_ns: START_NS + start * 1000,
        duration_ns: (end - start) * 1000,
        epoch: Epoch(epoch),
        incarnation: Incarnation(incarnation),
        what,
    }
}

/// Message `sequence` from or to `peer`.
pub(crate) fn passage(peer: u32, sequence: u64, collective: bool) -> Passage {
    let (context, tag) = if collective { (1, 3) } else { (0, 7) };
    Passage { peer: Rank(peer), context, tag, bytes: 64, sequence, prologue: false }
}

impl Seen {
    /// The run as the engine takes it.
    pub(crate) fn run(&self) -> Run<'_> {
        Run {
            started: Duration::from_nanos(START_NS),
            events: &self.events,
            left_out: 0,
            tapes: &self.tapes,
            summary: &self.summary,
        }
    }

    /// Its trace.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let taken: Result<(), std::convert::Infallible> = chrome(&self.run(), &mut |piece| {
            text.push_str(piece);
            Ok(())
        });
        taken.unwrap();
        text
    }
}

fn version(state: VersionState) -> Event {
    Event::Checkpoint(Checkpoint {
        version: Version(1),
        step: Step(1),
        level: if state == VersionState::Published { Level::Disk } else { Level::Memory },
        bytes: 2048,
        blocked_max: Duration::from_micros(8),
        copied: None,
        durable: None,
        drain_cpu: None,
        why: "interval",
        archived: false,
        state,
    })
}

/// Rank 1 is killed at 200 µs while rank 0 waits for it, and comes back from version 1.
pub(crate) fn killed() -> Seen {
    let at = Duration::from_micros;
    let up = |rank, incarnation, pid| Event::RankUp {
        rank: Rank(rank),
        incarnation: Incarnation(incarnation),
        pid,
    };
    let restored = |rank| Event::Restored {
        rank: Rank(rank),
        version: Some(Version(1)),
        level: Some(Level::Memory),
        took: at(9),
    };
    let failure = Event::Failure {
        rank: Rank(1),
        incarnation: Incarnation(0),
        step: Step(1),
        cause: Cause::Signal(9),
        detect: Some(at(12)),
        detail: "</script><b>\"it\"</b>".into(),
    };
    let start = Event::Start {
        job: "ab".into(),
        n: 2,
        policy: "rollback",
        command: vec!["./solver".into(), "in put".into()],
        directory: "/d".into(),
        seed: 0,
    };
    let output = Event::Output {
        rank: Rank(0),
        stream: Stream::Stdout,
        line: b"step \"1\" \xff done".to_vec(),
        partial: false,
    };
    let events = vec![
        (at(0), start),
        (at(10), up(0, 0, 100)),
        (at(11), up(1, 0, 101)),
        (at(90), Event::Target { version: Version(1), step: Step(1) }),
        (at(130), version(VersionState::Committed)),
        (at(135), output),
        (at(160), version(VersionState::Published)),
        (at(212), Event::Epoch { epoch: Epoch(2), reason: "rank 1 died".into() }),
        (at(213), failure),
        (at(260), up(1, 1, 102)),
        (at(300), restored(0)),
        (at(305), restored(1)),
        (at(350), Event::Recovered { epoch: Epoch(2), step: Step(1) }),
        (at(400), Event::Note { text: "all is well".into() }),
    ];
    let summary = Summary { exit: 0, policy: "rollback", n: 2, steps: 2, ..Summary::default() };
    Seen { events, tapes: vec![survivor(), victim()], summary }
}

fn survivor() -> Playback {
    let (first, second) = ((1, 0), (2, 0));
    let wait = What::Wait { kind: WaitKind::Receive, peer: Some(Rank(1)), tag: Some(7) };
    let records = vec![
        record((20, 20), first, What::Enter { version: None }),
        record((30, 31), first, What::Send(passage(1, 1, false))),
        record((42, 60), first, What::Receive(passage(1, 1, true))),
        record((40, 61), first, What::Collective(Parts(1 << 3))),
        record((95, 95), first, What::Step(Step(1))),
        record((96, 104), first, What::Capture { version: Version(1), bytes: 1024 }),
        record((150, 214), first, wait),
        record((220, 220), first, What::Acknowledge),
        record((270, 270), second, What::Enter { version: Some(Version(1)) }),
        record((280, 289), second, What::Restore { version: Version(1) }),
        record((310, 340), second, What::Receive(passage(1, 2, false))),
        record((345, 345), second, What::Step(Step(2))),
        record((350, 390), second, What::Finish),
    ];
    Playback { records, overwritten: 5, ..Playback::default() }
}

fn victim() -> Playback {
    let (first, second) = ((1, 0), (2, 1));
    let records = vec![
        record((21, 21), first, What::Enter { version: None }),
        record((25, 45), first, What::Receive(passage(0, 1, false))),
        record((50, 51), first, What::Send(passage(0, 1, true))),
        record((94, 94), first, What::Step(Step(1))),
        record((97, 105), first, What::Capture { version: Version(1), bytes: 1024 }),
        record((271, 271), second, What::Enter { version: Some(Version(1)) }),
        record((281, 290), second, What::Restore { version: Version(1) }),
        record((320, 322), second, What::Send(passage(0, 2, false))),
        record((346, 346), second, What::Step(Step(2))),
    ];
    let wait = What::Wait { kind: WaitKind::Finish, peer: None, tag: None };
    let open = Some(record((348, 348), second, wait));
    Playback { records, open, damaged: 1, ..Playback::default() }
}
