//! Golden files: what every release of the format must read, to the byte.
//!
//! `MAINSTAY_GOLDEN=write cargo test --package mainstay-ckpt golden` writes them again, unless a
//! file `RELEASED` beside them says that they are no longer ours to change.

use std::path::{Path, PathBuf};

use mainstay_ckpt::format::verify::verify_shard;
use mainstay_ckpt::pack::lossy::Bound;
use mainstay_ckpt::pack::tail::read_map;
use mainstay_ckpt::pack::{Codec, Holder, Packing};
use mainstay_ckpt::{
    Axis, FieldSpec, Image, Kind, Manifest, Place, Plan, ReadAt, Residency, Share, decode_late,
};
use mainstay_types::{Epoch, Incarnation, Version, crc32c};

use crate::format::{cut, image, late, manifest, spec, write};

fn directory(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{format}"))
}

/// The golden file, after comparing it with what is written today.
fn golden(name: &str, today: &[u8]) -> Vec<u8> {
    let golden = golden_of(1, name, Some(today));
    assert!(golden == today, "{name} is not what is written today");
    golden
}

/// The golden file of a format; `today` is written if that is asked for.
fn golden_of(format: u32, name: &str, today: Option<&[u8]>) -> Vec<u8> {
    let path = directory(format).join(name);
    if std::env::var_os("MAINSTAY_GOLDEN").is_some_and(|value| value == "write") {
        let released = directory(format).join("RELEASED").exists();
        assert!(!released, "format {format} is released: make a new version");
        std::fs::write(&path, today.unwrap_or_default()).unwrap();
    }
    std::fs::read(&path).unwrap()
}

fn shard() -> Vec<u8> {
    let (mut bytes, captured) = image();
    bytes.resize(captured.image_bytes.next_multiple_of(4096) as usize, 0);
    bytes.extend(late());
    bytes
}

fn check_shard(bytes: &[u8]) -> bool {
    let late = late();
    Image::open(bytes)
        .is_ok_and(|image| verify_shard(bytes, &image, late.len() as u64, crc32c(&late)).is_ok())
}

/// Every truncation and every flipped bit of `bytes` fails `check`.
fn every_damage_is_seen(bytes: &[u8], check: &dyn Fn(&[u8]) -> bool) {
    assert!(check(bytes));
    for len in 0..bytes.len() {
        assert!(!check(&bytes[..len]), "cut at {len}");
    }
    let mut bad = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!check(&bad), "bit {bit}");
        bad[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn golden_shard() {
    let bytes = golden("v00000042.e4.r1.i2.shard", &shard());
    let image = Image::open(bytes.as_slice()).unwrap();
    assert_eq!(image.table.fields.len(), 4);
    every_damage_is_seen(&bytes, &check_shard);
}

/// An image with fields of every sort of place.
fn places() -> Vec<u8> {
    let dealt =
        |extent, block, parts, part| Axis { extent, share: Share::Cyclic { block, parts, part } };
    let rows = Place::Rows { shape: vec![9, 2], offset: vec![3, 0] };
    let fields = [
        ("step", None, 1),
        ("copy", Some(Place::Replicated), 2),
        ("rows", Some(rows), 6),
        ("tile", Some(Place::Shares(vec![Axis::block(8, 2, 3), Axis::block(4, 4, 0)])), 0),
        ("mixed", Some(Place::Shares(vec![dealt(17, 3, 2, 1), Axis::block(5, 1, 2)])), 16),
    ];
    let (specs, data): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .map(|(name, place, count)| {
            let spec = FieldSpec { place, ..spec("state", name, Kind::U16, 2, count) };
            (spec, (0..2 * count as u8).collect::<Vec<u8>>())
        })
        .unzip();
    let plan = Plan::new(&specs).unwrap();
    let messages = mainstay_ckpt::messages_bytes(&cut().unexpected);
    let mut memory = vec![0; plan.image_bytes(3, messages) as usize];
    write(&mut memory, &plan, &data);
    memory
}

#[test]
fn golden_places() {
    let bytes = golden("places.image", &places());
    let image = Image::open(bytes.as_slice()).unwrap();
    let sorts = image.table.fields.iter().map(|field| match &field.spec.place {
        None => 0,
        Some(Place::Rows { .. }) => 1,
        Some(Place::Shares(_)) => 2,
        Some(Place::Replicated) => 3,
    });
    assert_eq!(sorts.collect::<Vec<_>>(), [0, 3, 1, 2, 2]);
    every_damage_is_seen(&bytes, &|bytes| {
        Image::open(bytes).is_ok_and(|image| verify_shard(bytes, &image, 0, 0).is_ok())
    });
}

#[test]
fn golden_messages() {
    let bytes = golden("late.messages", &late());
    assert_eq!(decode_late(&bytes).unwrap().messages.len(), 2);
    // Alone, headers of messages are covered by the checksum beside them only.
    let crc = crc32c(&bytes);
    every_damage_is_seen(&bytes, &|bytes| crc32c(bytes) == crc && decode_late(bytes).is_ok());
}

#[test]
fn golden_manifest() {
    let bytes = golden("v00000042.manifest", &manifest().encode());
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest());
    every_damage_is_seen(&bytes, &|bytes| Manifest::decode(bytes).is_ok());
}

