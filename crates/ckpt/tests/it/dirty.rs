//! Captures that copy what was written: whatever happened before, what they leave is what a copy of
//! everything leaves, bit by bit.

use mainstay_ckpt::dirty::{AGAIN, BLOCK_BYTES, Decision, Held};
use mainstay_ckpt::format::image::{Image, ImageWriter};
use mainstay_ckpt::{Cut, FieldSpec, Header, Kind, Plan, ReadAt, Residency};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version, crc32c};

use crate::random::Random;

fn spec(name: &str, bytes: usize) -> FieldSpec {
    FieldSpec {
        state: "s".into(),
        name: name.into(),
        kind: Kind::U8,
        element_bytes: 1,
        count: bytes as u64,
        place: None,
        bound: None,
    }
}

/// A rank's memory, its two slots, and what is known of them.
struct World {
    fields: Vec<Vec<u8>>,
    /// Written since the last question, by field, and whether nothing is known.
    written: Vec<(Vec<std::ops::Range<usize>>, bool)>,
    /// Where in a page each field begins.
    skews: Vec<usize>,
    arenas: Vec<Vec<u8>>,
    /// The number of each slot's memory.
    numbers: Vec<u64>,
    held: Held,
    version: u64,
    next_number: u64,
}

impl World {
    fn new(lengths: &[usize], compares: bool) -> Self {
        let mut world = Self {
            fields: Vec::new(),
            written: Vec::new(),
            skews: vec![0, 16, 8, 4095],
            arenas: vec![vec![0xEE; 8 << 20]; 2],
            numbers: vec![1, 2],
            held: Held::new(2, compares),
            version: 0,
            next_number: 3,
        };
        world.resize(lengths);
        world
    }

    fn resize(&mut self, lengths: &[usize]) {
        self.fields = lengths.iter().map(|bytes| vec![7; *bytes]).collect();
        self.written = lengths.iter().map(|_| (Vec::new(), true)).collect();
    }

    fn plan(&self) -> Plan {
        let specs: Vec<_> =
            self.fields.iter().enumerate().map(|(i, f)| spec(&i.to_string(), f.len())).collect();
        Plan::new(&specs).unwrap()
    }

    fn write(&mut self, field: usize, at: usize, bytes: usize, value: u8) {
        let end = (at + bytes).min(self.fields[field].len());
        self.fields[field][at..end].fill(value);
        // As the system tells it: whole pages, wherever the field begins in one.
        let skew = self.skews[field];
        let page = |at: usize| (at + skew) / BLOCK_BYTES * BLOCK_BYTES;
        let from = page(at).saturating_sub(skew);
        let to = (page(end.max(at + 1) - 1) + BLOCK_BYTES - skew).min(self.fields[field].len());
        self.written[field].0.push(from..to);
    }

    /// A capture into a slot, cut short after so many fields if wanted. Gives the bytes copied.
    fn capture(&mut self, slot: usize, fields: usize) -> u64 {
        let plan = self.plan();
        let cut = Cut { sent: vec![0], delivered: vec![0], ..Cut::default() };
        self.held.begin(slot as u8, self.numbers[slot], &plan);
        let arena = &mut self.arenas[slot][..];
        let mut writer = ImageWriter::new(arena, &plan, cut, Residency::Streaming).unwrap();
        for (i, field) in self.fields.iter().enumerate().take(fields) {
            let (ranges, all) = std::mem::take(&mut self.written[i]);
            self.held.lies_at(i, self.skews[i]);
            ranges.into_iter().for_each(|range| self.held.changed(i, range));
            if all {
                self.held.changed_all(i);
            }
            writer.field_held(field, (&mut self.held, slot as u8), &mut || {});
        }
        if fields < self.fields.len() {
            return self.held.copied_bytes();
        }
        self.version += 1;
        let header = Header::of(Rank(0), 1, Epoch(1), Incarnation(0));
        let captured = writer.finish(header.at(Version(self.version), Step(self.version)));
        // What a reader finds: every byte, and every checksum.
        let image = Image::open(&self.arenas[slot][..]).unwrap();
        assert_eq!(image.image_bytes(), captured.image_bytes);
        for (entry, field) in image.table.fields.iter().zip(&self.fields) {
            let at = usize::try_from(entry.at).unwrap();
            assert!(self.arenas[slot][at..at + field.len()] == field[..], "the bytes");
            let crcs: Vec<u32> = field.chunks(CRC_CHUNK_BYTES).map(crc32c).collect();
            assert!(entry.crcs == crcs, "the checksums");
        }
        self.held.copied_bytes()
    }
}

