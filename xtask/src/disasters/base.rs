//! Prepared directories: what small jobs that were cut short have left, cut into its fields.
//!
//! Invariant: what a version needs is derived from the bytes that lie there and from the tables of the
//! formats, not from what the tools say of them. Deliberately absent: faults; see [`super::stored`].

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::tables::Tables;
use super::walk::{self, Walked};
use super::watch;
use crate::{Failure, workspace};

/// A job whose files are damaged, and how they are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// Its name in those of cells.
    pub(crate) name: &'static str,
    /// Ranks.
    pub(crate) ranks: &'static str,
    /// How versions are stored.
    pub(crate) options: &'static [&'static str],
    /// Program and arguments.
    pub(crate) work: &'static [&'static str],
    /// Whether random bits are flipped in it, too.
    pub(crate) random: bool,
}

const PLAIN: &[&str] = &[];
const REFERRING: &[&str] = &["--full-every", "3", "--compress", "zstd", "--keep", "3"];

/// Between them they write every structure there is.
pub(crate) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "plain",
        ranks: "3",
        options: PLAIN,
        work: &["probe", "steps", "90", "--bytes", "20000"],
        random: true,
    },
    Recipe {
        name: "late",
        ranks: "3",
        options: PLAIN,
        work: &["probe", "pipeline", "--steps", "90", "--bytes", "9000"],
        random: true,
    },
    Recipe {
        name: "dealt-out",
        ranks: "2",
        options: PLAIN,
        work: &["probe", "spread", "--steps", "90"],
        random: false,
    },
    Recipe {
        name: "shape",
        ranks: "2",
        options: PLAIN,
        work: &["heat", "data/jacksboro.asc.gz", "--steps", "90"],
        random: false,
    },
    Recipe {
        name: "packed",
        ranks: "3",
        options: &["--compress", "zstd"],
        work: &["probe", "steps", "90", "--bytes", "20000"],
        random: true,
    },
    Recipe {
        name: "referring",
        ranks: "2",
        options: REFERRING,
        work: &["probe", "still", "--steps", "90", "--bytes", "300000"],
        random: true,
    },
];

/// A file of a version.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Whose file.
    pub(crate) version: u64,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// What they are.
    pub(crate) walked: Walked,
}

/// Which bytes of a file a version needs, and how long the file has to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Need {
    bytes: usize,
    read: Vec<Range<usize>>,
    /// Whether the file is the version's own: `verify` then looks at gaps, too.
    own: bool,
}

/// A directory with versions of one job.
#[derive(Debug)]
pub(crate) struct Base {
    /// How it was made.
    pub(crate) recipe: &'static Recipe,
    /// Where it lies.
    pub(crate) directory: PathBuf,
    /// Files of versions by name.
    pub(crate) files: BTreeMap<String, File>,
    /// Published versions, oldest first.
    pub(crate) versions: Vec<u64>,
    /// What each version needs, by file.
    needs: BTreeMap<u64, BTreeMap<String, Need>>,
    /// The digest of the job without faults.
    pub(crate) digest: String,
}

/// Files that were changed: their new bytes, or none if there is no such file any more.
pub(crate) type Changes = BTreeMap<String, Option<Vec<u8>>>;

impl Base {
    /// Runs the job once without faults, and once until its fifth publication.
    ///
    /// # Errors
    /// The job fails, or what it wrote is not what the pages say.
    pub(crate) fn new(
        recipe: &'static Recipe,
        programs: &Path,
        scratch: &Path,
        tables: &Tables,
    ) -> Result<Self, Failure> {
        let directory = scratch.join(format!("base-{}", recipe.name));
        let plain = scratch.join(format!("reference-{}", recipe.name));
        let fail = |why: String| -> Failure { format!("base {}: {why}", recipe.name).into() };
        let whole = watch::run(recipe.command(programs, &plain, &[]), DEADLINE, |_, _| {})?;
        let digest = whole.last("summary")["result_digest"].as_str().map(str::to_owned);
        let digest = digest.ok_or_else(|| fail(format!("no answer: {}", whole.stderr)))?;
        let mut command = recipe.command(programs, &directory, recipe.options);
        command.args(["--policy", "abort"]);
        let cut = ["--ckpt-every", "10steps", "--policy", "abort", "--inject"];
        let mut command = recipe.command_with(programs, &directory, &[recipe.options, &cut, &["kill:1@point=published#5"]].concat());
        command.env("PROBE_LEAST_SPIN_US", "2000");
        let cut = watch::run(command, DEADLINE, |_, _| {})?;
        if cut.code != Some(137) {
            return Err(fail(format!("ends with {:?}: {}", cut.code, cut.stderr)));
        }
        let mut base = Self {
            recipe,
            directory,
            files: BTreeMap::new(),
            versions: Vec::new(),
            needs: BTreeMap::new(),
            digest,
        };
        base.read(tables).map_err(fail)?;
        Ok(base)
    }
}
