//! The same cases by several programs, in rounds: each of them once, then each of them again.
//!
//! Invariant: the value of a round is the median of the batches of one launch, and a ratio is taken
//! within its round, so that load of the machine meets both sides of it. A program that fails is
//! left out from then on, and its reason is told; what it had printed stays. Deliberately absent:
//! which times are good.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use measured::case::{self, Case};

use crate::stats::Spread;
use crate::{Failure, process};

/// Whom a program stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Mainstay.
    Ours,
    /// What it is compared with.
    Peer,
    /// What the hardware allows, for the reader.
    Limit,
}

/// Makes the command of one launch; batches, their length and the cases are put behind it.
type Launch = Box<dyn Fn() -> Command>;

/// One program that takes part.
pub(crate) struct Contestant {
    /// As a heading of its column.
    pub(crate) name: String,
    /// Whom it stands for.
    pub(crate) side: Side,
    /// What is launched, or why nothing is.
    pub(crate) launch: Result<Launch, String>,
}

/// What a program came to.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) side: Side,
    /// Why it is missing, or left out from some round on.
    pub(crate) failure: Option<String>,
    /// Nanoseconds per operation, one for each round.
    pub(crate) rounds: BTreeMap<Case, Vec<f64>>,
}

/// How much is measured.
pub(crate) struct Contest {
    pub(crate) cases: Vec<Case>,
    pub(crate) rounds: usize,
    pub(crate) batches: usize,
    pub(crate) batch_ms: u64,
    /// Of one launch.
    pub(crate) deadline: Duration,
}

impl Contest {
    /// Lets them all run.
    ///
    /// # Errors
    /// What the kernel says. A program that fails is a column with its reason.
    pub(crate) fn run(&self, contestants: Vec<Contestant>) -> Result<Vec<Column>, Failure> {
        let mut all = Vec::new();
        for Contestant { name, side, launch } in contestants {
            let (launch, failure) = match launch {
                Ok(launch) => (Some(launch), None),
                Err(reason) => (None, Some(reason)),
            };
            all.push((Column { name, side, failure, rounds: BTreeMap::new() }, launch));
        }
        for round in 1..=self.rounds {
            for (column, launch) in &mut all {
                eprintln!("bench: round {round} of {}: {}", self.rounds, column.name);
                if let (Some(launch), None) = (launch, &column.failure) {
                    self.launch(column, launch())?;
                }
            }
        }
        Ok(all.into_iter().map(|(column, _)| column).collect())
    }

    fn launch(&self, column: &mut Column, mut command: Command) -> Result<(), Failure> {
        command.args([self.batches.to_string(), self.batch_ms.to_string()]);
        command.args(self.cases.iter().map(Case::to_string));
        let ended = process::run(&mut command, self.deadline)?;
        let times = read(&ended.output);
        let missing = self.cases.iter().find(|case| !times.contains_key(case));
        column.failure =
            ended.failure.or_else(|| missing.map(|case| format!("{case} was not printed")));
        for (case, time) in times.into_iter().filter(|(case, _)| self.cases.contains(case)) {
            column.rounds.entry(case).or_default().push(time);
        }
        Ok(())
    }
}

/// The medians of a launch. Lines that are no times are a launcher's own words.
fn read(output: &str) -> BTreeMap<Case, f64> {
    let lines = output.lines().filter_map(|line| case::read_line(line).ok());
    lines.filter_map(|(case, times)| Some((case, Spread::of(times)?.median))).collect()
}

/// Ours over the peer with the least median, round by round; and which column that is.
pub(crate) fn against_best(
    columns: &[Column],
    ours: &Column,
    case: Case,
) -> Option<(String, Vec<f64>)> {
    let mine = ours.rounds.get(&case)?;
    let peers = columns.iter().filter(|column| column.side == Side::Peer);
    let medians = peers.filter_map(|column| {
        let rounds = column.rounds.get(&case)?;
        Some((column, rounds, Spread::of(rounds.iter().copied())?.median))
    });
    let (best, rounds, _) = medians.min_by(|(.., one), (.., other)| one.total_cmp(other))?;
    Some((best.name.clone(), mine.iter().zip(rounds).map(|(our, peer)| our / peer).collect()))
}

#[cfg(test)]
mod tests {
    use measured::case::Kind;

    use super::*;

    const CASE: Case = Case::new(Kind::PingPong, 8);

    fn column(side: Side, name: &str, times: &[f64]) -> Column {
        let rounds = BTreeMap::from([(CASE, times.to_vec())]);
        Column { name: name.to_owned(), side, failure: None, rounds }
    }

    #[test]
    fn the_best_peer_is_that_with_the_least_median() {
        let ours = column(Side::Ours, "ours", &[2.0, 4.0, 9.0]);
        let columns = [
            column(Side::Peer, "often worse", &[1.0, 9.0, 9.0]),
            column(Side::Peer, "often better", &[4.0, 4.0, 4.0]),
            column(Side::Limit, "a limit is no peer", &[0.1, 0.1, 0.1]),
        ];
        let (best, ratios) = against_best(&columns, &ours, CASE).unwrap();
        assert_eq!((best.as_str(), ratios), ("often better", vec![0.5, 1.0, 2.25]));
        assert!(against_best(&columns[2..], &ours, CASE).is_none());
        assert!(against_best(&columns, &ours, Case::new(Kind::PingPong, 64)).is_none());
    }

    #[test]
    fn words_of_a_launcher_are_no_times() {
        let output = "a warning\npingpong:8:1 3.00 1.00 2.00\nresult digest: 00\nbarrier:0:1 x\n";
        assert_eq!(read(output), BTreeMap::from([(CASE, 2.0)]));
    }
}
