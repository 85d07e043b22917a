//! Sample values of every format, and what their decoders do with bytes that are not theirs.

use mainstay_ckpt::{
    Captured, Cut, FieldSpec, FormatError, Header, Identity, Image, ImageWriter, InputEntry, Kind,
    Late, Manifest, Message, Place, Plan, Program, RankEntry, Residency, decode_late,
    decode_messages, encode_late,
};
use mainstay_types::wire::Early;
use mainstay_types::{
    Determinant, Determinants, Epoch, Incarnation, JobId, Outcome, Rank, Step, Version, crc32c,
};

use crate::random::Random;

pub(crate) fn spec(state: &str, name: &str, kind: Kind, bytes: u32, count: u64) -> FieldSpec {
    FieldSpec {
        state: state.to_owned(),
        name: name.to_owned(),
        kind,
        element_bytes: bytes,
        count,
        place: None,
        bound: None,
    }
}

pub(crate) fn message(source: u32, sequence: u64, payload: &[u8]) -> Message {
    Message { source: Rank(source), context: 2, tag: 77, sequence, payload: payload.to_vec() }
}

/// Fields of each kind of length: one element, none, a part of a page, more than a page.
pub(crate) fn fields() -> Vec<(FieldSpec, Vec<u8>)> {
    let mut random = Random(5);
    let place = Some(Place::Rows { shape: vec![600, 3], offset: vec![200, 0] });
    let u = FieldSpec { place, ..spec("heat", "u", Kind::F64, 8, 600) };
    let mut fields = vec![
        spec("heat", "step", Kind::U64, 8, 1),
        spec("heat", "none", Kind::I16, 2, 0),
        u,
        spec("rng", "state", Kind::Opaque, 3, 11),
    ];
    let filled = fields.drain(..).map(|spec| {
        let bytes = random.bytes(spec.bytes().unwrap() as usize);
        (spec, bytes)
    });
    filled.collect()
}

pub(crate) fn cut() -> Cut {
    Cut {
        sent: vec![5, 0, 7],
        delivered: vec![4, 0, 9],
        unexpected: vec![message(0, 3, b"first"), message(2, 9, b"")],
        rounds: [77, 0, 3, 1],
        communicators: 4,
    }
}

pub(crate) fn header() -> Header {
    Header::of(Rank(1), 3, Epoch(4), Incarnation(2)).at(Version(42), Step(1000))
}

/// An image of [`fields`] and [`cut`], in memory that held something else.
pub(crate) fn image() -> (Vec<u8>, Captured) {
    let (specs, data): (Vec<_>, Vec<_>) = fields().into_iter().unzip();
    let plan = Plan::new(&specs).unwrap();
    let messages = mainstay_ckpt::messages_bytes(&cut().unexpected);
    let mut memory = vec![0xEE; plan.image_bytes(3, messages) as usize];
    let captured = write(&mut memory, &plan, &data);
    assert_eq!(captured.image_bytes, memory.len() as u64);
    (memory, captured)
}

pub(crate) fn write(memory: &mut [u8], plan: &Plan, data: &[Vec<u8>]) -> Captured {
    let mut writer = ImageWriter::new(memory, plan, cut(), Residency::Streaming).unwrap();
    for bytes in data {
        writer.field(bytes, &mut || ());
    }
    writer.finish(header())
}

pub(crate) fn late() -> Vec<u8> {
    let messages = vec![message(0, 5, b"late payload"), message(2, 10, &[0; 40])];
    let entry = |call, outcome| Determinant { call, outcome };
    let entries =
        vec![entry(0, Outcome::Message { source: Rank(2), tag: 7 }), entry(3, Outcome::Request(1))];
    encode_late(&Late { messages, determinants: Determinants { calls: 5, entries } })
}