/// A shard by every codec: `shard` says what comes out. What a compressor writes is its version's
/// business, so the packed file is compared by what it holds, and written once.
#[test]
fn golden_packed_shards() {
    let late = late();
    for codec in Codec::ALL {
        let bound = Bound::new(0.25).filter(|_| codec == Codec::Rounded);
        let smooth: Vec<u8> =
            (0..1200).flat_map(|i| (f64::from(i * i) / 3.0).to_le_bytes()).collect();
        let field = FieldSpec { bound, ..spec("s", "u", Kind::F64, 8, 1200) };
        let plain = crate::pack::shard(&[(field, smooth)], 42, &late);
        let (file, packing, map) = crate::pack::pack(&plain, &late, codec, None);
        let name = format!("{}.shard", codec.name());
        let golden = golden_of(2, &name, Some(&file));
        let (front, golden_map) = read_map(golden.as_slice()).unwrap();
        assert_eq!((front.version.0, &golden_map.segments[1].blocks[0].codec), (42, &codec));
        assert_eq!(golden_map.segments.len(), map.segments.len());
        let stored = crate::pack::alone(&golden).unwrap();
        let mut bytes = vec![0; plain.len()];
        stored.read_at(0, &mut bytes, Residency::Cached).unwrap();
        if codec == Codec::Plain {
            assert!(golden == file, "{name} is not what is written today");
        }
        let image = Image::open(bytes.as_slice()).unwrap();
        assert_eq!(image.header.table_crc, packing.table_crc, "{name}");
        let (late_bytes, late_crc) = (late.len() as u64, crc32c(&late));
        verify_shard(bytes.as_slice(), &image, late_bytes, late_crc).unwrap();
        assert_eq!(bytes == plain, codec != Codec::Rounded, "{name}");
    }
}

#[test]
fn golden_manifest_of_packed_shards() {
    let mut packed = manifest();
    let holder = |version| Holder {
        version: Version(version),
        epoch: Epoch(3),
        incarnation: Incarnation(1),
        file_bytes: 70_000 + version,
    };
    let holders = vec![holder(40), holder(41)];
    packed.ranks[1].packing = Some(Packing { file_bytes: 12_345, table_crc: 0xBEEF, holders });
    let today = packed.encode();
    let golden = golden_of(2, "v00000042.manifest", Some(&today));
    assert!(golden == today, "the manifest is not what is written today");
    assert_eq!(Manifest::decode(&golden).unwrap(), packed);
    every_damage_is_seen(&golden, &|bytes| Manifest::decode(bytes).is_ok());
}
