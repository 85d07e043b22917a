//! What a run was asked to be, and the plan that follows from it before anything is started.
//!
//! Invariant: a plan is refused here when it cannot work, with both numbers where there are two.
//! Deliberately absent: any effect but reading what the machine has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_comm::layout::Layout;
use mainstay_control::{DiskMode, Policy};
use mainstay_types::inject::Injection;
use mainstay_types::limits::{RANKS_MAX, RING_BYTES_MIN, TRACE_RECORD_BYTES};
use mainstay_types::{JobId, duration, exit};

use super::drain::Storing;
use super::latest::latest;
use super::nodes::Domains;
use super::resume::check;
use super::stdin::{TAKEN_MAX, Taken};
use super::storage::Storage;
use super::{Outcome, drain};
use crate::{procfs, sys};

/// When to checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// From the measured cost and the failure rate.
    Auto,
    /// At multiples of so many steps.
    Steps(u64),
    /// After so long.
    Period(Duration),
}

/// When a job ends, whatever it has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The time until then, from the making of the plan.
    pub left: Duration,
    /// What is said then, such as `the time limit of 4 h is reached`.
    pub why: String,
}

/// Which job to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The newest that has ended and that the command line fits.
    Latest,
    /// This one.
    Job(JobId),
}

/// What a run is asked to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of ranks.
    pub n: u32,
    /// What happens when a rank fails.
    pub policy: Policy,
    /// Failures without progress before the job is given up.
    pub max_restarts: u32,
    /// The checkpoint directory; `None` is one of the job's own.
    pub directory: Option<PathBuf>,
    /// The nodes that hold the memory of versions; `None` if the launcher does.
    pub domains: Option<Domains>,
    /// When to checkpoint.
    pub every: Every,
    /// Which versions go to disk.
    pub disk: DiskMode,
    /// How versions are stored there.
    pub storing: Storing,
    /// What is kept of versions, and where.
    pub storage: Storage,
    /// Mean time between failures of ranks, if declared.
    pub mtbf: Option<Duration>,
    /// That of the launcher or its machine, if declared.
    pub machine_mtbf: Option<Duration>,
    /// When the job ends, whatever it has reached.
    pub limit: Option<Limit>,
    /// Which job to go on with.
    pub resume: Option<Resume>,
    /// How often ranks are looked at.
    pub heartbeat: Duration,
    /// A rank stopped for this long is taken for dead.
    pub lost_after: Duration,
    /// A rank that makes no call for this long is taken for dead.
    pub hang_after: Option<Duration>,
    /// A survivor that does not acknowledge an epoch for this long is taken for dead.
    pub rejoin_within: Duration,
    /// Faults to inflict.
    pub injections: Vec<Injection>,
    /// The seed of the job's random numbers.
    pub seed: u64,
    /// Whether message hashes are logged.
    pub audit: bool,
    /// Whether payloads of messages carry checksums.
    pub message_checks: bool,
    /// Whether versions are taken at all.
    pub checkpoints: bool,
    /// Records of each rank's trace that are kept, a power of two; 0 for no trace.
    pub trace_records: u64,
    /// Program and arguments.
    pub command: Vec<OsString>,
}

/// Why a plan is refused.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The exit code.
    pub code: u8,
    /// The thing and the mend.
    pub why: String,
}

/// A run that can be started.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) config: Config,
    pub(crate) job: JobId,
    pub(crate) directory: Option<PathBuf>,
    /// Whether the directory is the job's own, removed on success.
    pub(crate) own_directory: bool,
    pub(crate) layout: Layout,
    /// When the job ends, on the clock of [`sys::now`].
    pub(crate) ends: Option<Duration>,
    /// Whether it is a twin: it publishes nothing, and keeps what its rank 0 read.
    pub(crate) is_twin: bool,
    /// What rank 0 reads before the standard input of this process.
    pub(crate) input: Taken,
    memory_needed: u64,
    memory_available: Option<u64>,
    /// The most that all arenas may take.
    pub(super) arenas_limit: Option<u64>,
}

/// What a process needs beside its rings, by experience with small programs.
const PROCESS_BYTES: u64 = 4 << 20;

