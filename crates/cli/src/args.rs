//! The command line: what `--help` teaches and what is accepted.
//!
//! Invariant: every option is checked here, before anything is started. Deliberately absent:
//! what the options do.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mainstay_ckpt::Choosing;
use mainstay_control::{DiskMode, Policy};
use mainstay_host::supervisor::{Every, KeepEvery, Resume};
use mainstay_types::limits::{TRACE_RECORDS_MAX, TRACE_RECORDS_MIN};
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Tracking, duration, inject};

use crate::ckpt::args as ckpt;
use crate::limit::{self, TimeLimit};
use crate::options::{self, CkptMemory, ScrubEvery};

/// Fault-tolerant parallel computing: your computation finishes with the right answer while
/// machines fail under it, and you can prove it.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a parallel program; when ranks are killed, it still finishes with the same bits.
    Run(Box<Run>),
    /// Draw a traced run as one HTML file that any browser shows.
    Trace(Trace),
    /// Look into checkpoint directories: list, verify, compare, extract, scrub and prune versions.
    Ckpt(ckpt::Ckpt),
    /// Be a node of a job; its launcher starts it.
    #[command(hide = true)]
    Node,
}

/// Draw a traced run as one HTML file.
///
/// The file needs no network and no server: open it in a browser, keep it, send it.
#[derive(Debug, Args)]
#[command(after_help = TRACE_EXAMPLES)]
pub(crate) struct Trace {
    /// What `mainstay run --trace FILE` wrote.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where the page goes; by default FILE with `html` for its extension.
    #[arg(long, value_name = "PAGE")]
    pub(crate) out: Option<PathBuf>,
}

const TRACE_EXAMPLES: &str = "\
Examples:
  mainstay run -n 4 --trace run.json --inject kill:2@step=50 ./solver input.mtx
  mainstay trace run.json                    # writes run.html
  mainstay trace run.json --out /tmp/a.html";

