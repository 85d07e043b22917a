//! Whether the channels of a version can be left out of it.
//!
//! Ranks of another number cannot be given messages of these, so all channels of theirs begin empty.
//! That is the same history if every message that was sent before the capture had been received by
//! its program before it, and none that was sent after it. A message of the second sort that was
//! taken in and that no receive had asked for yet is no obstacle: nobody has seen it, and its sender
//! sends it again.
//!
//! Invariant: of each channel the program has received exactly what was sent before the cut.
//! Deliberately absent: choices and rounds on boards; they serve to repeat what came after the cut,
//! and nothing depends on that here.

use std::collections::BTreeSet;

use mainstay_types::Rank;

use super::ReshapeError;
use crate::format::table::Table;

/// Requires that no message crosses the cut.
pub(super) fn check(tables: &[&Table]) -> Result<(), ReshapeError> {
    let n = tables.len();
    for (rank, table) in (0..).map(Rank).zip(tables) {
        if table.cut.sent.len() != n || table.cut.delivered.len() != n {
            return Err(ReshapeError::Channels { rank });
        }
    }
    for (to, receiver) in (0..).map(Rank).zip(tables) {
        let mut kept = vec![BTreeSet::new(); n];
        for message in &receiver.cut.unexpected {
            let source: Option<&mut BTreeSet<u64>> = kept.get_mut(message.source.index());
            let source = source.ok_or(ReshapeError::Channels { rank: to })?;
            source.insert(message.sequence);
        }
        for ((from, sender), kept) in (0..).map(Rank).zip(tables).zip(&kept) {
            let (sent, taken) = (sender.cut.sent[to.index()], receiver.cut.delivered[from.index()]);
            channel(sent, taken, kept)
                .map_or(Ok(()), |crossing| Err(crossing.between(from, to)))?;
        }
    }
    Ok(())
}

/// A message that crosses the cut, by its number on the channel.
#[derive(Debug, PartialEq, Eq)]
enum Crossing {
    UnderWay(u64),
    Early(u64),
}

impl Crossing {
    fn between(self, from: Rank, to: Rank) -> ReshapeError {
        match self {
            Self::UnderWay(sequence) => ReshapeError::UnderWay { from, to, sequence },
            Self::Early(sequence) => ReshapeError::Early { from, to, sequence },
        }
    }
}

/// The first message that crosses the cut of a channel on which `sent` were sent, `taken` taken in,
/// and of these `kept` not received by the program.
fn channel(sent: u64, taken: u64, kept: &BTreeSet<u64>) -> Option<Crossing> {
    if let Some(first) = kept.first().filter(|first| **first <= sent) {
        return Some(Crossing::UnderWay(*first));
    }
    if taken < sent {
        return Some(Crossing::UnderWay(taken + 1));
    }
    // Those beyond `sent` that are not kept were received.
    let behind = kept.range(..=taken).zip(1..).find(|(kept, k)| **kept != sent + k);
    match behind {
        Some((_, k)) => Some(Crossing::Early(sent + k)),
        None if (kept.len() as u64) < taken - sent => {
            Some(Crossing::Early(sent + kept.len() as u64 + 1))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_quiet_if_what_was_sent_was_received_and_nothing_else() {
        let kept = |numbers: &[u64]| numbers.iter().copied().collect::<BTreeSet<u64>>();
        for (sent, taken, numbers, crossing) in [
            (0, 0, &[][..], None),
            (7, 7, &[], None),
            (7, 9, &[8, 9], None),
            (7, 6, &[], Some(Crossing::UnderWay(7))),
            (7, 7, &[7], Some(Crossing::UnderWay(7))),
            (7, 9, &[3, 8, 9], Some(Crossing::UnderWay(3))),
            (7, 8, &[], Some(Crossing::Early(8))),
            (7, 9, &[9], Some(Crossing::Early(8))),
            (7, 9, &[8], Some(Crossing::Early(9))),
            (7, 10, &[8, 10], Some(Crossing::Early(9))),
            (u64::MAX, u64::MAX, &[], None),
        ] {
            assert_eq!(
                channel(sent, taken, &kept(numbers)),
                crossing,
                "{sent} {taken} {numbers:?}"
            );
        }
    }
}
