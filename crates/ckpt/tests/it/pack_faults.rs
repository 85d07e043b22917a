//! Packed shards that are damaged, contradict themselves, or were never written by us.

use mainstay_ckpt::pack::lossy::Bound;
use mainstay_ckpt::pack::tail::{FRONT_BYTES, Front, TAIL_BYTES};
use mainstay_ckpt::pack::{Codec, Coder, Map, Packer};
use mainstay_ckpt::{BLOCK_BYTES, Image, Kind};
use mainstay_types::crc32c;

use crate::format::{image, late};
use crate::pack::{alone, expected, fields, holder, numbers, pack, shard, wrong};
use crate::random::Random;

#[test]
fn every_cut_and_every_flipped_bit_of_a_packed_shard_is_noticed() {
    let (mut plain, captured) = image();
    let late = late();
    plain.resize(captured.image_bytes.next_multiple_of(4096) as usize, 0);
    plain.extend(&late);
    let (file, ..) = pack(&plain, &late, Codec::Zstd, None);
    let (wanted, tail) = (expected(&plain), (late.len() as u64, crc32c(&late)));
    let sound = |file: &[u8]| {
        let stored = alone(file).ok()?;
        // Without its magic it is read as a plain one, which it is not.
        wrong(&stored, &wanted, tail).is_empty().then_some(())
    };
    assert!(sound(&file).is_some());
    for len in 0..file.len() {
        assert!(sound(&file[..len]).is_none(), "cut at {len}");
    }
    let mut bad = file.clone();
    for bit in 0..file.len() * 8 {
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(sound(&bad).is_none(), "bit {bit}");
        bad[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_flip_in_what_is_stored_is_told_from_one_that_was_stored() {
    let plain = shard(&fields(0.25), 1, &[]);
    let (mut file, _, map) = pack(&plain, &[], Codec::Pco, None);
    let block = *map.blocks().find(|(_, _, block)| block.codec == Codec::Pco).unwrap().2;
    file[block.at as usize + 40] ^= 4;
    let told = wrong(&alone(&file).unwrap(), &expected(&plain), (0, 0));
    assert!(told[0].starts_with("stored") && told[1].starts_with("chunk"), "{told:?}");
    // Wrong data that were stored soundly: the checksum from live memory alone tells.
    let mut changed = fields(0.25);
    changed[1].1[100] ^= 1;
    let mut other = shard(&changed, 1, &[]);
    let image = Image::open(plain.as_slice()).unwrap();
    let (at, table) = (image.header.table_at as usize, image.table.encode());
    other[at..at + table.len()].copy_from_slice(&table);
    other[..64].copy_from_slice(&image.header.encode());
    let data = Image::open(other.as_slice()).unwrap();
    assert!(data.verify(other.as_slice()).is_err());
    let mut map = Vec::new();
    let front = Front {
        rank: image.header.rank,
        n: 3,
        version: image.header.version,
        epoch: image.header.epoch,
        incarnation: image.header.incarnation,
    };
    let mut packer = Packer::new(&front, other.len() as u64, None, &mut map);
    packer.segment(0, other.len() as u64, Kind::Opaque, None);
    for block in other.chunks(BLOCK_BYTES) {
        packer.block(block, Codec::Lz4, &mut map);
    }
    let _packing = packer.finish(image.header.table_crc, &mut map);
    let told = wrong(&alone(&map).unwrap(), &expected(&plain), (0, 0));
    assert!(told.len() == 1 && told[0].starts_with("chunk"), "{told:?}");
}

#[test]
fn a_map_that_contradicts_itself_is_refused_though_its_checksums_are_right() {
    let plain = shard(&fields(0.5), 7, &[]);
    let (file, _, map) = pack(&plain, &[], Codec::Zstd, None);
    let end = file.len() as u64 - (map.encode().len() + TAIL_BYTES) as u64;
    let sizes = (map.shard_bytes, map.generation);
    let decode = |map: &Map| Map::decode(&map.encode(), sizes, end);
    assert_eq!(decode(&map).unwrap(), map);
    type Change = fn(&mut Map);
    let changes: [(&str, Change); 10] = [
        ("a block of no file", |m| m.segments[1].blocks[0].file = 1),
        ("a block behind the map", |m| m.segments[1].blocks[0].at = u64::MAX),
        ("a block in the front", |m| m.segments[1].blocks[0].at = FRONT_BYTES as u64),
        ("a block longer than it is", |m| m.segments[1].blocks[0].bytes = 7),
        ("an encoded block as long as plain", |m| m.segments[2].blocks[0].bytes = 65_536),
        ("an empty block", |m| m.segments[2].blocks[0].bytes = 0),
        ("rounded without a bound", |m| m.segments[2].blocks[0].codec = Codec::Rounded),
        ("numbers of no kind", |m| m.segments[4].blocks[0].codec = Codec::Pco),
        ("segments that overlap", |m| m.segments[2].at -= 4096),
        ("a holder that holds nothing", |m| m.holders.push(holder(1, &[]))),
    ];
    for (what, change) in changes {
        let mut bad = map.clone();
        change(&mut bad);
        assert!(decode(&bad).is_err(), "{what}");
    }
    // More blocks than there are bytes for: nothing is allocated for them.
    let mut bad = map.clone();
    bad.segments[4].bytes = 1 << 40;
    let bytes = bad.encode();
    assert!(Map::decode(&bytes, (u64::MAX, 0), end).is_err());
}

#[test]
fn whatever_is_stored_a_decoder_fills_its_block_or_fails() {
    let mut random = Random(99);
    let mut coder = Coder::new();
    let blocks =
        [numbers(8192, |i| (i as f64).sqrt()), vec![7; 65_536], random.bytes(4096), vec![0; 8]];
    for round in 0..4000_usize {
        let codec = Codec::ALL[round % 5];
        let kind = Kind::from_code(random.below(11) as u8).unwrap();
        let block = &blocks[random.below(4) as usize];
        let mut stored = Vec::new();
        let bound = Bound::new(1e-3).unwrap();
        let (mut decoded, mut into) = (Vec::new(), vec![0; block.len()]);
        let made = match codec {
            Codec::Rounded => coder.round(kind, bound, block, (&mut stored, &mut decoded)),
            codec => coder.encode(codec, kind, block, &mut stored),
        };
        if made {
            coder.decode(codec, kind, &stored, &mut into).unwrap();
            assert!(codec == Codec::Rounded || into == *block, "{} of {kind:?}", codec.name());
            assert!(stored.len() < block.len());
        } else {
            stored = random.bytes(100);
        }
        for _ in 0..1 + random.below(3) {
            let at = random.below(stored.len() as u64) as usize;
            stored[at] ^= 1 << random.below(8);
        }
        stored.truncate(stored.len() - random.below(3) as usize);
        let _whatever = coder.decode(codec, kind, &stored, &mut into);
    }
}
