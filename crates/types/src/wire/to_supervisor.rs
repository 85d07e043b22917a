//! What a rank says to its supervisor.
//!
//! Deliberately absent: answers; see `to_rank`.

use super::{Early, Group, cut, flag, get_early, put_early, slot};
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::{NAME_BYTES_MAX, RANKS_MAX, TEXT_BYTES_MAX};
use crate::{Epoch, Incarnation, Rank, Step, Tracked, Version};

/// What a rank says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToSupervisor {
    /// The first message: who I am.
    Hello {
        /// [`PROTOCOL`](super::PROTOCOL) of the rank's library.
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
    /// I have come to an agreement of a group. Answered by
    /// [`ToRank::Agreed`](super::ToRank::Agreed), unless the epoch is raised before all have come.
    Agree {
        /// The epoch.
        epoch: Epoch,
        /// Who agrees.
        group: Group,
        /// The number of the agreement in the group.
        round: u64,
        /// The step that I am in.
        step: Step,
        /// Whether I say yes.
        ok: bool,
    },
    /// My last call of an older epoch has returned.
    Ack {
        /// The epoch acknowledged.
        epoch: Epoch,
    },
    /// I complete my first step with protected state: from here on I capture.
    Ready {
        /// The epoch.
        epoch: Epoch,
    },
    /// I need an arena for a slot. Answered by [`ToRank::Arena`](super::ToRank::Arena).
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
        /// Messages taken in early, at most [`EARLY_MAX`](super::EARLY_MAX).
        early: Vec<Early>,
        /// What was copied, if it was not simply everything.
        tracked: Option<Tracked>,
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
        /// Whose part of it is bad: mine, unless the version is put together.
        part: Rank,
        /// What was wrong.
        why: String,
    },
    /// I need a named input. Answered by [`ToRank::InputLoad`](super::ToRank::InputLoad) or
    /// [`ToRank::InputReady`](super::ToRank::InputReady).
    Input {
        /// The epoch of the request.
        epoch: Epoch,
        /// Its name.
        name: String,
    },
    /// I have loaded it; the descriptor holds it. Answered by
    /// [`ToRank::InputReady`](super::ToRank::InputReady).
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
        /// Why nothing can be published there; empty if nothing speaks against it.
        why: String,
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

impl ToSupervisor {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Hello { protocol, token, rank, incarnation, pid } => {
                w.u8(0).u32(*protocol).raw(token).u32(rank.0).u32(incarnation.0).u32(*pid);
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
            Self::Captured { .. } => self.encode_captured(&mut w),
            of_epoch => of_epoch.encode_of_epoch(&mut w),
        }
        w.into_bytes()
    }

    fn encode_of_epoch(&self, w: &mut Writer) {
        match self {
            Self::Ack { epoch } => w.u8(1).u32(epoch.0),
            Self::Arena { epoch, slot, bytes } => w.u8(2).u32(epoch.0).u8(*slot).u64(*bytes),
            Self::Late { epoch, version, bytes, crc } => {
                w.u8(4).u32(epoch.0).u64(version.0).u64(*bytes).u32(*crc)
            }
            Self::Restored { epoch, took_ns } => w.u8(5).u32(epoch.0).u64(*took_ns),
            Self::RestoreFailed { epoch, version, part, why } => {
                w.u8(6).u32(epoch.0).u64(version.0).u32(part.0).text(cut(why))
            }
            Self::Input { epoch, name } => w.u8(7).u32(epoch.0).text(name),
            Self::InputLoaded { epoch, name, bytes, crc } => {
                w.u8(8).u32(epoch.0).text(name).u64(*bytes).u32(*crc)
            }
            Self::Report { epoch, key, value } => w.u8(9).u32(epoch.0).text(key).text(cut(value)),
            Self::Output { epoch, path, why } => w.u8(10).u32(epoch.0).text(path).text(cut(why)),
            Self::Ready { epoch } => w.u8(15).u32(epoch.0),
            Self::Agree { epoch, group, round, step, ok } => {
                w.u8(16).u32(epoch.0);
                group.put(w);
                w.u64(*round).u64(step.0).u8(u8::from(*ok))
            }
            Self::Result { epoch, step, bytes, audit_bytes } => {
                w.u8(11).u32(epoch.0).u64(step.0).u64(*bytes).u64(*audit_bytes)
            }
            Self::Hello { .. }
            | Self::Captured { .. }
            | Self::Panicked { .. }
            | Self::Failed { .. }
            | Self::FinishedEarly => w,
        };
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
            tracked,
        } = self
        else {
            return;
        };
        w.u8(3).u32(epoch.0).u64(version.0).u64(step.0).u64(*image_bytes).u32(*table_crc);
        w.u64(*blocked_ns).u64s(sent).u64s(delivered);
        put_early(w, early);
        w.option(tracked.as_ref(), |w, tracked| {
            w.u64(tracked.copied_bytes).u64(tracked.bytes).u64(tracked.missed);
            w.text(cut(&tracked.why));
        });
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
                Self::Hello { protocol, token, rank, incarnation, pid: r.u32("pid")? }
            }
            12 => Self::Panicked { message: r.text(TEXT_BYTES_MAX, "panic")? },
            13 => Self::Failed { message: r.text(TEXT_BYTES_MAX, "error")? },
            14 => Self::FinishedEarly,
            1..=11 | 15 | 16 => {
                let epoch = Epoch(r.u32("epoch")?);
                Self::decode_of_epoch(kind, epoch, &mut r)?
            }
            other => {
                let value = u64::from(other);
                return Err(DecodeError::Unknown { what: "message kind", value, at: 0 });
            }
        };
        r.end("message")?;
        Ok(message)
    }

    fn decode_of_epoch(kind: u8, epoch: Epoch, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channels = RANKS_MAX as usize;
        Ok(match kind {
            1 => Self::Ack { epoch },
            2 => Self::Arena { epoch, slot: slot(r)?, bytes: r.u64("arena bytes")? },
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
                tracked: r.option("tracked", get_tracked)?,
            },
            4 => Self::Late {
                epoch,
                version: Version(r.u64("version")?),
                bytes: r.u64("late bytes")?,
                crc: r.u32("late checksum")?,
            },
            5 => Self::Restored { epoch, took_ns: r.u64("restore time")? },
            6 => Self::RestoreFailed {
                epoch,
                version: Version(r.u64("version")?),
                part: Rank(r.u32("part")?),
                why: r.text(TEXT_BYTES_MAX, "reason")?,
            },
            7 => Self::Input { epoch, name: r.text(NAME_BYTES_MAX, "input name")? },
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
            15 => Self::Ready { epoch },
            16 => {
                let (group, round) = (Group::get(r)?, r.u64("round")?);
                Self::Agree { epoch, group, round, step: Step(r.u64("step")?), ok: flag(r)? }
            }
            10 => Self::Output {
                epoch,
                path: r.text(TEXT_BYTES_MAX, "output path")?,
                why: r.text(TEXT_BYTES_MAX, "reason")?,
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

fn get_tracked(r: &mut Reader<'_>) -> Result<Tracked, DecodeError> {
    Ok(Tracked {
        copied_bytes: r.u64("copied bytes")?,
        bytes: r.u64("bytes of fields")?,
        missed: r.u64("missed chunks")?,
        why: r.text(TEXT_BYTES_MAX, "reason")?,
    })
}
