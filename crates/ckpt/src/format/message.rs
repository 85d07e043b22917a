//! Messages inside an image, taken in and not yet received; and what a rank hands in late: messages
//! and what it chose.
//!
//! Invariants: one encoding; a payload is believed only with its checksum; nothing is allocated
//! beyond what the input holds. Deliberately absent: matching and order, which `comm` decides.

use mainstay_types::{
    DecodeError, Determinant, Determinants, Outcome, Rank, Reader, Writer, crc32c,
};

pub use mainstay_types::{Late, Message};

/// Bytes of a message in front of its payload.
const HEAD_BYTES: u64 = 32;

/// Bytes that [`encode_messages`] makes of `messages`.
#[must_use]
pub fn messages_bytes(messages: &[Message]) -> u64 {
    let each = |message: &Message| HEAD_BYTES + message.payload.len() as u64;
    4 + messages.iter().map(each).sum::<u64>()
}

/// The messages as bytes.
#[must_use]
pub fn encode_messages(messages: &[Message]) -> Vec<u8> {
    let mut w = Writer::new();
    put(&mut w, messages);
    w.into_bytes()
}

/// Reads messages and requires that nothing follows them.
///
/// # Errors
/// Anything that [`encode_messages`] does not write.
pub fn decode_messages(bytes: &[u8]) -> Result<Vec<Message>, DecodeError> {
    let mut r = Reader::new(bytes);
    let messages = get(&mut r)?;
    r.end("messages")?;
    Ok(messages)
}

/// What is handed in late, as bytes; none if there is nothing.
#[must_use]
pub fn encode_late(late: &Late) -> Vec<u8> {
    if late.is_empty() {
        return Vec::new();
    }
    let mut w = Writer::new();
    put(&mut w, &late.messages);
    w.u64(late.determinants.calls).count(late.determinants.entries.len());
    for Determinant { call, outcome } in &late.determinants.entries {
        w.u64(*call);
        match outcome {
            Outcome::Message { source, tag } => w.u8(1).u32(source.0).u32(*tag),
            Outcome::Request(place) => w.u8(2).u32(*place).u32(0),
        };
    }
    w.into_bytes()
}

/// Reads what was handed in late, and requires that nothing follows it.
///
/// # Errors
/// Anything that [`encode_late`] does not write.
pub fn decode_late(bytes: &[u8]) -> Result<Late, DecodeError> {
    if bytes.is_empty() {
        return Ok(Late::default());
    }
    let mut r = Reader::new(bytes);
    let messages = get(&mut r)?;
    let calls = r.u64("number of choices")?;
    let count = r.count(17, usize::MAX, "number of determinants")?;
    let entries = (0..count).map(|_| determinant(&mut r, calls)).collect::<Result<_, _>>()?;
    r.end("late messages")?;
    let late = Late { messages, determinants: Determinants { calls, entries } };
    match late.is_empty() {
        true => Err(DecodeError::Unknown { what: "late messages", value: 0, at: 0 }),
        false => Ok(late),
    }
}

fn determinant(r: &mut Reader<'_>, calls: u64) -> Result<Determinant, DecodeError> {
    let call = r.u64("number of a choice")?;
    if call >= calls {
        return Err(DecodeError::Unknown {
            what: "number of a choice",
            value: call,
            at: r.at() - 8,
        });
    }
    let kind = r.u8("kind of a choice")?;
    let (first, second) = (r.u32("outcome of a choice")?, r.u32("tag of a choice")?);
    let outcome = match (kind, second) {
        (1, tag) => Outcome::Message { source: Rank(first), tag },
        (2, 0) => Outcome::Request(first),
        _ => {
            let (what, value) = ("kind of a choice", kind.into());
            return Err(DecodeError::Unknown { what, value, at: r.at() - 9 });
        }
    };
    Ok(Determinant { call, outcome })
}

pub(super) fn put(w: &mut Writer, messages: &[Message]) {
    w.count(messages.len());
    for message in messages {
        w.u32(message.source.0).u32(message.context);
        w.u32(message.tag).u64(message.sequence);
        w.u64(message.payload.len() as u64);
        w.u32(crc32c(&message.payload)).raw(&message.payload);
    }
}

pub(super) fn get(r: &mut Reader<'_>) -> Result<Vec<Message>, DecodeError> {
    let count = r.count(HEAD_BYTES as usize, usize::MAX, "number of messages")?;
    (0..count).map(|_| one(r)).collect()
}

fn one(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let source = Rank(r.u32("message source")?);
    let (context, tag) = (r.u32("message context")?, r.u32("message tag")?);
    let sequence = r.u64("message number")?;
    let len = r.size("message length")?;
    let stored = r.u32("message checksum")?;
    let payload = r.raw(len, "message payload")?;
    let found = crc32c(payload);
    if found != stored {
        let what = "message payload";
        return Err(DecodeError::Checksum { what, found, stored });
    }
    Ok(Message { source, context, tag, sequence, payload: payload.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Message> {
        let message = |source, payload: &[u8]| Message {
            source: Rank(source),
            context: 2,
            tag: 3,
            sequence: 4,
            payload: payload.to_vec(),
        };
        vec![message(0, b""), message(9, b"payload")]
    }

    #[test]
    fn messages_read_back() {
        for messages in [vec![], sample()] {
            let bytes = encode_messages(&messages);
            assert_eq!(bytes.len() as u64, messages_bytes(&messages));
            assert_eq!(decode_messages(&bytes), Ok(messages));
        }
    }

    #[test]
    fn truncations_tails_and_huge_lengths_are_errors() {
        let mut bytes = encode_messages(&sample());
        for len in 0..bytes.len() {
            assert!(decode_messages(&bytes[..len]).is_err(), "{len}");
        }
        bytes.push(0);
        assert!(decode_messages(&bytes).is_err());
        let mut huge = encode_messages(&sample());
        huge[24..32].fill(0xFF);
        assert!(matches!(decode_messages(&huge), Err(DecodeError::Short { .. })));
        assert!(decode_messages(&[0xFF; 4]).is_err());
    }

    #[test]
    fn a_payload_that_changed_is_named() {
        let mut bytes = encode_messages(&sample());
        *bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(decode_messages(&bytes), Err(DecodeError::Checksum { .. })));
    }
}
