//! The byte formats of `docs/formats/shard.md` and `docs/formats/manifest.md`.
//!
//! Invariants: `decode(encode(x)) == x`; there is one encoding of a value; lengths are bounded
//! before they are believed; a flipped bit is an error. Deliberately absent: files. Images are
//! read and written through [`memory::ReadAt`] and [`memory::WriteAt`].

pub mod error;
pub mod header;
pub mod image;
pub mod kind;
pub mod manifest;
pub mod memory;
pub mod message;
pub mod name;
pub mod nodes;
pub mod place;
pub mod plan;
pub mod restore;
pub mod table;
pub mod verify;

pub(crate) mod manifest_codec;

/// The format version that this code writes.
pub const FORMAT: u32 = 1;
/// Alignment of fields, table and late messages.
pub const PAGE_BYTES: u64 = 4096;
/// Most bytes of a table.
pub const TABLE_BYTES_MAX: u64 = 1 << 30;
/// Most bytes of a manifest.
pub const MANIFEST_BYTES_MAX: usize = 1 << 26;

/// The first multiple of [`PAGE_BYTES`] at or after `at`; `None` when there is none.
#[must_use]
pub fn align(at: u64) -> Option<u64> {
    at.checked_next_multiple_of(PAGE_BYTES)
}

/// How many chunks of [`CRC_CHUNK_BYTES`](mainstay_types::limits::CRC_CHUNK_BYTES) `bytes` make.
#[must_use]
pub fn chunks(bytes: u64) -> u64 {
    bytes.div_ceil(mainstay_types::limits::CRC_CHUNK_BYTES as u64)
}

/// Where the late messages lie behind an image in its shard; 0 without late messages.
#[must_use]
pub fn late_at(image_bytes: u64, late_bytes: u64) -> u64 {
    if late_bytes == 0 {
        return 0;
    }
    align(image_bytes).unwrap_or(u64::MAX)
}
