//! The record of a trace: what a rank was seen to do, in 64 bytes that are whole or recognised.
//!
//! Invariants: the layout is that of `docs/formats/trace.md`; a record has the number of its place
//! on the tape and a checksum over all of it, so that one that is torn, stale or made up is an error
//! and never believed; `decode(encode(r)) == r`. Deliberately absent: the tape, and clocks.

use crate::codec::DecodeError;
use crate::limits::TRACE_RECORD_BYTES;
use crate::{Epoch, Incarnation, Rank, Step, Version, WaitKind};

/// A message's bit in a context whose messages are of no version.
const PROLOGUE: u8 = 1;
/// No peer, in its 16 bits.
const NOBODY: u16 = u16::MAX;

/// Something that a rank did, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it began, nanoseconds of the machine's monotonic clock.
    pub start_ns: u64,
    /// How long it lasted.
    pub duration_ns: u64,
    /// The epoch that the rank was in.
    pub epoch: Epoch,
    /// The rank's incarnation.
    pub incarnation: Incarnation,
    /// What it was.
    pub what: What,
}

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A message was given to its channel.
    Send(Passage),
    /// A message was given to the program, or to a collective.
    Receive(Passage),
    /// The rank slept.
    Wait {
        /// What for.
        kind: WaitKind,
        /// For whom, if for one.
        peer: Option<Rank>,
        /// The tag of the message that it waited for, if it was one tag.
        tag: Option<u32>,
    },
    /// A collective; the set of its [parts](Parts).
    Collective(Parts),
    /// A step was completed.
    Step(Step),
    /// The rank's part of a version was copied.
    Capture {
        /// Which version.
        version: Version,
        /// Bytes of the image.
        bytes: u64,
    },
    /// The state was restored.
    Restore {
        /// From which version.
        version: Version,
    },
    /// The program was entered.
    Enter {
        /// The version that it begins from; `None` is the start of the job.
        version: Option<Version>,
    },
    /// An epoch was acknowledged: the entry before is over.
    Acknowledge,
    /// The result was handed in and all others were waited for.
    Finish,
}

/// One message at one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The other end.
    pub peer: Rank,
    /// The communicator, doubled; odd ones are of collectives.
    pub context: u32,
    /// Its tag.
    pub tag: u32,
    /// Bytes of its payload.
    pub bytes: u64,
    /// Its number on the channel, from 1.
    pub sequence: u64,
    /// Whether it is of the prologue, which counts for itself.
    pub prologue: bool,
}

/// The kinds of messages that a collective was made of, as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(pub u32);

/// What one rank's tape had on it when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Playback {
    /// The records that prove themselves, in the order in which they were written.
    pub records: Vec<Record>,
    /// What the rank waited for when it was last seen; its duration is not known.
    pub open: Option<Record>,
    /// Records that newer ones have taken the place of.
    pub overwritten: u64,
    /// Records that do not prove themselves.
    pub damaged: u64,
}

impl Record {
    /// The record at place `number` of its tape.
    #[inline]
    #[must_use]
    pub fn encode(&self, number: u64) -> [u8; TRACE_RECORD_BYTES] {
        let (code, detail, peer, words) = self.what.words();
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let kind = u32::from(peer) | u32::from(code) << 16 | u32::from(detail) << 24;
        let words = [
            self.start_ns,
            self.duration_ns,
            words[0],
            words[1],
            words[2],
            pair(self.epoch.0, self.incarnation.0),
            pair(kind, (number >> 32) as u32),
            pair(number as u32, 0),
        ];
        let mut b = [0; TRACE_RECORD_BYTES];
        for (bytes, word) in b.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crate::crc32c(&b[..60]);
        b[60..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Reads and checks the record at place `number` of its tape.
    ///
    /// # Errors
    /// A wrong checksum, another number, or anything that [`Record::encode`] does not write.
    pub fn decode(bytes: &[u8; TRACE_RECORD_BYTES], number: u64) -> Result<Self, DecodeError> {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |i: usize| u64::from_le_bytes(words[i]);
        let (stored, found) = ((word(7) >> 32) as u32, crate::crc32c(&bytes[..60]));
        if found != stored {
            return Err(DecodeError::Checksum { what: "trace record", found, stored });
        }
        let claimed = word(6) >> 32 << 32 | word(7) & u64::from(u32::MAX);
        if claimed != number {
            let what = "number of a trace record";
            return Err(DecodeError::Unknown { what, value: claimed, at: 52 });
        }
        let what = What::read((word(6) as u32, [word(2), word(3), word(4)]))?;
        let record = Self {
            start_ns: word(0),
            duration_ns: word(1),
            epoch: Epoch(word(5) as u32),
            incarnation: Incarnation((word(5) >> 32) as u32),
            what,
        };
        if record.start_ns.checked_add(record.duration_ns).is_none() {
            let (claimed, limit) = (record.duration_ns, u64::MAX - record.start_ns);
            return Err(DecodeError::TooLong { what: "trace duration", claimed, limit, at: 8 });
        }
        Ok(record)
    }

    /// When it ended.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.duration_ns)
    }
}

impl What {
    /// Code, detail, peer and three words.
    #[inline]
    fn words(self) -> (u8, u8, u16, [u64; 3]) {
        let narrow = |rank: Rank| u16::try_from(rank.0).unwrap_or(NOBODY);
        match self {
            Self::Send(m) => (1, u8::from(m.prologue), narrow(m.peer), m.words()),
            Self::Receive(m) => (2, u8::from(m.prologue), narrow(m.peer), m.words()),
            Self::Wait { kind, peer, tag } => {
                let peer = peer.map_or(NOBODY, narrow);
                let tag = tag.map_or(0, |tag| u64::from(tag) + 1);
                (3, kind.code() as u8, peer, [tag, 0, 0])
            }
            Self::Collective(parts) => (4, 0, NOBODY, [parts.0.into(), 0, 0]),
            Self::Step(step) => (5, 0, NOBODY, [step.0, 0, 0]),
            Self::Capture { version, bytes } => (6, 0, NOBODY, [version.0, bytes, 0]),
            Self::Restore { version } => (7, 0, NOBODY, [version.0, 0, 0]),
            Self::Enter { version: Some(version) } => (8, 1, NOBODY, [version.0, 0, 0]),
            Self::Enter { version: None } => (8, 0, NOBODY, [0; 3]),
            Self::Acknowledge => (9, 0, NOBODY, [0; 3]),
            Self::Finish => (10, 0, NOBODY, [0; 3]),
        }
    }

