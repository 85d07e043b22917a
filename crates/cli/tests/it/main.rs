//! End-to-end tests: the command, real programs, real faults.
//!
//! Every run has a deadline, and after every run nothing of it may be left: no process, no file.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod agree;
mod bad_disk;
mod bad_input;
mod checkpoints;
mod ckpt;
mod ckpt_damage;
mod ckpt_data;
mod communicators;
mod contracts;
mod domains;
mod harness;
mod heat;
mod hygiene;
mod interval;
mod nodes;
mod nodes_hostile;
mod recovery;
mod reshape;
mod resume;
mod retention;
mod scrub;
mod smaller;
mod smaller_hostile;
mod streams;
mod trace;
mod track;
mod veloc;
mod veloc_hostile;
mod wrappers;
