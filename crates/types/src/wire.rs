//! Messages between a rank and its supervisor, over their local socket.
//!
//! One message is one datagram of at most [`WIRE_BYTES_MAX`](crate::limits::WIRE_BYTES_MAX) bytes;
//! descriptors travel beside it. Tables of who sends what when are in `docs/protocols/rank.md`.
//! Invariant: `decode(encode(m)) == m`, and any other input is an error. Deliberately absent:
//! bulk data, which lies in the descriptors' memory.

use crate::codec::{DecodeError, Reader, Writer};
use crate::event::Level;
use crate::inject::Injection;
use crate::limits::{INJECTIONS_MAX, NAME_BYTES_MAX, RANKS_MAX, TEXT_BYTES_MAX};
use crate::{Epoch, Incarnation, JobId, Rank, Step, Version};

/// The version of these messages; a rank and a supervisor that differ refuse each other.
pub const PROTOCOL: u32 = 1;
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

/// What a rank says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToSupervisor {
    /// The first message: who I am.
    Hello {
        /// [`PROTOCOL`] of the rank's library.
        protocol: u32,
        /// The token of this rank and incarnation, from the environment.
        token: [u8; 16],
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
        /// The process that runs the program, behind any wrapper.
        pid: u32,
    },
    /// My last call of an older epoch has returned.
    Ack {
        /// The epoch acknowledged.
        epoch: Epoch,
    },
    /// I need an arena for a slot. Answered by [`ToRank::Arena`].
    Arena {
        /// The epoch of the request.
        epoch: Epoch,
        /// Which of the two slots.
        slot: u8,
        /// Bytes needed.
        bytes: u64,
    },
    /// My part of a version lies in its arena.
    Captured {
        /// The epoch of the capture.
        epoch: Epoch,
        /// Which version.
        version: Version,
        /// At which step.
        step: Step,
        /// Bytes of the image.
        image_bytes: u64,
        /// CRC-32C of the image's table.
        table_crc: u32,
        /// How long the program was blocked, ns.
        blocked_ns: u64,
        /// Messages sent on each channel, by destination.
        sent: Vec<u64>,
        /// Messages taken in on each channel, by source.
        delivered: Vec<u64>,
        /// Messages taken in early, at most [`EARLY_MAX`].
        early: Vec<Early>,
    },
    /// My late messages of a version; the descriptor holds them if `bytes` is not 0.
    Late {
        /// The epoch of the capture.
        epoch: Epoch,
        /// Which version.
        version: Version,
        /// Bytes of late messages.
        bytes: u64,
        /// Their CRC-32C.
        crc: u32,
    },
    /// I have my state.
    Restored {
        /// The epoch.
        epoch: Epoch,
        /// How long the copy took, ns.
        took_ns: u64,
    },
    /// I could not restore what I was given.
    RestoreFailed {
        /// The epoch.
        epoch: Epoch,
        /// The version that failed.
        version: Version,
        /// What was wrong.
        why: String,
    },
    /// I need a named input. Answered by [`ToRank::InputLoad`] or [`ToRank::InputReady`].
    Input {
        /// The epoch of the request.
        epoch: Epoch,
        /// Its name.
        name: String,
    },
    /// I have loaded it; the descriptor holds it. Answered by [`ToRank::InputReady`].
    InputLoaded {
        /// The epoch of the request.
        epoch: Epoch,
        /// Its name.
        name: String,
        /// Its bytes.
        bytes: u64,
        /// Their CRC-32C.
        crc: u32,
    },
    /// A value for the report.
    Report {
        /// The epoch.
        epoch: Epoch,
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// The job's results are to be published in this file.
    Output {
        /// The epoch.
        epoch: Epoch,
        /// An absolute path.
        path: String,
    },
    /// My result; the descriptors hold it, and the audit log if there is one.
    Result {
        /// The epoch.
        epoch: Epoch,
        /// My last step.
        step: Step,
        /// Bytes of result.
        bytes: u64,
        /// Bytes of audit log in the second descriptor.
        audit_bytes: u64,
    },
    /// My program panicked; I am about to exit.
    Panicked {
        /// The panic's message and place.
        message: String,
    },
    /// My program returned its own error; I am about to exit.
    Failed {
        /// The error.
        message: String,
    },
    /// My program returned `Ok` without `finish`; I am about to exit.
    FinishedEarly,
}

