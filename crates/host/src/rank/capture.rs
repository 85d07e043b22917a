//! A step: is a capture due, and if so, the blocking part of it.
//!
//! Invariants: a version is captured at exactly the step that the target names; the program is
//! blocked for one pass over its fields, or what of them was written, and for nothing else. Deliberately absent: clocks; no rank
//! decides when.

use std::rc::Rc;

use mainstay_ckpt::format::header::Header;
use mainstay_ckpt::format::image::ImageWriter;
use mainstay_ckpt::format::message::{encode_late, messages_bytes};
use mainstay_ckpt::format::table::Cut;
use mainstay_ckpt::kernel::Residency;
use mainstay_ckpt::{FieldSpec, Plan};
use mainstay_comm::layout::{Control, Status};
use mainstay_control::target::words::Target;
use mainstay_types::trace::What;
use mainstay_types::wire::{ToRank, ToSupervisor};
use mainstay_types::{Point, Version};

use super::track::Written;
use super::{Rank, RankError};
use crate::shm::{Arena, Blob, prefer_large_pages};
use crate::sys;

/// Room for messages in an arena beside the fields, so that a few unexpected ones at a capture do
/// not cost a new arena.
const MESSAGES_ROOM: u64 = 64 * 1024;

/// A capture that is due at this step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    version: Version,
    slot: u8,
}

/// Hands over each field to the function it is given.
pub type Fill<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&[u8]));

/// What a completed step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Nothing.
    On,
    /// The state as it is now.
    Capture(Due),
}

impl Rank {
    /// Registers the fields of a protected state.
    ///
    /// # Errors
    /// [`RankError::Fields`] when they do not make a state.
    pub fn prepare(&mut self, specs: &[FieldSpec]) -> Result<(), RankError> {
        // In a restored entry a request would not find its message behind `protect`.
        match self.endpoint.outstanding() {
            0 => {}
            count => return Err(RankError::Outstanding { count, at: "protect" }),
        }
        self.protects = true;
        self.specs.extend_from_slice(specs);
        Plan::new(&self.specs)?;
        // At the job's start a rank has its state once it has made it.
        if self.restoring.is_some() {
            return Ok(());
        }
        self.endpoint.end_prologue();
        self.tell_restored()
    }

    /// Takes note of the memory of a field that was made anew, and asks for large pages where none
    /// was touched yet: a killed process gives them back at once, so the next one finds them.
    pub fn holds(&self, field: &[u8]) {
        prefer_large_pages(field);
    }

    /// Completes a step.
    ///
    /// # Errors
    /// [`RankError::Interrupted`]; [`RankError::Outstanding`] when requests are not complete.
    pub fn step_done(&mut self) -> Result<Stepped, RankError> {
        self.segment.enter_call(self.id);
        let outcome = self.stepped();
        self.segment.leave_call(self.id);
        outcome
    }

    fn stepped(&mut self) -> Result<Stepped, RankError> {
        self.tell_restored()?;
        let step = self.step.next();
        self.injector.step(step);
        match self.endpoint.outstanding() {
            0 => {}
            count => return Err(RankError::Outstanding { count, at: "checkpoint" }),
        }
        if self.protects && !self.told_ready {
            if self.link.is_some() && !self.specs.is_empty() {
                let plan = Plan::new(&self.specs)?;
                let bytes = plan.image_bytes(self.n, MESSAGES_ROOM);
                for slot in self.arenas.slots() {
                    self.arena(slot, bytes)?;
                }
            }
            self.tell(&ToSupervisor::Ready { epoch: self.epoch })?;
            self.told_ready = true;
        }
        self.step = step;
        self.trace(|t| t.now(What::Step(step)));
        let control = |word| self.segment.control(word);
        let own = self.segment.status(self.id, Status::Step);
        let target = Target {
            step: control(Control::Target),
            version: control(Control::TargetVersion),
            slot: control(Control::TargetSlot),
        };
        Ok(match target.at_step(&own, step) {
            Some((version, slot)) if self.protects => Stepped::Capture(Due { version, slot }),
            // Without protected state an entry begins at the start: a version would give it the
            // channels of a later moment. Nobody names a target before all are ready.
            Some(_) | None => Stepped::On,
        })
    }

