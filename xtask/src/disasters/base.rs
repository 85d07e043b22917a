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

/// A small job takes no longer, whatever else the machine does.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// How a base is cut short.
const CUT: &str = "kill:1@point=published#3";
const PLAIN: &[&str] = &[];
const REFERRING: &[&str] = &["--full-every", "3", "--compress", "zstd", "--keep", "3"];

/// Between them they write every structure there is.
pub(crate) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "plain",
        ranks: "3",
        options: PLAIN,
        work: &["probe", "steps", "300", "--bytes", "20000"],
        random: true,
    },
    Recipe {
        name: "late",
        ranks: "3",
        options: PLAIN,
        work: &["probe", "pipeline", "--steps", "300", "--bytes", "9000"],
        random: true,
    },
    Recipe {
        name: "dealt-out",
        ranks: "2",
        options: PLAIN,
        work: &["probe", "spread", "--steps", "300"],
        random: false,
    },
    Recipe {
        name: "shape",
        ranks: "2",
        options: PLAIN,
        work: &["heat", "data/jacksboro.asc.gz", "--steps", "2000"],
        random: false,
    },
    Recipe {
        name: "packed",
        ranks: "3",
        options: &["--compress", "zstd"],
        work: &["probe", "steps", "300", "--bytes", "20000"],
        random: true,
    },
    Recipe {
        name: "referring",
        ranks: "2",
        options: REFERRING,
        work: &[
            "probe",
            "still",
            "200000",
            "--numbers",
            "2000",
            "--steps",
            "150",
            "--spin-us",
            "1500",
        ],
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
    /// Runs the job once without faults, and once until its third publication.
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
        let cut = ["--ckpt-every", "10steps", "--policy", "abort", "--inject", CUT];
        let options = [recipe.options, &cut].concat();
        let mut command = recipe.command(programs, &directory, &options);
        command.env("PROBE_LEAST_SPIN_US", "3000");
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

    fn read(&mut self, tables: &Tables) -> Result<(), String> {
        for entry in fs::read_dir(&self.directory).map_err(|e| e.to_string())?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(version) = version_of(&name) else { continue };
            let bytes = fs::read(entry.path()).map_err(|e| e.to_string())?;
            let walked = match name.rsplit('.').next() {
                Some("manifest") => walk::manifest(tables, &bytes),
                Some("shard") => walk::shard(tables, &bytes),
                _ => continue,
            };
            // What was cut short is no version; only published ones are needed here.
            if name.ends_with("manifest") {
                self.versions.push(version);
            }
            let walked = walked.map_err(|why| format!("{name}: {why}"))?;
            self.files.insert(name, File { version, bytes, walked });
        }
        self.versions.sort_unstable();
        let versions = self.versions.clone();
        self.files.retain(|_, file| versions.contains(&file.version));
        if versions.len() < 2 {
            return Err(format!("has {} published versions, not two or more", versions.len()));
        }
        for (name, file) in &self.files {
            for (of, need) in needs(name, file) {
                let needs = self.needs.entry(file.version).or_default();
                let known = needs.entry(of).or_default();
                known.own |= need.own;
                known.read.extend(need.read);
            }
        }
        for needs in self.needs.values_mut() {
            for (name, need) in needs {
                let file = self.files.get(name);
                need.bytes = file.ok_or_else(|| format!("{name} is needed"))?.bytes.len();
            }
        }
        Ok(())
    }

    /// Whether a version can no longer be restored, once those files were changed.
    pub(crate) fn lost(&self, version: u64, changes: &Changes) -> bool {
        self.touched(version, changes, false)
    }

    /// Whether a version is not as it was written, gaps between its parts included.
    pub(crate) fn rotten(&self, version: u64, changes: &Changes) -> bool {
        self.touched(version, changes, true)
    }

    fn touched(&self, version: u64, changes: &Changes, gaps: bool) -> bool {
        let needs = &self.needs[&version];
        changes.iter().any(|(name, now)| {
            let Some(need) = needs.get(name) else { return false };
            let Some(now) = now.as_ref().filter(|now| now.len() == need.bytes) else { return true };
            let before = &self.files[name].bytes;
            gaps && need.own && now != before
                || need.read.iter().any(|at| now[at.clone()] != before[at.clone()])
        })
    }

    /// What a resume has to go on from: the newest version that is not lost, if there is one.
    pub(crate) fn expected(&self, changes: &Changes) -> Option<u64> {
        self.versions.iter().rev().copied().find(|version| !self.lost(*version, changes))
    }
}

impl Recipe {
    /// `mainstay run` of this job in that directory.
    pub(crate) fn command(&self, programs: &Path, directory: &Path, options: &[&str]) -> Command {
        let mut command = Command::new(programs.join("mainstay"));
        command.args(["run", "--json", "-n", self.ranks, "--ckpt-dir"]).arg(directory);
        command.args(options).arg(programs.join(self.work[0])).args(&self.work[1..]);
        command.current_dir(workspace::root());
        command
    }
}

/// The version in the name of a file.
fn version_of(name: &str) -> Option<u64> {
    name.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// What the version of a file needs because of it.
fn needs(name: &str, file: &File) -> Vec<(String, Need)> {
    let checked = file.walked.spans.iter().filter(|span| !span.gap);
    let read = checked.map(|span| span.at.clone()).collect();
    let mut needs = vec![(name.to_owned(), Need { bytes: 0, read, own: true })];
    for reference in &file.walked.references {
        let Some([version, epoch, incarnation]) = reference.holder else { continue };
        let rank = name.split('.').find(|part| part.starts_with('r')).unwrap_or_default();
        let holder = format!("v{version:08}.e{epoch}.{rank}.i{incarnation}.shard");
        let read = vec![reference.at.clone()];
        needs.push((holder, Need { bytes: 0, read, own: false }));
    }
    needs
}
