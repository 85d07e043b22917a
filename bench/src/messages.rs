//! Suite `messages`: one message there and back, and many at once, beside MPI and the hardware.
//!
//! Two ranks. One launch of a program goes through all cases. Message checks are on, as they are by
//! default; if `mainstay run` has the option to switch them off, that is measured too. Invariant:
//! what is compared was measured in the same rounds. Deliberately absent: messages between hosts.

use std::process::Command;
use std::time::Duration;

use measured::case::{Case, Kind};

use crate::contest::{Column, Contest, Contestant, Side};
use crate::peers::{self, Which};
use crate::report::Report;
use crate::table::{Aim, Table, Unit};
use crate::{Context, Failure, host};

const RANKS: usize = 2;
/// Sizes of messages.
const SIZES: [usize; 10] =
    [8, 64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];
/// Up to here the time of one message is latency, from there on bandwidth.
const LATENCY_BYTES: usize = 4 << 10;
/// Messages at once.
const WINDOW: usize = 64;
/// The memory that the messages of one window may take, as a part of what is available: the
/// sender may hold them, the receiver does, and as much again is left for others.
const MEMORY_PART: u64 = 4;
/// With checks, this part of the better peer's bandwidth is aimed at.
const BANDWIDTH_CHECKED: f64 = 0.9;
/// Of one launch.
const DEADLINE: Duration = Duration::from_secs(120);
/// The option that switches checks off.
const CHECKS: &str = "--message-checks";

/// Measures all cases.
///
/// # Errors
/// What the kernel says. A program that fails is a column that says why.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let window = |bytes| Case { kind: Kind::Window, bytes, window: fitting(bytes) };
    let windows = SIZES.map(window);
    let cases = SIZES.map(|bytes| Case::new(Kind::PingPong, bytes)).into_iter().chain(windows);
    let contest = Contest {
        cases: cases.collect(),
        rounds: if context.quick { 2 } else { 5 },
        batches: if context.quick { 5 } else { 9 },
        batch_ms: if context.quick { 4 } else { 10 },
        deadline: DEADLINE,
    };
    let mut notes = Vec::new();
    let mut all = vec![context.contestant("mainstay", RANKS, &[])];
    all.extend(Which::ALL.map(|which| peers::contestant(which, RANKS, &mut notes)));
    all.push(limit(context, "bare ring", "ring"));
    all.push(limit(context, "memcpy", "copy"));
    let has_option = context.knows(CHECKS)?;
    if has_option {
        all.push(context.contestant("mainstay", RANKS, &[CHECKS, "off"]));
    }
    let small = windows.iter().filter(|case| case.window < WINDOW);
    notes
        .extend(small.map(|case| format!("{case}: a window of {WINDOW} does not fit into memory")));
    let mut columns = contest.run(all)?;
    let unchecked = if has_option { columns.pop() } else { None };
    let mut report = Report::default();
    add(&mut report, "checks on", &columns, BANDWIDTH_CHECKED, &contest.cases);
    columns.retain(|column| column.side == Side::Peer);
    if let Some(unchecked) = unchecked {
        columns.insert(0, unchecked);
        add(&mut report, "checks off", &columns, 1.0, &contest.cases);
    } else {
        notes.push(format!("checks off: not measured: this `mainstay run` has no {CHECKS}"));
    }
    notes.into_iter().for_each(|note| report.note(note));
    Ok(report)
}

/// Both tables; `part` of the better peer's bandwidth is aimed at.
fn add(report: &mut Report, what: &str, columns: &[Column], part: f64, cases: &[Case]) {
    let of = |kind: Kind, unit: Unit| {
        let rows =
            cases.iter().filter(|case| case.kind == kind).map(|case| (*case, aim(*case, part)));
        Table::new(format!("{}, 2 ranks, {what}", title(kind)), unit, columns, rows)
    };
    report.add_table(of(Kind::PingPong, Unit::Microseconds));
    report.add_table(of(Kind::Window, Unit::GigabytesPerSecond));
}

fn title(kind: Kind) -> &'static str {
    if kind == Kind::PingPong { "ping-pong, one way" } else { "window of messages at once" }
}

fn aim(case: Case, part: f64) -> Aim {
    match case.kind {
        Kind::PingPong if case.bytes <= LATENCY_BYTES => Aim::AtMost(1.0),
        // The time of a large message is its bandwidth, the other way round.
        Kind::PingPong => Aim::AtMost((100.0 / part).round() / 100.0),
        _ => Aim::AtLeast(part),
    }
}

/// What the hardware allows: a mode of the program `bare`.
fn limit(context: &Context, name: &str, mode: &'static str) -> Contestant {
    let program = context.built.bare.clone();
    let launch = move || {
        let mut command = Command::new(&program);
        command.arg(mode);
        command
    };
    Contestant { name: name.to_owned(), side: Side::Limit, launch: Ok(Box::new(launch)) }
}

/// As many messages at once as fit.
fn fitting(bytes: usize) -> usize {
    let most = host::available_bytes() / MEMORY_PART / bytes as u64;
    usize::try_from(most).unwrap_or(WINDOW).clamp(1, WINDOW)
}
