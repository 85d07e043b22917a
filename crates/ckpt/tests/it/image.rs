//! Images: written, read back, and what a reader says of damaged ones.

use mainstay_ckpt::format::verify::verify_shard;
use mainstay_ckpt::{
    Cut, Expected, FormatError, Header, Image, ImageWriter, Kind, Plan, ReadAt, Residency,
    Unreadable, read_late,
};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Epoch, Incarnation, Rank, Version, crc32c};

use crate::format::{cut, fields, header, image, late, spec, write};
use crate::random::Random;

fn expected() -> Expected {
    let (_, captured) = image();
    Expected {
        rank: Rank(1),
        n: 3,
        version: Version(42),
        image_bytes: captured.image_bytes,
        table_crc: captured.table_crc,
    }
}

#[test]
fn an_image_reads_back() {
    let (memory, _) = image();
    let image = Image::open_expected(memory.as_slice(), &expected()).unwrap();
    assert_eq!(image.table.cut, cut());
    assert_eq!((image.header.rank, image.header.step), (Rank(1), header().step));
    image.verify(memory.as_slice()).unwrap();
    for (i, (spec, data)) in fields().into_iter().enumerate() {
        let (found, entry) = image.table.field(&spec.state, &spec.name).unwrap();
        assert_eq!((found, &entry.spec), (i, &spec));
        let (mut into, mut chunks) = (vec![1; data.len()], 0);
        let restored = image.restore(memory.as_slice(), i, &mut into, &mut || chunks += 1);
        assert_eq!((restored, chunks), (Ok(()), entry.crcs.len()));
        assert_eq!(into, data);
    }
    assert_eq!(image.table.field("heat", "state"), None);
}

#[test]
fn fields_of_many_chunks_have_a_checksum_for_each() {
    let len = 2 * CRC_CHUNK_BYTES + 5;
    let data = Random(8).bytes(len);
    let plan = Plan::new(&[spec("s", "big", Kind::U8, 1, len as u64)]).unwrap();
    let one = Cut { sent: vec![0], delivered: vec![0], unexpected: vec![], ..Cut::default() };
    let mut memory = vec![0xEE; plan.image_bytes(1, 4) as usize];
    let mut chunks = 0;
    let mut writer =
        ImageWriter::new(memory.as_mut_slice(), &plan, one, Residency::Streaming).unwrap();
    writer.field(&data, &mut || chunks += 1);
    writer.finish(Header::of(Rank(0), 1, Epoch(0), Incarnation(0)));
    let image = Image::open(memory.as_slice()).unwrap();
    let sums: Vec<_> = data.chunks(CRC_CHUNK_BYTES).map(crc32c).collect();
    assert_eq!((chunks, &image.table.fields[0].crcs), (3, &sums));
    memory[4096 + CRC_CHUNK_BYTES] ^= 1;
    let error = image.verify(memory.as_slice()).unwrap_err();
    assert!(matches!(error, FormatError::Chunk { chunk: 1, .. }));
    let mut into = vec![0; len];
    let restored = image.restore(memory.as_slice(), 0, &mut into, &mut || ());
    assert_eq!(restored, Err(error.clone()));
    assert!(error.to_string().starts_with("chunk 1 of field `s.big`"));
}

#[test]
fn a_capture_cut_short_leaves_no_image() {
    let (mut memory, _) = image();
    assert!(Image::open(memory.as_slice()).is_ok());
    let (specs, data): (Vec<_>, Vec<_>) = fields().into_iter().unzip();
    let plan = Plan::new(&specs).unwrap();
    for written in 0..=data.len() {
        write(&mut memory, &plan, &data);
        let mut writer =
            ImageWriter::new(memory.as_mut_slice(), &plan, cut(), Residency::Cached).unwrap();
        for bytes in &data[..written] {
            writer.field(bytes, &mut || ());
        }
        drop(writer);
        assert!(Image::open(memory.as_slice()).is_err());
    }
}

