//! Late and unexpected messages, as images and shards hold them.

use mainstay_ckpt::{decode_late, decode_messages, encode_late, encode_messages, messages_bytes};
use mainstay_types::crc32c;

use crate::wire::within;

/// A block of messages as it is and with the right checksums: what is accepted has this encoding
/// and the length that was reckoned for it, and its payloads are no longer than the input.
///
/// # Panics
/// When that does not hold.
pub fn messages(data: &[u8]) -> bool {
    let mut accepted = false;
    for bytes in [data, &sealed(data)] {
        match decode_messages(bytes) {
            Ok(messages) => {
                accepted = true;
                assert_eq!(messages_bytes(&messages), bytes.len() as u64);
                assert_eq!(encode_messages(&messages), bytes);
                let payloads = messages.iter().map(|message| message.payload.len());
                assert!(payloads.sum::<usize>() <= bytes.len());
            }
            Err(error) => within(&error, bytes.len()),
        }
        match decode_late(bytes) {
            Ok(late) => {
                accepted = true;
                assert_eq!(encode_late(&late), bytes);
                let entries = &late.determinants.entries;
                assert!(entries.iter().all(|entry| entry.call < late.determinants.calls));
            }
            Err(error) => within(&error, bytes.len()),
        }
    }
    accepted
}

/// The same block with the checksum of each payload corrected.
fn sealed(data: &[u8]) -> Vec<u8> {
    const HEAD: usize = 32;
    let mut bytes = data.to_vec();
    let mut at = 4_usize;
    while let Some(length) = bytes.get(at + 20..at + 28) {
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
        let start = at + HEAD;
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        let Some(payload) = end.and_then(|end| bytes.get(start..end)) else { break };
        let crc = crc32c(payload);
        bytes[at + 28..start].copy_from_slice(&crc.to_le_bytes());
        at = end.unwrap_or(usize::MAX);
    }
    bytes
}