/// Run a parallel program on this machine.
///
/// The program is any that is linked with the `mainstay` library. Others run too, unprotected.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// Number of ranks, each a process.
    #[arg(short = 'n', value_name = "N", default_value_t = 1, value_parser = ranks)]
    pub(crate) n: u32,
    /// What happens when a rank fails.
    #[arg(long, value_enum, default_value_t = PolicyName::Rollback)]
    pub(crate) policy: PolicyName,
    /// Failures without progress before the job is given up. Progress is a committed step beyond
    /// the highest at any earlier failure.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) max_restarts: u32,
    /// Checkpoint directory. By default one of the job's own under the user's state directory,
    /// removed when the job succeeds.
    #[arg(long, value_name = "D")]
    pub(crate) ckpt_dir: Option<PathBuf>,
    /// Hold the memory of checkpoints in so many processes, each with the arenas of its ranks: failure
    /// domains that can be lost one by one, as nodes of a cluster are.
    #[arg(long, value_name = "N", value_parser = options::nodes)]
    pub(crate) virtual_nodes: Option<u32>,
    /// How nodes guard each other's memory: `partner`, a copy at the next node; `parity:M`, which gives
    /// back what any M of them had; `xor` is parity:1. By default partner, with two nodes or more.
    #[arg(long, value_name = "none|partner|xor|parity:M", requires = "virtual_nodes",
          value_parser = options::redundancy)]
    pub(crate) redundancy: Option<Redundancy>,
    /// When to checkpoint: `auto`, every so many steps (`100steps`), or every so long (`2s`).
    #[arg(long, value_name = "auto|Ksteps|T", default_value = "auto", value_parser = every)]
    pub(crate) ckpt_every: Every,
    /// Which checkpoints also go to disk: as many as pay (`auto`), `each`, one of each so many steps
    /// (`1000steps`), or one every so long (`10s`). By default `auto` if --ckpt-every is, else `each`.
    #[arg(long, value_name = "auto|each|Ksteps|T", value_parser = disk_every)]
    pub(crate) disk_every: Option<DiskMode>,
    /// How checkpoints are made smaller on disk: by what makes them durable soonest (`auto`), not at
    /// all, or by one codec wherever it makes a block smaller.
    #[arg(long, value_name = "auto|none|zstd|lz4|pco", default_value = "none", value_parser = options::compress)]
    pub(crate) compress: Choosing,
    /// Of so many checkpoints on disk one is stored whole, and the others refer to it for what has
    /// not changed. 1 stores each whole.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) full_every: u32,
    /// How many of the newest versions stay on disk.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = ckpt::keep)]
    pub(crate) keep: usize,
    /// Beside those, keep one version for good of each so many steps (`1000steps`) or so long (`6h`).
    #[arg(long, value_name = "Ksteps|T", requires = "ckpt_dir", value_parser = options::keep_every)]
    pub(crate) keep_every: Option<KeepEvery>,
    /// Memory for versions: two times the protected state (`2x`), or one (`1x`), where a capture waits
    /// until the version before it is on disk or not needed; and the most for all ranks together, as
    /// `8GiB` or `25%`, alone or behind a comma.
    #[arg(long, value_name = "1x|2x|BYTES|SHARE", default_value = "2x",
          value_parser = options::ckpt_memory)]
    pub(crate) ckpt_memory: CkptMemory,
    /// Whether captures copy only what was written since: `auto` where the system can tell and it pays,
    /// `on` wherever it can tell, `check` to compare the rest all the same.
    #[arg(long, value_name = "auto|on|off|check", default_value = "off",
          value_parser = options::tracking)]
    pub(crate) track_writes: Tracking,
    /// How often each version that is kept is read and compared with its checksums, in memory and on
    /// disk, and mended from its other copy; `off` for never.
    #[arg(long, value_name = "T|off", default_value = "10m", value_parser = options::scrub_every)]
    pub(crate) scrub_every: ScrubEvery,
    /// Mean time between failures of ranks that `auto` plans for, such as `24h`. By default it is
    /// observed.
    #[arg(long, value_name = "T", value_parser = positive)]
    pub(crate) mtbf: Option<Duration>,
    /// Mean time between losses of the launcher or its machine, for which checkpoints go to disk.
    /// By default a day.
    #[arg(long, value_name = "T", value_parser = positive)]
    pub(crate) machine_mtbf: Option<Duration>,
    /// End the job after so long, with a last checkpoint on disk before it and exit code 124.
    /// `auto` is the end of the Slurm allocation, if there is one; `none` ignores it.
    #[arg(long, value_name = "auto|none|T", default_value = "auto", value_parser = limit::parse)]
    pub(crate) time_limit: TimeLimit,
    /// Go on from the newest usable checkpoint, of this job or of the latest.
    #[arg(long, value_name = "JOB", num_args = 0..=1, require_equals = true,
          default_missing_value = LATEST, value_parser = resume)]
    pub(crate) resume: Option<Resume>,
    /// How often ranks are looked at.
    #[arg(long, value_name = "T", default_value = "500ms", value_parser = positive)]
    pub(crate) heartbeat: Duration,
    /// A rank that is stopped this long is taken for dead.
    #[arg(long, value_name = "T", default_value = "5s", value_parser = positive)]
    pub(crate) lost_after: Duration,
    /// A rank that makes no call of Mainstay for this long is taken for dead. Off by default: long
    /// kernels are not failures.
    #[arg(long, value_name = "T", value_parser = positive)]
    pub(crate) hang_after: Option<Duration>,
    /// After a failure, a survivor must notice within this time or is taken for dead.
    #[arg(long, value_name = "T", default_value = "5m", value_parser = positive)]
    pub(crate) rejoin_within: Duration,
    /// Inflict faults, such as `kill:2@step=50`: see below.
    #[arg(long, value_name = "FAULT,…", value_parser = injections)]
    pub(crate) inject: Option<Injections>,
    /// First run the job without faults, then as asked, and compare the answers bit by bit.
    #[arg(long)]
    pub(crate) twin: bool,
    /// Run the job twice without faults and name the first step and rank whose messages differ.
    #[arg(long, conflicts_with_all = ["twin", "inject", "resume"])]
    pub(crate) audit: bool,
    /// Whether the payload of each message is sent with a checksum and compared. Without it, large
    /// messages are a little faster, and what memory flips in them goes unnoticed.
    #[arg(long, value_enum, value_name = "on|off", default_value_t = Switch::On, hide_possible_values = true)]
    pub(crate) message_checks: Switch,
    /// Seed of the random numbers that a program draws with `job.rng`; to resume a job, give its own.
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = seed)]
    pub(crate) seed: u64,
    /// Prefix each line of output with its rank.
    #[arg(long)]
    pub(crate) label: bool,
    /// Show nothing but the program's output and the report's keys.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Write one JSON object a line on standard output (docs/formats/run-json.md).
    #[arg(long)]
    pub(crate) json: bool,
    /// Record what every rank does and write it when the run ends, in Chrome's trace format:
    /// `mainstay trace FILE` draws it, and Perfetto opens it.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Newest records that are kept of each rank, a power of two. By default about a million over
    /// all ranks.
    #[arg(long, value_name = "N", requires = "trace", value_parser = records)]
    pub(crate) trace_records: Option<u64>,
    /// Show the plan and start nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// List the points at which --inject can strike.
    #[arg(long)]
    pub(crate) list_points: bool,
    /// The program and its arguments.
    #[arg(
        trailing_var_arg = true,
        value_name = "PROGRAM",
        required_unless_present = "list_points"
    )]
    pub(crate) program: Vec<OsString>,
}

