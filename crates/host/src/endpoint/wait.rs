//! How a call waits: it tries, spins a little if it has a processor for itself, and sleeps on the
//! rank's doorbell.
//!
//! Each turn checks the epoch first, so no wait outlives it. Before it sleeps, a call takes in
//! every message that has a place and publishes what it waits for, so that who watches all ranks
//! can tell a deadlock from a wait. While it only spins, it takes in what it waits for, what
//! posted requests wait for, and rings so full that their sender may be stuck: that suffices for
//! progress and spares messages that nobody has asked for yet a second copy.
//! Invariant: a sleep lasts at most [`SLEEP_MAX`]; after a full one the launcher is looked for.
//! Deliberately absent: what the calls are.

use std::time::{Duration, Instant};

use mainstay_comm::bell;
use mainstay_comm::matching::Wanted;
use mainstay_comm::ring::{self, Broken};
use mainstay_types::{Rank, WaitKind};

use super::board::Meeting;
use super::inbound::{Sink, State, Target};
use super::pull::Pulled;
use super::push::Progress;
use super::request::Request;
use super::{CommError, Endpoint, Result, Tracer};
use crate::shm::futex::{self, Woken};

/// Longest sleep.
pub(super) const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Turns without progress before a rank with a processor for itself sleeps: about half a millisecond.
/// A rank that sleeps on a machine that is not quite idle waits for its processor when it is woken, and
/// a ping-pong then takes tens of microseconds instead of one.
const SPIN_TURNS: u32 = 20_000;
/// Turns in which a receive looks at nothing but its source's ring: about a microsecond.
const SOON_TURNS: u32 = 50;
/// Of so many turns, one looks at all rings.
const LOOK_AROUND: u32 = 16;

/// What a call wants done before it returns.
#[derive(Debug, Default)]
pub(super) struct Work<'a> {
    pub(super) send: Option<(Progress, &'a [u8])>,
    pub(super) receive: Option<Target<'a>>,
    /// Requests of which one has to complete.
    pub(super) requests: &'a [u32],
    /// A message that has to be there.
    pub(super) probe: Option<Wanted>,
    /// Ranks that have to come to a round on a board.
    pub(super) meeting: Option<Meeting<'a>>,
}

impl Endpoint {
    /// Waits until all of `work` is done.
    ///
    /// # Errors
    /// Interruption, the deadline, a vanished launcher, corruption. What had begun to arrive is
    /// then an unexpected message, what had begun to go out is queued.
    pub(super) fn drive(&mut self, work: &mut Work<'_>) -> Result<()> {
        let mut announced = false;
        self.trace(|t| t.drives(work.send.is_some()));
        let result = match self.comes_soon(work) {
            Ok(true) => return Ok(()),
            Ok(false) => self.turns(work, &mut announced),
            Err(error) => Err(error),
        };
        if announced {
            self.trace(Tracer::wakes);
            self.segment.end_wait(self.me);
        }
        if result.is_err() {
            self.settle(work);
        }
        result
    }

    /// What a receive from a known source tries first: its message often is here, or about to be. True
    /// if it came.
    #[inline]
    fn comes_soon(&mut self, work: &mut Work<'_>) -> Result<bool> {
        let Work { send: None, receive: Some(target), requests: [], probe: None, meeting: None } =
            work
        else {
            return Ok(false);
        };
        let (State::Waiting, Some(source), 0) = (target.state, target.wanted.source, self.queued)
        else {
            return Ok(false);
        };
        for _ in 0..if self.may_spin { SOON_TURNS } else { 1 } {
            if self.pull(source, &mut work.receive)? == Pulled::Frame {
                return Ok(
                    matches!(&work.receive, Some(t) if matches!(t.state, State::Done { .. })),
                );
            }
            std::hint::spin_loop();
        }
        Ok(false)
    }

    fn turns(&mut self, work: &mut Work<'_>, announced: &mut bool) -> Result<()> {
        let mut idle = 0;
        loop {
            let mut moved = self.advance(work)?;
            if self.is_done(work)? {
                return Ok(());
            }
            if idle % LOOK_AROUND == 1 {
                moved |= self.look_around(work)?;
            }
            self.check()?;
            if moved {
                idle = 0;
                continue;
            }
            idle += 1;
            if self.may_spin && idle < SPIN_TURNS {
                std::hint::spin_loop();
            } else if !self.may_spin && idle <= 2 {
                // One turn for whoever shares this processor, one to look around.
                if idle == 1 {
                    std::thread::yield_now();
                }
            } else if self.sleep(work, announced)? {
                idle = 0;
            }
        }
    }