pub(crate) fn manifest() -> Manifest {
    let (_, captured) = image();
    let entry = |i: u32| RankEntry {
        incarnation: Incarnation(i),
        file_epoch: Epoch(4),
        image_bytes: captured.image_bytes,
        table_crc: captured.table_crc,
        late_bytes: if i == 1 { late().len() as u64 } else { 0 },
        late_crc: if i == 1 { crc32c(&late()) } else { 0 },
        sent: vec![5, 0, u64::from(i)],
        delivered: vec![0, 0, 9],
        early: vec![Early { peer: Rank(2), sequence: 9, hash: 0xABCD }; i as usize],
        packing: None,
    };
    Manifest {
        identity: Identity {
            job: JobId(*b"0123456789abcdef"),
            launch: 2,
            program: Program { path: "target/release/cg".to_owned(), sha256: [0x11; 32] },
            seed: 0x0123_4567_89AB_CDEF,
            args: vec![b"--tol".to_vec(), b"1e-10".to_vec(), vec![0xFF, 0x00], vec![]],
            inputs: vec![InputEntry {
                name: "matrix".to_owned(),
                bytes: 123_456,
                crc: 7,
                sha256: [0x22; 32],
            }],
        },
        epoch: Epoch(4),
        version: Version(42),
        step: Step(1000),
        parent: Some(Version(41)),
        ranks: (0..3).map(entry).collect(),
        nodes: None,
    }
}

/// The manifest with one more change, its checksum made right again.
fn resummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let crc = crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn a_manifest_reads_back() {
    let mut manifest = manifest();
    assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
    let names: Vec<_> = manifest.shard_names().collect();
    assert_eq!(names[2], "v00000042.e4.r2.i2.shard");
    assert_eq!(manifest.ranks[1].late_at() % 4096, 0);
    let shards = manifest.ranks.iter().map(RankEntry::shard_bytes);
    assert_eq!(manifest.bytes(), shards.sum());
    manifest.parent = None;
    manifest.identity.args.clear();
    manifest.identity.inputs.clear();
    assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused_though_its_checksum_is_right() {
    let good = manifest();
    assert_eq!(resummed(good.encode()), good.encode());
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut bad = good.clone();
        change(&mut bad);
        Manifest::decode(&bad.encode()).unwrap_err().to_string()
    };
    assert!(refused(&|m| m.ranks.clear()).contains("number of ranks"));
    assert!(refused(&|m| m.version = Version(u64::MAX)).contains("version"));
    assert!(refused(&|m| m.epoch = Epoch(u32::MAX)).contains("epoch"));
    assert!(refused(&|m| m.ranks[0].file_epoch = Epoch(u32::MAX)).contains("epoch of the shard"));
    assert!(refused(&|m| m.ranks[0].incarnation = Incarnation(u32::MAX)).contains("incarnation"));
    assert!(refused(&|m| m.ranks[0].sent.push(1)).contains("counter"));
    assert!(refused(&|m| m.ranks[0].late_crc = 1).contains("late checksum"));
    assert!(refused(&|m| m.ranks[2].early[0].peer = Rank(3)).contains("early source"));
    assert!(refused(&|m| m.ranks[2].early = vec![m.ranks[2].early[0]; 1025]).contains("number of"));
    assert!(refused(&|m| m.identity.program.path = "x".repeat(4097)).contains("program path"));
    assert!(refused(&|m| m.identity.inputs[0].name = "x".repeat(257)).contains("input name"));
    assert!(refused(&|m| m.identity.args[0] = vec![0; 131_073]).contains("argument"));
}

#[test]
fn another_manifest_format_is_named() {
    let mut bytes = manifest().encode();
    bytes[8] = 3;
    let error = Manifest::decode(&resummed(bytes.clone())).unwrap_err();
    assert!(error.to_string().contains("manifest format"), "{error}");
    bytes[0] = b'X';
    let error = Manifest::decode(&resummed(bytes)).unwrap_err();
    assert!(error.to_string().contains("manifest magic"), "{error}");
}

