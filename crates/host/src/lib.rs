//! The real world behind the engines: processes, shared memory, sockets, files and clocks.
//!
//! Two sides meet here. The [`supervisor`] launches the ranks of one machine, owns all shared
//! memory, watches, and carries out what the engines of `control` and `ckpt` decide. The
//! [`rank`] side is what a program links through the `mainstay` facade. Invariant: no protocol
//! decision is taken here; drivers feed events to engines and perform their effects.
//! Deliberately absent: argument parsing, printing, and anything that reaches beyond one machine.

pub mod archive;
pub mod directory;
pub mod endpoint;
mod guard;
pub mod node;
pub mod procfs;
pub mod publish;
pub mod rank;
pub mod shm;
pub mod socket;
pub mod supervisor;
pub mod sys;
