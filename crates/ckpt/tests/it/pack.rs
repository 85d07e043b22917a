//! Packed shards: what is packed comes back to the bit, and every damage is told with its file.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay_ckpt::format::table::Table;
use mainstay_ckpt::format::verify::{Seen, audit_shard, verify_shard};
use mainstay_ckpt::pack::lossy::Bound;
use mainstay_ckpt::pack::tail::{Front, read_map};
use mainstay_ckpt::pack::{Base, Codec, Holder, Map, Packer, audit_packed};
use mainstay_ckpt::{
    BLOCK_BYTES, Expected, FieldSpec, FormatError, Header, Image, Kind, Packing, Plan, ReadAt,
    Residency, Stored, Unreadable,
};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Version, crc32c};

use crate::format::{cut, header, late, spec, write};
use crate::random::Random;

/// Bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct File(pub(crate) Vec<u8>);

impl ReadAt for File {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable> {
        self.0.as_slice().read_at(at, into, hint)
    }
}

/// A plain shard as the drain packs it: its file, and what a manifest says of it.
pub(crate) fn pack(
    shard: &[u8],
    late: &[u8],
    codec: Codec,
    base: Option<Base<'_>>,
) -> (Vec<u8>, Packing, Map) {
    let image = Image::open(shard).unwrap();
    let h = image.header;
    let (rank, n, version) = (h.rank, h.n, h.version);
    let front = Front { rank, n, version, epoch: h.epoch, incarnation: h.incarnation };
    let mut file = Vec::new();
    let mut packer = Packer::new(&front, shard.len() as u64, base, &mut file);
    let mut table = image.table.clone();
    for (i, field) in image.table.fields.iter().enumerate() {
        let bytes = field.spec.bytes().unwrap();
        packer.segment(field.at, bytes, field.spec.kind, field.spec.bound);
        let mut data = shard[field.at as usize..][..bytes as usize].to_vec();
        for block in data.chunks_mut(BLOCK_BYTES) {
            if let Some(decoded) = packer.block(block, codec, &mut file) {
                block.copy_from_slice(decoded);
            }
        }
        table.fields[i].crcs = data.chunks(CRC_CHUNK_BYTES).map(crc32c).collect();
    }
    let table = table.encode();
    let table_crc = crc32c(&table);
    let late_at = shard.len() - late.len();
    let head = Header { table_crc, ..h }.encode();
    for (at, bytes) in [(h.table_at, &table[..]), (late_at as u64, late), (0, &head)] {
        packer.segment(at, bytes.len() as u64, Kind::Opaque, None);
        for block in bytes.chunks(BLOCK_BYTES) {
            assert!(packer.block(block, Codec::Plain, &mut file).is_none());
        }
    }
    let (packing, map) = packer.finish(table_crc, &mut file);
    assert_eq!(packing.file_bytes, file.len() as u64);
    (file, packing, map)
}

/// A plain shard of these fields.
pub(crate) fn shard(fields: &[(FieldSpec, Vec<u8>)], version: u64, late: &[u8]) -> Vec<u8> {
    let (specs, data): (Vec<_>, Vec<_>) = fields.iter().cloned().unzip();
    let plan = Plan::new(&specs).unwrap();
    let messages = mainstay_ckpt::messages_bytes(&cut().unexpected);
    let mut memory = vec![0xEE; plan.image_bytes(3, messages) as usize];
    write(&mut memory, &plan, &data);
    let mut image = Image::open(memory.as_slice()).unwrap().header;
    image.version = Version(version);
    memory[..64].copy_from_slice(&image.encode());
    if !late.is_empty() {
        memory.resize(memory.len().next_multiple_of(4096), 0);
        memory.extend(late);
    }
    memory
}

pub(crate) fn numbers(count: usize, number: impl Fn(usize) -> f64) -> Vec<u8> {
    (0..count).flat_map(|i| number(i).to_le_bytes()).collect()
}

/// A smooth field of several blocks, noise, and a single number.
pub(crate) fn fields(shift: f64) -> Vec<(FieldSpec, Vec<u8>)> {
    let smooth = numbers(40_000, |i| (i as f64 / 900.0).sin() + shift);
    let noise = Random(3).bytes(70_000);
    vec![
        (spec("s", "step", Kind::U64, 8, 1), 5_u64.to_le_bytes().to_vec()),
        (spec("s", "u", Kind::F64, 8, 40_000), smooth),
        (spec("s", "noise", Kind::Opaque, 7, 10_000), noise),
    ]
}

