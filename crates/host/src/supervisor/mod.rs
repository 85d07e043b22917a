//! The supervisor of one machine: it starts the ranks, owns their shared memory, watches them, and
//! carries out what the engines decide.
//!
//! One thread does all of this in a loop over descriptors; a second one writes checkpoints to
//! disk. Invariants: processes are started by the loop's thread only; every effect of an engine is
//! carried out in the order given; when [`supervise`] returns, no process of the job is left but
//! those that were killed and that the kernel does not let go, which a note names.
//! Deliberately absent: protocol decisions (`control`, `ckpt`) and output (`cli`).

mod agree;
mod arenas;
mod config;
mod deaths;
mod drain;
mod early;
mod effects;
mod events;
mod faults;
mod finish;
mod inputs;
mod latest;
mod lines;
mod losses;
mod measure;
mod member;
mod messages;
mod nodes;
mod open;
mod process;
mod resume;
mod scrub;
mod signals;
mod stdin;
mod storage;
mod strangers;
mod versions;
mod watch;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mainstay_comm::layout::Control;
use mainstay_control::evidence::{Evidence, Options};
use mainstay_control::{Agreements, Config as RecoveryConfig, Effect, Input, Recovery};
use mainstay_types::event::{Event, Interval, Level, Summary};
use mainstay_types::trace::Playback;
use mainstay_types::{Epoch, Incarnation, JobId, Rank, Step, Version, exit};

pub use self::config::{Config, Every, Limit, Plan, Refusal, Resume};
pub use self::drain::Storing;
use self::early::Early;
use self::faults::Faults;
use self::finish::Results;
use self::inputs::Inputs;
use self::measure::Measure;
use self::member::Member;
pub use self::nodes::Domains;
use self::open::Opening;
use self::process::Process;
use self::signals::Signals;
pub use self::signals::{Watch, wait_or_signal, wanted_signals};
use self::stdin::Stdin;
pub use self::stdin::Taken;
pub use self::storage::{KeepEvery, MemoryLimit, Storage};
use self::strangers::Strangers;
use self::versions::Versions;
use crate::shm::{Segment, Tape};
use crate::socket::Listener;
use crate::sys::{self, Guardian};

/// Whoever is told what happens.
pub trait Observer {
    /// Something happened, `at` this time since the start. Must not wait for anybody.
    fn event(&mut self, at: Duration, event: &Event);

    /// How things stand, about ten times a second.
    fn status(&mut self, at: Duration, status: &Status);

    /// Whether [`Observer::status`] is wanted at all.
    fn wants_status(&self) -> bool {
        false
    }

    /// Whether more output of ranks may come.
    fn flow(&self) -> Flow {
        Flow::Open
    }

    /// Readable when [`Observer::flow`] may have changed, until it is asked.
    fn flow_changed(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// What an observer can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything.
    Open,
    /// No output of ranks for now: their pipes fill, and who writes on waits.
    Held,
    /// Nobody reads any more: the run is to end.
    Closed,
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The current epoch.
    pub epoch: Epoch,
    /// Every rank, in order.
    pub ranks: Vec<RankStatus>,
    /// The newest version that can be restored.
    pub newest: Option<(Version, Step, Level)>,
    /// How often each level gets a version, and why.
    pub intervals: Vec<Interval>,
    /// Failures so far.
    pub failures: usize,
}

/// How a rank stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankStatus {
    /// Which rank.
    pub rank: Rank,
    /// Which incarnation.
    pub incarnation: Incarnation,
    /// `starting`, `running`, `recovering`, `finishing` or `dead`.
    pub phase: &'static str,
    /// Steps completed.
    pub step: Step,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The job, also as `--resume` takes it.
    pub job: JobId,
    /// What `--json` and the report show.
    pub summary: Summary,
    /// Why it ended as it did; empty after success.
    pub why: String,
    /// The checkpoint directory, if it is still there.
    pub kept: Option<PathBuf>,
    /// The newest version in it that can be resumed from.
    pub resumable: Option<(Version, Step)>,
    /// Each rank's message hashes, one for each step, if they were logged.
    pub audit: Vec<Vec<u64>>,
    /// What a twin's rank 0 was given; see [`Plan::after`].
    pub input: Taken,
    /// What the ranks recorded, if the run was traced.
    pub trace: Option<Trace>,
}