const EXAMPLES: &str = "\
Faults: ACTION:RANK@WHEN, joined by commas.
  ACTION  kill, stop, exit:RANK:CODE, segv, panic; kill:nodeK kills a node and its ranks
  RANK    a rank, or * for all
  WHEN    step=K          as the rank enters the checkpoint of its K-th step
          time=T          so long after all ranks have entered `run`
          point=NAME[#n]  at the n-th passage of a point (--list-points)
  then :xN to strike N times, :always to strike in every incarnation

Signals to the launcher: USR1 asks for a checkpoint on disk now; INT, TERM, HUP and QUIT end the job,
  a second one at once.

Examples:
  mainstay run -n 4 ./solver input.mtx
  mainstay run -n 4 --ckpt-every 20steps --inject kill:2@step=50 --twin ./solver input.mtx
  mainstay run -n 4 --ckpt-dir run1 --ckpt-every 1s --disk-every 30s ./solver input.mtx
  mainstay run -n 4 --ckpt-dir run1 --time-limit 4h ./solver input.mtx
  mainstay run -n 4 --ckpt-dir run1 --resume ./solver input.mtx
  mainstay run -n 4 --trace run.json ./solver input.mtx && mainstay trace run.json";

const LATEST: &str = "latest";

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// Survivors stay, the dead rank is started again, all go back to the newest version.
    Rollback,
    /// All ranks are started again from the newest version.
    Restart,
    /// The job ends at once and tells where its state lies.
    Abort,
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Rollback => Self::Rollback,
            PolicyName::Restart => Self::Restart,
            PolicyName::Abort => Self::Abort,
        }
    }
}

/// A list of injections as one value of the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Injections(pub(crate) Vec<inject::Injection>);

fn injections(text: &str) -> Result<Injections, String> {
    inject::parse(text).map(Injections)
}