pub(crate) fn open(
    file: &[u8],
    others: &BTreeMap<String, Vec<u8>>,
) -> Result<Stored<File>, FormatError> {
    let other = |name: &str| others.get(name).cloned().map(File).ok_or("gone".to_owned());
    Stored::open(File(file.to_vec()), other)
}

pub(crate) fn all(stored: &Stored<File>) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = vec![0xEE; stored.bytes() as usize];
    stored.read_at(0, &mut bytes, Residency::Cached)?;
    Ok(bytes)
}

pub(crate) fn alone(file: &[u8]) -> Result<Stored<File>, FormatError> {
    open(file, &BTreeMap::new())
}

/// Everything that is wrong with a packed shard.
pub(crate) fn wrong(stored: &Stored<File>, expected: &Expected, late: (u64, u32)) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut see = |seen| {
        if let Seen::Wrong(finding) = seen {
            wrong.push(format!("{} {}", finding.part.name(), finding.error));
        }
        ControlFlow::Continue(())
    };
    let _ended = audit_packed(stored, &mut see);
    let _ended = audit_shard(stored, expected, late, &mut see);
    wrong
}

pub(crate) fn expected(shard: &[u8]) -> Expected {
    let image = Image::open(shard).unwrap();
    let h = image.header;
    let (image_bytes, table_crc) = (image.image_bytes(), h.table_crc);
    Expected { rank: h.rank, n: h.n, version: h.version, image_bytes, table_crc }
}

const LOSSLESS: [Codec; 4] = [Codec::Plain, Codec::Zstd, Codec::Lz4, Codec::Pco];

#[test]
fn a_packed_shard_gives_the_plain_one_to_the_bit_by_every_codec() {
    let late = late();
    let plain = shard(&fields(0.5), 42, &late);
    let mut sizes = Vec::new();
    for codec in LOSSLESS {
        let (file, packing, map) = pack(&plain, &late, codec, None);
        assert_eq!((packing.table_crc, packing.holders.len()), (expected(&plain).table_crc, 0));
        assert_eq!(read_map(file.as_slice()).unwrap().1, map);
        let stored = alone(&file).unwrap();
        assert!(all(&stored).unwrap() == plain, "{}", codec.name());
        let crc = crc32c(&late);
        assert_eq!(wrong(&stored, &expected(&plain), (late.len() as u64, crc)), [""; 0]);
        let mut random = Random(codec.code().into());
        for _ in 0..300 {
            let at = random.below(plain.len() as u64);
            let bytes = random.below((plain.len() as u64 - at).min(200_000) + 1);
            let mut into = vec![0xEE; bytes as usize];
            let crc = stored.read_at(at, &mut into, Residency::Cached).unwrap();
            assert!(into == plain[at as usize..][..bytes as usize], "{bytes} from {at}");
            assert_eq!(crc, crc32c(&into));
        }
        assert!(stored.read_at(plain.len() as u64, &mut [0], Residency::Cached).is_err());
        sizes.push(file.len());
    }
    assert!(sizes[0] < plain.len() + 4096, "plain blocks cost a map: {sizes:?}");
    assert!(sizes[3] * 2 < sizes[0], "pco makes a smooth field smaller: {sizes:?}");
}

#[test]
fn numbers_of_every_kind_come_back_those_that_are_none_too() {
    let mut random = Random(11);
    for round in 0..60 {
        let fields: Vec<_> = (0..11)
            .map(|code| {
                let kind = Kind::from_code(code).unwrap();
                let each = kind.element_bytes().unwrap_or(3);
                let count = random.below(60_000) * random.below(2);
                let bytes = (count * u64::from(each)) as usize;
                let data = match random.below(4) {
                    0 => random.bytes(bytes),
                    1 => vec![0xFF; bytes],
                    2 => vec![0; bytes],
                    _ => (0..bytes).map(|i| (i / 64) as u8).collect(),
                };
                (spec("s", &code.to_string(), kind, each, count), data)
            })
            .collect();
        let plain = shard(&fields, round, &[]);
        let codec = LOSSLESS[round as usize % 4];
        let (file, ..) = pack(&plain, &[], codec, None);
        assert!(all(&alone(&file).unwrap()).unwrap() == plain, "round {round}");
    }
}

/// The holder that a shard of version 42 becomes, under its name.
pub(crate) fn holder(version: u64, file: &[u8]) -> Holder {
    let h = header();
    let version = Version(version);
    let file_bytes = file.len() as u64;
    Holder { version, epoch: h.epoch, incarnation: h.incarnation, file_bytes }
}

