//! Cells of what lies on disk between two launches: which damage, generated from the fields.
//!
//! Invariants: a cell is damage and nothing else; what has to come of it follows from the base. The
//! job that goes on ends with the bits of a run without faults, or the resume is refused. Deliberately
//! absent: a list of cases. What is damaged is every field that [`super::walk`] has found.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::base::{Base, Changes, DEADLINE};
use super::outcome::Outcome;
use super::watch::{self, Ended};
use crate::Failure;
use crate::campaign::case::Random;

/// Something done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// A bit is another one.
    Flip(usize, u8),
    /// Only so many bytes are left.
    Cut(usize),
    /// One byte more than it had.
    Longer,
    /// It is not there.
    Gone,
    /// Half a kilobyte of zeros, as a torn write leaves them.
    Zeros(usize),
    /// It has the bytes of that file.
    Other(String),
}

/// One cell: a base and what is done to its files.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    /// The index of the base.
    pub(crate) base: usize,
    /// Its name.
    pub(crate) name: String,
    /// What is done to which files.
    pub(crate) harms: Vec<(String, Harm)>,
}

/// How many random bits are flipped over all bases.
pub(crate) const RANDOM: u64 = 1000;

/// A path without the numbers of elements, so that those of a list are one field.
fn field_of(path: &str) -> String {
    let mut depth = 0;
    path.chars()
        .filter(|c| {
            depth += i32::from(*c == '[');
            let keep = depth == 0;
            depth -= i32::from(*c == ']');
            keep
        })
        .collect()
}

/// The first part of a path: which structure.
fn structure_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// A file's name without its version, so that names of cells stay the same.
fn role(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, rest)| rest)
}

/// Every cell of a base.
pub(crate) fn cells(index: usize, base: &Base) -> Vec<Damage> {
    let mut cells = Vec::new();
    let newest = base.versions.last().copied().unwrap_or(0);
    let name = base.recipe.name;
    let mut add = |what: String, harms: Vec<(String, Harm)>| {
        let name = format!("disk/{name}/{what}");
        cells.push(Damage { base: index, name, harms });
    };
    for (file, its) in base.files.iter().filter(|(_, file)| file.version == newest) {
        let role = role(file);
        let mut fields = BTreeSet::new();
        let mut structures = BTreeSet::new();
        for span in &its.walked.spans {
            let middle = span.at.start + span.at.len() / 2;
            let flip = || Harm::Flip(middle, 1 << (middle % 8));
            if fields.insert(field_of(&span.path)) {
                add(format!("newest/{role}/flip/{}", span.path), vec![(file.clone(), flip())]);
            }
            if structures.insert(structure_of(&span.path)) {
                let what = format!("{role}/cut/before {}", span.path);
                add(format!("newest/{what}"), vec![(file.clone(), Harm::Cut(span.at.start))]);
                let what = format!("{role}/cut/within {}", span.path);
                add(format!("newest/{what}"), vec![(file.clone(), Harm::Cut(middle))]);
                let what = format!("{role}/zeros/{}", span.path);
                add(format!("newest/{what}"), vec![(file.clone(), Harm::Zeros(span.at.start))]);
                for (which, versions) in [
                    ("older", &base.versions[..base.versions.len() - 1]),
                    ("all", &base.versions[..]),
                ] {
                    let harms = same_in(base, versions, role, &span.path);
                    add(format!("{which}/{role}/flip/{}", span.path), harms);
                }
            }
        }
        let last = its.bytes.len() - 1;
        for (what, harm) in
            [("cut/last byte", Harm::Cut(last)), ("longer", Harm::Longer), ("gone", Harm::Gone)]
        {
            add(format!("newest/{role}/{what}"), vec![(file.clone(), harm.clone())]);
            let of_role = |name: &&String| self::role(name) == role;
            let harm = |name: &String| {
                let bytes = base.files[name].bytes.len();
                let harm =
                    if what.starts_with("cut") { Harm::Cut(bytes - 1) } else { harm.clone() };
                (name.clone(), harm)
            };
            let harms = base.files.keys().filter(of_role).map(harm).collect();
            add(format!("all/{role}/{what}"), harms);
        }
        for other in base.files.keys().filter(|other| *other != file) {
            let alike = other.ends_with("shard") == file.ends_with("shard");
            if alike {
                let harm = Harm::Other(other.clone());
                let nth = base.versions.iter().rev().position(|v| *v == base.files[other].version);
                let which =
                    format!("that of {} and {} before", self::role(other), nth.unwrap_or(0));
                add(format!("newest/{role}/exchanged/{which}"), vec![(file.clone(), harm)]);
            }
        }
    }
    cells
}