#[test]
fn mutated_bytes_never_panic_and_a_right_checksum_alone_is_not_believed() {
    let mut random = Random(6);
    let (manifest, (image, _)) = (manifest().encode(), image());
    let table = Image::open(image.as_slice()).unwrap().header;
    let table = (table.table_at as usize, table.n);
    for _ in 0..20_000 {
        let mut bytes = manifest.clone();
        let len = bytes.len() as u64 - 4;
        for _ in 0..=random.below(3) {
            bytes[random.below(len) as usize] = random.next() as u8;
        }
        // What is accepted is a manifest that encodes to the same bytes: there is one spelling.
        let bytes = resummed(bytes);
        if let Ok(manifest) = Manifest::decode(&bytes) {
            assert_eq!(manifest.encode(), bytes);
        }
        let mut bytes = image[table.0..].to_vec();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] = random.next() as u8;
        if let Ok(decoded) = mainstay_ckpt::Table::decode(&bytes, table.1, table.0 as u64) {
            assert_eq!(decoded.encode(), bytes);
        }
        let mut bytes = late();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] = random.next() as u8;
        if let Ok(late) = decode_late(&bytes) {
            assert_eq!(encode_late(&late), bytes);
        }
    }
}

#[test]
fn noise_is_neither_manifest_nor_image_nor_messages() {
    let mut random = Random(7);
    for _ in 0..2000 {
        let len = random.below(300) as usize;
        let noise = random.bytes(len);
        assert!(Manifest::decode(&noise).is_err());
        assert!(Image::open(noise.as_slice()).is_err());
        assert!(decode_messages(&noise).is_err() || noise == [0; 4]);
        assert!(decode_late(&noise).is_err() || noise.is_empty());
    }
}

#[test]
fn what_differs_between_two_launches_is_named() {
    use mainstay_ckpt::Difference::{Argument, Input, Program};
    let was = manifest().identity;
    let mut now = was.clone();
    now.launch = 3;
    now.program.path = "elsewhere".to_owned();
    now.inputs.push(InputEntry { name: "rhs".to_owned(), ..was.inputs[0].clone() });
    assert_eq!(was.differences(&now), []);
    now.program.sha256[0] ^= 1;
    now.args[1] = b"1e-9".to_vec();
    now.args.pop();
    now.inputs[0].crc ^= 1;
    let found = was.differences(&now);
    let expected = [Program, Argument(1), Argument(3), Input("matrix".to_owned())];
    assert_eq!(found, expected);
    let text: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(text[1], "argument 2 is another");
}

#[test]
fn a_table_of_another_job_size_is_refused() {
    let (image, _) = image();
    let header = Image::open(image.as_slice()).unwrap().header;
    let table = &image[header.table_at as usize..];
    for (n, at) in [(2, header.table_at), (3, header.table_at + 4096)] {
        let error = mainstay_ckpt::Table::decode(table, n, at).unwrap_err();
        assert!(matches!(error, FormatError::Layout { .. }), "{error}");
    }
}

#[test]
fn a_manifest_of_nodes_is_of_format_2_and_names_files_by_node() {
    use mainstay_ckpt::NodeLayout;
    use mainstay_ckpt::fetch::Ring;
    use mainstay_types::Node;
    use mainstay_types::wire::node::Redundancy;
    for redundancy in [Redundancy::None, Redundancy::Partner, Redundancy::Parity(1)] {
        let mut manifest = manifest();
        let mut layout = NodeLayout::new(Ring::new(2, redundancy).unwrap());
        if layout.is_guarded() {
            layout.guard_crcs = vec![7, 9];
        }
        manifest.nodes = Some(layout);
        let bytes = manifest.encode();
        assert_eq!(bytes[8..12], [2, 0, 0, 0]);
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        for cut in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let names = manifest.part_names();
        assert_eq!(names.len(), if redundancy == Redundancy::None { 4 } else { 7 });
        assert!(names[1].starts_with("node00/") && names[2].starts_with("node01/"));
        assert!(names.iter().all(|name| mainstay_ckpt::parse_name(name).is_some()));
        let ranges = manifest.node_ranges(Node(0));
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[0].1.end, ranges[1].1.start);
        assert_eq!(manifest.node_lengths()[0], ranges[1].1.end);
    }
}