fn ranks(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Err("a job has at least 1 rank".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("the number of ranks is a whole number from 1".to_owned()),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

/// A duration that is not zero: a patience of nothing would take every rank for dead.
fn positive(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration.is_zero() {
        return Err(format!("`{text}` is no time at all: give more than zero"));
    }
    Ok(duration)
}

fn records(text: &str) -> Result<u64, String> {
    let possible = TRACE_RECORDS_MIN..=TRACE_RECORDS_MAX;
    match text.parse::<u64>() {
        Ok(records) if records.is_power_of_two() && possible.contains(&records) => Ok(records),
        _ => Err(format!(
            "`{text}` is not a power of two from {TRACE_RECORDS_MIN} to {TRACE_RECORDS_MAX}"
        )),
    }
}

fn every(text: &str) -> Result<Every, String> {
    if text == "auto" {
        return Ok(Every::Auto);
    }
    if let Some(steps) = options::steps(text) {
        return steps.map(Every::Steps);
    }
    match duration::parse(text) {
        Ok(period) if !period.is_zero() => Ok(Every::Period(period)),
        _ => Err(format!("`{text}` is not auto, a number of steps (100steps) or a time (2s)")),
    }
}

fn disk_every(text: &str) -> Result<DiskMode, String> {
    if let Some(steps) = options::steps(text) {
        return steps.map(DiskMode::Steps);
    }
    match (text, duration::parse(text)) {
        ("auto", _) => Ok(DiskMode::Auto),
        ("each", _) => Ok(DiskMode::Each),
        (_, Ok(period)) if !period.is_zero() => Ok(DiskMode::Every(period)),
        _ => Err(format!(
            "`{text}` is not auto, each, a number of steps (1000steps) or a time (10s)"
        )),
    }
}

fn resume(text: &str) -> Result<Resume, String> {
    if text == LATEST { Ok(Resume::Latest) } else { text.parse().map(Resume::Job) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::joined;

    fn parse(line: &str) -> Result<Run, clap::Error> {
        let args = line.split(' ').map(OsString::from);
        match Cli::try_parse_from(joined(args))?.command {
            Command::Run(run) => Ok(*run),
            Command::Trace(_) | Command::Ckpt(_) | Command::Node => panic!("{line} runs nothing"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn options_after_the_program_are_the_programs() {
        let run = parse("mainstay run -n 4 --label ./solver -n 9 --json --help").unwrap();
        assert_eq!((run.n, run.label, run.json), (4, true, false));
        assert_eq!(run.program, ["./solver", "-n", "9", "--json", "--help"]);
    }

    #[test]
    fn resume_takes_a_job_or_none() {
        let job = "00112233445566778899aabbccddeeff";
        let run = parse("mainstay run --resume ./solver x").unwrap();
        assert_eq!((run.resume, run.program.len()), (Some(Resume::Latest), 2));
        let run = parse(&format!("mainstay run --resume {job} ./solver x")).unwrap();
        assert_eq!((run.resume, run.program.len()), (Some(Resume::Job(job.parse().unwrap())), 2));
        assert!(parse("mainstay run --resume=zz ./solver").is_err());
    }

    #[test]
    fn intervals_ranks_and_seeds_are_checked() {
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        for bad in ["-1", "abc", "1.5", "", "18446744073709551616"] {
            assert!(seed(bad).is_err_and(|why| why.contains("from 0 to")), "{bad}");
        }
        assert_eq!(every("auto"), Ok(Every::Auto));
        assert_eq!(every("100steps"), Ok(Every::Steps(100)));
        assert_eq!(every("2s"), Ok(Every::Period(Duration::from_secs(2))));
        for bad in ["0steps", "steps", "0s", "never", "-1steps"] {
            assert!(every(bad).is_err(), "{bad}");
        }
        assert_eq!(disk_every("auto"), Ok(DiskMode::Auto));
        assert_eq!(disk_every("each"), Ok(DiskMode::Each));
        assert_eq!(disk_every("10s"), Ok(DiskMode::Every(Duration::from_secs(10))));
        assert_eq!(disk_every("10steps"), Ok(DiskMode::Steps(10)));
        assert!(disk_every("0steps").is_err());
        for bad in ["0s", "never", ""] {
            assert!(disk_every(bad).unwrap_err().contains("each"), "{bad}");
        }
        let error = parse("mainstay run -n 0 ./x").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("at least 1 rank"));
        assert_eq!(parse("mainstay run").unwrap_err().exit_code(), 2);
    }
}