/// The same field flipped in the files of that role of these versions; the nearest there is.
fn same_in(base: &Base, versions: &[u64], role: &str, path: &str) -> Vec<(String, Harm)> {
    let of_role = |(name, file): &(&String, &super::base::File)| {
        self::role(name) == role && versions.contains(&file.version)
    };
    let flip = |(name, file): (&String, &super::base::File)| {
        let spans = &file.walked.spans;
        let span = spans.iter().find(|span| span.path == path);
        let near = || spans.iter().find(|span| structure_of(&span.path) == structure_of(path));
        let at = span.or_else(near).map_or(0, |span| span.at.start);
        (name.clone(), Harm::Flip(at, 1))
    };
    base.files.iter().filter(of_role).map(flip).collect()
}

/// Random bits, drawn over all bytes of a base.
pub(crate) fn random(bases: &[Base]) -> Vec<Damage> {
    let among: Vec<_> = bases.iter().enumerate().filter(|(_, b)| b.recipe.random).collect();
    let mut cells = Vec::new();
    for seed in 0..if among.is_empty() { 0 } else { RANDOM } {
        let mut random = Random::new(seed ^ 0xD15A_57E2);
        let (base, its) = among[random.below(among.len() as u64) as usize];
        let files: Vec<_> = its.files.iter().collect();
        // A file first: otherwise nearly all bits would be those of data.
        let (file, its_file) = files[random.below(files.len() as u64) as usize];
        let at = random.below(its_file.bytes.len() as u64) as usize;
        let harm = Harm::Flip(at, 1 << random.below(8));
        let name = format!("random/{}/{seed}", its.recipe.name);
        cells.push(Damage { base, name, harms: vec![(file.clone(), harm)] });
    }
    cells
}

impl Damage {
    /// The files as they are with the damage.
    pub(crate) fn changes(&self, base: &Base) -> Changes {
        let mut changes = Changes::new();
        for (name, harm) in &self.harms {
            let mut bytes = base.files[name].bytes.clone();
            match harm {
                Harm::Flip(at, bit) => bytes[*at] ^= bit,
                Harm::Cut(to) => bytes.truncate(*to),
                Harm::Longer => bytes.push(0),
                Harm::Zeros(at) => {
                    let end = bytes.len().min(at + 512);
                    bytes[*at..end].fill(0);
                }
                Harm::Other(other) => bytes.clone_from(&base.files[other].bytes),
                Harm::Gone => {
                    changes.insert(name.clone(), None);
                    continue;
                }
            }
            changes.insert(name.clone(), Some(bytes));
        }
        changes
    }