/// What all ranks recorded.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When the run began, on the clock of the records.
    pub started: Duration,
    /// Each rank's tape.
    pub tapes: Vec<Playback>,
}

/// A job whose directory is open, and locked if it has one.
#[derive(Debug)]
pub struct Opened {
    versions: Versions,
    first: Epoch,
}

impl Opened {
    /// Leaves the job before it began; a directory of its own without a version goes with it.
    pub fn close(mut self) {
        let _nothing_began = self.versions.end(false, &mut || true);
    }
}

impl Plan {
    /// Opens the job's directory and finds what is in it.
    ///
    /// # Errors
    /// A directory that cannot be used, or nothing in it to go on from.
    pub fn open(&self) -> Result<Opened, Refusal> {
        let (versions, first) = Versions::open(self)?;
        Ok(Opened { versions, first })
    }

    /// Whether [`Plan::open`] would succeed now, as far as can be told without changing anything.
    ///
    /// # Errors
    /// As [`Plan::open`].
    pub fn check(&self) -> Result<(), Refusal> {
        resume::check(self)
    }
}

/// Has this process see errors and wishes where signals would end it without a word. To be called
/// first.
pub fn prepare_process() {
    signals::await_wishes();
    sys::ignore_limits_and_stops();
}

/// Runs a job to its end.
///
/// Must be called on the thread that the process keeps until its end: the ranks die with it.
pub fn supervise(plan: &Plan, opened: Opened, observer: &mut dyn Observer) -> Outcome {
    match Grounds::prepare(plan, opened.first) {
        Ok(grounds) => Supervisor::new(plan.clone(), opened, grounds, observer).run(),
        Err(error) => {
            opened.close();
            let why = format!("cannot set the job up: {error}; {}", sys::mend(&error));
            observer.event(Duration::ZERO, &Event::Note { text: why.clone() });
            let policy = plan.config.policy.name();
            let (exit, n) = (exit::INTERNAL, plan.config.n);
            let summary = Summary { exit, policy, n, ..Summary::default() };
            let (audit, input, job) = (Vec::new(), Taken::default(), plan.job);
            let (kept, resumable, trace) = (None, None, None);
            Outcome { job, summary, why, kept, resumable, audit, input, trace }
        }
    }
}

/// What a supervisor needs of the system.
struct Grounds {
    guardian: Guardian,
    segment: Arc<Segment>,
    listener: Listener,
    signals: Signals,
    tapes: Arc<[Tape]>,
}

impl Grounds {
    fn prepare(plan: &Plan, first: Epoch) -> std::io::Result<Self> {
        let guardian = Guardian::start()?;
        sys::ignore_limits_and_stops();
        sys::raise_descriptor_limit();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let segment = Arc::new(Segment::create(plan.layout)?);
        segment.control(Control::Epoch).store(first.0.into(), std::sync::atomic::Ordering::SeqCst);
        let secret = config::random().map_err(std::io::Error::other)?;
        let listener = Listener::bind(&format!("mainstay/{}", JobId(secret)))?;
        let traced = Rank::all(plan.config.n).filter(|_| plan.config.trace_records > 0);
        let tapes = traced.map(|_| Tape::create(plan.config.trace_records));
        let tapes = tapes.collect::<std::io::Result<Vec<_>>>()?.into();
        Ok(Self { guardian, segment, listener, signals: Signals::register()?, tapes })
    }
}

