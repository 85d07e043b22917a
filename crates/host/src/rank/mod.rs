//! One rank of a job, as the facade drives it: join, enter, step, capture, restore, finish.
//!
//! Invariants: an epoch is acknowledged only when no call of an older one is running; channels are
//! used only between an epoch's opening and the next acknowledgement. Deliberately absent: types of
//! the program's data, and every decision of the job.

mod agree;
mod arenas;
mod capture;
mod entry;
mod error;
mod finish;
mod gather;
mod image;
mod inject;
mod link;
mod restore;
mod track;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use mainstay_ckpt::FieldSpec;
use mainstay_comm::layout::{Control, Layout};
use mainstay_types::wire::{Group, ToRank, ToSupervisor};
use mainstay_types::{Epoch, Incarnation, Point, Rank as RankId, Step, Version, WaitKind};

use self::arenas::Arenas;
use self::inject::Injector;
use self::link::{Invitation, Link};
use self::track::Written;
use crate::endpoint::{Endpoint, EndpointConfig, Tracer};
use crate::shm::{Segment, Tape, futex};

pub use self::capture::{Due, Fill, Stepped};
pub use self::error::RankError;
pub use self::finish::InputAnswer;
pub use self::image::ImageReader;
pub(crate) use self::image::Shard;
pub(crate) use self::link::environment;

/// How long a wait sleeps at most before it looks around.
const PARK: std::time::Duration = std::time::Duration::from_millis(100);
/// Capacity of a ring of a rank without a launcher, which talks to itself only.
const ALONE_RING_BYTES: usize = mainstay_types::limits::RING_BYTES_MIN;

/// One rank of a job.
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts, not one state")]
pub struct Rank {
    id: RankId,
    n: u32,
    incarnation: Incarnation,
    segment: Rc<Segment>,
    endpoint: Endpoint,
    injector: Rc<Injector>,
    arenas: Arenas,
    /// What of the fields was written, where that is asked.
    written: Option<Written>,
    /// `None` without a launcher.
    link: Option<Rc<Link>>,
    audit: bool,
    /// Of the job's random numbers.
    seed: u64,
    epoch: Epoch,
    step: Step,
    restoring: Option<Restoring>,
    /// Whether the supervisor still has to be told that this rank has its state.
    owes_restored: bool,
    restore_ns: u64,
    specs: Vec<FieldSpec>,
    /// Whether the program has protected state, so that there is something to capture.
    protects: bool,
    /// Whether the launcher knows that this entry captures.
    told_ready: bool,
    finished: bool,
    /// How many agreements of each group this entry has come to.
    agreements: BTreeMap<Group, u64>,
    hashes: Vec<u64>,
    /// Where what is done is recorded, if it is.
    tracer: Option<Rc<Tracer>>,
    /// Where results go without a launcher.
    alone_output: Option<std::path::PathBuf>,
}

/// The version that this entry restores.
struct Restoring {
    version: Version,
    reader: ImageReader,
    /// States not restored yet.
    left: Vec<String>,
}

impl Rank {
    /// Joins the launcher that the environment names; without one, a job of one rank.
    ///
    /// # Errors
    /// [`RankError::Join`] when the launcher does not answer or speaks another protocol.
    pub fn join() -> Result<Self, RankError> {
        match Invitation::read()? {
            Some(invitation) => Self::join_launcher(&invitation),
            None => Self::alone(),
        }
    }

