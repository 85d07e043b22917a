//! The engines that decide: why a rank ended, whether the job may go on, when an epoch is raised
//! and opened, what ranks agree on, when a checkpoint is due, and which rank hangs.
//!
//! Invariants: every engine is a struct that turns inputs into effects and does nothing else; time
//! is an argument; the same inputs give the same effects. Deliberately absent: processes, sockets,
//! shared memory and clocks (`host` has those), and which version is restored (`ckpt` decides).

pub mod agreement;
pub mod budget;
pub mod cause;
pub mod evidence;
pub mod recovery;
pub mod target;

pub use agreement::Agreements;
pub use budget::{Budget, Ruling};
pub use cause::{
    Class, Ending, Endings, FenceReason, Hints, Program, Verdict, classify, ending_of,
};
pub use evidence::{Evidence, Findings, Health, Sample, Wait};
pub use recovery::{Config, Effect, Input, Phase, Policy, Recovery};
pub use target::{DiskMode, Mode, Pace, Terms};