/// One job under way.
struct Supervisor<'a> {
    plan: Plan,
    started: Duration,
    observer: &'a mut dyn Observer,
    flow: Flow,
    segment: Arc<Segment>,
    /// One for each rank, if the run is traced.
    tapes: Arc<[Tape]>,
    early: Option<Early>,
    listener: Listener,
    guardian: Guardian,
    signals: Signals,
    stdin: Stdin,
    recovery: Recovery,
    agreements: Agreements,
    queue: VecDeque<Effect>,
    evidence: Evidence,
    next_tick: Duration,
    next_status: Duration,
    members: Vec<Member>,
    /// Children that this process had before it started any rank, and those that it left behind.
    not_ours: Vec<u32>,
    /// Processes that have ended and whose memory the kernel still takes down.
    ending: Vec<Process>,
    /// Connections that have not said hello.
    strangers: Strangers,
    versions: Versions,
    /// The epoch that waits for nodes before it opens.
    opening: Option<Opening>,
    inputs: Inputs,
    results: Results,
    measure: Measure,
    faults: Faults,
    summary: Summary,
    /// When patience ends, once ranks were asked to end.
    patience: Option<Duration>,
    /// When the job ends, whatever it has reached.
    ends: Option<Duration>,
    end: Option<(u8, String)>,
}

impl<'a> Supervisor<'a> {
    fn new(plan: Plan, opened: Opened, grounds: Grounds, observer: &'a mut dyn Observer) -> Self {
        let Opened { versions, first } = opened;
        let Grounds { guardian, segment, listener, signals, tapes } = grounds;
        let config = &plan.config;
        let n = config.n;
        let options = Options {
            heartbeat: config.heartbeat,
            lost_after: config.lost_after,
            hang_after: config.hang_after,
            rejoin_within: config.rejoin_within,
        };
        let recovery =
            RecoveryConfig { n, policy: config.policy, max_restarts: config.max_restarts };
        let started = sys::now();
        Self {
            started,
            flow: Flow::Open,
            listener,
            guardian,
            signals,
            stdin: Stdin::new(plan.input.clone(), plan.is_twin),
            recovery: Recovery::new(recovery, first),
            agreements: Agreements::new(first),
            queue: VecDeque::new(),
            evidence: Evidence::new(n, options),
            next_tick: started + config.heartbeat,
            next_status: started,
            members: Rank::all(n).map(Member::new).collect(),
            ending: Vec::new(),
            not_ours: crate::procfs::children(),
            early: None,
            strangers: Strangers::default(),
            versions,
            opening: None,
            inputs: Inputs::default(),
            results: Results::new(n),
            measure: Measure::default(),
            faults: Faults::new(&config.injections, n),
            summary: Summary { policy: config.policy.name(), n, ..Summary::default() },
            patience: None,
            ends: plan.ends,
            end: None,
            segment,
            tapes,
            observer,
            plan,
        }
    }

    fn run(mut self) -> Outcome {
        let command: Vec<_> =
            self.plan.config.command.iter().map(|w| w.to_string_lossy().into_owned()).collect();
        self.tell(&Event::Start {
            job: self.versions.job().to_string(),
            n: self.plan.config.n,
            policy: self.plan.config.policy.name(),
            seed: self.plan.config.seed,
            command,
            directory: self.versions.path().map_or_else(String::new, |p| p.display().to_string()),
        });
        self.versions.start_drain();
        self.start_nodes();
        for note in self.versions.take_notes() {
            self.note(note);
        }
        if let Some(ends) = self.ends {
            self.note(self.versions.prepares_end(sys::now(), ends));
        }
        // Asked for before there was a loop to see it.
        self.take_wish();
        // Without the thread, deaths are noticed by their pidfds alone.
        self.early = Early::start(Arc::clone(&self.segment)).ok();
        self.feed(Input::Start);
        while self.end.is_none() {
            self.turn();
        }
        self.conclude()
    }

    /// Gives the engine an input; its effects queue behind those still to be done.
    fn feed(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.recovery.step(input, &mut effects);
        self.queue.extend(effects);
    }

    /// Time since the start of the run.
    fn at(&self) -> Duration {
        sys::now().saturating_sub(self.started)
    }

    fn tell(&mut self, event: &Event) {
        let at = self.at();
        self.observer.event(at, event);
    }

    fn note(&mut self, text: String) {
        self.tell(&Event::Note { text });
    }
}