    fn join_launcher(invitation: &Invitation) -> Result<Self, RankError> {
        let (link, welcome, fds) = Link::join(invitation)?;
        let (n, ring_bytes, flags, (seed, one_arena, tracking), places, injections) = match welcome
        {
            ToRank::Welcome {
                n,
                ring_bytes,
                may_spin,
                audit,
                checks,
                seed,
                one_arena,
                tracking,
                tape,
                injections,
                ..
            } => {
                let versions = (seed, one_arena, tracking);
                (n, ring_bytes, (may_spin, audit, checks), versions, tape, injections)
            }
            ToRank::Refused { why } => return Err(RankError::Join(why)),
            _ => return Err(RankError::Join("the launcher does not welcome".to_owned())),
        };
        let bad = |what: &str| RankError::Join(format!("the launcher's segment {what}"));
        let ring_bytes = usize::try_from(ring_bytes).map_err(|_| bad("is too large"))?;
        let layout = Layout::new(n, ring_bytes).map_err(|error| bad(&error.to_string()))?;
        let mut fds = fds.into_iter();
        let fd = fds.next().ok_or_else(|| bad("did not come"))?;
        let id = invitation.rank;
        if id.0 >= n {
            return Err(bad("has no such rank"));
        }
        let (may_spin, audit, checks) = flags;
        let joined = Segment::join(&fd, layout, id).map_err(RankError::io("map the segment"))?;
        let segment = Rc::new(if checks { joined } else { joined.without_checks() });
        // Without it a death is noticed later, and that is all.
        let _noticed_later = segment.claim(id);
        let injector = Rc::new(Injector::new(Rc::clone(&segment), id, injections));
        let link = Rc::new(link);
        let mut rank = Self::assemble(
            id,
            invitation.incarnation,
            segment,
            injector,
            (may_spin, audit),
            Some(link),
        );
        rank.seed = seed;
        rank.arenas = Arenas::new(if one_arena { 1 } else { 2 });
        rank.written = Written::new(tracking, rank.arenas.slots());
        // A rank that cannot record what it does does it all the same.
        let tape = fds.next().filter(|_| places > 0).map(|fd| Tape::join(fd, places));
        if let Some(Ok(tape)) = tape {
            let tracer = Rc::new(Tracer::new(tape, invitation.incarnation));
            rank.endpoint.trace_with(Rc::clone(&tracer));
            rank.tracer = Some(tracer);
        }
        if invitation.incarnation > Incarnation(0) {
            rank.injector.pass(Point::Respawned);
        }
        Ok(rank)
    }

    /// A job of one rank in this process.
    fn alone() -> Result<Self, RankError> {
        let io = RankError::io("map a segment");
        let layout =
            Layout::new(1, ALONE_RING_BYTES).map_err(|e| RankError::Join(e.to_string()))?;
        let segment = Rc::new(Segment::create(layout).map_err(io)?);
        segment.control(Control::Epoch).store(1, Ordering::Release);
        let injector = Rc::new(Injector::new(Rc::clone(&segment), RankId(0), Vec::new()));
        Ok(Self::assemble(RankId(0), Incarnation(0), segment, injector, (true, false), None))
    }

    fn assemble(
        id: RankId,
        incarnation: Incarnation,
        segment: Rc<Segment>,
        injector: Rc<Injector>,
        (may_spin, audit): (bool, bool),
        link: Option<Rc<Link>>,
    ) -> Self {
        let gone = link.clone();
        let passes = Rc::clone(&injector);
        let endpoint = Endpoint::new(EndpointConfig {
            segment: Rc::clone(&segment),
            rank: id,
            may_spin,
            audit,
            point: Box::new(move |point| passes.pass(point)),
            launcher_gone: Box::new(move || gone.as_ref().is_some_and(|link| link.is_closed())),
        });
        Self {
            id,
            n: segment.layout().n(),
            incarnation,
            segment,
            endpoint,
            injector,
            arenas: Arenas::new(2),
            written: None,
            link,
            audit,
            seed: 0,
            epoch: Epoch(0),
            step: Step(0),
            restoring: None,
            owes_restored: false,
            restore_ns: 0,
            specs: Vec::new(),
            protects: false,
            told_ready: false,
            finished: false,
            agreements: BTreeMap::new(),
            hashes: Vec::new(),
            tracer: None,
            alone_output: None,
        }
    }

    /// This rank.
    #[must_use]
    pub fn rank(&self) -> RankId {
        self.id
    }

