//! Integration tests of `ckpt`: kernels against the reference, formats against golden files, the
//! ledger against a model of the memory and files that it manages.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up has nothing to report")]

mod campaign;
mod erasure;
mod format;
mod golden;
mod image;
mod kernel;
mod ledger;
mod ledger_disk;
mod orders;
mod random;
mod script;
mod world;