/// What a supervisor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToRank {
    /// Welcome; the descriptor is the job's segment.
    Welcome {
        /// The job.
        job: JobId,
        /// Number of ranks.
        n: u32,
        /// Capacity of a ring, bytes.
        ring_bytes: u64,
        /// Whether this rank has a processor for itself, so that it may spin before it parks.
        may_spin: bool,
        /// Whether message hashes are to be logged.
        audit: bool,
        /// Injections that concern this rank, with the number each has in the job.
        injections: Vec<(u32, Injection)>,
    },
    /// Acknowledge this epoch; sent to ranks that wait for one to open.
    Raised {
        /// The epoch.
        epoch: Epoch,
    },
    /// Enter the program under this epoch.
    Open {
        /// The epoch.
        epoch: Epoch,
        /// Every rank's incarnation, by rank.
        incarnations: Vec<u32>,
        /// What to restore; `None` is the start of the job.
        restore: Option<Restore>,
    },
    /// An arena for a slot; the descriptor is its memory.
    Arena {
        /// Which slot.
        slot: u8,
        /// Its capacity, bytes.
        bytes: u64,
    },
    /// You are the one to load the input.
    InputLoad,
    /// The input is in the descriptor.
    InputReady {
        /// Its bytes.
        bytes: u64,
        /// Their CRC-32C.
        crc: u32,
    },
    /// The epoch was raised while you asked.
    Interrupted,
    /// It cannot be given; the program fails for this reason.
    Refused {
        /// The reason and the mend.
        why: String,
    },
}

/// Where a rank's part of a version lies and what its channels must make up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Which version.
    pub version: Version,
    /// Its step.
    pub step: Step,
    /// Where the image is. The first descriptor is its arena, or the shard file.
    pub level: Level,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// CRC-32C of the image's table.
    pub table_crc: u32,
    /// Where the late messages start in the second descriptor.
    pub late_at: u64,
    /// Bytes of late messages.
    pub late_bytes: u64,
    /// CRC-32C of the late messages.
    pub late_crc: u32,
    /// Messages that each destination has already taken in, by destination.
    pub suppress: Vec<u64>,
    /// Hashes of those among them that were sent after the version.
    pub early: Vec<Early>,
}

