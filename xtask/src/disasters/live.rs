//! Runs a cell of what is lost while a job runs.
//!
//! Invariants: what was to be lost was lost, or the cell counts as not run; a job whose launcher was
//! lost is gone on with. Nothing is asserted on time but the deadline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::axes::{Live, Loss, Moment, RANKS};
use super::base::DEADLINE;
use super::oracle::{self, Told};
use super::outcome::Outcome;
use super::stored::nothing_aside;
use super::watch::{self, Ended, Hand};
use crate::{Failure, workspace};

/// Program and arguments of every cell.
const WORK: [&str; 4] = ["steps", "150", "--bytes", "20000"];

/// What the cells have in common.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// Where the built programs lie.
    pub(crate) programs: PathBuf,
    /// The digest without faults.
    pub(crate) digest: String,
}

/// A cell that was run.
#[derive(Clone, Debug)]
pub(crate) enum Ran {
    /// As it should.
    Well(Outcome),
    /// The fault did not strike.
    Missed(String),
    /// Something is wrong.
    Wrong(String),
}

impl Bench {
    /// Learns the digest of the job without faults.
    ///
    /// # Errors
    /// It fails.
    pub(crate) fn new(programs: &Path, scratch: &Path) -> Result<Self, Failure> {
        let mut bench = Self { programs: programs.to_owned(), digest: String::new() };
        let command = bench.command(&scratch.join("reference-live"), &[]);
        let ended = watch::run(command, DEADLINE, |_, _| {})?;
        let digest = ended.last("summary")["result_digest"].as_str().map(str::to_owned);
        bench.digest = digest.ok_or_else(|| format!("live reference: {}", ended.stderr))?;
        Ok(bench)
    }

    fn command(&self, directory: &Path, options: &[String]) -> Command {
        let mut command = Command::new(self.programs.join("mainstay"));
        let ranks = RANKS.to_string();
        command.args(["run", "--json", "-n", &ranks, "--max-restarts", "30", "--ckpt-dir"]);
        command.arg(directory).args(options).arg(self.programs.join("probe")).args(WORK);
        command.current_dir(workspace::root());
        command
    }

    /// Runs a cell in a directory of its own, with steps that take at least so long.
    ///
    /// # Errors
    /// A command that cannot be started.
    pub(crate) fn run(&self, cell: &Live, directory: &Path, spin_us: u64) -> Result<Ran, Failure> {
        let mut options: Vec<_> = cell.options().into_iter().map(str::to_owned).collect();
        options.extend(["--ckpt-every", "10steps"].map(str::to_owned));
        let injected = injections(cell);
        if !injected.is_empty() {
            options.extend(["--inject".to_owned(), injected.join(",")]);
        }
        let mut command = self.command(directory, &options);
        command.env("PROBE_LEAST_SPIN_US", spin_us.to_string());
        let mut striker = Striker { cell, seen: 0, first: false, struck: None };
        let ended = watch::run(command, DEADLINE, |event, hand| striker.on(event, hand))?;
        let struck = match cell.moment {
            Moment::Point(..) | Moment::Recovery(_) => {
                ended.last("summary")["not_injected"].as_array().is_some_and(Vec::is_empty)
            }
            Moment::Event(..) | Moment::After(_) => striker.struck == Some(true),
        };
        if let Some(disorder) = ended.disorder() {
            return Ok(Ran::Wrong(disorder));
        }
        if !struck {
            return Ok(Ran::Missed(format!(
                "the fault did not strike; ended with {:?}",
                ended.code
            )));
        }
        let judged = if cell.loss.launcher {
            self.go_on(cell, directory, &ended)?
        } else {
            self.judge(cell, &ended)
        };
        let judged = judged.and_then(|outcome| nothing_aside(directory).map(|()| outcome));
        Ok(judged.map_or_else(|why| Ran::Wrong(format!("{why}\n{}", tail(&ended))), Ran::Well))
    }