#[test]
fn an_image_that_does_not_fit_is_refused_before_anything_is_written() {
    let (specs, _): (Vec<_>, Vec<_>) = fields().into_iter().unzip();
    let plan = Plan::new(&specs).unwrap();
    let needed = expected().image_bytes;
    let mut memory = vec![0xEE; needed as usize - 1];
    let refused = ImageWriter::new(memory.as_mut_slice(), &plan, cut(), Residency::Cached);
    let room = needed - 1;
    assert_eq!(refused.map(|_| ()), Err(FormatError::NoRoom { needed, room }));
    assert!(memory.iter().all(|byte| *byte == 0xEE));
}

#[test]
fn another_image_than_expected_is_named() {
    let (memory, _) = image();
    let good = expected();
    for (what, expected) in [
        ("rank", Expected { rank: Rank(2), ..good }),
        ("number of ranks", Expected { n: 4, ..good }),
        ("version", Expected { version: Version(41), ..good }),
        ("length", Expected { image_bytes: 1, ..good }),
        ("table checksum", Expected { table_crc: 1, ..good }),
    ] {
        let error = Image::open_expected(memory.as_slice(), &expected).unwrap_err();
        let named = matches!(error, FormatError::Foreign { what: found, .. } if found == what);
        assert!(named, "{error}");
    }
}

#[test]
fn slices_refuse_reads_past_their_end() {
    let memory = [0_u8; 100];
    for (at, len) in [(100, 1), (99, 2), (u64::MAX, 1), (0, 101)] {
        let read = memory.as_slice().read_at(at, &mut vec![0; len], Residency::Cached);
        assert!(read.is_err(), "{len} at {at}");
    }
}

#[test]
fn late_messages_are_believed_with_their_checksum_only() {
    let blob = late();
    let (bytes, crc) = (blob.len() as u64, crc32c(&blob));
    assert_eq!(read_late(blob.as_slice(), 0, bytes, crc).unwrap().messages.len(), 2);
    assert_eq!(read_late(blob.as_slice(), 0, 0, 0), Ok(mainstay_ckpt::Late::default()));
    assert!(read_late(blob.as_slice(), 0, bytes, crc ^ 1).is_err());
    assert!(read_late(blob.as_slice(), 1, bytes, crc).is_err());
    assert!(read_late(blob.as_slice(), u64::MAX, bytes, crc).is_err());
}

#[test]
fn a_shard_ends_where_its_manifest_says() {
    let (mut shard, captured) = image();
    let image = Image::open(shard.as_slice()).unwrap();
    assert_eq!(verify_shard(shard.as_slice(), &image, 0, 0), Ok(()));
    let blob = late();
    let (bytes, crc) = (blob.len() as u64, crc32c(&blob));
    assert!(verify_shard(shard.as_slice(), &image, bytes, crc).is_err());
    shard.resize(captured.image_bytes.next_multiple_of(4096) as usize, 0);
    shard.extend(&blob);
    assert_eq!(verify_shard(shard.as_slice(), &image, bytes, crc), Ok(()));
    shard.push(0);
    assert!(verify_shard(shard.as_slice(), &image, bytes, crc).is_err());
}

/// A file that fails from some offset on.
struct Failing<'a>(&'a [u8], u64);

impl ReadAt for Failing<'_> {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable> {
        if at + into.len() as u64 > self.1 {
            return Err(Unreadable {
                at,
                bytes: into.len() as u64,
                why: "Input/output error".to_owned(),
            });
        }
        self.0.read_at(at, into, hint)
    }
}

#[test]
fn bytes_that_cannot_be_read_are_an_error_with_its_reason() {
    let (memory, _) = image();
    let good = Image::open(memory.as_slice()).unwrap();
    for end in [0, 64, 4096, 8192, memory.len() as u64 - 1] {
        let failing = Failing(&memory, end);
        let error = Image::open(&failing).unwrap_err();
        assert!(error.to_string().contains("Input/output error"), "{error}");
    }
    assert!(good.verify(&Failing(&memory, 4096)).is_err());
    let restored = good.restore(&Failing(&memory, 64), 0, &mut [0; 8], &mut || ());
    assert!(matches!(restored, Err(FormatError::Unreadable(_))));
}
