//! The messages of a nonblocking collective, started together.
//!
//! A leg is a request whose other end is a place of a communicator. Legs are matched as all messages
//! are: those of one source and label in the order of their sends and of their receives. So a label
//! need not say which collective a leg is of, only which kind. Every rank starts the collectives of a
//! communicator in one order, as MPI asks as well, and starts all legs of a collective at once; so the
//! k-th send of a label to a rank and the k-th receive of it there are of one collective, however
//! many are under way. Waiting matches nothing, so its order is free. A restore keeps this: at a
//! capture a rank has none under way, so its sends and receives go on in pairs from there, and a leg
//! that crosses the cut is a late or an early message like any other, in its place on its channel.
//!
//! A second round, sent once the first is in, would break it. Sent from within a wait, its order is
//! that of waiting; and a rank that waits elsewhere first would keep the others waiting, two of them
//! each other. Sent as soon as it could be, its place on the channel would depend on timing, and
//! differ after a restore. So there is none.
//!
//! Invariants: labels are none of a program's and none of a blocking collective's; a leg is a request
//! like any other, so it is outstanding at a cut like any other. Deliberately absent: what the legs
//! carry; the facade knows.

use mainstay_comm::matching::{Label, Wanted};
use mainstay_types::{Point, Rank};

use super::collective::Kind;
use super::{Endpoint, Group, RequestId, Result, Room};

/// What a message of a nonblocking collective is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be there.
    Barrier,
    /// The root's block.
    Broadcast,
    /// A block to be folded.
    Reduce,
    /// A block for one or for all.
    Gather,
    /// A block for this rank alone.
    Exchange,
}

/// Tags below are those of blocking collectives.
const TAGS: u32 = 16;

impl Purpose {
    fn tag(self) -> u32 {
        match self {
            Self::Barrier => TAGS,
            Self::Broadcast => TAGS + 1,
            Self::Reduce => TAGS + 2,
            Self::Gather => TAGS + 3,
            Self::Exchange => TAGS + 4,
        }
    }
}

/// A message of a nonblocking collective that is to be started; ranks are places of its group.
#[derive(Debug)]
pub enum Leg<'a> {
    /// What the ring does not take at once is copied.
    Send(Rank, Purpose, &'a [u8]),
    /// A message of any length, into memory that is lent for it.
    Receive(Rank, Purpose, Box<dyn Room>),
}

/// Whether messages of this context are of collectives.
pub(super) fn is_collective(context: u32) -> bool {
    context & 1 == 1
}

impl Endpoint {
    /// Starts all legs of a collective, in this order; their requests.
    ///
    /// # Errors
    /// [`CommError`](super::CommError); a collective that fails is half started.
    pub fn start<'a>(
        &mut self,
        group: &Group,
        legs: impl IntoIterator<Item = Leg<'a>>,
    ) -> Result<Vec<RequestId>> {
        self.collective(|e| {
            e.trace(|t| t.has(Kind::Start));
            legs.into_iter().map(|leg| e.start_leg(group, leg)).collect()
        })
    }

    fn start_leg(&mut self, group: &Group, leg: Leg<'_>) -> Result<RequestId> {
        let label = |purpose: Purpose| {
            let context = group.communicator() * 2 + 1;
            Label { context, tag: purpose.tag() }
        };
        match leg {
            Leg::Send(to, purpose, bytes) => {
                group.known(to)?;
                let label = self.now(label(purpose));
                let sent = self.isend_inner(group.at(to), label, bytes);
                (self.point)(Point::CollectiveMid);
                sent
            }
            Leg::Receive(from, purpose, room) => {
                group.known(from)?;
                let wanted = Wanted::exactly(group.at(from), self.now(label(purpose)));
                Ok(self.post(wanted, None, room))
            }
        }
    }
}
