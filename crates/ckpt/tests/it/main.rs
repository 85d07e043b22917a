//! Integration tests of `ckpt`: kernels against the reference, formats against golden files, the
//! ledger against a model of the memory and files that it manages, commits against a file system
//! that loses power.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has nothing to report")]

mod campaign;
mod catalogue;
mod commit;
mod crash;
mod crash_disk;
mod crash_mend;
mod crash_start;
mod crash_world;
mod dirty;
mod erasure;
mod fetch;
mod format;
mod golden;
mod guard_campaign;
mod guard_world;
mod image;
mod kernel;
mod ledger;
mod ledger_disk;
mod ledger_guard;
mod ledger_hostile;
mod ledger_retention;
mod orders;
mod pack;
mod pack_faults;
mod random;
mod reshape;
mod reshape_faults;
mod script;
mod world;
