//! Golden files: what every release of the format must read, to the byte.
//!
//! `MAINSTAY_GOLDEN=write cargo test --package mainstay-ckpt golden` writes them again, unless a
//! file `RELEASED` beside them says that they are no longer ours to change.

use std::path::{Path, PathBuf};

use mainstay_ckpt::format::verify::verify_shard;
use mainstay_ckpt::{Axis, FieldSpec, Image, Kind, Manifest, Place, Plan, Share, decode_late};
use mainstay_types::crc32c;

use crate::format::{cut, image, late, manifest, spec, write};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// The golden file, after comparing it with what is written today.
fn golden(name: &str, today: &[u8]) -> Vec<u8> {
    let path = directory().join(name);
    if std::env::var_os("MAINSTAY_GOLDEN").is_some_and(|value| value == "write") {
        let released = directory().join("RELEASED").exists();
        assert!(!released, "format 1 is released: make a new version");
        std::fs::write(&path, today).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert!(golden == today, "{name} is not what is written today");
    golden
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
