//! What a rank records of itself when its run is traced.
//!
//! The hooks are one line each and cost a branch where nothing is traced. A send is recorded when
//! the next thing begins, so one reading of the clock ends the one and begins the other. Invariant:
//! nothing here can fail, wait or change what the rank does. Deliberately absent: the record
//! ([`mainstay_types::trace`]) and its memory ([`crate::shm::Tape`]).

use std::cell::Cell;

use mainstay_comm::matching::{Label, PROLOGUE, is_prologue};
use mainstay_types::trace::{Parts, Passage, Record, What};
use mainstay_types::{Epoch, Incarnation, Rank, WaitKind};

use super::Endpoint;
use super::collective::Kind;
use crate::shm::Tape;
use crate::sys::now_ns;

/// The pen to a rank's tape.
#[derive(Debug)]
pub struct Tracer {
    tape: Tape,
    incarnation: Incarnation,
    epoch: Cell<Epoch>,
    /// When the call under way began to wait for what it does.
    driven_ns: Cell<u64>,
    /// A message that goes out, and since when.
    sending: Cell<Option<(u64, Passage)>>,
    /// When the collective under way began, and the kinds of its messages so far.
    collective: Cell<(u64, Parts)>,
    /// What is slept for, and since when.
    sleeping: Cell<Option<(u64, What)>>,
}

impl Tracer {
    /// A pen for a tape.
    #[must_use]
    pub fn new(tape: Tape, incarnation: Incarnation) -> Self {
        Self {
            tape,
            incarnation,
            epoch: Cell::new(Epoch(0)),
            driven_ns: Cell::new(0),
            sending: Cell::new(None),
            collective: Cell::new((0, Parts(0))),
            sleeping: Cell::new(None),
        }
    }

    /// Records what began at `start_ns` and ends now.
    pub(crate) fn since(&self, start_ns: u64, what: What) {
        self.write(start_ns, now_ns(), what);
    }

    /// Records what takes no time.
    pub(crate) fn now(&self, what: What) {
        let now = now_ns();
        self.write(now, now, what);
    }

    /// The epoch that later records are of.
    pub(crate) fn enters(&self, epoch: Epoch) {
        self.epoch.set(epoch);
        self.sending.set(None);
    }

    fn record(&self, start_ns: u64, end_ns: u64, what: What) -> Record {
        let (epoch, incarnation) = (self.epoch.get(), self.incarnation);
        let duration_ns = end_ns.saturating_sub(start_ns);
        Record { start_ns, duration_ns, epoch, incarnation, what }
    }

    #[inline]
    fn write(&self, start_ns: u64, end_ns: u64, what: What) {
        self.tape.write(&self.record(start_ns, end_ns, what));
    }

    /// The message that went out is out.
    fn sent(&self, now: u64) {
        if let Some((start, passage)) = self.sending.take() {
            self.write(start, now, What::Send(passage));
        }
    }

    /// A message gets its number and goes out.
    #[inline(never)]
    pub(super) fn sends(&self, passage: Passage) {
        let now = now_ns();
        self.sent(now);
        self.sending.set(Some((now, passage)));
    }

    /// A call begins to wait for what it does; for its own message to go out if `sends`.
    #[inline(never)]
    pub(super) fn drives(&self, sends: bool) {
        let now = now_ns();
        self.driven_ns.set(now);
        if !sends {
            self.sent(now);
        }
    }

    /// A message is the program's.
    #[inline(never)]
    pub(super) fn receives(&self, passage: Passage) {
        self.since(self.driven_ns.get(), What::Receive(passage));
    }

    /// A call returns.
    #[inline(never)]
    pub(super) fn leaves(&self) {
        if self.sending.get().is_some() {
            self.sent(now_ns());
        }
    }

    /// A collective begins.
    pub(super) fn begins(&self) {
        self.collective.set((now_ns(), Parts(0)));
    }

    /// A collective has messages of this kind.
    pub(super) fn has(&self, kind: Kind) {
        let (start, Parts(parts)) = self.collective.get();
        self.collective.set((start, Parts(parts | 1 << kind as u32)));
    }

    /// The collective is over.
    pub(super) fn ends(&self) {
        let now = now_ns();
        self.sent(now);
        let (start, parts) = self.collective.get();
        self.write(start, now, What::Collective(parts));
    }

    /// The rank goes to sleep.
    pub(crate) fn sleeps(&self, kind: WaitKind, peer: Option<Rank>, tag: impl Into<Option<u32>>) {
        let (now, what) = (now_ns(), What::Wait { kind, peer, tag: tag.into() });
        self.sleeping.set(Some((now, what)));
        self.tape.open(&self.record(now, now, what));
    }

    /// It does not sleep for that any more.
    pub(crate) fn wakes(&self) {
        if let Some((start, what)) = self.sleeping.take() {
            self.since(start, what);
        }
    }
}

impl Endpoint {
    /// Tells the tracer, if there is one.
    #[inline]
    pub(super) fn trace(&self, tell: impl FnOnce(&Tracer)) {
        if let Some(tracer) = &self.tracer {
            tell(tracer);
        }
    }
}

/// One end of a message.
#[inline]
pub(super) fn passage(peer: Rank, label: Label, sequence: u64, bytes: usize) -> Passage {
    let (context, prologue) = (label.context & !PROLOGUE, is_prologue(label.context));
    Passage { peer, context, tag: label.tag, bytes: bytes as u64, sequence, prologue }
}
