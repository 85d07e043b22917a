//! What a run tells: the vocabulary behind the display, `--json`, the timeline and the summary.
//!
//! Deliberately absent: how an event is shown. Field meanings are those of
//! `docs/formats/run-json.md`.

mod stored;

use std::time::Duration;

pub use self::stored::{Scrubbed, Stored};
use crate::{Cause, Epoch, Incarnation, Node, Rank, Step, Version};

/// Where a copy of a version lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// L1: an arena in the supervisor's memory.
    Memory,
    /// L2: a copy that another node holds.
    Partner,
    /// L3: parity that other nodes hold.
    Parity,
    /// L4: the checkpoint directory.
    Disk,
}

impl Level {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Partner => "partner",
            Self::Parity => "parity",
            Self::Disk => "disk",
        }
    }
}

/// How far a version has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// Every rank has captured it: it can be restored while the launcher lives.
    Committed,
    /// Its manifest is published: it can be restored by a later launch.
    Published,
    /// It can never be restored.
    Void,
}

impl VersionState {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Published => "published",
            Self::Void => "void",
        }
    }
}

/// Which output stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The job starts.
    Start {
        /// The job's name.
        job: String,
        /// Number of ranks.
        n: u32,
        /// The recovery policy's name.
        policy: &'static str,
        /// The seed of its random numbers.
        seed: u64,
        /// Program and arguments.
        command: Vec<String>,
        /// The checkpoint directory.
        directory: String,
    },
    /// An incarnation of a rank has joined.
    RankUp {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
        /// Its process.
        pid: u32,
    },
    /// A node has started.
    NodeUp {
        /// Which node.
        node: Node,
        /// Its process.
        pid: u32,
        /// Its ranks.
        ranks: Vec<Rank>,
    },
    /// A node is lost, with all that its ranks had in memory.
    NodeLost {
        /// Which node.
        node: Node,
        /// Why.
        why: String,
    },
    /// Other nodes hold what gives every part of a version back.
    Guarded {
        /// Which version.
        version: Version,
        /// By copies or by parity.
        level: Level,
        /// Bytes that they hold.
        bytes: u64,
        /// From the order to the last answer.
        took: Duration,
    },
    /// A node got the parts of its ranks back from others.
    Rebuilt {
        /// Which node.
        node: Node,
        /// Of which version.
        version: Version,
        /// From copies or from parity.
        level: Level,
        /// How many bytes.
        bytes: u64,
        /// From the order to the answer.
        took: Duration,
    },
    /// A rank wrote a line.
    Output {
        /// Which rank.
        rank: Rank,
        /// On which stream.
        stream: Stream,
        /// The line, without its end.
        line: Vec<u8>,
        /// Whether it is a piece of a longer line, which goes on in the rank's next event of this
        /// stream.
        partial: bool,
    },
    /// A step was chosen at which all ranks capture a version.
    Target {
        /// Which version.
        version: Version,
        /// At which step.
        step: Step,
    },
    /// A version came to a new state.
    Checkpoint(Checkpoint),
    /// A rank failed.
    Failure {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
        /// The last step it completed.
        step: Step,
        /// Why.
        cause: Cause,
        /// From the injected signal's stamp to the raised epoch, where a stamp exists.
        detect: Option<Duration>,
        /// What a person should know, such as a panic's message.
        detail: String,
    },
    /// The epoch was raised.
    Epoch {
        /// The new epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
    /// A rank has its state.
    Restored {
        /// Which rank.
        rank: Rank,
        /// The version; `None` is the start of the job.
        version: Option<Version>,
        /// From where.
        level: Option<Level>,
        /// How long the copy took.
        took: Duration,
    },
    /// The job has again completed the highest step that any rank had completed.
    Recovered {
        /// The epoch in which it did.
        epoch: Epoch,
        /// That step.
        step: Step,
    },
    /// How often a level gets a version has changed, or why.
    Interval(Interval),
    /// Something a person should know.
    Note {
        /// The sentence.
        text: String,
    },
}

/// How often a level gets a version, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Which level.
    pub level: Level,
    /// The time between two versions; `None` if it follows from steps or from another level.
    pub every: Option<Duration>,
    /// The reason's name.
    pub reason: &'static str,
    /// The reason as a sentence, with the numbers that it rests on.
    pub text: String,
}

impl Interval {
    /// Whether the user chose it, so that nothing need be explained.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        matches!(self.reason, "declared" | "each")
    }
}

