//! What a call of an endpoint can fail with.
//!
//! Invariant: each error says whether the caller may go on. Deliberately absent: what a program's
//! author reads; the facade words that.

use mainstay_types::Rank;

/// Why a call did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommError {
    /// The epoch was raised: every call fails so until the next one begins.
    #[error("interrupted: a rank of the job failed, and the job goes back to its last version")]
    Interrupted,
    /// The launcher is gone, so nobody will ever raise an epoch: the process has to end.
    #[error("the launcher is gone")]
    LauncherGone,
    /// The caller's deadline passed. A message to be sent goes out later if any of it had gone
    /// out before, and not at all otherwise; one to be received stays.
    #[error("the deadline passed")]
    Timeout,
    /// The message is longer than the room for it. It stays, for a call with more room.
    #[error(
        "a message of {needed} bytes from rank {from} (tag {tag}) does not fit the {room} bytes given"
    )]
    Truncated {
        /// Its sender.
        from: Rank,
        /// Its tag.
        tag: u32,
        /// Bytes of the message.
        needed: u64,
        /// Bytes of room.
        room: u64,
    },
    /// What lies in a ring is not what was sent.
    #[error("a message from rank {peer} is corrupt: {what}")]
    Corrupt {
        /// The other end of the channel.
        peer: Rank,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A message sent again after a restore differs from what its receiver took in before.
    #[error(
        "message {sequence} to rank {peer} differs from the one sent before the recovery: \
         the program is not deterministic"
    )]
    Diverged {
        /// Its destination.
        peer: Rank,
        /// Its number on the channel.
        sequence: u64,
    },
    /// After a restore a choice is made where another kind of choice was made before.
    #[error(
        "a receive from any source, a probe or a test comes in another order than before the \
         recovery: the program is not deterministic"
    )]
    Strayed,
    /// Requests are outstanding where none may be.
    #[error("{count} requests are outstanding; wait for them before a checkpoint")]
    Outstanding {
        /// How many.
        count: usize,
    },
    /// No such rank.
    #[error("rank {rank} does not exist; there are {n}")]
    NoSuchRank {
        /// The rank named.
        rank: Rank,
        /// Number of ranks.
        n: u32,
    },
    /// A request that was waited for already.
    #[error("the request is complete and was waited for before")]
    Spent,
    /// Not one block for each rank.
    #[error("{found} blocks are given where each of {n} ranks gets one")]
    Blocks {
        /// How many there are.
        found: usize,
        /// Number of ranks.
        n: u32,
    },
    /// Ranks are in different collectives of one communicator.
    #[error(
        "rank {peer} is in {theirs} where this rank is in {ours}: all ranks of a communicator call \
         its collectives in one order"
    )]
    Unmatched {
        /// The other rank.
        peer: Rank,
        /// What it called.
        theirs: &'static str,
        /// What this rank called.
        ours: &'static str,
    },
    /// Blocks of a collective differ in length where they must not.
    #[error(
        "rank {peer} gives {found} bytes to a collective where {expected} are expected: all ranks call \
         it with blocks of one length"
    )]
    Unequal {
        /// The rank whose block differs.
        peer: Rank,
        /// Bytes expected.
        expected: u64,
        /// Bytes it gave.
        found: u64,
    },
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, CommError>;
