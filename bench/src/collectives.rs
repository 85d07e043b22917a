//! Suite `collectives`: allreduce, barrier and alltoall beside MPI.
//!
//! With two ranks, and with four, which on two cores share them. Invariant: what is compared was
//! measured in the same rounds. Deliberately absent: collectives that follow from these.

use std::time::Duration;

use measured::case::{Case, Kind};

use crate::contest::Contest;
use crate::peers::{self, Which, cores};
use crate::report::Report;
use crate::table::{Aim, Table, Unit};
use crate::{Context, Failure};

/// Vectors of an allreduce.
const VECTORS: [usize; 6] = [8, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 16 << 20];
/// Blocks of an alltoall, for each pair of ranks.
const BLOCKS: [usize; 4] = [8, 1 << 10, 64 << 10, 1 << 20];
/// Between these, with more than two ranks, half of the better peer's time is aimed at.
const HALVED: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 20;
/// Of one launch. A peer that spins with more ranks than cores needs long for little.
const DEADLINE: Duration = Duration::from_secs(60);

/// Measures all cases.
///
/// # Errors
/// What the kernel says. A program that fails is a column that says why.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut notes = Vec::new();
    for ranks in [2, 4] {
        let vectors = VECTORS.map(|bytes| Case::new(Kind::Allreduce, bytes));
        let blocks = BLOCKS.map(|bytes| Case::new(Kind::Alltoall, bytes));
        let barrier = [Case::new(Kind::Barrier, 0)];
        let contest = Contest {
            cases: vectors.into_iter().chain(barrier).chain(blocks).collect(),
            rounds: if context.quick { 2 } else { 7 },
            batches: if context.quick { 5 } else { 9 },
            batch_ms: if context.quick { 4 } else { 10 },
            deadline: DEADLINE,
        };
        let mut all = vec![context.contestant("mainstay", ranks, &[])];
        all.extend(Which::ALL.map(|which| peers::contestant(which, ranks, &mut notes)));
        let columns = contest.run(all)?;
        let cores = cores();
        for (name, kind) in [
            ("allreduce, sum of f64", Kind::Allreduce),
            ("barrier", Kind::Barrier),
            ("alltoall, a block for each pair", Kind::Alltoall),
        ] {
            let title = format!("{name}, {ranks} ranks on {cores} cores");
            let cases = contest.cases.iter().filter(|case| case.kind == kind);
            let rows = cases.map(|case| (*case, aim(*case, ranks)));
            report.add_table(Table::new(title, Unit::Microseconds, &columns, rows));
        }
    }
    notes.into_iter().for_each(|note| report.note(note));
    Ok(report)
}

fn aim(case: Case, ranks: usize) -> Aim {
    let halved = case.kind == Kind::Allreduce && ranks > 2 && HALVED.contains(&case.bytes);
    Aim::AtMost(if halved { 0.5 } else { 1.0 })
}