#[test]
fn equal_blocks_are_left_where_they_are_and_a_reference_is_one_hop() {
    let mut now = fields(0.5);
    let first = shard(&now, 1, &[]);
    let (file_1, _, map_1) = pack(&first, &[], Codec::Zstd, None);
    let (holder_1, name_1) = (holder(1, &file_1), "v00000001.e4.r1.i2.shard");
    // One number changes: its block, the table and the header are new.
    now[1].1[3 * BLOCK_BYTES] ^= 1;
    let second = shard(&now, 2, &[]);
    let base = Base { map: &map_1, file: holder_1 };
    let (file_2, packing_2, map_2) = pack(&second, &[], Codec::Zstd, Some(base));
    let own = |map: &Map| map.blocks().filter(|(_, _, block)| block.file == 0).count();
    assert_eq!((own(&map_2), packing_2.holders.as_slice()), (3, &[holder_1][..]));
    assert!(file_2.len() < 2 * BLOCK_BYTES + 2 * 4096, "{} bytes", file_2.len());
    // The third refers to both files, never to a reference.
    now[1].1[0] ^= 1;
    let third = shard(&now, 3, &[]);
    let holder_2 = holder(2, &file_2);
    let base = Base { map: &map_2, file: holder_2 };
    let (file_3, packing_3, map_3) = pack(&third, &[], Codec::Zstd, Some(base));
    assert_eq!((own(&map_3), map_3.generation), (3, 2));
    let mut holders = packing_3.holders.clone();
    holders.sort();
    assert_eq!(holders, [holder_1, holder_2]);
    let mut others = BTreeMap::from([
        (name_1.to_owned(), file_1.clone()),
        ("v00000002.e4.r1.i2.shard".to_owned(), file_2),
    ]);
    assert!(all(&open(&file_3, &others).unwrap()).unwrap() == third);
    // A holder that changed is named, by whoever needs the block alone.
    let block = map_3.blocks().find(|(_, _, block)| block.file != 0).unwrap().2;
    let first_held = packing_3.holders[usize::from(block.file) - 1].version;
    let name = format!("v{:08}.e4.r1.i2.shard", first_held.0);
    let mut bad = others.clone();
    bad.get_mut(&name).unwrap()[block.at as usize] ^= 1;
    let stored = open(&file_3, &bad).unwrap();
    let told = wrong(&stored, &expected(&third), (0, 0));
    assert!(told.iter().any(|why| why.starts_with("stored") && why.contains(&name)), "{told:?}");
    let error = all(&stored).map(drop).err();
    // A plain block is judged by the checksum of its chunk; an encoded one says it at once.
    assert!(error.is_some_and(|e| e.to_string().contains(&name)) || block.codec == Codec::Plain);
    // One that is cut short, or gone.
    others.get_mut(name_1).unwrap().pop();
    let why = open(&file_3, &others).unwrap_err().to_string();
    assert!(why.contains(name_1) && why.contains("bytes where"), "{why}");
    others.remove(name_1);
    let why = open(&file_3, &others).unwrap_err().to_string();
    assert!(why.contains(name_1) && why.contains("gone"), "{why}");
}

#[test]
fn a_field_of_another_place_kind_or_bound_is_stored_again() {
    let before = fields(0.5);
    let first = shard(&before, 1, &[]);
    let (file, _, map) = pack(&first, &[], Codec::Plain, None);
    let base = Some(Base { map: &map, file: holder(1, &file) });
    let kept = |fields: &[(FieldSpec, Vec<u8>)]| {
        let (_, _, map) = pack(&shard(fields, 2, &[]), &[], Codec::Plain, base);
        map.blocks().filter(|(_, _, block)| block.file > 0).count()
    };
    assert_eq!(kept(&before), 1 + 5 + 2 + 1, "all but the header, which has the version");
    let mut other = before.clone();
    other[1].0.kind = Kind::U64;
    assert_eq!(kept(&other), 3, "as numbers of another kind they are stored otherwise");
    other[1].0 = FieldSpec { bound: Bound::new(0.1), ..before[1].0.clone() };
    assert_eq!(kept(&other), 3, "another bound");
    assert_eq!(kept(&before[1..]), 0, "every field lies elsewhere");
}

