//! Messages between rank and supervisor, and headers of frames.

use mainstay_types::frame::Header;
use mainstay_types::limits::{CHUNK_BYTES, FRAME_HEADER_BYTES, MESSAGE_BYTES_MAX};
use mainstay_types::wire::{ToRank, ToSupervisor};
use mainstay_types::{DecodeError, crc32c};

/// A datagram, as either side reads it: what is accepted has this encoding and no other.
///
/// # Panics
/// When that does not hold; so do all targets.
pub fn wire(data: &[u8]) -> bool {
    let to_rank = ToRank::decode(data);
    let to_supervisor = ToSupervisor::decode(data);
    match &to_rank {
        Ok(message) => assert_eq!(message.encode(), data),
        Err(error) => within(error, data.len()),
    }
    match &to_supervisor {
        Ok(message) => assert_eq!(message.encode(), data),
        Err(error) => within(error, data.len()),
    }
    to_rank.is_ok() || to_supervisor.is_ok()
}

/// A frame's header as it is and with the right checksum: its lengths are within all bounds that
/// a receiver relies on, and it has one encoding.
///
/// # Panics
/// When that does not hold.
pub fn frame(data: &[u8]) -> bool {
    let Some(bytes) = data.first_chunk::<FRAME_HEADER_BYTES>() else {
        return false;
    };
    let mut sealed = *bytes;
    let crc = crc32c(&sealed[..FRAME_HEADER_BYTES - 4]);
    sealed[FRAME_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    let mut accepted = false;
    for bytes in [bytes, &sealed] {
        match Header::decode(bytes) {
            Ok(header) => {
                accepted = true;
                assert_eq!(header.encode(), *bytes);
                assert!(header.length as usize <= CHUNK_BYTES);
                assert!(header.total <= MESSAGE_BYTES_MAX);
                assert!(header.offset + u64::from(header.length) <= header.total);
            }
            Err(error) => within(&error, FRAME_HEADER_BYTES),
        }
    }
    accepted
}

/// An error names a place in the input.
pub(crate) fn within(error: &DecodeError, len: usize) {
    assert!(!error.to_string().is_empty());
    match error {
        DecodeError::Short { at, .. }
        | DecodeError::Unknown { at, .. }
        | DecodeError::NotText { at, .. } => assert!(*at <= len, "{error}"),
        DecodeError::TooLong { claimed, limit, at, .. } => {
            assert!(*at <= len && claimed > limit, "{error}");
        }
        DecodeError::Trailing { left, .. } => assert!((1..=len).contains(left), "{error}"),
        DecodeError::Checksum { found, stored, .. } => assert_ne!(found, stored),
    }
}
