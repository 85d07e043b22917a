//! The manifest: the file whose publication makes a version exist on disk.
//!
//! Invariant: a manifest that decodes names one shard for each rank, and no number in it
//! contradicts another. Deliberately absent: publication, which `host` does when the ledger asks;
//! and comparing inputs, which are known only when the program asks for them.

use std::collections::BTreeSet;

use mainstay_types::wire::Early;
use mainstay_types::{Epoch, Incarnation, JobId, Rank, Step, Version};

use super::name::shard_name;
use super::nodes::NodeLayout;
use crate::pack::Packing;

/// The program of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it was started from.
    pub path: String,
    /// SHA-256 of its file.
    pub sha256: [u8; 32],
}

/// An input that the program has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputEntry {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their CRC-32C.
    pub crc: u32,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Which job it is, and of what it consists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The job.
    pub job: JobId,
    /// How often it was launched, this time included.
    pub launch: u32,
    /// Its program.
    pub program: Program,
    /// The seed of its random numbers.
    pub seed: u64,
    /// The program's arguments.
    pub args: Vec<Vec<u8>>,
    /// Its inputs, in the order of their names.
    pub inputs: Vec<InputEntry>,
}

/// Why a job cannot be resumed as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The program's file has other bytes.
    Program,
    /// The seed of its random numbers is another.
    Seed {
        /// As it was.
        was: u64,
        /// As it is.
        now: u64,
    },
    /// The argument with this number, from 0, differs, is new or is gone.
    Argument(usize),
    /// The input of this name has other bytes.
    Input(String),
}

impl Identity {
    /// What differs between the job as it was and as it is `now`. The program's path, the launch
    /// and inputs that only one of them has loaded do not matter.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.program.sha256 != now.program.sha256 {
            found.push(Difference::Program);
        }
        let most = self.args.len().max(now.args.len());
        let differs = |i: &usize| self.args.get(*i) != now.args.get(*i);
        found.extend((0..most).filter(differs).map(Difference::Argument));
        if self.seed != now.seed {
            found.push(Difference::Seed { was: self.seed, now: now.seed });
        }
        for input in &now.inputs {
            let was = self.inputs.iter().find(|was| was.name == input.name);
            if was.is_some_and(|was| was != input) {
                found.push(Difference::Input(input.name.clone()));
            }
        }
        found
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Program => f.write_str("the program's file is another"),
            Self::Seed { was, now } => write!(f, "its seed was {was} and is {now}"),
            Self::Argument(i) => write!(f, "argument {} is another", i + 1),
            Self::Input(name) => write!(f, "the input `{name}` has other bytes"),
        }
    }
}

/// A rank's part of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankEntry {
    /// The incarnation that captured it.
    pub incarnation: Incarnation,
    /// The epoch of the capture, as in the shard's name.
    pub file_epoch: Epoch,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// CRC-32C of its table.
    pub table_crc: u32,
    /// Bytes of late messages.
    pub late_bytes: u64,
    /// Their CRC-32C; 0 without any.
    pub late_crc: u32,
    /// Messages sent, by destination; one for each rank.
    pub sent: Vec<u64>,
    /// Messages taken in, by source; one for each rank.
    pub delivered: Vec<u64>,
    /// Messages taken in that were sent after the sender's capture.
    pub early: Vec<Early>,
    /// How its shard is packed; `None` if it is plain.
    pub packing: Option<Packing>,
}

impl RankEntry {
    /// Where the late messages lie in the shard; 0 without any.
    #[must_use]
    pub fn late_at(&self) -> u64 {
        super::late_at(self.image_bytes, self.late_bytes)
    }

    /// Bytes of the shard, however it is stored.
    #[must_use]
    pub fn shard_bytes(&self) -> u64 {
        let end = self.late_at().saturating_add(self.late_bytes);
        end.max(self.image_bytes)
    }

    /// Bytes of the file that it is stored in.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.packing.as_ref().map_or_else(|| self.shard_bytes(), |packing| packing.file_bytes)
    }

    /// CRC-32C of the image's table as the file has it.
    #[must_use]
    pub fn stored_table_crc(&self) -> u32 {
        self.packing.as_ref().map_or(self.table_crc, |packing| packing.table_crc)
    }

    /// The versions that its file refers to.
    pub fn refers_to(&self) -> impl Iterator<Item = Version> + '_ {
        self.packing.iter().flat_map(|packing| &packing.holders).map(|holder| holder.version)
    }

    /// The name of the shard, for the rank and version it belongs to.
    #[must_use]
    pub fn shard_name(&self, version: Version, rank: Rank) -> String {
        shard_name(version, self.file_epoch, rank, self.incarnation)
    }
}

/// One version, as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which job wrote it.
    pub identity: Identity,
    /// The epoch of the capture.
    pub epoch: Epoch,
    /// Which version.
    pub version: Version,
    /// The step at which it was captured.
    pub step: Step,
    /// The version before it in the job's history.
    pub parent: Option<Version>,
    /// Every rank's part, by rank.
    pub ranks: Vec<RankEntry>,
    /// In which nodes' directories its files lie; `None` if there are no nodes.
    pub nodes: Option<NodeLayout>,
}

impl Manifest {
    /// Number of ranks.
    #[must_use]
    pub fn n(&self) -> u32 {
        u32::try_from(self.ranks.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of all shards.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let each = self.ranks.iter().map(RankEntry::shard_bytes);
        each.fold(0, u64::saturating_add)
    }

    /// Bytes of all files that they are stored in.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        let each = self.ranks.iter().map(RankEntry::file_bytes);
        each.fold(0, u64::saturating_add)
    }

    /// The older versions that its shards refer to.
    #[must_use]
    pub fn refers_to(&self) -> BTreeSet<Version> {
        self.ranks.iter().flat_map(RankEntry::refers_to).collect()
    }

    /// The names of all shards, by rank.
    pub fn shard_names(&self) -> impl Iterator<Item = String> + '_ {
        Rank::all(self.n()).map(|rank| self.shard_name(rank))
    }
}