impl Plan {
    /// Works out what the run needs.
    ///
    /// # Errors
    /// Ranks in injections that do not exist, more ranks than memory or than the limit, or a
    /// resume without anything to go on from.
    pub fn new(config: &Config) -> Result<Self, Refusal> {
        let refuse = |code, why| Err(Refusal { code, why });
        let n = config.n;
        if let Some(bad) = config.injections.iter().find(|i| i.rank.is_some_and(|r| r.0 >= n)) {
            let why = format!("`{bad}` strikes no rank: the ranks of this job are 0 to {}", n - 1);
            return refuse(exit::USAGE, why);
        }
        if let Some(domains) = &config.domains {
            domains.check(n)?;
        }
        let nodes = config.domains.as_ref().map_or(0, |domains| domains.nodes);
        let no_node = |i: &&Injection| i.node().is_some_and(|node| node.0 >= nodes);
        if let Some(bad) = config.injections.iter().find(no_node) {
            let why = match nodes {
                0 => format!("`{bad}` strikes no node: this job has none; see --virtual-nodes"),
                _ => format!("`{bad}` strikes no node: those of this job are 0 to {}", nodes - 1),
            };
            return refuse(exit::USAGE, why);
        }
        if let Some(why) = config.storage.refusal() {
            return refuse(exit::USAGE, why);
        }
        let memory_available = procfs::memory_available();
        let ring_bytes = ring_bytes(n);
        let tape_bytes = config.trace_records.saturating_mul(TRACE_RECORD_BYTES as u64);
        let rings_bytes = u64::from(n).saturating_mul(ring_bytes as u64);
        let per_rank = rings_bytes.saturating_add(tape_bytes) + PROCESS_BYTES;
        let windows = config.domains.as_ref().map_or(0, Domains::window_bytes);
        let memory_needed = u64::from(n).saturating_mul(per_rank).saturating_add(windows);
        if let Some(available) = memory_available.filter(|available| *available < memory_needed) {
            let (needed, available) = (mib(memory_needed), mib(available));
            let why = format!(
                "{n} ranks need at least {needed}, and {available} are available; give a smaller -n"
            );
            return refuse(exit::USAGE, why);
        }
        if n > RANKS_MAX {
            let why = format!("{n} ranks are more than the {RANKS_MAX} that one machine may run");
            return refuse(exit::USAGE, why);
        }
        let layout = Layout::new(n, ring_bytes)
            .map_err(|error| Refusal { code: exit::USAGE, why: error.to_string() })?;
        let job = JobId(random()?);
        let mut plan = Self {
            config: config.clone(),
            job,
            directory: None,
            own_directory: config.directory.is_none(),
            layout,
            ends: config.limit.as_ref().map(|limit| sys::now().saturating_add(limit.left)),
            is_twin: false,
            input: Taken::default(),
            memory_needed,
            memory_available,
            arenas_limit: config.storage.limit_bytes(memory_available),
        };
        plan.choose_directory()?;
        Ok(plan)
    }

    fn choose_directory(&mut self) -> Result<(), Refusal> {
        if !self.config.checkpoints {
            return Ok(());
        }
        if let Some(given) = &self.config.directory {
            self.directory = Some(given.clone());
            return Ok(());
        }
        let jobs = state_directory()?;
        self.directory = Some(match self.config.resume {
            None => jobs.join(self.job.to_string()),
            Some(Resume::Job(job)) => jobs.join(job.to_string()),
            Some(Resume::Latest) => self.latest_of(&jobs)?,
        });
        Ok(())
    }

    /// The directory written last that this command line can go on in; if there is none, the one
    /// written last, which is refused for its reason.
    fn latest_of(&self, jobs: &Path) -> Result<PathBuf, Refusal> {
        let fits =
            |path: &PathBuf| check(&Self { directory: Some(path.clone()), ..self.clone() }).is_ok();
        let latest = latest(jobs);
        latest.iter().find(|path| fits(path)).or(latest.first()).cloned().ok_or_else(|| Refusal {
            code: exit::DATA,
            why: format!(
                "nothing to resume: {} holds no version of a job that has ended; start without \
                 --resume, or name the directory with --ckpt-dir",
                jobs.display()
            ),
        })
    }

    /// The same job without faults, checkpoints or recovery: its fault-free twin. It publishes
    /// nothing.
    #[must_use]
    pub fn twin(&self) -> Self {
        let config = Config {
            policy: Policy::Abort,
            resume: None,
            injections: Vec::new(),
            checkpoints: false,
            domains: None,
            trace_records: 0,
            ..self.config.clone()
        };
        Self { config, directory: None, own_directory: false, is_twin: true, ..self.clone() }
    }