    /// The arena of a slot, with at least `bytes`.
    fn arena(&mut self, slot: u8, bytes: u64) -> Result<Rc<Arena>, RankError> {
        use mainstay_ckpt::format::memory::ReadAt;
        if let Some(arena) = self.arenas.slot(slot).filter(|arena| arena.bytes() >= bytes) {
            return Ok(arena);
        }
        let Some(link) = &self.link else {
            return Err(RankError::LauncherGone);
        };
        let epoch = self.epoch;
        let question = ToSupervisor::Arena { epoch, slot, bytes };
        match self.hear(|| link.ask(&question, &[]))? {
            (ToRank::Arena { slot: given, .. }, fds) if given == slot => {
                let fd = fds.into_iter().next().ok_or(RankError::LauncherGone)?;
                let arena = self.arenas.open(fd).map_err(RankError::io("map an arena"))?;
                self.arenas.place(slot, Rc::clone(&arena));
                Ok(arena)
            }
            _ => Err(RankError::Join("the launcher gives something else than an arena".to_owned())),
        }
    }

    /// Captures: `fill` hands over each field named in `specs`, in order.
    ///
    /// # Errors
    /// [`RankError::Interrupted`]; a state whose fields changed while they were captured.
    pub fn capture(
        &mut self,
        due: Due,
        specs: &[FieldSpec],
        fill: Fill<'_>,
    ) -> Result<(), RankError> {
        self.segment.enter_call(self.id);
        let outcome = self.capture_inside(due, specs, fill);
        self.segment.leave_call(self.id);
        outcome
    }

    fn capture_inside(
        &mut self,
        due: Due,
        specs: &[FieldSpec],
        fill: Fill<'_>,
    ) -> Result<(), RankError> {
        let started = sys::now_ns();
        let plan = Plan::new(specs)?;
        let state = self.endpoint.cut(due.version)?;
        let cut = Cut {
            sent: state.sent.clone(),
            delivered: state.delivered.clone(),
            unexpected: state.unexpected,
            rounds: state.rounds,
            communicators: state.communicators,
        };
        let bytes = plan.image_bytes(self.n, messages_bytes(&cut.unexpected));
        let arena = self.arena(due.slot, bytes)?;
        let mut memory: &Arena = &arena;
        let mut writer = ImageWriter::new(&mut memory, &plan, cut, Residency::Streaming)
            .map_err(RankError::Capture)?;
        let (mut next, mut changed) = (0, false);
        let (written, injector) = (&mut self.written, &self.injector);
        if let Some(written) = written {
            written.begin(due.slot, &arena, &plan);
        }
        fill(&mut |bytes| {
            let fits = next < specs.len() && plan.field_bytes(next) == bytes.len() as u64;
            changed |= !fits;
            if changed {
                return;
            }
            let pass = &mut || injector.pass(Point::CaptureMid);
            match written {
                None => writer.field(bytes, pass),
                Some(written) => {
                    writer.field_held(bytes, (written.look(next, bytes), due.slot), pass);
                }
            }
            next += 1;
        });
        if changed || next != specs.len() {
            let why = "`State::fields` names other fields than a moment before".to_owned();
            return Err(RankError::Mismatch { version: due.version.0, why });
        }
        let tracked = self.written.as_mut().map(Written::end);
        let header = Header::of(self.id, self.n, self.epoch, self.incarnation);
        let captured = writer.finish(header.at(due.version, self.step));
        let (version, bytes) = (due.version, captured.image_bytes);
        self.trace(|t| t.since(started, What::Capture { version, bytes }));
        self.injector.pass(Point::Captured);
        self.tell(&ToSupervisor::Captured {
            epoch: self.epoch,
            version: due.version,
            step: self.step,
            image_bytes: captured.image_bytes,
            table_crc: captured.table_crc,
            blocked_ns: sys::now_ns() - started,
            sent: state.sent,
            delivered: state.delivered,
            early: state.early,
            tracked,
        })?;
        self.injector.pass(Point::Prepared);
        Ok(())
    }

    /// Ends a step: hands in late messages of a version once they are complete.
    ///
    /// # Errors
    /// [`RankError::Interrupted`].
    pub fn end_step(&mut self) -> Result<(), RankError> {
        if self.audit {
            self.hashes.push(self.endpoint.take_hash());
        }
        self.hand_in_late()?;
        if self.is_interrupted() { Err(RankError::Interrupted) } else { Ok(()) }
    }

    pub(super) fn hand_in_late(&mut self) -> Result<(), RankError> {
        let Some((version, late)) = self.endpoint.late_ready() else {
            return Ok(());
        };
        let bytes = encode_late(&late);
        let blob = Blob::create("mainstay-late", &[&bytes])
            .map_err(RankError::io("keep late messages"))?;
        let message = ToSupervisor::Late {
            epoch: self.epoch,
            version,
            bytes: bytes.len() as u64,
            crc: blob.crc(),
        };
        match &self.link {
            Some(link) => link.tell_with(&message, &[std::os::fd::AsFd::as_fd(&blob)]),
            None => Ok(()),
        }
    }
}
