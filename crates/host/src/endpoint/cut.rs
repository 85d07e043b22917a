//! The endpoint's part in a capture: counters, the colour, and the late messages that follow.
//!
//! Invariants: the counters are published before the version that they belong to; nothing is
//! captured while requests are outstanding. Deliberately absent: which version, and when.

use std::sync::atomic::Ordering;

use mainstay_comm::layout::{Control, Status};
use mainstay_comm::matching::is_prologue;
use mainstay_types::limits::BOARD_COMMUNICATORS;
use mainstay_types::wire::Early;
use mainstay_types::{Late, Message, Rank, Version};

use super::inbound::Unexpected;
use super::{CommError, Endpoint, Result};

/// What a capture saves of a rank's channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutState {
    /// Messages sent, by destination.
    pub sent: Vec<u64>,
    /// Messages taken in, by source.
    pub delivered: Vec<u64>,
    /// Messages taken in that no receive has asked for yet.
    pub unexpected: Vec<Message>,
    /// Rounds gone through on the boards of the communicators of the lowest numbers.
    pub rounds: [u64; BOARD_COMMUNICATORS],
    /// Communicators made so far.
    pub communicators: u32,
    /// Messages taken in that their senders sent after their own captures of the same version.
    pub early: Vec<Early>,
}

/// What a rank's channels start from after a restore.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The version restored.
    pub version: Version,
    /// What this rank saved.
    pub cut: mainstay_ckpt::Cut,
    /// Its late messages, and what it had chosen.
    pub late: Late,
    /// Messages that each destination has already taken in, by destination.
    pub suppress: Vec<u64>,
    /// Hashes of those among them that were sent after the version.
    pub early: Vec<Early>,
}

impl Resume {
    /// The same in the words of `comm`, which does not know how a version is stored.
    pub(super) fn into_engine(self) -> mainstay_comm::Resume {
        mainstay_comm::Resume {
            version: self.version,
            cut: mainstay_comm::CutState {
                sent: self.cut.sent,
                delivered: self.cut.delivered,
                unexpected: self.cut.unexpected,
            },
            late: self.late,
            suppress: self.suppress,
            early: self.early,
        }
    }
}

impl Endpoint {
    /// Captures the channels as part of `version`: what to save of them.
    ///
    /// From here on messages of peers that have not captured it are late; see
    /// [`Endpoint::late_ready`].
    ///
    /// # Errors
    /// [`CommError::Outstanding`] while requests are outstanding, [`CommError::Interrupted`],
    /// [`CommError::Corrupt`].
    pub fn cut(&mut self, version: Version) -> Result<CutState> {
        self.check()?;
        match self.outstanding() {
            0 => {}
            count => return Err(CommError::Outstanding { count }),
        }
        // What is here already need not come late.
        self.pull_everything(&mut None)?;
        let ids: Vec<u32> = self.matching.unexpected().collect();
        let whole = |id: u32| self.unexpected.get(id).filter(|kept| kept.whole);
        let of_version = |kept: &&Unexpected| !is_prologue(kept.message.context);
        let kept = ids.into_iter().filter_map(whole).filter(of_version);
        let mut unexpected: Vec<_> = kept.map(|kept| kept.message.clone()).collect();
        unexpected.sort_by_key(|message| (message.source, message.sequence));
        let state = CutState {
            sent: self.channels.sent().to_vec(),
            delivered: self.channels.delivered().to_vec(),
            unexpected,
            rounds: self.rounds_of_history(),
            communicators: self.communicators,
            early: self.cut.capture(version),
        };
        self.journal.capture();
        for (to, sent) in Rank::all(self.n()).zip(&state.sent) {
            let word = self.segment.cap_sent(self.me, to);
            word.store(*sent, Ordering::Relaxed);
        }
        // Release: who sees the version sees its counters.
        self.segment.status(self.me, Status::CapVersion).store(version.0, Ordering::Release);
        Ok(state)
    }

    /// The late messages of the last capture, and the choices that belong to it, once nothing of it
    /// is under way any more; once for each capture. Takes in what has arrived. `None` also when
    /// the epoch is over or a ring is corrupt: the next call says so.
    pub fn late_ready(&mut self) -> Option<(Version, Late)> {
        if !self.cut.is_open() || self.check().is_err() || self.tend_cut().is_err() {
            return None;
        }
        let (version, messages) = self.cut.take_closed()?;
        Some((version, Late { messages, determinants: self.journal.close() }))
    }

    /// Moves messages on without a call: for waits that are not the endpoint's own, such as for
    /// the end of the job. True if anything moved.
    ///
    /// # Errors
    /// [`CommError::Interrupted`], [`CommError::Corrupt`].
    pub fn progress(&mut self) -> Result<bool> {
        self.check()?;
        let moved = self.flush()?;
        let pulled = self.pull_everything(&mut None)?;
        self.observe_cut();
        self.tell_held();
        Ok(moved || pulled)
    }

    /// Takes in what has arrived and looks which channels of the cut are closed by it.
    pub(super) fn tend_cut(&mut self) -> Result<()> {
        self.pull_everything(&mut None)?;
        self.observe_cut();
        Ok(())
    }

    pub(super) fn observe_cut(&mut self) {
        if !self.cut.is_open() {
            return;
        }
        if self.is_void() {
            self.journal.abandon();
            return self.cut.abandon();
        }
        for source in Rank::all(self.n()) {
            let captured = self.segment.status(source, Status::CapVersion);
            // Acquire: the counter read next is the version's.
            let captured = Version(captured.load(Ordering::Acquire));
            let sent = self.segment.cap_sent(source, self.me);
            let sent = sent.load(Ordering::Relaxed);
            let delivered = self.channels.delivered()[source.index()];
            self.cut.observe(source, captured, sent, delivered);
        }
    }

    /// Whether the version captured last is void, so that nobody waits for its late messages: the
    /// supervisor took its target away, or has named another since.
    fn is_void(&self) -> bool {
        let word = |word| self.segment.control(word).load(Ordering::Acquire);
        word(Control::TargetVersion) != self.cut.version().0 || word(Control::Target) == 0
    }
}
