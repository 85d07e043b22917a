//! Tests of the message engines through their public faces.

mod channel;
mod credits;
mod cut;
mod journal;
mod layout;
mod matching;
mod random;
mod ring;
#[cfg(loom)]
mod ring_loom;
mod tree;
