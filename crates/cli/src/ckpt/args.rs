//! The command line of `mainstay ckpt`.
//!
//! Invariant: every option is checked here. Deliberately absent: what the options do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_ckpt::veloc::Mapping;
use mainstay_types::{Rank, Version};

/// Look into checkpoint directories, without the job that wrote them.
///
/// All but `prune`, `import` and `repair` take no lock and change nothing, so that they can be used beside a running
/// job.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ckpt {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List versions: which can be recovered, which cannot and why, and which one --resume takes.
    Ls(Ls),
    /// Show all that is known of one version: its job, its ranks, its fields.
    Show(Show),
    /// Read versions whole and name every part that is not as it was written.
    Verify(Verify),
    /// Compare the fields of two versions; exit code 1 if they differ.
    Diff(Diff),
    /// Write a field of a version into a file that numpy reads.
    Extract(Extract),
    /// Get back what nodes have lost, from what others hold of it.
    Repair(Repair),
    /// Read all versions, once or again and again, and name what has rotted; exit code 65 if anything has.
    Scrub(Scrub),
    /// Remove versions that newer ones make superfluous.
    Prune(Prune),
    /// Write versions of another library into a new checkpoint directory.
    #[command(subcommand)]
    Import(Import),
}

const EXAMPLES: &str = "\
Examples:
  mainstay ckpt ls run1
  mainstay ckpt show run1 12
  mainstay ckpt verify run1
  mainstay ckpt diff run1 11 12
  mainstay ckpt diff run1 12 12 --other run2
  mainstay ckpt scrub run1 --every 6h
  mainstay ckpt extract run1 12 heat.u -o u.npy
  mainstay ckpt repair run1 --dry-run
  mainstay ckpt prune run1 --keep 1 --dry-run
  mainstay ckpt import veloc /scratch/ckpt --out run3 --field '0=u:f64[1024,512]'";

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// Write one JSON object a line (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// Which version; by default the newest that can be recovered.
    #[arg(value_parser = version)]
    pub(crate) version: Option<Version>,
    /// Write one JSON object (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// Which version; by default all.
    #[arg(value_parser = version)]
    pub(crate) version: Option<Version>,
    /// Write one JSON object a line (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// One version.
    #[arg(value_parser = version)]
    pub(crate) a: Version,
    /// The other version.
    #[arg(value_parser = version)]
    pub(crate) b: Version,
    /// The directory that B lies in, if it is not DIR.
    #[arg(long, value_name = "DIR")]
    pub(crate) other: Option<PathBuf>,
    /// Write one JSON object a line (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// Which version.
    #[arg(value_parser = version)]
    pub(crate) version: Version,
    /// Which field, as `show` names it; without its state if one field alone has that name.
    pub(crate) field: String,
    /// The part of this rank alone. By default those of all are put together by their global shape.
    #[arg(long, value_name = "R", value_parser = rank)]
    pub(crate) rank: Option<Rank>,
    /// The bytes alone, without a header.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Where it goes.
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace FILE if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write one JSON object (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scrub {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// Read it once in so long (`6h`), for ever, and no faster than that needs.
    #[arg(long, value_name = "T", value_parser = time)]
    pub(crate) every: Option<Duration>,
    /// End after so many times.
    #[arg(long, value_name = "N", requires = "every", value_parser = passes)]
    pub(crate) passes: Option<u64>,
    /// Write one JSON object a line (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// Which version; by default all.
    #[arg(value_parser = version)]
    pub(crate) version: Option<Version>,
    /// Say what would come back and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write one JSON object a line (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// The checkpoint directory.
    pub(crate) dir: PathBuf,
    /// How many recoverable versions of each job stay. Each is read whole before anything goes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = keep)]
    pub(crate) keep: usize,
    /// Let versions go, too, that `--keep-every` keeps for good.
    #[arg(long)]
    pub(crate) archives: bool,
    /// Say what would go and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write one JSON object a line (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = mainstay_types::duration::parse(text)?;
    match time.is_zero() {
        true => Err(format!("`{text}` is no time at all: give more than zero")),
        false => Ok(time),
    }
}

fn passes(text: &str) -> Result<u64, String> {
    let passes = text.parse().ok().filter(|passes| *passes > 0);
    passes.ok_or_else(|| format!("`{text}` is not a number of times from 1"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Import the files NAME-RANK-VERSION.dat of VELOC; exit code 65 if a version is refused.
    Veloc(Veloc),
}

#[derive(Debug, Args)]
pub(crate) struct Veloc {
    /// VELOC's scratch or persistent directory.
    pub(crate) dir: PathBuf,
    /// The checkpoint directory to make; it may hold no version.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Which checkpoint, if there are several.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Number of ranks; by default one more than the highest that has a file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) ranks: Option<u32>,
    /// What a region is: its id, a name, a kind, and the shape of the array whose rows the ranks have. Others
    /// become bytes under their id.
    #[arg(long = "field", value_name = "ID=NAME:KIND[SHAPE]")]
    pub(crate) fields: Vec<Mapping>,
    /// Where VELOC's .chksum files lie; by default in DIR.
    #[arg(long, value_name = "DIR")]
    pub(crate) meta: Option<PathBuf>,
    /// Write one JSON object a line (docs/formats/ckpt-json.md).
    #[arg(long)]
    pub(crate) json: bool,
}

fn version(text: &str) -> Result<Version, String> {
    // As in a file's name, too.
    let number = text.strip_prefix('v').unwrap_or(text).parse();
    number.map(Version).map_err(|_| format!("`{text}` is not a version: give its number, as 12"))
}

fn rank(text: &str) -> Result<Rank, String> {
    text.parse().map(Rank).map_err(|_| format!("`{text}` is not a rank: give its number, from 0"))
}

pub(crate) fn keep(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("the newest recoverable version always stays: give 1 or more".to_owned()),
        Ok(keep) => Ok(keep),
        Err(_) => Err(format!("`{text}` is not a number of versions from 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_ranks_and_numbers_are_checked() {
        assert_eq!(version("v00000012"), Ok(Version(12)));
        assert_eq!((version("12"), rank("3"), keep("1")), (Ok(Version(12)), Ok(Rank(3)), Ok(1)));
        for bad in ["", "v", "-1", "1.5", "newest", "18446744073709551616"] {
            assert!(version(bad).is_err() && rank(bad).is_err() && keep(bad).is_err(), "{bad}");
        }
        assert!(keep("0").unwrap_err().contains("always stays"));
    }
}
