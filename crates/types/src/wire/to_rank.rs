//! What a supervisor says to a rank.
//!
//! Deliberately absent: questions; see `to_supervisor`.

use super::{Early, Group, cut, flag, get_early, put_early, slot};
use crate::codec::{DecodeError, Reader, Writer};
use crate::event::Level;
use crate::inject::Injection;
use crate::limits::{INJECTIONS_MAX, RANKS_MAX, TEXT_BYTES_MAX};
use crate::{Epoch, JobId, Step, Tracking, Version};

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
        /// Whether payloads are sent with a checksum.
        checks: bool,
        /// The seed of the job's random numbers.
        seed: u64,
        /// Whether the rank has one arena, and not two.
        one_arena: bool,
        /// Whether captures copy only what was written.
        tracking: Tracking,
        /// Places of the rank's tape, whose memory is the second descriptor; 0 if nothing is traced.
        tape: u64,
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
    /// Enter the program under this epoch with the state of a version that another number of ranks
    /// captured. The first descriptor is the checkpoint directory, the second the version's manifest
    /// in it.
    OpenReshaped {
        /// The epoch.
        epoch: Epoch,
        /// Every rank's incarnation, by rank.
        incarnations: Vec<u32>,
        /// What to restore.
        reshape: Reshape,
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
    /// All of a group have arrived, and this is what they agree on.
    Agreed {
        /// The epoch of the agreement.
        epoch: Epoch,
        /// Who agreed.
        group: Group,
        /// The number of the agreement in the group.
        round: u64,
        /// Whether all said yes; `None` if they were not all in one step.
        ok: Option<bool>,
    },
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

/// A version that is put together for another number of ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// Which version.
    pub version: Version,
    /// Its step.
    pub step: Step,
    /// How many ranks captured it.
    pub ranks: u32,
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
                checks,
                seed,
                one_arena,
                tracking,
                tape,
                injections,
            } => {
                w.u8(0).raw(&job.0).u32(*n).u64(*ring_bytes);
                w.u8(u8::from(*may_spin)).u8(u8::from(*audit)).u8(u8::from(*checks));
                w.u64(*seed).u8(u8::from(*one_arena)).u8(tracking.code()).u64(*tape);
                w.count(injections.len());
                for (number, injection) in injections {
                    w.u32(*number);
                    injection.encode(&mut w);
                }
            }
            Self::Raised { epoch } => {
                w.u8(1).u32(epoch.0);
            }
            Self::Open { epoch, incarnations, restore } => {
                w.u8(2).u32(epoch.0);
                put_incarnations(&mut w, incarnations);
                w.option(restore.as_ref(), |w, restore| restore.encode(w));
            }
            Self::OpenReshaped { epoch, incarnations, reshape } => {
                w.u8(9).u32(epoch.0);
                put_incarnations(&mut w, incarnations);
                w.u64(reshape.version.0).u64(reshape.step.0).u32(reshape.ranks);
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
            Self::Agreed { epoch, group, round, ok } => {
                w.u8(8).u32(epoch.0);
                group.put(&mut w);
                w.u64(*round).option(*ok, |w, ok| {
                    w.u8(u8::from(ok));
                });
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
            1 => Self::Raised { epoch: Epoch(r.u32("epoch")?) },
            2 => {
                let epoch = Epoch(r.u32("epoch")?);
                let incarnations = get_incarnations(&mut r)?;
                Self::Open { epoch, incarnations, restore: r.option("restore", Restore::decode)? }
            }
            3 => Self::Arena { slot: slot(&mut r)?, bytes: r.u64("arena bytes")? },
            4 => Self::InputLoad,
            5 => Self::InputReady { bytes: r.u64("input bytes")?, crc: r.u32("input checksum")? },
            6 => Self::Interrupted,
            7 => Self::Refused { why: r.text(TEXT_BYTES_MAX, "reason")? },
            8 => Self::Agreed {
                epoch: Epoch(r.u32("epoch")?),
                group: Group::get(&mut r)?,
                round: r.u64("round")?,
                ok: r.option("answer", flag)?,
            },
            9 => Self::OpenReshaped {
                epoch: Epoch(r.u32("epoch")?),
                incarnations: get_incarnations(&mut r)?,
                reshape: Reshape {
                    version: Version(r.u64("version")?),
                    step: Step(r.u64("step")?),
                    ranks: r.u32("ranks of the version")?,
                },
            },
            other => {
                let value = u64::from(other);
                return Err(DecodeError::Unknown { what: "message kind", value, at: 0 });
            }
        };
        r.end("message")?;
        Ok(message)
    }

    fn decode_welcome(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut job = [0; 16];
        job.copy_from_slice(r.raw(16, "job")?);
        let (n, ring_bytes) = (r.u32("ranks")?, r.u64("ring bytes")?);
        let (may_spin, audit, checks) = (flag(r)?, flag(r)?, flag(r)?);
        let (seed, one_arena) = (r.u64("seed")?, flag(r)?);
        let (at, code) = (r.at(), r.u8("tracking")?);
        let unknown = DecodeError::Unknown { what: "tracking", value: code.into(), at };
        let tracking = Tracking::of_code(code).ok_or(unknown)?;
        let tape = r.u64("places of the tape")?;
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
            checks,
            seed,
            one_arena,
            tracking,
            tape,
            injections,
        })
    }
}

fn put_incarnations(w: &mut Writer, incarnations: &[u32]) {
    w.count(incarnations.len());
    for incarnation in incarnations {
        w.u32(*incarnation);
    }
}

fn get_incarnations(r: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
    let count = r.count(4, RANKS_MAX as usize, "incarnations")?;
    (0..count).map(|_| r.u32("incarnation")).collect()
}

impl Restore {
    fn encode(&self, w: &mut Writer) {
        // What others hold of a rank's memory is put back before a rank restores.
        let level = match self.level {
            Level::Memory | Level::Partner | Level::Parity => 0,
            Level::Disk => 1,
        };
        w.u64(self.version.0).u64(self.step.0).u8(level).u64(self.image_bytes);
        w.u32(self.table_crc).u64(self.late_at).u64(self.late_bytes).u32(self.late_crc);
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