    /// The job that lost what its ranks and nodes had has to end with the same bits.
    fn judge(&self, cell: &Live, ended: &Ended) -> Result<Outcome, String> {
        let summary = ended.last("summary");
        if ended.code != Some(0) {
            return Err(format!("ends with {:?}", ended.code));
        }
        if summary["result_digest"] != self.digest.as_str() {
            return Err(format!("gives {}, not {}", summary["result_digest"], self.digest));
        }
        if ended.named("restored").next().is_none() {
            // Once all results are in, no death changes the outcome.
            return match cell.moment.is_at_the_end() {
                true => Ok(Outcome::NothingLost),
                false => Err("restores nothing though something was lost".to_owned()),
            };
        }
        let last: Vec<_> = last_restored(ended);
        let version = last[0]["version"].as_u64();
        if last.iter().any(|restored| restored["version"].as_u64() != version) {
            return Err("ranks go on from different versions".to_owned());
        }
        let from_memory =
            version.is_some() && last.iter().all(|restored| restored["level"] == "memory");
        let told = told_before(&ended.events);
        let together = matches!(cell.moment, Moment::Point(..));
        let all = with_first(cell);
        let expected = oracle::expected(cell.level, cell.memory, &all, told, together);
        let rebuilt = ended.named("rebuilt").next().is_some();
        expected.judge(version, from_memory)?;
        Ok(expected.outcome(cell.level, version, from_memory, rebuilt))
    }

    /// The launcher is gone: what was told as published is gone on with.
    fn go_on(
        &self,
        cell: &Live,
        directory: &Path,
        ended: &Ended,
    ) -> Result<Result<Outcome, String>, Failure> {
        let told = told_before(&ended.events);
        let published = ended.named("checkpoint").filter(|event| event["state"] == "published");
        let newest = published.filter_map(|event| event["version"].as_u64()).max();
        let expected = oracle::expected(cell.level, cell.memory, &cell.loss, told, true);
        let mut options: Vec<_> = cell.options().into_iter().map(str::to_owned).collect();
        options.extend(["--ckpt-every", "100000steps", "--resume"].map(str::to_owned));
        let resumed = watch::run(self.command(directory, &options), DEADLINE, |_, _| {})?;
        if let Some(disorder) = resumed.disorder() {
            return Ok(Err(format!("the resume {disorder}")));
        }
        let summary = resumed.last("summary");
        if resumed.code == Some(65) && newest.is_none() && summary["result_digest"].is_null() {
            return Ok(Ok(Outcome::Refused));
        }
        if resumed.code != Some(0) || summary["result_digest"] != self.digest.as_str() {
            return Ok(Err(format!(
                "the resume ends with {:?} and {}\n{}",
                resumed.code,
                summary["result_digest"],
                tail(&resumed)
            )));
        }
        let version = resumed.last("restored")["version"].as_u64();
        let right = expected.judge(version, false).and_then(|()| {
            let newest_kept = version >= newest;
            newest_kept.then_some(Outcome::DiskNewest).ok_or_else(|| {
                format!("the resume goes on from {version:?} where {newest:?} was published")
            })
        });
        Ok(right)
    }
}

/// Faults that the launcher inflicts itself.
fn injections(cell: &Live) -> Vec<String> {
    let Loss { ranks, nodes, .. } = &cell.loss;
    let first = first_rank(&cell.loss);
    match cell.moment {
        Moment::Point(point, nth) => {
            let at = format!("@point={}#{nth}", point.name());
            let ranks = ranks.iter().map(|rank| format!("kill:{rank}{at}"));
            ranks.chain(nodes.iter().map(|node| format!("kill:node{node}{at}"))).collect()
        }
        Moment::Recovery(point) => {
            // Only a rank that was started again passes the point at which it joins.
            let first = if point.name() == "respawned" { ranks[0] } else { first };
            let second = format!("kill:{}@point={}", ranks[0], point.name());
            vec![format!("kill:{first}@step=55"), second]
        }
        // Only a node that is lost is rebuilt.
        Moment::After("rebuilt") => vec![format!("kill:node{first}@point=published")],
        Moment::After(_) => vec![format!("kill:{first}@step=55")],
        Moment::Event(..) => Vec::new(),
    }
}