    fn read((kind, words): (u32, [u64; 3])) -> Result<Self, DecodeError> {
        let (peer, code, detail) = (kind as u16, (kind >> 16) as u8, (kind >> 24) as u8);
        let small = words[0] as u32;
        let version = Version(words[0]);
        let what = match code {
            1 => Self::Send(Passage::read(peer, detail, words)),
            2 => Self::Receive(Passage::read(peer, detail, words)),
            3 => {
                let unknown =
                    |value| DecodeError::Unknown { what: "kind of a wait", value, at: 51 };
                let kind = WaitKind::from_code(detail.into()).ok_or(unknown(detail.into()))?;
                let peer = (peer != NOBODY).then_some(Rank(peer.into()));
                let tag = words[0].checked_sub(1).map(|tag| tag as u32);
                Self::Wait { kind, peer, tag }
            }
            4 => Self::Collective(Parts(small)),
            5 => Self::Step(Step(words[0])),
            6 => Self::Capture { version, bytes: words[1] },
            7 => Self::Restore { version },
            8 => Self::Enter { version: (detail == 1).then_some(version) },
            9 => Self::Acknowledge,
            10 => Self::Finish,
            other => {
                let value = other.into();
                return Err(DecodeError::Unknown { what: "kind of a trace record", value, at: 50 });
            }
        };
        // One encoding for each record: what a kind does not use is zero.
        match what.words() == (code, detail, peer, words) {
            true => Ok(what),
            false => Err(DecodeError::Unknown { what: "rest of a trace record", value: 1, at: 16 }),
        }
    }
}

impl Passage {
    #[inline]
    fn words(self) -> [u64; 3] {
        [self.sequence, self.bytes, u64::from(self.context) | u64::from(self.tag) << 32]
    }

    fn read(peer: u16, detail: u8, words: [u64; 3]) -> Self {
        Self {
            peer: Rank(peer.into()),
            sequence: words[0],
            bytes: words[1],
            context: words[2] as u32,
            tag: (words[2] >> 32) as u32,
            prologue: detail == PROLOGUE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record> {
        let passage = Passage {
            peer: Rank(3),
            context: 5,
            tag: u32::MAX,
            bytes: 1 << 40,
            sequence: 77,
            prologue: true,
        };
        let version = Version(9);
        [
            What::Send(passage),
            What::Receive(Passage { prologue: false, ..passage }),
            What::Wait { kind: WaitKind::Receive, peer: Some(Rank(0)), tag: Some(u32::MAX) },
            What::Wait { kind: WaitKind::Supervisor, peer: None, tag: None },
            What::Collective(Parts(0x81)),
            What::Step(Step(1 << 50)),
            What::Capture { version, bytes: 12 },
            What::Restore { version },
            What::Enter { version: Some(version) },
            What::Enter { version: None },
            What::Acknowledge,
            What::Finish,
        ]
        .map(|what| Record {
            start_ns: 1 << 60,
            duration_ns: 1234,
            epoch: Epoch(6),
            incarnation: Incarnation(2),
            what,
        })
        .into()
    }

    #[test]
    fn every_record_is_read_back_at_its_own_place_alone() {
        for (record, number) in all().into_iter().zip([0, 1, 1 << 33, u64::MAX].into_iter().cycle())
        {
            let bytes = record.encode(number);
            assert_eq!(Record::decode(&bytes, number), Ok(record));
            // A record of an earlier lap of the tape.
            assert!(Record::decode(&bytes, number ^ 1).is_err());
            assert!(Record::decode(&bytes, number ^ 1 << 32).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_torn_half_is_noticed() {
        for record in all() {
            let (bytes, older) = (record.encode(70), record.encode(6));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes;
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(Record::decode(&bad, 70).is_err(), "bit {bit}");
            }
            for words in 1..8 {
                let mut torn = older;
                torn[..words * 8].copy_from_slice(&bytes[..words * 8]);
                assert!(Record::decode(&torn, 70).is_err(), "{words} words");
            }
        }
    }

    #[test]
    fn what_a_checksum_covers_is_still_not_believed() {
        let sealed = |at: usize, byte: u8| {
            let mut bytes = all()[4].encode(5);
            bytes[at] = byte;
            let crc = crate::crc32c(&bytes[..60]);
            bytes[60..].copy_from_slice(&crc.to_le_bytes());
            Record::decode(&bytes, 5)
        };
        assert!(sealed(16, 7).is_ok(), "another set of parts");
        for (at, byte) in [(50, 0), (50, 11), (51, 1), (48, 0), (24, 1), (15, 0xff)] {
            assert!(sealed(at, byte).is_err(), "byte {at}");
        }
    }
}
