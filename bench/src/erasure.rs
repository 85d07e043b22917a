//! Suite `erasure`: encoding and rebuilding beside ISA-L, and what memory allows.
//!
//! One thread. Sizes are of all data shards: the smallest lies in the caches, the largest in memory.
//! Invariant: what is compared was measured in the same rounds. Deliberately absent: where shards come
//! from.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use measured::case::{Case, Kind};

use crate::contest::{Contest, Contestant, Side};
use crate::peers;
use crate::report::Report;
use crate::table::{Aim, Table, Unit};
use crate::{Context, Failure};

/// Data and parity shards: those of four nodes, then larger ones.
const SHAPES: [(usize, usize); 5] = [(3, 1), (2, 2), (4, 2), (10, 4), (28, 4)];
const SIZES: [usize; 3] = [256 << 10, 4 << 20, 256 << 20];
/// Of one launch.
const DEADLINE: Duration = Duration::from_secs(60);

/// Measures all cases.
///
/// # Errors
/// What the kernel says. A program that fails is a column that says why.
pub(crate) fn measure(context: &Context) -> Result<Report, Failure> {
    let mut report = Report::default();
    for (k, m) in SHAPES {
        let kinds = [Kind::Encode, Kind::Rebuild].into_iter();
        let cases = kinds.flat_map(|kind| SIZES.map(|bytes| Case::new(kind, bytes)));
        let contest = Contest {
            cases: cases.collect(),
            rounds: if context.quick { 2 } else { 7 },
            batches: if context.quick { 5 } else { 9 },
            batch_ms: if context.quick { 4 } else { 10 },
            deadline: DEADLINE,
        };
        let ours = |name: &str, side, kernel| {
            let program = context.built.codes.clone();
            contestant(name, side, Ok((program, Some(kernel))), (k, m))
        };
        let isal = peers::isal().map(|program| (program, None));
        let columns = contest.run(vec![
            ours("mainstay", Side::Ours, "best"),
            contestant("ISA-L", Side::Peer, isal, (k, m)),
            ours("portable", Side::Limit, "portable"),
            ours("copy of the inputs", Side::Limit, "copy"),
        ])?;
        let title = format!("{k} + {m} shards, bytes of data");
        let rows = contest.cases.iter().map(|case| (*case, Aim::AtLeast(1.0)));
        report.add_table(Table::new(title, Unit::GigabytesPerSecond, &columns, rows));
    }
    Ok(report)
}

/// A program that takes the shape, behind the name of a kernel if it has several.
fn contestant(
    name: &str,
    side: Side,
    program: Result<(PathBuf, Option<&'static str>), Failure>,
    (k, m): (usize, usize),
) -> Contestant {
    let launch = program.map_err(|reason| reason.to_string()).map(|(program, kernel)| {
        let launch = move || {
            let mut command = Command::new(&program);
            command.args(kernel).args([k.to_string(), m.to_string()]);
            command
        };
        Box::new(launch) as Box<dyn Fn() -> Command>
    });
    Contestant { name: name.to_owned(), side, launch }
}