    /// How many ranks the job has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.n as usize
    }

    /// The seed of the job's random numbers; 0 without a launcher.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Steps completed in the current logical history.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The version that this entry began from; `None` is the start of the job.
    #[must_use]
    pub fn restored_version(&self) -> Option<Version> {
        self.restoring.as_ref().map(|restoring| restoring.version)
    }

    /// Whether this entry restores what ranks of another number captured.
    #[must_use]
    pub fn is_gathering(&self) -> bool {
        self.restoring.as_ref().is_some_and(|restoring| restoring.reader.is_gathering())
    }

    /// The driver of messages.
    #[inline]
    pub fn endpoint(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// Whether the job's results are all in: nothing fails any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether a newer epoch was raised than the one entered.
    #[inline]
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.segment.control(Control::Epoch).load(Ordering::Acquire) != u64::from(self.epoch.0)
    }

    /// To be called at the start of each call: obeys orders, notices an interruption.
    ///
    /// # Errors
    /// [`RankError::Interrupted`]; [`RankError::Finished`] when there is no job any more to call.
    #[inline]
    pub fn check(&self) -> Result<(), RankError> {
        self.injector.obey();
        if self.finished {
            return Err(RankError::Finished);
        }
        if self.is_interrupted() { Err(RankError::Interrupted) } else { Ok(()) }
    }

    fn tell(&self, message: &ToSupervisor) -> Result<(), RankError> {
        self.link.as_ref().map_or(Ok(()), |link| link.tell(message))
    }

    /// Hears from the supervisor, and shows meanwhile that it is waited for.
    fn hear<T>(&self, talk: impl FnOnce() -> Result<T, RankError>) -> Result<T, RankError> {
        self.segment.begin_wait(self.id, WaitKind::Supervisor, None, None);
        self.trace(|t| t.sleeps(WaitKind::Supervisor, None, None));
        let heard = talk();
        self.trace(Tracer::wakes);
        self.segment.end_wait(self.id);
        heard
    }

    /// Sleeps until `done`, or the epoch is raised; whenever it is woken, it does what is to be
    /// tended meanwhile.
    fn wait_until(
        &mut self,
        kind: WaitKind,
        done: impl Fn(&Segment) -> bool,
        tend: impl Fn(&mut Self) -> Result<(), RankError>,
    ) -> Result<(), RankError> {
        let segment = Rc::clone(&self.segment);
        let bell = segment.bell(self.id);
        let waiting = segment.waiting(self.id);
        segment.begin_wait(self.id, kind, None, None);
        self.trace(|t| t.sleeps(kind, None, None));
        let outcome = loop {
            waiting.store(1, Ordering::SeqCst);
            let seen = bell.load(Ordering::SeqCst);
            if done(&segment) {
                break Ok(());
            }
            if self.is_interrupted() {
                break Err(RankError::Interrupted);
            }
            if let Err(error) = tend(self) {
                break Err(error);
            }
            if futex::wait(bell, seen, PARK) == futex::Woken::TimedOut
                && self.link.as_ref().is_some_and(|link| link.is_closed())
            {
                break Err(RankError::LauncherGone);
            }
        };
        waiting.store(0, Ordering::SeqCst);
        self.trace(Tracer::wakes);
        segment.end_wait(self.id);
        outcome
    }

    /// Tells the tracer, if there is one.
    fn trace(&self, tell: impl FnOnce(&Tracer)) {
        if let Some(tracer) = &self.tracer {
            tell(tracer);
        }
    }

    /// Sleeps until the epoch is raised.
    fn wait_for_epoch(&mut self) -> Result<(), RankError> {
        match self.wait_until(WaitKind::Supervisor, |_| false, |_| Ok(())) {
            Err(RankError::Interrupted) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Rank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rank")
            .field("rank", &self.id)
            .field("incarnation", &self.incarnation)
            .field("epoch", &self.epoch)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