impl ToSupervisor {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Hello {
                protocol,
                token,
                rank,
                incarnation,
                pid,
            } => {
                w.u8(0)
                    .u32(*protocol)
                    .raw(token)
                    .u32(rank.0)
                    .u32(incarnation.0)
                    .u32(*pid);
            }
            Self::Ack { epoch } => {
                w.u8(1).u32(epoch.0);
            }
            Self::Arena { epoch, slot, bytes } => {
                w.u8(2).u32(epoch.0).u8(*slot).u64(*bytes);
            }
            Self::Captured { .. } => self.encode_captured(&mut w),
            Self::Late {
                epoch,
                version,
                bytes,
                crc,
            } => {
                w.u8(4).u32(epoch.0).u64(version.0).u64(*bytes).u32(*crc);
            }
            Self::Restored { epoch, took_ns } => {
                w.u8(5).u32(epoch.0).u64(*took_ns);
            }
            Self::RestoreFailed {
                epoch,
                version,
                why,
            } => {
                w.u8(6).u32(epoch.0).u64(version.0).text(cut(why));
            }
            Self::Input { epoch, name } => {
                w.u8(7).u32(epoch.0).text(name);
            }
            Self::InputLoaded {
                epoch,
                name,
                bytes,
                crc,
            } => {
                w.u8(8).u32(epoch.0).text(name).u64(*bytes).u32(*crc);
            }
            Self::Report { epoch, key, value } => {
                w.u8(9).u32(epoch.0).text(key).text(cut(value));
            }
            Self::Output { epoch, path } => {
                w.u8(10).u32(epoch.0).text(path);
            }
            Self::Result {
                epoch,
                step,
                bytes,
                audit_bytes,
            } => {
                w.u8(11)
                    .u32(epoch.0)
                    .u64(step.0)
                    .u64(*bytes)
                    .u64(*audit_bytes);
            }
            Self::Panicked { message } => {
                w.u8(12).text(cut(message));
            }
            Self::Failed { message } => {
                w.u8(13).text(cut(message));
            }
            Self::FinishedEarly => {
                w.u8(14);
            }
        }
        w.into_bytes()
    }

    fn encode_captured(&self, w: &mut Writer) {
        let Self::Captured {
            epoch,
            version,
            step,
            image_bytes,
            table_crc,
            blocked_ns,
            sent,
            delivered,
            early,
        } = self
        else {
            return;
        };
        w.u8(3)
            .u32(epoch.0)
            .u64(version.0)
            .u64(step.0)
            .u64(*image_bytes)
            .u32(*table_crc);
        w.u64(*blocked_ns).u64s(sent).u64s(delivered);
        put_early(w, early);
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything that [`ToSupervisor::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = r.u8("message kind")?;
        let message = match kind {
            0 => {
                let protocol = r.u32("protocol")?;
                let mut token = [0; 16];
                token.copy_from_slice(r.raw(16, "token")?);
                let (rank, incarnation) =
                    (Rank(r.u32("rank")?), Incarnation(r.u32("incarnation")?));
                Self::Hello {
                    protocol,
                    token,
                    rank,
                    incarnation,
                    pid: r.u32("pid")?,
                }
            }
            12 => Self::Panicked {
                message: r.text(TEXT_BYTES_MAX, "panic")?,
            },
            13 => Self::Failed {
                message: r.text(TEXT_BYTES_MAX, "error")?,
            },
            14 => Self::FinishedEarly,
            1..=11 => {
                let epoch = Epoch(r.u32("epoch")?);
                Self::decode_of_epoch(kind, epoch, &mut r)?
            }
            other => {
                let value = u64::from(other);
                return Err(DecodeError::Unknown {
                    what: "message kind",
                    value,
                    at: 0,
                });
            }
        };
        r.end("message")?;
        Ok(message)
    }

    fn decode_of_epoch(kind: u8, epoch: Epoch, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channels = RANKS_MAX as usize;
        Ok(match kind {
            1 => Self::Ack { epoch },
            2 => Self::Arena {
                epoch,
                slot: slot(r)?,
                bytes: r.u64("arena bytes")?,
            },
            3 => Self::Captured {
                epoch,
                version: Version(r.u64("version")?),
                step: Step(r.u64("step")?),
                image_bytes: r.u64("image bytes")?,
                table_crc: r.u32("table checksum")?,
                blocked_ns: r.u64("blocked time")?,
                sent: r.u64s(channels, "sent counters")?,
                delivered: r.u64s(channels, "delivered counters")?,
                early: get_early(r)?,
            },
            4 => Self::Late {
                epoch,
                version: Version(r.u64("version")?),
                bytes: r.u64("late bytes")?,
                crc: r.u32("late checksum")?,
            },
            5 => Self::Restored {
                epoch,
                took_ns: r.u64("restore time")?,
            },
            6 => Self::RestoreFailed {
                epoch,
                version: Version(r.u64("version")?),
                why: r.text(TEXT_BYTES_MAX, "reason")?,
            },
            7 => Self::Input {
                epoch,
                name: r.text(NAME_BYTES_MAX, "input name")?,
            },
            8 => Self::InputLoaded {
                epoch,
                name: r.text(NAME_BYTES_MAX, "input name")?,
                bytes: r.u64("input bytes")?,
                crc: r.u32("input checksum")?,
            },
            9 => Self::Report {
                epoch,
                key: r.text(NAME_BYTES_MAX, "report key")?,
                value: r.text(TEXT_BYTES_MAX, "report value")?,
            },
            10 => Self::Output {
                epoch,
                path: r.text(TEXT_BYTES_MAX, "output path")?,
            },
            _ => Self::Result {
                epoch,
                step: Step(r.u64("step")?),
                bytes: r.u64("result bytes")?,
                audit_bytes: r.u64("audit bytes")?,
            },
        })
    }
}

impl ToRank {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Welcome {
                job,
                n,
                ring_bytes,
                may_spin,
                audit,
                injections,
            } => {
                w.u8(0).raw(&job.0).u32(*n).u64(*ring_bytes);
                w.u8(u8::from(*may_spin))
                    .u8(u8::from(*audit))
                    .count(injections.len());
                for (number, injection) in injections {
                    w.u32(*number);
                    injection.encode(&mut w);
                }
            }
            Self::Raised { epoch } => {
                w.u8(1).u32(epoch.0);
            }
            Self::Open {
                epoch,
                incarnations,
                restore,
            } => {
                w.u8(2).u32(epoch.0).count(incarnations.len());
                for incarnation in incarnations {
                    w.u32(*incarnation);
                }
                w.option(restore.as_ref(), |w, restore| restore.encode(w));
            }
            Self::Arena { slot, bytes } => {
                w.u8(3).u8(*slot).u64(*bytes);
            }
            Self::InputLoad => {
                w.u8(4);
            }
            Self::InputReady { bytes, crc } => {
                w.u8(5).u64(*bytes).u32(*crc);
            }
            Self::Interrupted => {
                w.u8(6);
            }
            Self::Refused { why } => {
                w.u8(7).text(cut(why));
            }
        }
        w.into_bytes()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything that [`ToRank::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("message kind")? {
            0 => Self::decode_welcome(&mut r)?,
            1 => Self::Raised {
                epoch: Epoch(r.u32("epoch")?),
            },
            2 => {
                let epoch = Epoch(r.u32("epoch")?);
                let count = r.count(4, RANKS_MAX as usize, "incarnations")?;
                let incarnations = (0..count)
                    .map(|_| r.u32("incarnation"))
                    .collect::<Result<_, _>>()?;
                Self::Open {
                    epoch,
                    incarnations,
                    restore: r.option("restore", Restore::decode)?,
                }
            }
            3 => Self::Arena {
                slot: slot(&mut r)?,
                bytes: r.u64("arena bytes")?,
            },
            4 => Self::InputLoad,
            5 => Self::InputReady {
                bytes: r.u64("input bytes")?,
                crc: r.u32("input checksum")?,
            },
            6 => Self::Interrupted,
            7 => Self::Refused {
                why: r.text(TEXT_BYTES_MAX, "reason")?,
            },
            other => {
                let value = u64::from(other);
                return Err(DecodeError::Unknown {
                    what: "message kind",
                    value,
                    at: 0,
                });
            }
        };
        r.end("message")?;
        Ok(message)
    }

    fn decode_welcome(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut job = [0; 16];
        job.copy_from_slice(r.raw(16, "job")?);
        let (n, ring_bytes) = (r.u32("ranks")?, r.u64("ring bytes")?);
        let (may_spin, audit) = (flag(r)?, flag(r)?);
        let count = r.count(20, INJECTIONS_MAX, "injections")?;
        let injections = (0..count)
            .map(|_| Ok((r.u32("injection number")?, Injection::decode(r)?)))
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self::Welcome {
            job: JobId(job),
            n,
            ring_bytes,
            may_spin,
            audit,
            injections,
        })
    }
}

