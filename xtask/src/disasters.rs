//! `cargo xtask disasters`: levels × losses × corruptions × commit steps, generated.
//!
//! Invariants: cells come from axes, from the tables of `docs/formats` and from a seed; what has to
//! come of each is computed. A cell whose fault did not strike was not run, and fails the matrix.
//! Deliberately absent: power failures, which the crash model of `ckpt` has, and slow or full disks.

mod axes;
mod base;
mod live;
mod oracle;
mod outcome;
mod stored;
mod tables;
mod tell;
mod walk;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::{Failure, docs, workspace};
use axes::Live;
use base::{Base, RECIPES};
use live::{Bench, Ran};
use stored::Damage;
use tables::Tables;

const USAGE: &str = "usage: cargo xtask disasters [--only WORDS] [--all] [--list] [--jobs N] [--json] [--scratch DIR]";

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    /// Every word has to be in the name of a cell.
    only: Vec<String>,
    /// The whole product, not thinned.
    all: bool,
    list: bool,
    json: bool,
    jobs: usize,
    scratch: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self { jobs: 3, ..Self::default() };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut value = || rest.next().cloned().ok_or(USAGE);
            match option.as_str() {
                "--only" => options.only = value()?.split_whitespace().map(str::to_owned).collect(),
                "--all" => options.all = true,
                "--list" => options.list = true,
                "--json" => options.json = true,
                "--jobs" => options.jobs = value()?.parse::<usize>()?.clamp(1, 64),
                "--scratch" => options.scratch = Some(value()?.into()),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.iter().all(|word| name.contains(word.as_str()))
    }
}

/// A cell of either kind.
#[derive(Debug)]
pub(crate) enum Cell {
    /// Something is lost while a job runs.
    Live(Box<Live>),
    /// Something is damaged between two launches.
    Stored(Damage),
}

impl Cell {
    /// Its name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Live(live) => live.name(),
            Self::Stored(damage) => damage.name.clone(),
        }
    }
}

/// A cell with what came of it.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) name: String,
    /// What came of it.
    pub(crate) ran: Ran,
    /// How long it took.
    pub(crate) took: Duration,
    /// Whether its first run missed.
    pub(crate) again: bool,
}

/// Runs the matrix. Returns how many cells are wrong or were not run.
///
/// # Errors
/// Programs that do not build, bases that cannot be made, a filter that fits nothing.
pub(crate) fn run(arguments: &[String]) -> Result<usize, Failure> {
    let options = Options::parse(arguments)?;
    let programs = docs::build()?;
    let started = Instant::now();
    let scratch = Scratch::new(options.scratch.clone())?;
    let matrix = Matrix::new(&programs, &scratch.0)?;
    let mut cells = matrix.cells(options.all);
    cells.retain(|cell| options.wants(&cell.name()));
    if cells.is_empty() {
        return Err("no cell has all of these words in its name; --list names them".into());
    }
    if options.list {
        for cell in &cells {
            println!("{}", cell.name());
        }
        return Ok(0);
    }
    let reports = matrix.run(&cells, options.jobs);
    Ok(tell::all(&reports, options.json, started.elapsed()))
}

/// Everything that cells need.
struct Matrix {
    programs: PathBuf,
    scratch: PathBuf,
    bench: Bench,
    bases: Vec<Base>,
}

/// Least computing of a step, µs; the second is for a cell whose fault did not strike.
const SPIN_US: [u64; 2] = [600, 6000];

impl Matrix {
    fn new(programs: &Path, scratch: &Path) -> Result<Self, Failure> {
        let tables = Tables::of_workspace()?;
        let base = |recipe| Base::new(recipe, programs, scratch, &tables);
        let bases = RECIPES.iter().map(base).collect::<Result<_, _>>()?;
        let bench = Bench::new(programs, scratch)?;
        let (programs, scratch) = (programs.to_owned(), scratch.to_owned());
        Ok(Self { programs, scratch, bench, bases })
    }

    fn cells(&self, all: bool) -> Vec<Cell> {
        let live = axes::cells(all).into_iter().map(|live| Cell::Live(Box::new(live)));
        let of_base = |(index, base)| stored::cells(index, base);
        let stored = self.bases.iter().enumerate().flat_map(of_base);
        let random = stored::random(&self.bases);
        live.chain(stored.chain(random).map(Cell::Stored)).collect()
    }

    fn run(&self, cells: &[Cell], jobs: usize) -> Vec<Report> {
        let next = AtomicUsize::new(0);
        let reports = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(cell) = cells.get(index) else { break };
                        let report = self.one(cell, &self.scratch.join(format!("cell-{index}")));
                        tell::wrong(&report);
                        if let Ok(mut reports) = reports.lock() {
                            reports.push(report);
                        }
                    }
                });
            }
        });
        reports.into_inner().unwrap_or_default()
    }

    fn one(&self, cell: &Cell, directory: &Path) -> Report {
        let started = Instant::now();
        let (mut ran, mut again) = (Ran::Missed("not run".to_owned()), false);
        for (attempt, spin_us) in SPIN_US.into_iter().enumerate() {
            again = attempt > 0;
            let outcome = match cell {
                Cell::Live(live) => self.bench.run(live, directory, spin_us),
                Cell::Stored(damage) => damage
                    .run(&self.bases[damage.base], &self.programs, directory)
                    .map(|judged| judged.map_or_else(Ran::Wrong, Ran::Well)),
            };
            ran = outcome.unwrap_or_else(|error| Ran::Wrong(format!("cannot be run: {error}")));
            live::clear(directory);
            if !matches!(ran, Ran::Missed(_)) {
                break;
            }
        }
        Report { name: cell.name(), ran, took: started.elapsed(), again }
    }
}

/// A directory that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    /// In memory if there is such a place, as thousands of jobs would wait for a disk.
    fn new(given: Option<PathBuf>) -> Result<Self, Failure> {
        let memory = Path::new("/dev/shm");
        let default =
            || if memory.is_dir() { memory.to_owned() } else { workspace::target_directory() };
        let place = given.unwrap_or_else(default);
        let path = place.join(format!("mainstay-disasters-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        live::clear(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_a_filter_takes_cells_with_all_its_words() {
        let parse = |words: &[&str]| {
            Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        let options =
            parse(&["--only", "partner nodes1", "--jobs", "5", "--json", "--all"]).unwrap();
        assert!(options.json && options.all && !options.list && options.jobs == 5);
        assert!(options.wants("live/partner/plain/2x/nodes1/at published#1"));
        assert!(!options.wants("live/partner/plain/2x/ranks1/at published#1"));
        assert!(parse(&["--only"]).is_err() && parse(&["--fast"]).is_err());
    }
}
