//! Checkpoints: the bytes of a version, the kernels that copy and check them, and the engine that
//! decides which versions exist.
//!
//! - [`erasure`]: parity, and what it gives back.
//! - [`mod@format`]: images, shards, messages and manifests as `docs/formats` describes them.
//! - [`kernel`]: a copy and its CRC-32C in one pass.
//! - [`commit`]: which file operation comes next while a version is written, published and removed.
//! - [`catalogue`]: what lies in a directory, which versions can be recovered and which can go.
//! - [`compare`], [`npy`]: what the tools say of data, and how they give it away.
//! - [`pack`]: shards in stored blocks: compressed, rounded, or left where an older version has them.
//! - [`reshape`]: the parts of a version put together for another number of ranks.
//! - [`fetch`]: which bytes of other nodes make up what a node holds for them, or has lost.
//! - [`scrub`]: which copy is read again next, and how fast.
//! - [`veloc`]: the files of another library, as far as they are imported.
//! - [`ledger`]: slots, commits, drains, publication, fallback and pruning, as a pure engine.
//!
//! Invariants: a decoder believes nothing that a checksum does not cover and never panics on what
//! it reads; a version commits only when every rank's part and every late message is there; a copy
//! is overwritten or deleted only when something newer can take its place. Deliberately absent:
//! files, memory maps, sockets and clocks, which `host` owns; and who tells the ledger what.

pub mod catalogue;
pub mod commit;
pub mod compare;
pub mod dirty;
pub mod erasure;
pub mod fetch;
pub mod format;
pub mod kernel;
pub mod ledger;
pub mod npy;
pub mod pack;
pub mod reshape;
pub mod scrub;
pub mod veloc;

pub use commit::{Commit, Content, Failure, Fault, Files, Leftovers, Next, Op, Outcome, Removal};
pub use erasure::Combination;
pub use format::error::{FieldsError, FormatError};
pub use format::header::{HEADER_BYTES, Header, image_bytes_of};
pub use format::image::{Captured, Expected, Image, ImageWriter, read_late};
pub use format::kind::Kind;
pub use format::manifest::{Difference, Identity, InputEntry, Manifest, Program, RankEntry};
pub use format::memory::{ReadAt, Unreadable, WriteAt};
pub use format::message::{
    Late, Message, decode_late, decode_messages, encode_late, encode_messages, messages_bytes,
};
pub use format::name::{
    FileName, archive_name, aside_name, copy_name, highest_version, in_node, located,
    manifest_name, node_directory, parse_name, parse_node, shard_name,
};
pub use format::nodes::{NodeLayout, PartFile};
pub use format::place::{Axis, Place, Share};
pub use format::plan::{FieldSpec, Plan};
pub use format::table::{Cut, FieldEntry, Table};
pub use format::{FORMAT, PAGE_BYTES};
pub use kernel::{Residency, copy_crc, copy_crc_raw};
pub use ledger::{Choice, Disk, Effect, Input, Ledger, Record, SLOTS, Source, Stale, VoidReason};
pub use pack::{BLOCK_BYTES, Choosing, Codec, Packing, Stored};
pub use reshape::{Assembly, Part, Piece, ReshapeError};
