//! The rank's side of messages: moves bytes as the engines of `comm` decide.
//!
//! One [`Endpoint`] a rank, used by one thread. A message goes as frames through the ring of its
//! ordered pair; the receiver copies each payload once, with its CRC, to where it belongs: the
//! buffer of the call that waits for it, that of a posted request, or one of its own if nothing
//! waits. Invariants: no call blocks past a raised epoch, a vanished launcher or its deadline;
//! once interrupted, every call fails so until [`Endpoint::begin_epoch`]; a call that waits also
//! takes in what its peers cannot send otherwise, so two large sends that cross both end.
//! Deliberately absent: decisions on frames, counters and matching (`comm`), typed data and
//! communicators (the facade), and any lock: words and rings suffice.
//!
//! # Memory
//! Unexpected messages are kept up to [`UNEXPECTED_BYTES_MAX`] a rank, half of it in equal shares of
//! the sources ([`mainstay_comm::credits`]). Beyond that a ring is read on only for messages that a
//! receive or a probe waits for, so their sender waits.

mod board;
mod choice;
mod collective;
mod cut;
mod epoch;
mod error;
mod exchange;
mod group;
mod inbound;
mod leg;
mod p2p;
mod pull;
mod push;
mod request;
mod room;
mod table;
mod trace;
mod wait;

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mainstay_comm::board::BOARDS;
use mainstay_comm::credits::Credits;
use mainstay_comm::layout::{Control, Counter, Words};
use mainstay_comm::matching::{Label, Matching, Wanted, is_prologue};
use mainstay_comm::mix::mixed;
use mainstay_comm::ring;
use mainstay_comm::{Channels, Cut, Journal};
use mainstay_types::{Epoch, Incarnation, Point, Rank, Version, WaitKind};

pub use collective::Fold;
pub use cut::{CutState, Resume};
pub use error::{CommError, Result};
pub use group::Group;
pub use leg::{Leg, Purpose};
pub use p2p::{Arrived, From};
pub use request::RequestId;
pub use room::Room;
pub use trace::Tracer;

use crate::shm::Segment;
use board::Folding;
use inbound::{Inbound, Unexpected};
use push::Outbound;
use request::Request;
use table::Table;

/// Memory of a rank for unexpected messages, bytes.
pub const UNEXPECTED_BYTES_MAX: u64 = 256 << 20;

/// What an endpoint is made of.
pub struct EndpointConfig {
    /// The job's segment as this rank maps it.
    pub segment: Rc<Segment>,
    /// This rank.
    pub rank: Rank,
    /// Whether it has a processor for itself and may spin before it sleeps.
    pub may_spin: bool,
    /// Whether messages are hashed for [`Endpoint::take_hash`].
    pub audit: bool,
    /// Called as the rank passes a point.
    pub point: Box<dyn Fn(Point)>,
    /// Whether the launcher is gone; asked now and then while waiting.
    pub launcher_gone: Box<dyn Fn() -> bool>,
}

/// Where an entry of the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The program does not have its state yet.
    Prologue,
    /// What the program does now is part of the job's history.
    History,
}

/// The rank's end of all its channels.
pub struct Endpoint {
    segment: Rc<Segment>,
    point: Box<dyn Fn(Point)>,
    launcher_gone: Box<dyn Fn() -> bool>,
    me: Rank,
    /// This rank's own.
    words: Words,
    may_spin: bool,
    audit: bool,
    /// How long a call waits at most.
    patience: Option<Duration>,
    /// When the call under way has waited so long.
    until: Option<Instant>,
    /// Payload bytes of a full frame.
    chunk: usize,
    /// Whether an epoch is begun and not interrupted.
    live: bool,
    channels: Channels,
    /// The channels of the prologue of a restored entry, which is no part of what is restored.
    before: Channels,
    phase: Phase,
    cut: Cut,
    journal: Journal,
    /// Rounds that this rank went through on each board.
    rounds: [u64; BOARDS],
    /// What the ranks gave as totals in the last round that was met.
    totals: Vec<u64>,
    /// Communicators made so far, and in the version restored.
    communicators: u32,
    communicators_before: u32,
    matching: Matching,
    /// What a probe waits for, which is kept beyond the limit of unexpected bytes.
    probing: Option<Wanted>,
    /// Whose ring is looked at next where anyone's will do.
    next_source: u32,
    outbound: Vec<Outbound>,
    inbound: Vec<Inbound>,
    unexpected: Table<Unexpected>,
    credits: Credits,
    requests: Table<Request>,
    serial: u64,
    /// Messages in outbound queues.
    queued: usize,
    /// What the call under way is part of, for who looks at the wait words.
    within: Option<WaitKind>,
    /// Where parts of a collective land before they are folded.
    scratch: Vec<u8>,
    /// Room for what is known of those parts.
    parts: Vec<Folding>,
    hash: u64,
    /// Where what is done is recorded, if it is.
    tracer: Option<Rc<Tracer>>,
}

