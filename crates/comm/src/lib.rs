//! The engines of messages: where words lie in shared memory, rings, doorbells, boards, matching,
//! the counters of channels with the consistent cut, and the trees of collectives.
//!
//! Invariants: nothing here moves payload, waits, or knows a process; every decision about a
//! message (accept, drop, refuse, late, early, suppress, match) is a value computed from values.
//! The words of rings, doorbells and boards are generic, so that loom explores the code that ships.
//! Deliberately absent: memory, futexes, sockets and time, which `host::endpoint` brings.

pub mod bell;
pub mod board;
pub mod channel;
pub mod credits;
pub mod cut;
pub mod journal;
pub mod layout;
pub mod matching;
pub mod message;
pub mod mix;
pub mod ring;
pub mod tree;
pub mod words;

pub use channel::{Channels, Outgoing, ResumeError, Verdict};
pub use cut::{Age, Cut};
pub use journal::Journal;
pub use message::{CutState, Message, Resume};
