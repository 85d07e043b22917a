//! Packed shards: what is accepted has one encoding, and reading it fills what it is given or fails.

use mainstay_ckpt::pack::map::Map;
use mainstay_ckpt::pack::tail::{FRONT_BYTES, TAIL_BYTES, Tail, read_map};
use mainstay_ckpt::{FormatError, Image, ReadAt, Residency, Stored, Unreadable};
use mainstay_types::crc32c;

use crate::wire::within;

/// Most bytes that are read of what a file claims to hold.
const READ_MAX: u64 = 1 << 18;

struct Memory<'a>(&'a [u8]);

impl ReadAt for Memory<'_> {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable> {
        self.0.read_at(at, into, hint)
    }
}

/// A packed shard as it is and with the right checksums: its map has one encoding; each block that it
/// tells of is read or refused; what comes out is an image or is not.
///
/// # Panics
/// When that does not hold.
pub fn packed(data: &[u8]) -> bool {
    let raw = check(data);
    let sealed = sealed(data).is_some_and(|bytes| check(&bytes));
    raw || sealed
}

/// The same file with its checksums corrected: front, tail, map, and what is stored of each block.
fn sealed(data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = data.to_vec();
    let crc = crc32c(bytes.get(..FRONT_BYTES - 4)?);
    bytes.get_mut(FRONT_BYTES - 4..FRONT_BYTES)?.copy_from_slice(&crc.to_le_bytes());
    let at = bytes.len().checked_sub(TAIL_BYTES)?;
    seal_tail(&mut bytes, at);
    let tail = Tail::decode(bytes[at..].first_chunk()?, data.len() as u64).ok()?;
    let map_at = usize::try_from(tail.map_at).ok()?;
    let sizes = (tail.shard_bytes, tail.generation);
    if let Ok(mut map) = Map::decode(bytes.get(map_at..at)?, sizes, tail.map_at) {
        for block in map.segments.iter_mut().flat_map(|segment| &mut segment.blocks) {
            let from = usize::try_from(block.at).ok()?;
            if let Some(stored) = bytes.get(from..from.saturating_add(block.bytes as usize)) {
                block.crc = crc32c(stored);
            }
        }
        bytes[map_at..at].copy_from_slice(&map.encode());
    }
    let map_crc = crc32c(&bytes[map_at..at]);
    bytes[at..].copy_from_slice(&Tail { map_crc, ..tail }.encode());
    Some(bytes)
}

fn seal_tail(bytes: &mut [u8], at: usize) {
    let end = bytes.len();
    let crc = crc32c(&bytes[at..end - 4]);
    bytes[end - 4..].copy_from_slice(&crc.to_le_bytes());
}

fn check(bytes: &[u8]) -> bool {
    // Whatever it refers to, it gets itself.
    let stored = match Stored::open(Memory(bytes), |_| Ok(Memory(bytes))) {
        Ok(Stored::Packed(packed)) => Stored::Packed(packed),
        Ok(Stored::Plain(_)) => return false,
        Err(error) => {
            if let FormatError::Decode(error) = &error {
                within(error, bytes.len());
            }
            return false;
        }
    };
    let (front, map) = read_map(bytes).expect("it was opened");
    assert_eq!(front.encode(), bytes[..FRONT_BYTES]);
    let encoded = map.encode();
    let map_at = bytes.len() - TAIL_BYTES - encoded.len();
    assert_eq!(encoded, bytes[map_at..bytes.len() - TAIL_BYTES]);
    let mut whole = true;
    for segment in &map.segments {
        assert!(segment.end() <= map.shard_bytes);
        for (i, block) in segment.blocks.iter().enumerate() {
            let mut into = vec![0xEE; segment.block_bytes(i)];
            assert!(u64::from(block.bytes) <= into.len() as u64);
            let at = segment.at + (i * mainstay_ckpt::BLOCK_BYTES) as u64;
            match stored.read_at(at, &mut into, Residency::Cached) {
                Ok(crc) => assert_eq!(crc, crc32c(&into)),
                Err(_) => whole = false,
            }
        }
    }
    let mut head = vec![0xEE; usize::try_from(map.shard_bytes.min(READ_MAX)).expect("small")];
    let read = stored.read_at(0, &mut head, Residency::Cached);
    assert!(!whole || read.is_ok(), "its blocks can be read and it cannot");
    assert!(stored.read_at(map.shard_bytes, &mut [0], Residency::Cached).is_err());
    whole && Image::open(&stored).is_ok()
}
