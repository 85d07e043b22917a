//! Messages between a rank and its supervisor, over their local socket.
//!
//! One message is one datagram of at most [`WIRE_BYTES_MAX`](crate::limits::WIRE_BYTES_MAX) bytes;
//! descriptors travel beside it. Tables of who sends what when are in `docs/protocols/rank.md`.
//! Invariant: `decode(encode(m)) == m`, and any other input is an error. Deliberately absent:
//! bulk data, which lies in the descriptors' memory.

pub mod node;
mod to_rank;
mod to_supervisor;

use crate::Rank;
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::TEXT_BYTES_MAX;

pub use to_rank::{Reshape, Restore, ToRank};
pub use to_supervisor::ToSupervisor;

/// The version of these messages; a rank and a supervisor that differ refuse each other.
pub const PROTOCOL: u32 = 6;
/// A set of ranks that agree on something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The context of its communicator.
    pub context: u32,
    /// The lowest of its ranks: what tells apart groups that were made by one split.
    pub lowest: Rank,
    /// How many ranks it has.
    pub members: u32,
}

impl Group {
    fn put(self, w: &mut Writer) {
        w.u32(self.context).u32(self.lowest.0).u32(self.members);
    }

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            context: r.u32("context")?,
            lowest: Rank(r.u32("lowest rank")?),
            members: r.u32("members")?,
        })
    }
}

/// Most early messages whose hashes travel with one capture.
pub const EARLY_MAX: usize = 1024;

/// A message that a rank received before its capture although it was sent after the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// The other end: its source in [`ToSupervisor::Captured`], its destination in [`Restore`].
    pub peer: Rank,
    /// Its number on the channel.
    pub sequence: u64,
    /// CRC-32C over its context, tag, length and payload.
    pub hash: u32,
}

fn put_early(w: &mut Writer, early: &[Early]) {
    w.count(early.len());
    for one in early {
        w.u32(one.peer.0).u64(one.sequence).u32(one.hash);
    }
}

fn get_early(r: &mut Reader<'_>) -> Result<Vec<Early>, DecodeError> {
    let count = r.count(16, EARLY_MAX, "early messages")?;
    (0..count)
        .map(|_| {
            Ok(Early {
                peer: Rank(r.u32("early peer")?),
                sequence: r.u64("early sequence")?,
                hash: r.u32("early hash")?,
            })
        })
        .collect()
}

fn flag(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let at = r.at();
    match r.u8("flag")? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(DecodeError::Unknown { what: "flag", value: u64::from(other), at }),
    }
}

fn slot(r: &mut Reader<'_>) -> Result<u8, DecodeError> {
    Ok(u8::from(flag(r)?))
}