impl Endpoint {
    /// An endpoint without an epoch: every call is interrupted until one begins.
    #[must_use]
    pub fn new(config: EndpointConfig) -> Self {
        let (segment, rank) = (config.segment, config.rank);
        let layout = *segment.layout();
        let n = layout.n();
        let none = Rank::all(n).map(|_| Incarnation(0)).collect();
        Self {
            point: config.point,
            launcher_gone: config.launcher_gone,
            me: rank,
            words: layout.words(rank),
            may_spin: config.may_spin,
            audit: config.audit,
            patience: None,
            until: None,
            chunk: ring::chunk_bytes(layout.ring_bytes()),
            live: false,
            before: Channels::new(rank, Epoch(0), Vec::clone(&none)),
            phase: Phase::History,
            channels: Channels::new(rank, Epoch(0), none),
            cut: Cut::new(n, Version(0)),
            journal: Journal::default(),
            rounds: [0; BOARDS],
            totals: Vec::new(),
            communicators: 0,
            communicators_before: 0,
            matching: Matching::new(n),
            probing: None,
            next_source: 0,
            outbound: Outbound::all(&layout, rank),
            inbound: Inbound::all(&layout, rank),
            unexpected: Table::new(),
            credits: Credits::new(n, UNEXPECTED_BYTES_MAX),
            requests: Table::new(),
            serial: 0,
            queued: 0,
            within: None,
            scratch: Vec::new(),
            parts: Vec::new(),
            hash: 0,
            tracer: None,
            segment,
        }
    }

    /// The label of a message or receive that the program starts now.
    #[inline]
    fn now(&self, label: Label) -> Label {
        match self.phase {
            Phase::Prologue => label.in_prologue(),
            Phase::History => label,
        }
    }

    /// The channels that a message of this context belongs to.
    #[inline]
    fn channels_of(&mut self, context: u32) -> &mut Channels {
        if is_prologue(context) { &mut self.before } else { &mut self.channels }
    }

    /// Records from now on what is done.
    pub fn trace_with(&mut self, tracer: Rc<Tracer>) {
        self.tracer = Some(tracer);
    }

    /// This rank.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.me
    }

    /// Number of ranks.
    #[must_use]
    pub fn n(&self) -> u32 {
        self.segment.layout().n()
    }

    /// Lets each later call wait at most so long, then fail with [`CommError::Timeout`]; `None`
    /// lets it wait while the epoch lasts. A collective that ran out of it is half done: only a new
    /// epoch makes its context usable again.
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Keeps at most so many bytes of unexpected messages instead of [`UNEXPECTED_BYTES_MAX`], from
    /// the next epoch on.
    pub fn set_unexpected_bytes_max(&mut self, bytes: u64) {
        self.credits = Credits::new(self.n(), bytes);
    }

    /// The hash of all messages since it was last taken, whatever the order in which channels
    /// moved: two runs of a deterministic program agree on it step by step.
    pub fn take_hash(&mut self) -> u64 {
        std::mem::take(&mut self.hash)
    }

    /// Fails when the epoch is over: now, or since an earlier call of this epoch noticed.
    ///
    /// # Errors
    /// [`CommError::Interrupted`].
    #[inline]
    pub fn check(&mut self) -> Result<()> {
        let epoch = self.segment.control(Control::Epoch).load(Ordering::Acquire);
        if epoch != u64::from(self.channels.epoch().0) {
            self.live = false;
        }
        match self.live {
            true => Ok(()),
            false => Err(CommError::Interrupted),
        }
    }

    /// Runs a call: tells who watches, fails if the epoch is over, and tends an open cut.
    #[inline]
    fn call<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.segment.enter(self.words);
        self.until = self.patience.and_then(|p| Instant::now().checked_add(p));
        let result = self.check().and_then(|()| {
            if self.cut.is_open() {
                self.tend_cut()?;
            }
            body(self)
        });
        self.trace(Tracer::leaves);
        self.segment.leave(self.words);
        result
    }

    #[inline]
    fn known(&self, rank: Rank) -> Result<()> {
        match rank.0 < self.n() {
            true => Ok(()),
            false => Err(CommError::NoSuchRank { rank, n: self.n() }),
        }
    }

    #[inline]
    fn count(&self, counter: Counter) {
        crate::shm::bump(self.segment.word(self.words.counter(counter)));
    }

    /// The error for what contradicts the protocol, unless the epoch is over: then its remains
    /// prove nothing.
    #[cold]
    fn corrupt(&mut self, peer: Rank, what: &'static str) -> CommError {
        if let Err(interrupted) = self.check() {
            return interrupted;
        }
        self.count(Counter::Corrupt);
        CommError::Corrupt { peer, what }
    }

    /// Adds a message to the hash of this step. A sum, as channels move in any order; the number
    /// on the channel keeps the order within one.
    fn hash_in(&mut self, sent: bool, peer: Rank, label: Label, sequence: u64, payload: &[u8]) {
        let crc = mainstay_comm::message::hash(label.context, label.tag, payload);
        let lane = u64::from(peer.0) << 1 | u64::from(sent);
        let sum = mixed([lane, sequence, u64::from(crc)]);
        self.hash = self.hash.wrapping_add(sum);
    }
}
