//! What can be wrong with an image, a manifest, or the fields that a program protects.
//!
//! Deliberately absent: what is done about it. A caller that meets a [`FormatError`] has a bad copy
//! and looks for another; a [`FieldsError`] is the program's and no copy helps.

use mainstay_types::DecodeError;

use super::memory::Unreadable;
use crate::pack::lossy::Bound;

/// Why the bytes of a version cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Bytes that no encoder writes.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Fields that no program could have protected.
    #[error("the table's fields contradict themselves: {0}")]
    Fields(#[from] FieldsError),
    /// Numbers that contradict each other.
    #[error("{what} is {found} where only {expected} is possible")]
    Layout {
        /// Which number.
        what: &'static str,
        /// What the bytes say.
        found: u64,
        /// What the other numbers imply.
        expected: u64,
    },
    /// A whole image, but another one than asked for.
    #[error("the image's {what} is {found}, not {expected}")]
    Foreign {
        /// Which number differs.
        what: &'static str,
        /// What the image says.
        found: u64,
        /// What was asked for.
        expected: u64,
    },
    /// Data that changed after they were captured.
    #[error(
        "chunk {chunk} of field `{field}` has checksum {found:#010x} where {stored:#010x} is stored"
    )]
    Chunk {
        /// State and name of the field.
        field: String,
        /// Which chunk.
        chunk: usize,
        /// The checksum computed.
        found: u32,
        /// The checksum stored.
        stored: u32,
    },
    /// A gap that is not zero.
    #[error("byte {at} lies between parts and is not zero")]
    Gap {
        /// Its offset.
        at: u64,
    },
    /// Another file that stored blocks lie in cannot be had.
    #[error("{name}, which it refers to: {why}")]
    Holder {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// Too little memory for the image.
    #[error("the image needs {needed} bytes and has {room}")]
    NoRoom {
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that there are.
        room: u64,
    },
    /// The memory or file gave no bytes.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Why fields cannot be protected as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// More fields than a table may hold.
    #[error("{count} fields are more than the {most} allowed")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The most allowed.
        most: usize,
    },
    /// An empty name, or one that is too long.
    #[error("the name `{name}` has {bytes} bytes; 1 to {most} are allowed")]
    Name {
        /// The name.
        name: String,
        /// Its length.
        bytes: usize,
        /// The most allowed.
        most: usize,
    },
    /// Two fields of one name.
    #[error("the field `{field}` is named twice")]
    Twice {
        /// State and name.
        field: String,
    },
    /// An element size that does not fit the kind.
    #[error("the elements of `{field}` have {element_bytes} bytes, which {kind} does not")]
    Element {
        /// State and name.
        field: String,
        /// Bytes of an element.
        element_bytes: u32,
        /// The kind's name.
        kind: &'static str,
    },
    /// A shape without dimensions, with too many, or an offset outside it.
    #[error("the global shape of `{field}` cannot be: {why}")]
    Global {
        /// State and name.
        field: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A bound that is none, or one of elements that are no floating-point numbers.
    #[error(
        "`{field}` cannot be stored within {bound} of {kind}: a bound is a finite number above 0, \
         of f32 or f64"
    )]
    Bound {
        /// State and name.
        field: String,
        /// The bound.
        bound: Bound,
        /// The kind's name.
        kind: &'static str,
    },
    /// More bytes than a file can have.
    #[error("the fields take more than 2^63 bytes")]
    TooBig,
}