    /// Moves on what the call itself wants; true if anything moved.
    #[inline]
    fn advance(&mut self, work: &mut Work<'_>) -> Result<bool> {
        let mut moved = self.flush()?;
        if let Some((progress, payload)) = &mut work.send
            && self.outbound[progress.to.index()].queue.is_empty()
        {
            let before = (progress.offset, progress.started);
            if self.push(progress, payload)? {
                work.send = None;
                moved = true;
            } else {
                moved |= before != (progress.offset, progress.started);
            }
        }
        if let Some(target) = &work.receive {
            let source = target.met.map(|(source, _)| source).or(target.wanted.source);
            while !is_settled(&work.receive)
                && self.pull_from(source, &mut work.receive)? == Pulled::Frame
            {
                moved = true;
            }
        }
        for id in work.requests {
            let Some(awaited) = self.requests.get(*id).and_then(Request::awaits) else { continue };
            while !self.is_complete(*id)
                && self.pull_from(awaited, &mut work.receive)? == Pulled::Frame
            {
                moved = true;
            }
        }
        if let Some(wanted) = work.probe {
            while self.matching.has(&wanted).is_none()
                && self.pull_from(wanted.source, &mut work.receive)? == Pulled::Frame
            {
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Takes in one frame, of this source or of anyone.
    #[inline]
    fn pull_from(
        &mut self,
        source: Option<Rank>,
        target: &mut Option<Target<'_>>,
    ) -> Result<Pulled> {
        let Some(source) = source else {
            return self.pull_one_of_all(target);
        };
        self.pull(source, target)
    }

    /// Takes in one frame, from one source after the other, so that none starves the others.
    fn pull_one_of_all(&mut self, target: &mut Option<Target<'_>>) -> Result<Pulled> {
        let n = self.n();
        for _ in 0..n {
            let source = Rank(self.next_source % n);
            self.next_source = (source.0 + 1) % n;
            if self.pull(source, target)? == Pulled::Frame {
                return Ok(Pulled::Frame);
            }
        }
        Ok(Pulled::Nothing)
    }

    /// Whether the call may return; fails if its message does not fit.
    #[inline]
    fn is_done(&mut self, work: &mut Work<'_>) -> Result<bool> {
        if let Some(target) = &mut work.receive {
            match target.state {
                State::Done { .. } => {}
                State::Claimed(id) if self.is_whole(id) => self.hand_over(target, id),
                State::TooLong(needed) => {
                    let room = target.buffer.len() as u64;
                    let (from, tag) = match target.met {
                        Some((source, label)) => (source, label.tag),
                        None => (self.me, 0),
                    };
                    return Err(CommError::Truncated { from, tag, needed, room });
                }
                _ => return Ok(false),
            }
        }
        let requests =
            work.requests.is_empty() || work.requests.iter().any(|id| self.is_complete(*id));
        let probe = work.probe.is_none_or(|wanted| self.matching.has(&wanted).is_some());
        let met = work.meeting.as_mut().is_none_or(|meeting| self.have_met(meeting));
        Ok(work.send.is_none() && requests && probe && met)
    }

    /// Takes in what posted receives wait for and what keeps peers from sending.
    fn look_around(&mut self, work: &mut Work<'_>) -> Result<bool> {
        let mut moved = false;
        let full = ring::frame_bytes(self.chunk);
        for source in Rank::all(self.n()) {
            let inbound = &mut self.inbound[source.index()];
            let head = self.segment.word(inbound.at.head);
            let begun = inbound.sink.is_some_and(|sink| sink != Sink::Target);
            let wanted = begun || self.matching.awaits(source);
            let crowded = match inbound.ring.is_crowded(head, full) {
                Ok(crowded) => crowded,
                Err(Broken) => return Err(self.corrupt(source, "the position of its writer")),
            };
            if wanted || crowded {
                moved |= self.pull_all_of(source, &mut work.receive)?;
            }
        }
        Ok(moved)
    }

    /// Takes in everything that has a place, from all sources.
    pub(super) fn pull_everything(&mut self, target: &mut Option<Target<'_>>) -> Result<bool> {
        let mut moved = false;
        for source in Rank::all(self.n()) {
            moved |= self.pull_all_of(source, target)?;
        }
        Ok(moved)
    }

    fn pull_all_of(&mut self, source: Rank, target: &mut Option<Target<'_>>) -> Result<bool> {
        let mut moved = false;
        while self.pull(source, target)? == Pulled::Frame {
            moved = true;
        }
        Ok(moved)
    }

    /// Announces a sleep, looks again at everything, and sleeps; true if anything moved.
    #[cold]
    fn sleep(&mut self, work: &mut Work<'_>, announced: &mut bool) -> Result<bool> {
        let bound = match self.until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return Err(CommError::Timeout),
            Some(left) => left.min(SLEEP_MAX),
            None => SLEEP_MAX,
        };
        let seen = bell::prepare(self.segment.waiting(self.me), self.segment.bell(self.me));
        let moved = self.second_look(work);
        let slept = match moved {
            Ok(false) => {
                self.tell_held();
                if !*announced {
                    let (kind, peer, tag) = self.wish(work);
                    // That of a collective is none that a program gave.
                    let given = tag.filter(|_| kind != WaitKind::Collective);
                    // A wait that ends by itself is no part of a deadlock.
                    let kind = if self.until.is_some() { WaitKind::Bounded } else { kind };
                    self.segment.begin_wait(self.me, kind, peer, tag);
                    self.trace(|t| t.sleeps(kind, peer, given));
                    *announced = true;
                }
                futex::wait(self.segment.bell(self.me), seen, bound)
            }
            _ => Woken::Changed,
        };
        bell::cancel(self.segment.waiting(self.me));
        if slept == Woken::TimedOut && (self.launcher_gone)() {
            return Err(CommError::LauncherGone);
        }
        let moved = moved?;
        if moved && *announced {
            // Progress: a new wait begins, if any.
            self.trace(Tracer::wakes);
            self.segment.end_wait(self.me);
            *announced = false;
        }
        Ok(moved)
    }

    fn second_look(&mut self, work: &mut Work<'_>) -> Result<bool> {
        self.check()?;
        let mut moved = self.advance(work)?;
        moved |= self.pull_everything(&mut work.receive)?;
        if self.cut.is_open() {
            self.observe_cut();
        }
        Ok(moved || self.is_done(work)?)
    }

    /// What to tell others about a wait.
    fn wish(&self, work: &Work<'_>) -> (WaitKind, Option<Rank>, Option<u32>) {
        let receive = |wanted: &Wanted| (WaitKind::Receive, wanted.source, wanted.tag);
        let (kind, peer, tag) = match (&work.receive, &work.send, work.requests, &work.probe) {
            (Some(t), ..) if !matches!(t.state, State::Done { .. }) => receive(&t.wanted),
            (_, Some((p, _)), ..) => (WaitKind::Send, Some(p.to), Some(p.label.tag)),
            (_, _, [id], _) => match self.requests.get(*id).map(Request::wish) {
                Some(wish) => wish,
                None => (WaitKind::Requests, None, None),
            },
            (.., Some(wanted)) => receive(wanted),
            _ => {
                let meeting = work.meeting.as_ref();
                (WaitKind::Requests, meeting.map(Meeting::missing), meeting.map(Meeting::tag))
            }
        };
        (self.within.unwrap_or(kind), peer, tag)
    }

    /// After a failed call: what it had begun goes on without it.
    #[cold]
    fn settle(&mut self, work: &mut Work<'_>) {
        if let Some(target) = &mut work.receive {
            self.orphan(target);
        }
        if let Some((progress, payload)) = work.send.take() {
            match progress.started {
                true => self.queue(progress, payload, None),
                false => self.channels_of(progress.label.context).withdraw(progress.to),
            }
        }
    }
}

#[inline]
fn is_settled(target: &Option<Target<'_>>) -> bool {
    target.as_ref().is_none_or(|target| {
        matches!(target.state, State::Done { .. } | State::TooLong(_) | State::Claimed(_))
    })
}
