//! The words that every room of Mainstay shares: ids, byte codecs, the frame header, the messages
//! between a rank and its supervisor, injections, causes of failure, events and exit codes.
//!
//! Invariants: everything here is plain data and pure functions; every decoder bounds each length
//! before it trusts it and returns an error, never a panic. Deliberately absent: policy, time,
//! I/O, and any knowledge of who sends what when.

pub mod cause;
pub mod choice;
pub mod codec;
pub mod duration;
pub mod event;
pub mod exit;
pub mod frame;
pub mod ids;
pub mod inject;
pub mod limits;
pub mod message;
pub mod point;
pub mod report;
pub mod trace;
pub mod tracking;
pub mod wait;
pub mod wire;

pub use cause::Cause;
pub use choice::{Determinant, Determinants, Late, Outcome};
pub use codec::{DecodeError, Reader, Writer};
pub use ids::{Epoch, Incarnation, JobId, Node, Rank, Step, Version};
pub use message::Message;
pub use point::Point;
pub use tracking::{Tracked, Tracking};
pub use wait::WaitKind;

/// CRC-32C (Castagnoli) of `bytes`, the checksum of every frame, chunk, table and manifest.
///
/// # Source
/// RFC 3720 appendix B.4 (iSCSI); the value of `123456789` is `0xE3069283`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// CRC-32C of the bytes already summed in `crc`, followed by `bytes`.
#[must_use]
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn crc32c_matches_the_published_check_value() {
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(super::crc32c_append(super::crc32c(b"1234"), b"56789"), 0xE306_9283);
    }
}