    /// The same job, whose rank 0 is first given what that of its twin has read.
    ///
    /// # Errors
    /// The twin was given more than is kept.
    pub fn after(&self, twin: &Outcome) -> Result<Self, Refusal> {
        if twin.input.overflowed {
            let why = format!(
                "standard input holds more than the {} that are kept for a second run: give the \
                 program a file",
                mib(TAKEN_MAX as u64)
            );
            return Err(Refusal { code: exit::USAGE, why });
        }
        Ok(Self { input: twin.input.clone(), ..self.clone() })
    }

    /// How many arenas each rank has.
    pub(super) fn arenas(&self) -> usize {
        usize::from(self.config.storage.arenas)
    }

    /// What messages take that are under way at a capture, for people.
    fn late_messages(&self) -> String {
        let n = u64::from(self.config.n);
        let rings = n * n.saturating_sub(1) * self.layout.ring_bytes() as u64;
        format!("those under way at a capture: {} in rings and what is being received", mib(rings))
    }

    /// The plan for people and programs: key and value, in reading order.
    #[must_use]
    pub fn facts(&self) -> Vec<(String, String)> {
        let config = &self.config;
        let words: Vec<_> = config.command.iter().map(|word| word.to_string_lossy()).collect();
        let auto = |mtbf: Option<Duration>| match mtbf {
            Some(mtbf) => format!("auto for one failure in {}", duration::format(mtbf)),
            None => "auto, about 1 % of the time".to_owned(),
        };
        let every = match config.every {
            Every::Auto => auto(config.mtbf),
            Every::Steps(steps) => format!("{steps} steps"),
            Every::Period(period) => duration::format(period),
        };
        let disk = match config.disk {
            DiskMode::Auto => auto(config.machine_mtbf),
            DiskMode::Each => "each version".to_owned(),
            DiskMode::Steps(steps) => format!("one of each {steps} steps"),
            DiskMode::Every(period) => duration::format(period),
        };
        let limit = config.limit.as_ref();
        let limit = limit.map_or("none".to_owned(), |limit| duration::format(limit.left));
        let available = self.memory_available.map_or_else(|| "unknown".to_owned(), mib);
        let directory = self.directory.as_ref().map_or_else(String::new, |d| {
            format!(
                "{}{}",
                d.display(),
                if self.own_directory { ", removed on success" } else { "" }
            )
        });
        let facts = [
            ("command", words.join(" ")),
            ("job", self.job.to_string()),
            ("ranks", format!("{} on {} processors", config.n, procfs::processors())),
            ("memory", format!("{} to start of {available} available", mib(self.memory_needed))),
            ("directory", directory),
            ("nodes", config.domains.as_ref().map_or("none".to_owned(), |d| d.to_string())),
            ("interval", every),
            ("on disk", disk),
            ("kept there", config.storage.retention()),
            ("arenas", config.storage.memory(self.arenas_limit)),
            ("captures copy", config.storage.copying()),
            ("late messages", self.late_messages()),
            ("drain", drain::memory()),
            ("read again", config.storage.scrub()),
            ("time limit", limit),
            ("policy", config.policy.name().to_owned()),
            ("seed", config.seed.to_string()),
            ("max restarts", config.max_restarts.to_string()),
            ("environment", "MAINSTAY_SOCKET, MAINSTAY_TOKEN, MAINSTAY_RANK, MAINSTAY_SIZE, MAINSTAY_INCARNATION".to_owned()),
        ];
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// Capacity of a ring: large where there are few, so that the rings of a job stay small.
fn ring_bytes(n: u32) -> usize {
    match n {
        0..=8 => 4 * RING_BYTES_MIN,
        9..=32 => 2 * RING_BYTES_MIN,
        _ => RING_BYTES_MIN,
    }
}

/// Bytes for people.
pub(super) fn mib(bytes: u64) -> String {
    if bytes >= 10 << 30 {
        format!("{} GiB", bytes >> 30)
    } else {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    }
}

/// Bytes from the kernel's random source.
pub(crate) fn random() -> Result<[u8; 16], Refusal> {
    let mut bytes = [0; 16];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(16) => Ok(bytes),
        Ok(_) | Err(_) => Err(Refusal {
            code: exit::INTERNAL,
            why: "the kernel gave no random bytes for the job's name".to_owned(),
        }),
    }
}

fn state_directory() -> Result<PathBuf, Refusal> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    state.map(|state| state.join("mainstay/jobs")).ok_or_else(|| Refusal {
        code: exit::DIRECTORY,
        why: "neither XDG_STATE_HOME nor HOME is set: name a directory with --ckpt-dir".to_owned(),
    })
}
