//! What the ledger is told and what it answers.
//!
//! Deliberately absent: who tells it. Ranks are believed as far as their messages go; whatever
//! contradicts another message voids the version.

use std::time::Duration;

use mainstay_types::event::Level;
use mainstay_types::wire::Early;
use mainstay_types::{Epoch, Incarnation, Node, Rank, Step, Version};

use crate::format::manifest::Manifest;
use crate::pack::Packing;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A version is wanted at this step, which is above every rank's.
    Propose {
        /// The epoch of the wish.
        epoch: Epoch,
        /// The step.
        step: Step,
        /// Whether it is to be drained once it is committed. What stays in memory can be drained
        /// later; see [`Input::Keep`].
        durable: bool,
    },
    /// The newest version, which was to stay in memory or could not be written, is wanted on disk.
    Keep {
        /// The version.
        version: Version,
    },
    /// The target does not hold, or is no longer wanted.
    Drop {
        /// The version in capture.
        version: Version,
        /// Why.
        why: VoidReason,
    },
    /// A rank's part lies in its arena.
    Captured {
        /// Which rank.
        rank: Rank,
        /// The epoch of the capture.
        epoch: Epoch,
        /// Which version.
        version: Version,
        /// At which step.
        step: Step,
        /// The incarnation that captured it.
        incarnation: Incarnation,
        /// Bytes of the image.
        image_bytes: u64,
        /// CRC-32C of its table.
        table_crc: u32,
        /// How long the program was blocked.
        blocked: Duration,
        /// Messages sent, by destination.
        sent: Vec<u64>,
        /// Messages taken in, by source.
        delivered: Vec<u64>,
        /// Messages taken in that were sent after the sender's capture.
        early: Vec<Early>,
        /// Whether, by the time this came, any rank had made a call whose outcome depends on timing.
        any_chooses: bool,
    },
    /// A rank's late messages are complete.
    Late {
        /// Which rank.
        rank: Rank,
        /// The epoch of the capture.
        epoch: Epoch,
        /// Which version.
        version: Version,
        /// Bytes of late messages.
        bytes: u64,
        /// Their CRC-32C.
        crc: u32,
    },
    /// The epoch was raised; also the first one, before anything is proposed.
    EpochRaised(Epoch),
    /// The shards of the version drained are packed. Comes before [`Input::Written`], if at all.
    Packed {
        /// The version drained.
        version: Version,
        /// How each rank's is, by rank.
        packings: Vec<Option<Packing>>,
    },
    /// The shards and the manifest aside are written and synced.
    Written {
        /// The version drained.
        version: Version,
    },
    /// The manifest is published and the directory synced.
    Published {
        /// The version published.
        version: Version,
    },
    /// The version could not be written or published.
    WriteFailed {
        /// The version drained.
        version: Version,
        /// The reason, for people.
        why: String,
    },
    /// Nothing of a version is on disk whose publication had failed: it was undone, durably.
    Undone {
        /// Which.
        version: Version,
    },
    /// A copy is torn, missing or rotten.
    CopyBad {
        /// Which version.
        version: Version,
        /// Whose part.
        rank: Rank,
        /// Which of its copies.
        level: Level,
        /// The reason, for people.
        why: String,
    },
    /// A bad copy was written anew from a good one, and found to be right.
    Mended {
        /// Which version.
        version: Version,
        /// Whose part.
        rank: Rank,
        /// Which of its copies.
        level: Level,
    },
    /// A period has passed of which one version is to be kept for good: the next that is published.
    ArchiveDue,
    /// A version of an earlier launch that was adopted is kept for good.
    Archived {
        /// The version.
        version: Version,
    },
    /// A version of an earlier launch was found, with its manifest.
    Adopt(Box<Manifest>),
    /// A version of an earlier launch was found that another number of ranks captured.
    AdoptOther {
        /// Its manifest.
        manifest: Box<Manifest>,
        /// Whether it can be put together for the ranks of this launch; see
        /// [`reshape::fits`](crate::reshape::fits). If not it is kept, for a launch of as many.
        fits: bool,
    },
    /// Every node holds what it is to hold of the version.
    Guarded {
        /// Which version.
        version: Version,
        /// Of which order.
        attempt: u32,
    },
    /// A guard came to nothing.
    GuardFailed {
        /// Which version.
        version: Version,
        /// Of which order.
        attempt: u32,
        /// The reason, for people.
        why: String,
    },
    /// A node is lost, with all that it had in memory.
    NodeLost {
        /// Which node.
        node: Node,
    },
    /// A node has parts of its ranks again.
    Rebuilt {
        /// Which version.
        version: Version,
        /// Whose parts.
        ranks: Vec<Rank>,
    },
    /// Every rank has restored the version, and found it good.
    Restored {
        /// Which version.
        version: Version,
    },
    /// A node cannot get the parts of its ranks back.
    RebuildFailed {
        /// Which version.
        version: Version,
        /// The reason, for people.
        why: String,
    },
    /// All nodes are there, and the epoch opens.
    NodesWhole,
    /// A rank is in `finish`, having completed this step, and will capture nothing more.
    RankEnded {
        /// Which rank.
        rank: Rank,
        /// Its last step.
        step: Step,
    },
}