/// The rank that is lost before, where a loss strikes a recovery: one that the loss leaves alone.
fn first_rank(loss: &Loss) -> u64 {
    let hit = |rank: &u64| loss.ranks.contains(rank) || loss.nodes.contains(rank);
    (0..RANKS).find(|rank| !hit(rank)).unwrap_or(0)
}

/// All that was lost in a cell, what came before included.
fn with_first(cell: &Live) -> Loss {
    let mut loss = cell.loss.clone();
    match cell.moment {
        Moment::After("rebuilt") => loss.nodes.push(first_rank(&cell.loss)),
        Moment::Recovery(_) | Moment::After(_) => loss.ranks.push(first_rank(&cell.loss)),
        Moment::Point(..) | Moment::Event(..) => {}
    }
    loss
}

/// Inflicts from outside what `--inject` cannot.
struct Striker<'a> {
    cell: &'a Live,
    seen: u64,
    /// Whether the first loss of a recovery was told.
    first: bool,
    /// Whether all was hit; none before the moment.
    struck: Option<bool>,
}

impl Striker<'_> {
    fn on(&mut self, event: &Value, hand: &mut Hand<'_>) {
        self.first |= event["event"] == "failure";
        let now = match self.cell.moment {
            Moment::Event(name, state, nth) => {
                let is = event["event"] == name && (state.is_empty() || event["state"] == state);
                self.seen += u64::from(is);
                is && self.seen == nth
            }
            Moment::After(name) => event["event"] == name && self.first,
            Moment::Point(..) | Moment::Recovery(_) => false,
        };
        if !now || self.struck.is_some() {
            return;
        }
        let Loss { ranks, nodes, launcher } = &self.cell.loss;
        let mut hit = true;
        for node in nodes {
            hit &= hand.node(*node);
        }
        for rank in ranks {
            hit &= hand.rank(*rank);
        }
        if *launcher {
            hit &= hand.launcher();
        }
        self.struck = Some(hit);
    }
}

/// What was told before the first loss.
fn told_before(events: &[Value]) -> Told {
    let mut told = Told::default();
    for event in events {
        let version = event["version"].as_u64();
        match event["event"].as_str() {
            Some("failure" | "node_lost" | "epoch") => break,
            Some("guarded") => told.guarded = told.guarded.max(version),
            Some("checkpoint") if event["state"] == "committed" => {
                told.committed = told.committed.max(version);
            }
            Some("checkpoint") if event["state"] == "published" => {
                told.published = told.published.max(version);
            }
            _ => {}
        }
    }
    told
}

/// What ranks restored behind the last epoch.
fn last_restored(ended: &Ended) -> Vec<&Value> {
    let mut restored = Vec::new();
    for event in &ended.events {
        match event["event"].as_str() {
            Some("epoch") => restored.clear(),
            Some("restored") => restored.push(event),
            _ => {}
        }
    }
    match restored.is_empty() {
        true => ended.named("restored").last().into_iter().collect(),
        false => restored,
    }
}

/// The last events and lines of a run.
fn tail(ended: &Ended) -> String {
    let quiet = ["output", "interval", "target", "summary"];
    let events =
        ended.events.iter().filter(|event| !quiet.iter().any(|name| event["event"] == *name));
    let events: Vec<_> = events.map(Value::to_string).collect();
    let from = events.len().saturating_sub(400);
    let lines = events[from..].iter().map(String::as_str).chain(ended.stderr.lines());
    lines.map(|line| format!("      {line}\n")).collect()
}

/// Removes what a cell has made.
pub(crate) fn clear(directory: &Path) {
    let _none_there = fs::remove_dir_all(directory);
}