/// Text no longer than a message may carry, cut at a character.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;
    use crate::{Epoch, Incarnation, JobId, Step, Tracked, Tracking, Version, inject};

    const GROUP: Group = Group { context: 3, lowest: Rank(1), members: 4 };

    fn of_ranks() -> Vec<ToSupervisor> {
        let epoch = Epoch(3);
        vec![
            ToSupervisor::Hello {
                protocol: PROTOCOL,
                token: [7; 16],
                rank: Rank(1),
                incarnation: Incarnation(2),
                pid: 9,
            },
            ToSupervisor::Ack { epoch },
            ToSupervisor::Arena { epoch, slot: 1, bytes: 5 },
            ToSupervisor::Captured {
                epoch,
                version: Version(4),
                step: Step(5),
                image_bytes: 6,
                table_crc: 7,
                blocked_ns: 8,
                sent: vec![1, 2],
                delivered: vec![3, 4],
                early: vec![Early { peer: Rank(1), sequence: 2, hash: 3 }],
                tracked: Some(Tracked {
                    copied_bytes: 9,
                    bytes: 10,
                    missed: 11,
                    why: "pinned".into(),
                }),
            },
            ToSupervisor::Late { epoch, version: Version(1), bytes: 2, crc: 3 },
            ToSupervisor::Restored { epoch, took_ns: 1 },
            ToSupervisor::RestoreFailed {
                epoch,
                version: Version(1),
                part: Rank(2),
                why: "torn".into(),
            },
            ToSupervisor::Input { epoch, name: "matrix".into() },
            ToSupervisor::InputLoaded { epoch, name: "matrix".into(), bytes: 1, crc: 2 },
            ToSupervisor::Report { epoch, key: "residual".into(), value: "1e-10".into() },
            ToSupervisor::Output { epoch, path: "/x".into(), why: "full".into() },
            ToSupervisor::Ready { epoch },
            ToSupervisor::Agree { epoch, group: GROUP, round: 5, step: Step(6), ok: true },
            ToSupervisor::Result { epoch, step: Step(9), bytes: 1, audit_bytes: 0 },
            ToSupervisor::Panicked { message: "oh".into() },
            ToSupervisor::Failed { message: "no".into() },
            ToSupervisor::FinishedEarly,
        ]
    }

    fn of_supervisors() -> Vec<ToRank> {
        let injections = inject::parse("kill:1@step=5,stop:*@point=send:always").unwrap();
        let restore = Restore {
            version: Version(1),
            step: Step(2),
            level: Level::Disk,
            image_bytes: 3,
            table_crc: 4,
            late_at: 5,
            late_bytes: 6,
            late_crc: 7,
            suppress: vec![8],
            early: vec![Early { peer: Rank(0), sequence: 1, hash: 2 }],
        };
        vec![
            ToRank::Welcome {
                job: JobId([1; 16]),
                n: 4,
                ring_bytes: 65536,
                may_spin: true,
                audit: false,
                checks: true,
                seed: 9,
                one_arena: true,
                tracking: Tracking::Check,
                tape: 1 << 18,
                injections: injections.into_iter().zip(0..).map(|(i, k)| (k, i)).collect(),
            },
            ToRank::Raised { epoch: Epoch(2) },
            ToRank::Open { epoch: Epoch(2), incarnations: vec![0, 1], restore: Some(restore) },
            ToRank::Open { epoch: Epoch(1), incarnations: vec![0], restore: None },
            ToRank::OpenReshaped {
                epoch: Epoch(3),
                incarnations: vec![0],
                reshape: Reshape { version: Version(12), step: Step(7), ranks: 4 },
            },
            ToRank::Arena { slot: 1, bytes: 2 },
            ToRank::InputLoad,
            ToRank::InputReady { bytes: 1, crc: 2 },
            ToRank::Interrupted,
            ToRank::Agreed { epoch: Epoch(2), group: GROUP, round: 5, ok: Some(false) },
            ToRank::Refused { why: "too large".into() },
        ]
    }

    #[test]
    fn every_message_is_read_back() {
        for message in of_ranks() {
            assert_eq!(ToSupervisor::decode(&message.encode()), Ok(message));
        }
        for message in of_supervisors() {
            assert_eq!(ToRank::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        for bytes in of_ranks().iter().map(ToSupervisor::encode) {
            for end in 0..bytes.len() {
                assert!(ToSupervisor::decode(&bytes[..end]).is_err());
            }
        }
        for bytes in of_supervisors().iter().map(ToRank::encode) {
            for end in 0..bytes.len() {
                assert!(ToRank::decode(&bytes[..end]).is_err());
            }
        }
    }

    /// SplitMix64, to repeat the same noise each time.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    #[test]
    fn whatever_is_accepted_has_one_encoding() {
        let mut state = 1;
        let mut accepted = 0;
        let all = of_ranks().iter().map(ToSupervisor::encode).collect::<Vec<_>>();
        let to_ranks = of_supervisors().iter().map(ToRank::encode).collect::<Vec<_>>();
        for _ in 0..20_000 {
            for (list, of_rank) in [(&all, true), (&to_ranks, false)] {
                let mut bytes = list[random(&mut state) as usize % list.len()].clone();
                for _ in 0..=random(&mut state) % 3 {
                    let at = random(&mut state) as usize % bytes.len();
                    bytes[at] = random(&mut state) as u8;
                }
                let again = if of_rank {
                    ToSupervisor::decode(&bytes).map(|message| message.encode())
                } else {
                    ToRank::decode(&bytes).map(|message| message.encode())
                };
                if let Ok(again) = again {
                    accepted += 1;
                    assert_eq!(again, bytes);
                }
            }
        }
        assert!(accepted > 1000, "{accepted}");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let message = "é".repeat(TEXT_BYTES_MAX);
        let bytes = ToSupervisor::Panicked { message }.encode();
        assert!(ToSupervisor::decode(&bytes).is_ok());
    }
}