/// Something to be done, or to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Publish the target: every rank is to capture the version into that slot at that step.
    Proposed {
        /// The new version.
        version: Version,
        /// Which of the slots.
        slot: u8,
        /// The step.
        step: Step,
    },
    /// The slot of the version is given away: its arenas will be overwritten, and its late
    /// messages in memory serve nobody. A copy on disk, if there is one, remains.
    Freed {
        /// The version that no longer lies in memory.
        version: Version,
    },
    /// Every rank's part and every late message is there.
    Committed {
        /// The version that can now be restored.
        version: Version,
    },
    /// Write the version's shards and its manifest aside, then say [`Input::Written`].
    Drain {
        /// The version.
        version: Version,
    },
    /// The version will not be drained: a copy in memory went bad while it waited.
    DrainCancelled {
        /// The version.
        version: Version,
    },
    /// Publish the manifest that lies aside, then say [`Input::Published`].
    Publish {
        /// The version.
        version: Version,
    },
    /// Have every node fetch what it is to hold of the version, then say [`Input::Guarded`].
    Guard {
        /// The version.
        version: Version,
        /// The order's number.
        attempt: u32,
    },
    /// The version lies in its ranks' nodes alone.
    Unguarded {
        /// The version.
        version: Version,
        /// The reason, for people.
        why: String,
    },
    /// The version can be restored by a later launch.
    Published {
        /// The version.
        version: Version,
    },
    /// The version is in memory alone, and the job goes on without disk until a write succeeds.
    MemoryOnly {
        /// The version.
        version: Version,
        /// The reason, for people.
        why: String,
    },
    /// Writing succeeded again after it had failed.
    DiskAgain {
        /// The version that was written.
        version: Version,
    },
    /// The version is kept on disk for good: mark it, so that later launches know.
    Archive {
        /// The version.
        version: Version,
    },
    /// Remove the version's files: it was never published.
    Discard {
        /// The version.
        version: Version,
    },
    /// Remove the version's files, its manifest first: enough newer versions are published.
    Prune {
        /// The version.
        version: Version,
    },
    /// The version can never be restored. What it has in memory is free.
    Void {
        /// The version.
        version: Version,
        /// Why.
        why: VoidReason,
    },
    /// An input did not apply and changed nothing.
    Dropped {
        /// Why not.
        what: Stale,
    },
}

/// Why a version is void.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoidReason {
    /// A rank had reached the step before the target was set.
    #[error("a rank was already at its step")]
    Missed,
    /// The epoch was raised before every part was there.
    #[error("epoch {0} began before all of it was captured")]
    EpochRaised(Epoch),
    /// A rank ended before the step.
    #[error("rank {rank} ended at step {step}, before it")]
    RankEnded {
        /// Which rank.
        rank: Rank,
        /// Its last step.
        step: Step,
    },
    /// A node was lost before every part was there.
    #[error("node {0} was lost before all of it was captured")]
    NodeLost(Node),
    /// A rank's messages contradict each other, or those of its peers.
    #[error("rank {rank} contradicts its peers: {why}")]
    Contradiction {
        /// Which rank.
        rank: Rank,
        /// What is contradictory.
        why: &'static str,
    },
    /// No good copy of a rank's part is left.
    #[error("no good copy of rank {rank}'s part is left: {why}")]
    CopyBad {
        /// Which rank.
        rank: Rank,
        /// What was wrong with the last one.
        why: String,
    },
}

/// Why an input did not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// It belongs to another epoch.
    #[error("another epoch")]
    Epoch,
    /// It names a version that is not in the state it implies.
    #[error("another version")]
    Version,
    /// It was said before.
    #[error("said twice")]
    Twice,
    /// There is no such rank, or another number of ranks.
    #[error("another number of ranks")]
    Ranks,
    /// No slot is free, a version is in capture, or a rank has ended.
    #[error("nothing can be captured now")]
    Busy,
    /// Targets of one epoch increase.
    #[error("a target not above the last")]
    Target,
}