#[test]
fn rounded_elements_are_within_their_bound_or_as_they_were() {
    let mut random = Random(23);
    for bound in [1e-9, 1e-4, 0.5, 1e6] {
        for kind in [Kind::F64, Kind::F32] {
            let odd = random.below(3);
            let value = |i: usize| match (odd, i % 5000) {
                (1, 77) => f64::NAN,
                (2, 78) => f64::INFINITY,
                (2, 79) => -0.0,
                _ => (i as f64 / 500.0).cos() * 1e3,
            };
            let each = kind.element_bytes().unwrap();
            let data = match kind {
                Kind::F32 => (0..30_000).flat_map(|i| (value(i) as f32).to_le_bytes()).collect(),
                _ => numbers(30_000, value),
            };
            let field = spec("s", "u", kind, each, 30_000);
            let field = FieldSpec { bound: Bound::new(bound), ..field };
            let plain = shard(&[(field, data)], 9, &[]);
            let (file, packing, map) = pack(&plain, &[], Codec::Plain, None);
            let stored = alone(&file).unwrap();
            let wanted = Expected { table_crc: packing.table_crc, ..expected(&plain) };
            assert_eq!(wrong(&stored, &wanted, (0, 0)), [""; 0], "sound by its own table");
            let found = all(&stored).unwrap();
            let rounded = map.blocks().filter(|(_, _, b)| b.codec == Codec::Rounded).count();
            assert_eq!(rounded > 0, packing.table_crc != expected(&plain).table_crc);
            let at = Image::open(plain.as_slice()).unwrap().table.fields[0].at as usize;
            let bytes = 30_000 * each as usize;
            let pairs = plain[at..at + bytes].chunks(each as usize);
            for (a, b) in pairs.zip(found[at..at + bytes].chunks(each as usize)) {
                let number = |bytes: &[u8]| match kind {
                    Kind::F32 => f64::from(f32::from_le_bytes(bytes.try_into().unwrap())),
                    _ => f64::from_le_bytes(bytes.try_into().unwrap()),
                };
                let near = (number(a) - number(b)).abs() <= bound;
                assert!(a == b || near, "{} and {}", number(a), number(b));
            }
            if odd == 0 && bound > 1e-5 && kind == Kind::F64 {
                assert!(rounded == map.segments[1].blocks.len() && file.len() * 4 < plain.len());
            }
        }
    }
}

#[test]
fn a_rounded_block_that_did_not_change_is_referred_to_and_still_known() {
    let field = FieldSpec { bound: Bound::new(1e-3), ..spec("s", "u", Kind::F64, 8, 40_000) };
    let mut fields = vec![(field, numbers(40_000, |i| (i as f64 / 300.0).sin()))];
    let first = shard(&fields, 1, &[]);
    let (file_1, _, map_1) = pack(&first, &[], Codec::Plain, None);
    fields[0].1[7] ^= 0x40;
    let second = shard(&fields, 2, &[]);
    let base = Base { map: &map_1, file: holder(1, &file_1) };
    let (file_2, packing, map_2) = pack(&second, &[], Codec::Plain, Some(base));
    let held = map_2.blocks().filter(|(_, _, block)| block.file == 1).count();
    assert_eq!(held, 4, "of five");
    let others = BTreeMap::from([("v00000001.e4.r1.i2.shard".to_owned(), file_1)]);
    let stored = open(&file_2, &others).unwrap();
    let wanted = Expected { table_crc: packing.table_crc, ..expected(&second) };
    assert_eq!(wrong(&stored, &wanted, (0, 0)), [""; 0]);
}

#[test]
fn a_table_with_bounds_reads_back_and_refuses_those_that_are_none() {
    let field = FieldSpec { bound: Bound::new(0.125), ..spec("s", "u", Kind::F64, 8, 10) };
    let plain = shard(&[(field.clone(), vec![1; 80])], 1, &[]);
    let image = Image::open(plain.as_slice()).unwrap();
    assert_eq!(image.table.fields[0].spec, field);
    assert!(verify_shard(plain.as_slice(), &image, 0, 0).is_ok());
    for bound in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX] {
        let mut table = image.table.clone();
        table.fields[0].spec.bound = Some(Bound::unchecked(bound));
        let bad = Table::decode(&table.encode(), 3, image.header.table_at);
        assert!(bad.is_err(), "{bound}");
        assert!(Plan::new(&[table.fields[0].spec.clone()]).is_err());
    }
    let whole = FieldSpec { kind: Kind::I64, ..field };
    let error = Plan::new(&[whole]).unwrap_err().to_string();
    assert!(error.contains("s.u") && error.contains("i64"), "{error}");
}
