//! Shared memory: the job's segment, arenas, sealed blobs, and waiting on a word.
//!
//! Invariants: all memory is a memfd, so nothing has a name and nothing outlives the processes
//! that hold it; its size is sealed before it is mapped, so no mapping can be cut short under a
//! reader; mappings are not inherited by `fork`. Bytes that another process may write are only
//! ever copied, never borrowed. Deliberately absent: who owns which word when; `comm` and the
//! protocols tell.

mod arena;
mod blob;
pub mod futex;
mod lane;
mod large;
mod memory;
mod owner;
mod segment;
mod tape;

pub use arena::{Arena, allocate_arena, allocate_window};
pub use blob::Blob;
pub use owner::OWNER_DIED;
pub use segment::{Area, Segment};
pub use tape::Tape;

pub(crate) use lane::bump;
pub(crate) use large::{LARGE_PAGE_BYTES, prefer_large_pages};
