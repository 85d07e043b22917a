//! Messages between rank, supervisor and node, and headers of frames.

use mainstay_types::frame::Header;
use mainstay_types::limits::{CHUNK_BYTES, FRAME_HEADER_BYTES, MESSAGE_BYTES_MAX};
use mainstay_types::wire::node::{FromNode, Talk, ToNode};
use mainstay_types::wire::{ToRank, ToSupervisor};
use mainstay_types::{DecodeError, crc32c};

/// A datagram, as ranks, launchers and nodes read it: what is accepted has this encoding and no other.
///
/// # Panics
/// When that does not hold; so do all targets.
pub fn wire(data: &[u8]) -> bool {
    [
        one_encoding(ToRank::decode(data), ToRank::encode, data),
        one_encoding(ToSupervisor::decode(data), ToSupervisor::encode, data),
        one_encoding(ToNode::decode(data), ToNode::encode, data),
        one_encoding(FromNode::decode(data), FromNode::encode, data),
        one_encoding(Talk::decode(data), Talk::encode, data),
    ]
    .contains(&true)
}

fn one_encoding<M>(
    message: Result<M, DecodeError>,
    encode: impl Fn(&M) -> Vec<u8>,
    data: &[u8],
) -> bool {
    match &message {
        Ok(message) => assert_eq!(encode(message), data),
        Err(error) => within(error, data.len()),
    }
    message.is_ok()
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