/// What a level's interval has cost in a run, and which would have cost least.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The interval in force at the end.
    pub interval: Interval,
    /// How many versions came to the level.
    pub versions: usize,
    /// What one cost the program: the median and the longest.
    pub cost: Option<(Duration, Duration)>,
    /// From the commit to the publication: the median and the longest. `None` in memory.
    pub durable: Option<(Duration, Duration)>,
    /// The mean time between the failures that the level is for.
    pub mtbf: Duration,
    /// How it is known: `declared`, `observed` or `assumed`.
    pub mtbf_basis: &'static str,
    /// The share of the time that versions and failures are expected to take; `None` if nothing was
    /// measured, or if the job would hardly get on.
    pub expected: Option<f64>,
    /// The interval that costs least.
    pub best: Option<Duration>,
    /// The share of the time that it is expected to take.
    pub best_expected: Option<f64>,
    /// Bytes of a version at the level, the median.
    pub bytes: Option<u64>,
    /// Bytes a second while one came to the level, the median.
    pub bandwidth: Option<u64>,
    /// The same if there were ten times as many failures.
    pub harsher: Harsher,
}

/// What would be if failures came ten times as often.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Harsher {
    /// The mean time between them.
    pub mtbf: Duration,
    /// The share of the time at the interval in force.
    pub expected: Option<f64>,
    /// The interval that would cost least.
    pub best: Option<Duration>,
    /// The share of the time at that.
    pub best_expected: Option<f64>,
}

/// A version's state and costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Which version.
    pub version: Version,
    /// The step at which it was captured.
    pub step: Step,
    /// The best level that holds it.
    pub level: Level,
    /// Bytes over all ranks.
    pub bytes: u64,
    /// The longest time that a rank was blocked.
    pub blocked_max: Duration,
    /// Bytes of fields that captures copied, and that there are, if they were not simply all copied.
    pub copied: Option<(u64, u64)>,
    /// From the commit in memory to the published manifest.
    pub durable: Option<Duration>,
    /// Processor time of writing it.
    pub drain_cpu: Option<Duration>,
    /// Why it was captured: `interval`, `signal` or `limit`.
    pub why: &'static str,
    /// Whether it is kept on disk for good.
    pub archived: bool,
    /// How far it came.
    pub state: VersionState,
}

/// One failure with the phases of its recovery, for the summary.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureRecord {
    /// Which rank.
    pub rank: Rank,
    /// Which incarnation.
    pub incarnation: Incarnation,
    /// The last step it completed.
    pub step: Step,
    /// Why.
    pub cause: Cause,
    /// Stamp before the injected signal → epoch raised.
    pub detect: Option<Duration>,
    /// Epoch raised → the new incarnation's hello.
    pub respawn: Option<Duration>,
    /// Hello → the last rank has its state.
    pub restore: Option<Duration>,
    /// State → the last rank has again completed the highest step any had completed.
    pub redo: Option<Duration>,
}

/// What the comparison of a run with its fault-free twin came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both answers have the same bits, every injection left a receipt, and something was restored.
    Identical,
    /// Answers, or messages of an audit, differ; how.
    Differs(String),
    /// Nothing speaks against it and nothing was shown; why.
    Unproved(String),
}

impl Verdict {
    /// The name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identical => "yes",
            Self::Differs(_) => "no",
            Self::Unproved(_) => "not proved",
        }
    }

    /// Why it is not a yes.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Identical => None,
            Self::Differs(why) | Self::Unproved(why) => Some(why),
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The exit code.
    pub exit: u8,
    /// The recovery policy's name.
    pub policy: &'static str,
    /// Number of ranks.
    pub n: u32,
    /// Steps in the final logical history.
    pub steps: u64,
    /// SHA-256 over the ranks' results in rank order; `None` if the job failed.
    pub result_digest: Option<String>,
    /// The twin's digest, if there was a twin.
    pub twin_digest: Option<String>,
    /// Whether the answer is bit-identical to the twin's; `None` without a twin.
    pub verdict: Option<Verdict>,
    /// Whole-job restarts.
    pub restarts: u32,
    /// Ranks started again.
    pub respawns: u32,
    /// Recoveries that gave every rank the state of a version.
    pub recoveries: u32,
    /// Injections that left no receipt.
    pub not_injected: Vec<String>,
    /// The version a resume started from.
    pub resumed_from: Option<Version>,
    /// Time lost to failures and checkpoints.
    pub lost: Duration,
    /// Messages that found no memory at their receivers and waited in their rings.
    pub held_back: u64,
    /// Every failure.
    pub failures: Vec<FailureRecord>,
    /// Every version.
    pub checkpoints: Vec<Checkpoint>,
    /// What the interval of each level was worth; empty if the job has no checkpoints.
    pub intervals: Vec<Advice>,
    /// What versions took of memory and disk; `None` if the job has no checkpoints.
    pub stored: Option<Stored>,
    /// Values that the program reported, by key.
    pub report: Vec<(String, String)>,
    /// How often each point was passed, in the order of [`crate::Point::ALL`].
    pub points: Vec<u64>,
}
