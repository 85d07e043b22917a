//! Tests of the message engines through their public faces.

mod board;
#[cfg(loom)]
mod board_loom;
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