/// Lengths with a last chunk that is short, one that is no whole block, and fields below one.
const LENGTHS: &[usize] = &[8, 3 * CRC_CHUNK_BYTES + 70_000, 5, 2 * CRC_CHUNK_BYTES];
const ALL: u64 = 8 + 5 * CRC_CHUNK_BYTES as u64 + 70_000 + 5;

#[test]
fn only_what_was_written_since_the_slot_was_filled_is_copied() {
    let mut world = World::new(LENGTHS, false);
    assert_eq!((world.capture(0, 4), world.capture(1, 4)), (ALL, ALL));
    // Chunk 62 of a turn would be copied again, and there are only four.
    assert_eq!(world.capture(0, 4), 0);
    world.write(1, 100, 8, 1);
    world.write(1, CRC_CHUNK_BYTES - 20, 40, 2);
    // The first page begins before the field; of the others, one lies in two chunks.
    let block = BLOCK_BYTES as u64;
    assert_eq!(world.capture(1, 4), block - 16 + 2 * block, "two pages side by side");
    world.write(1, 3 * CRC_CHUNK_BYTES + 69_999, 1, 3);
    let last = (70_000 + 16) % block;
    assert_eq!(world.capture(0, 4), block - 16 + 2 * block + last, "all since its last");
    assert_eq!(world.capture(0, 4), 0);
    assert_eq!(world.capture(1, 4), last);
}

#[test]
fn a_chunk_that_is_mostly_written_is_copied_whole() {
    let mut world = World::new(LENGTHS, false);
    world.capture(0, 4);
    world.write(3, 0, CRC_CHUNK_BYTES / 2 - 2 * BLOCK_BYTES, 1);
    assert!(world.capture(0, 4) <= CRC_CHUNK_BYTES as u64 / 2);
    world.write(3, 0, CRC_CHUNK_BYTES / 2 + 2 * BLOCK_BYTES, 2);
    assert_eq!(world.capture(0, 4), CRC_CHUNK_BYTES as u64);
}

#[test]
fn another_memory_another_layout_and_another_entry_are_copied_whole() {
    let mut world = World::new(LENGTHS, false);
    world.capture(0, 4);
    world.capture(1, 4);
    world.numbers[1] = 9;
    world.arenas[1].fill(0);
    assert_eq!((world.capture(1, 4), world.capture(0, 4)), (ALL, 0));
    world.held.forget();
    assert_eq!((world.capture(1, 4), world.capture(0, 4)), (ALL, ALL));
    let lengths = [8, LENGTHS[1], 5, LENGTHS[3] + 1];
    world.resize(&lengths);
    world.written.iter_mut().for_each(|written| written.1 = false);
    assert_eq!((world.capture(1, 4), world.capture(0, 4)), (ALL + 1, ALL + 1));
}

#[test]
fn what_nobody_told_of_is_found_where_it_is_looked_for() {
    for compares in [true, false] {
        let mut world = World::new(LENGTHS, compares);
        world.capture(0, 4);
        // A write that goes unnoticed.
        world.fields[1][5 * BLOCK_BYTES] ^= 1;
        let (plan, cut) =
            (world.plan(), || Cut { sent: vec![0], delivered: vec![0], ..Cut::default() });
        let mut captures = 0;
        while world.held.missed() == 0 {
            captures += 1;
            assert!(captures <= AGAIN, "each chunk is copied again at last");
            world.held.begin(0, 1, &plan);
            let arena = &mut world.arenas[0][..];
            let mut writer = ImageWriter::new(arena, &plan, cut(), Residency::Cached).unwrap();
            for field in &world.fields {
                writer.field_held(field, (&mut world.held, 0), &mut || {});
            }
        }
        assert_eq!(world.held.missed(), 1);
        assert!(!compares || captures == 1);
        // From there on it is right.
        world.capture(0, 4);
        assert_eq!(world.held.missed(), 0);
    }
}

