//! Which send a receive belongs to.
//!
//! A message is known by its channel, whether it is of the prologue, and its number there. After a
//! recovery a number may be sent again: then the receive belongs to the newest send of its own epoch
//! or, for a message that a version brought along, of one before. Invariant: a receive is joined
//! with a send of its own channel and number that began no later than the receive ended, or with
//! none. Deliberately absent: arrows.

use mainstay_types::trace::{Passage, Playback, Record, What};
use mainstay_types::{Epoch, Rank};

/// The sends of all ranks, to be looked up.
pub(crate) struct Sends(Vec<(Key, u64)>);

/// Channel, prologue, number, epoch.
type Key = (Rank, Rank, bool, u64, Epoch);

impl Sends {
    /// The sends among what all ranks recorded.
    pub(crate) fn of(tapes: &[Playback]) -> Self {
        let mut sends = Vec::new();
        for (me, tape) in Rank::all(u32::try_from(tapes.len()).unwrap_or(u32::MAX)).zip(tapes) {
            for record in &tape.records {
                if let What::Send(m) = record.what {
                    sends.push((key((me, m.peer), m, record.epoch), record.start_ns));
                }
            }
        }
        sends.sort_unstable();
        Self(sends)
    }

    /// When the send began that a receive at rank `me` belongs to.
    pub(crate) fn of_receive(&self, me: Rank, receive: &Record, m: Passage) -> Option<u64> {
        let wanted = key((m.peer, me), m, receive.epoch);
        let after =
            self.0.partition_point(|(key, start)| (*key, *start) <= (wanted, receive.end_ns()));
        let ((from, to, prologue, sequence, epoch), start) = *self.0.get(after.checked_sub(1)?)?;
        let same = (from, to, prologue, sequence) == (m.peer, me, m.prologue, m.sequence);
        let of_now = !m.prologue || epoch == receive.epoch;
        (same && of_now && start <= receive.end_ns()).then_some(start)
    }
}

fn key((from, to): (Rank, Rank), m: Passage, epoch: Epoch) -> Key {
    (from, to, m.prologue, m.sequence, epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_types::Incarnation;

    fn record(at: u64, epoch: u32, what: What) -> Record {
        let (epoch, incarnation) = (Epoch(epoch), Incarnation(0));
        Record { start_ns: at, duration_ns: 1, epoch, incarnation, what }
    }

    fn passage(peer: u32, sequence: u64) -> Passage {
        Passage { peer: Rank(peer), context: 0, tag: 0, bytes: 8, sequence, prologue: false }
    }

    #[test]
    fn a_receive_finds_the_newest_send_of_its_number() {
        let send = |at, epoch, sequence| record(at, epoch, What::Send(passage(1, sequence)));
        let sends = vec![send(10, 1, 1), send(20, 1, 2), send(50, 2, 2), send(60, 2, 3)];
        let tape = |records| Playback { records, ..Playback::default() };
        let sends = Sends::of(&[tape(sends), tape(Vec::new())]);
        let found = |at, epoch, sequence| {
            let m = passage(0, sequence);
            sends.of_receive(Rank(1), &record(at, epoch, What::Receive(m)), m)
        };
        assert_eq!(found(30, 1, 1), Some(10));
        assert_eq!(found(30, 1, 2), Some(20));
        assert_eq!(found(70, 2, 2), Some(50), "sent again after a recovery");
        assert_eq!(found(70, 2, 1), Some(10), "brought along by a version");
        assert_eq!(found(70, 1, 3), None, "not sent yet");
        assert_eq!(found(30, 2, 3), None, "received before it was sent");
        let m = Passage { prologue: true, ..passage(0, 1) };
        let receive = record(70, 2, What::Receive(m));
        assert_eq!(sends.of_receive(Rank(1), &receive, m), None, "another count");
        assert_eq!(sends.of_receive(Rank(0), &receive, passage(0, 1)), None, "another channel");
    }
}