    /// Damages a copy of the base, has it verified, goes on with the job, and judges both.
    ///
    /// # Errors
    /// A copy or a command that cannot be made.
    pub(crate) fn run(
        &self,
        base: &Base,
        programs: &Path,
        scratch: &Path,
    ) -> Result<Result<Outcome, String>, Failure> {
        let changes = self.changes(base);
        fs::create_dir_all(scratch)?;
        for entry in fs::read_dir(&base.directory)?.flatten() {
            fs::copy(entry.path(), scratch.join(entry.file_name()))?;
        }
        for (name, bytes) in &changes {
            match bytes {
                Some(bytes) => fs::write(scratch.join(name), bytes)?,
                None => fs::remove_file(scratch.join(name))?,
            }
        }
        let mut verify = Command::new(programs.join("mainstay"));
        verify.args(["ckpt", "verify", "--json"]).arg(scratch);
        let verified = watch::run(verify, DEADLINE, |_, _| {})?;
        let options = ["--ckpt-every", "100000steps", "--resume"];
        let resume = base.recipe.command(programs, scratch, &options);
        let resumed = watch::run(resume, DEADLINE, |_, _| {})?;
        Ok(judge_verified(base, &changes, &verified)
            .and_then(|()| judge_resumed(base, &changes, &resumed))
            .and_then(|outcome| nothing_aside(scratch).map(|()| outcome)))
    }
}

/// `verify` calls exactly those versions whole whose every byte is as it was written.
fn judge_verified(base: &Base, changes: &Changes, verified: &Ended) -> Result<(), String> {
    if let Some(disorder) = verified.disorder() {
        return Err(format!("ckpt verify {disorder}"));
    }
    let right: Vec<_> =
        base.versions.iter().copied().filter(|v| !base.rotten(*v, changes)).collect();
    let whole: Vec<_> = verified
        .named("verified")
        .filter(|version| version["whole"] == true)
        .filter_map(|version| version["version"].as_u64())
        .collect();
    if whole != right {
        return Err(format!("ckpt verify calls {whole:?} whole where {right:?} are"));
    }
    // A version without its manifest is none; nobody can tell that it was one.
    let gone = |version: &u64| changes.get(&format!("v{version:08}.manifest")) == Some(&None);
    let bad = base.versions.iter().any(|v| !right.contains(v) && !gone(v));
    match verified.code {
        Some(0) if !bad && !right.is_empty() => Ok(()),
        Some(65) if bad || right.is_empty() => Ok(()),
        // Shards without a manifest may be told as damage or passed over.
        Some(0 | 65) if !bad => Ok(()),
        code => Err(format!("ckpt verify ends with {code:?}, whole are {right:?}")),
    }
}

fn judge_resumed(base: &Base, changes: &Changes, resumed: &Ended) -> Result<Outcome, String> {
    if let Some(disorder) = resumed.disorder() {
        return Err(format!("the resume {disorder}"));
    }
    let summary = resumed.last("summary");
    let restored: BTreeSet<_> = resumed.named("restored").map(|r| r["version"].as_u64()).collect();
    let last = resumed.named("restored").last().and_then(|restored| restored["version"].as_u64());
    let Some(expected) = base.expected(changes) else {
        return match (resumed.code, &summary["result_digest"]) {
            (Some(65), serde_json::Value::Null) => Ok(Outcome::Refused),
            (code, digest) => Err(format!(
                "the resume ends with {code:?} and {digest} where every version is lost"
            )),
        };
    };
    if resumed.code != Some(0) {
        return Err(format!("the resume ends with {:?} where {expected} is whole", resumed.code));
    }
    if summary["result_digest"] != base.digest.as_str() {
        return Err(format!("the resume gives {}, not {}", summary["result_digest"], base.digest));
    }
    if last != Some(expected) {
        return Err(format!("the resume went on from {restored:?} where {expected} is the newest"));
    }
    Ok(if Some(&expected) == base.versions.last() {
        Outcome::DiskNewest
    } else {
        Outcome::DiskOlder
    })
}

/// No mark of a version that was never published is left behind by a job that has ended well.
pub(crate) fn nothing_aside(directory: &Path) -> Result<(), String> {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    let aside = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    match aside.into_iter().find(|name| name.ends_with(".aside")) {
        Some(name) => Err(format!("{name} is left behind")),
        None => Ok(()),
    }
}