#[test]
fn what_memory_flips_in_an_arena_does_not_stay() {
    let mut world = World::new(LENGTHS, false);
    world.capture(0, 4);
    let at = usize::try_from(world.plan().at(3)).unwrap();
    world.arenas[0][at + 77] ^= 4;
    let plan = world.plan();
    for _ in 0..AGAIN {
        world.held.begin(0, 1, &plan);
        let cut = Cut { sent: vec![0], delivered: vec![0], ..Cut::default() };
        let arena = &mut world.arenas[0][..];
        let mut writer = ImageWriter::new(arena, &plan, cut, Residency::Cached).unwrap();
        for field in &world.fields {
            writer.field_held(field, (&mut world.held, 0), &mut || {});
        }
        assert_eq!(world.held.missed(), 0);
    }
    world.capture(0, 4);
}

#[test]
fn decisions_follow_what_is_known() {
    let mut world = World::new(LENGTHS, true);
    let plan = world.plan();
    world.held.begin(0, 1, &plan);
    assert_eq!(world.held.decide(0, 1, 0), Decision::Whole);
    world.capture(0, 4);
    world.held.begin(0, 1, &plan);
    assert_eq!(world.held.decide(0, 1, 0), Decision::Compare);
    world.held.changed(1, 10..20);
    world.held.changed(1, 9000..9001);
    let parts = Decision::Parts(vec![0..4080, 8176..12272]);
    assert_eq!(world.held.decide(0, 1, 0), parts);
    world.held.changed(1, 0..usize::MAX / 2);
    assert_eq!(world.held.decide(0, 1, 3), Decision::Whole);
}

/// Random histories: writes, captures into either slot, captures that are cut short, versions that are
/// void and leave their slot to the next, restores, new arenas, new lengths, fields that moved.
#[test]
fn no_history_leaves_anything_else_than_a_copy_of_everything() {
    let (mut captures, mut left_alone) = (0_u64, 0_u64);
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut below = |bound: usize| random.below(bound as u64) as usize;
        let mut world = World::new(LENGTHS, seed % 3 == 0);
        let mut slot = 0;
        for _ in 0..40 {
            match below(12) {
                0..=4 => {
                    let field = below(4);
                    let at = below(world.fields[field].len());
                    let bytes = [1, 100, 9000, 1 << 20][below(4)];
                    let value = below(256) as u8;
                    world.write(field, at, bytes, value);
                }
                5..=7 => {
                    captures += 1;
                    left_alone += u64::from(world.capture(slot, 4) < ALL / 2);
                    assert_eq!(world.held.missed(), 0);
                    slot = 1 - slot;
                }
                // It is void: the next one goes into the same slot.
                8 => drop(world.capture(slot, 4)),
                9 => drop(world.capture(slot, below(4))),
                10 => {
                    // Entered again: all is restored, and the arenas may have been rebuilt.
                    world.held.forget();
                    for i in 0..4 {
                        let (bytes, value) = (world.fields[i].len(), below(256) as u8);
                        world.write(i, 0, bytes, value);
                    }
                    world.arenas[below(2)].fill(below(256) as u8);
                }
                _ if below(2) == 0 => {
                    world.next_number += 1;
                    world.numbers[slot] = world.next_number;
                    world.arenas[slot].fill(0x55);
                }
                _ => {
                    // A field moves: nothing is known of it, of the others everything.
                    let field = below(4);
                    world.skews[field] = [0, 16, 4095, below(4096)][below(4)];
                    world.fields[field].fill(below(256) as u8);
                    world.written[field].1 = true;
                }
            }
        }
    }
    assert!(captures > 1000 && left_alone > captures / 10, "{left_alone} of {captures}");
}

#[test]
fn a_part_of_what_lies_there_has_the_sum_of_its_bytes() {
    use mainstay_ckpt::WriteAt;
    let bytes: Vec<u8> = (0..20_000_u32).map(|i| (i / 7) as u8).collect();
    let mut copy = bytes.clone();
    for (at, len) in [(0, 20_000), (5, 4096), (19_999, 1), (7, 0)] {
        assert_eq!(bytes[..].sum_at(at as u64, len), crc32c(&bytes[at..at + len]));
        assert_eq!(
            bytes[..].read_at(at as u64, &mut copy[..len], Residency::Cached),
            Ok(crc32c(&bytes[at..at + len]))
        );
    }
}