impl Restore {
    fn encode(&self, w: &mut Writer) {
        let level = match self.level {
            Level::Memory => 0,
            Level::Disk => 1,
        };
        w.u64(self.version.0)
            .u64(self.step.0)
            .u8(level)
            .u64(self.image_bytes);
        w.u32(self.table_crc)
            .u64(self.late_at)
            .u64(self.late_bytes)
            .u32(self.late_crc);
        w.u64s(&self.suppress);
        put_early(w, &self.early);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: Version(r.u64("version")?),
            step: Step(r.u64("step")?),
            level: if flag(r)? { Level::Disk } else { Level::Memory },
            image_bytes: r.u64("image bytes")?,
            table_crc: r.u32("table checksum")?,
            late_at: r.u64("late offset")?,
            late_bytes: r.u64("late bytes")?,
            late_crc: r.u32("late checksum")?,
            suppress: r.u64s(RANKS_MAX as usize, "suppressed counters")?,
            early: get_early(r)?,
        })
    }
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
        other => Err(DecodeError::Unknown {
            what: "flag",
            value: u64::from(other),
            at,
        }),
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
    use crate::inject;

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
            ToSupervisor::Arena {
                epoch,
                slot: 1,
                bytes: 5,
            },
            ToSupervisor::Captured {
                epoch,
                version: Version(4),
                step: Step(5),
                image_bytes: 6,
                table_crc: 7,
                blocked_ns: 8,
                sent: vec![1, 2],
                delivered: vec![3, 4],
                early: vec![Early {
                    peer: Rank(1),
                    sequence: 2,
                    hash: 3,
                }],
            },
            ToSupervisor::Late {
                epoch,
                version: Version(1),
                bytes: 2,
                crc: 3,
            },
            ToSupervisor::Restored { epoch, took_ns: 1 },
            ToSupervisor::RestoreFailed {
                epoch,
                version: Version(1),
                why: "torn".into(),
            },
            ToSupervisor::Input {
                epoch,
                name: "matrix".into(),
            },
            ToSupervisor::InputLoaded {
                epoch,
                name: "matrix".into(),
                bytes: 1,
                crc: 2,
            },
            ToSupervisor::Report {
                epoch,
                key: "residual".into(),
                value: "1e-10".into(),
            },
            ToSupervisor::Output {
                epoch,
                path: "/x".into(),
            },
            ToSupervisor::Result {
                epoch,
                step: Step(9),
                bytes: 1,
                audit_bytes: 0,
            },
            ToSupervisor::Panicked {
                message: "oh".into(),
            },
            ToSupervisor::Failed {
                message: "no".into(),
            },
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
            early: vec![Early {
                peer: Rank(0),
                sequence: 1,
                hash: 2,
            }],
        };
        vec![
            ToRank::Welcome {
                job: JobId([1; 16]),
                n: 4,
                ring_bytes: 65536,
                may_spin: true,
                audit: false,
                injections: injections
                    .into_iter()
                    .zip(0..)
                    .map(|(i, k)| (k, i))
                    .collect(),
            },
            ToRank::Raised { epoch: Epoch(2) },
            ToRank::Open {
                epoch: Epoch(2),
                incarnations: vec![0, 1],
                restore: Some(restore),
            },
            ToRank::Open {
                epoch: Epoch(1),
                incarnations: vec![0],
                restore: None,
            },
            ToRank::Arena { slot: 1, bytes: 2 },
            ToRank::InputLoad,
            ToRank::InputReady { bytes: 1, crc: 2 },
            ToRank::Interrupted,
            ToRank::Refused {
                why: "too large".into(),
            },
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

    #[test]
    fn long_text_is_cut_at_a_character() {
        let message = "é".repeat(TEXT_BYTES_MAX);
        let bytes = ToSupervisor::Panicked { message }.encode();
        assert!(ToSupervisor::decode(&bytes).is_ok());
    }
}
