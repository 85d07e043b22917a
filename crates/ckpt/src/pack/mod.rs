//! Packed shards: a shard in stored blocks, each as it is, smaller, or as it lies in an older version.
//!
//! A packed shard is a container of exactly the bytes that a plain one has. [`Stored`] gives those
//! bytes again, so whatever reads plain shards reads packed ones; `docs/formats/packed.md` is the
//! table behind it.
//!
//! Invariants: what a block decodes to is checked by the checksums of what it belongs to, as in a plain
//! shard, and what is stored of it by one of its own, so that the two can be told apart; a reference
//! names the file that holds the bytes, never another reference; nothing that a file says makes a
//! reader take more memory than a block. Deliberately absent: files, and when it is worth its while
//! to be smaller, for which the caller measures (see [`choose()`]).

pub mod choose;
pub mod codec;
pub mod lossy;
pub mod map;
pub mod numbers;
pub mod packer;
pub mod stored;
pub mod tail;

mod audit;

/// The format version of packed shards, and of manifests that name one.
pub const PACKED_FORMAT: u32 = 2;
/// Bytes that are hashed, compressed and referred to together.
pub const BLOCK_BYTES: usize = 64 * 1024;
/// Most other files that a shard may refer to.
pub const HOLDERS_MAX: usize = 250;

pub use audit::audit_packed;
pub use choose::{Choosing, Sample, choose};
pub use codec::{Codec, Coder};
pub use map::{Block, Holder, Map, Segment};
pub use packer::{Base, Packer, Packing};
pub use stored::{Stored, Unpacked};
