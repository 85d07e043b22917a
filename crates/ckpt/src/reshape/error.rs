//! Why a version of another number of ranks cannot be put together.
//!
//! Deliberately absent: bytes that changed; those are a
//! [`FormatError`](crate::FormatError), and an older version may serve.

use mainstay_types::Rank;

/// Ranks that a message names at most.
const NAMED: usize = 8;

/// Why a version of another number of ranks cannot be put together. Ranks and elements are those of
/// the version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReshapeError {
    /// A field that says nothing of other ranks.
    #[error(
        "the field `{field}` does not say what it is of the whole; name it in `State::fields` with \
         `.global`, `.block` or `.shares` as a part of an array, or with `.replicated` as the same on \
         all ranks"
    )]
    Undeclared {
        /// State and name.
        field: String,
    },
    /// A field that not all ranks have.
    #[error("rank {rank} of the version has no field `{field}`")]
    Missing {
        /// State and name.
        field: String,
        /// A rank without it.
        rank: Rank,
    },
    /// A field of another kind, or declared otherwise.
    #[error("`{field}` is {was} on rank {rank} of the version, where {now} is expected")]
    Other {
        /// State and name.
        field: String,
        /// The rank on which it is something else.
        rank: Rank,
        /// What it is there.
        was: String,
        /// What it is to be.
        now: String,
    },
    /// A block of which nobody knows how far it reaches.
    #[error(
        "rank {rank} of the version has {count} elements of `{field}` from {offset:?} on, which are no \
         whole rows of {shape:?}; declare it with `.block`, which records how far a block reaches"
    )]
    NotRows {
        /// State and name.
        field: String,
        /// The rank whose block it is.
        rank: Rank,
        /// How many elements it has.
        count: u64,
        /// Its first index.
        offset: Vec<u64>,
        /// The shape of the whole.
        shape: Vec<u64>,
    },
    /// What is declared to be the same on all ranks is not.
    #[error("`{field}` is declared to be the same on all ranks, and {} from rank 0", differ(ranks))]
    Differs {
        /// State and name.
        field: String,
        /// The ranks that have something else than rank 0.
        ranks: Vec<Rank>,
    },
    /// An element that no rank has.
    #[error("no rank of the version has element {element:?} of `{field}`")]
    Lacking {
        /// State and name.
        field: String,
        /// Its index in the whole array.
        element: Vec<u64>,
    },
    /// An element that two ranks have.
    #[error(
        "ranks {} and {} of the version both have element {element:?} of `{field}`; protect each \
         element on one rank alone",
        ranks.0, ranks.1
    )]
    Doubled {
        /// State and name.
        field: String,
        /// Its index in the whole array.
        element: Vec<u64>,
        /// Two of the ranks that have it.
        ranks: (Rank, Rank),
    },
    /// A message that was sent before the version and not received before it.
    #[error(
        "message {sequence} from rank {from} to rank {to} was under way when it was captured; let \
         each rank receive before `checkpoint` what was sent to it before `checkpoint`"
    )]
    UnderWay {
        /// Its sender.
        from: Rank,
        /// Its receiver.
        to: Rank,
        /// Its number on the channel.
        sequence: u64,
    },
    /// A message that was received before the version and sent after it.
    #[error(
        "rank {to} had received message {sequence} of rank {from} before it was captured, which rank \
         {from} sent after that; let no rank receive before `checkpoint` what is sent behind it"
    )]
    Early {
        /// Its sender.
        from: Rank,
        /// Its receiver.
        to: Rank,
        /// Its number on the channel.
        sequence: u64,
    },
    /// Counters of more or fewer channels than there are ranks.
    #[error("rank {rank} of the version counts the channels of another job")]
    Channels {
        /// Whose counters.
        rank: Rank,
    },
}

/// The ranks that differ, so that a line holds them.
fn differ(ranks: &[Rank]) -> String {
    let named: Vec<String> = ranks.iter().take(NAMED).map(ToString::to_string).collect();
    let more = ranks.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (noun, verb) = if ranks.len() == 1 { ("rank", "differs") } else { ("ranks", "differ") };
    format!("{noun} {}{more} {verb}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_few_ranks() {
        assert_eq!(differ(&[Rank(3)]), "rank 3 differs");
        let many: Vec<Rank> = (1..=10).map(Rank).collect();
        assert_eq!(differ(&many), "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 2 more differ");
    }
}
