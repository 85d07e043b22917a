//! Images and shards, and the plan of fields behind them.

use mainstay_ckpt::format::kind::Kind;
use mainstay_ckpt::format::late_at;
use mainstay_ckpt::format::verify::verify_shard;
use mainstay_ckpt::{
    Assembly, Axis, Cut, Expected, FieldSpec, FormatError, HEADER_BYTES, Header, Image,
    ImageWriter, Message, Place, Plan, Residency, Share, Table, messages_bytes,
};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version, crc32c};

use crate::source::Source;
use crate::wire::within;

/// A shard as it is and with the right checksums: a sound image has one encoding, which its
/// fields and its cut determine; nothing in it lies outside the input.
///
/// # Panics
/// When that does not hold.
pub fn image(data: &[u8]) -> bool {
    let raw = check(data);
    let sealed = sealed(data).is_some_and(|bytes| check(&bytes));
    raw || sealed
}

/// The same shard with the checksums of its chunks, its table and its header corrected, as far as
/// these can be read.
fn sealed(data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = data.to_vec();
    seal_header(&mut bytes)?;
    let header = Header::decode(bytes.first_chunk()?).ok()?;
    let from = usize::try_from(header.table_at).ok()?;
    let range = from..from.checked_add(usize::try_from(header.table_bytes).ok()?)?;
    if let Ok(mut table) = Table::decode(bytes.get(range.clone())?, header.n, header.table_at) {
        for field in &mut table.fields {
            let at = usize::try_from(field.at).ok()?;
            let end = at.checked_add(usize::try_from(field.spec.bytes()?).ok()?)?;
            let chunks = bytes.get(at..end)?.chunks(CRC_CHUNK_BYTES);
            field.crcs = chunks.map(crc32c).collect();
        }
        bytes[range.clone()].copy_from_slice(&table.encode());
    }
    let table_crc = crc32c(bytes.get(range)?);
    bytes[..HEADER_BYTES].copy_from_slice(&Header { table_crc, ..header }.encode());
    Some(bytes)
}

fn seal_header(bytes: &mut [u8]) -> Option<()> {
    let header: &mut [u8; HEADER_BYTES] = bytes.first_chunk_mut()?;
    let crc = crc32c(&header[..HEADER_BYTES - 4]);
    header[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    Some(())
}

fn check(bytes: &[u8]) -> bool {
    let image = match Image::open(bytes) {
        Ok(image) => image,
        Err(error) => {
            if let FormatError::Decode(error) = &error {
                within(error, bytes.len());
            }
            return false;
        }
    };
    let len = bytes.len() as u64;
    assert!(image.image_bytes() <= len);
    assert_eq!(image.header.encode(), bytes[..HEADER_BYTES]);
    let table_at = usize::try_from(image.header.table_at).expect("within the input");
    let end = usize::try_from(image.image_bytes()).expect("within the input");
    assert_eq!(image.table.encode(), bytes[table_at..end]);
    check_reshape(bytes, &image);
    let mut data = Vec::new();
    let mut whole = true;
    for (i, field) in image.table.fields.iter().enumerate() {
        let length = field.spec.bytes().expect("the table was checked");
        assert!(field.at + length <= len, "memory is taken for a field that is not there");
        let mut into = vec![0; usize::try_from(length).expect("within the input")];
        whole &= image.restore(bytes, i, &mut into, &mut || ()).is_ok();
        data.push(into);
    }
    let verified = image.verify(bytes);
    assert!(whole || verified.is_err(), "a bad chunk was not noticed");
    if verified.is_ok() {
        let specs: Vec<_> = image.table.fields.iter().map(|field| field.spec.clone()).collect();
        assert_eq!(write(&specs, &data, &image.table.cut, image.header), bytes[..end]);
    }
    check_late(bytes, &image);
    verified.is_ok()
}

/// Puts every field together from this image alone, as the only rank wants it that captured it: there
/// is a plan of it unless nobody knows how far it reaches, and it gives what a restore gives.
fn check_reshape(bytes: &[u8], image: &Image) {
    // Whatever is declared, it is an answer and no panic.
    let _answer = mainstay_ckpt::reshape::fits(&[&image.table]);
    for (i, field) in image.table.fields.iter().enumerate() {
        let planned = Assembly::plan(&field.spec, Rank(0), &[&image.table]);
        let Ok(planned) = planned else {
            assert!(!matches!(field.spec.place, Some(Place::Shares(_) | Place::Replicated)));
            continue;
        };
        assert_eq!(planned.count(), field.spec.count);
        let length =
            usize::try_from(field.spec.bytes().expect("checked")).expect("within the input");
        let (mut into, mut whole) = (vec![0; length], vec![0; length]);
        let copied = planned.parts().iter().try_for_each(|part| {
            assert_eq!((part.source(), part.field()), (Rank(0), i));
            part.copy((bytes, field), &mut into, &mut Vec::new(), &mut || ()).map(drop)
        });
        let restored = image.restore(bytes, i, &mut whole, &mut || ());
        assert_eq!(copied, restored);
        assert!(restored.is_err() || into == whole);
    }
}

/// Takes what follows an image for late messages.
fn check_late(bytes: &[u8], image: &Image) {
    let end = bytes.len() as u64;
    let late_bytes = end.saturating_sub(late_at(image.image_bytes(), 1));
    let late = &bytes[bytes.len() - usize::try_from(late_bytes).expect("within the input")..];
    let sound = verify_shard(bytes, image, late_bytes, crc32c(late));
    if sound.is_ok() {
        assert!(image.verify(bytes).is_ok());
        assert!(late.is_empty() || mainstay_ckpt::decode_late(late).is_ok());
    }
}

/// The image of these fields and this cut, in memory that held something else.
fn write(specs: &[FieldSpec], data: &[Vec<u8>], cut: &Cut, header: Header) -> Vec<u8> {
    let plan = Plan::new(specs).expect("these fields were planned before");
    let bytes = plan.image_bytes(header.n, messages_bytes(&cut.unexpected));
    let mut memory = vec![0xEE; usize::try_from(bytes).expect("small")];
    let writer = ImageWriter::new(&mut memory[..], &plan, cut.clone(), Residency::Cached);
    let mut writer = writer.expect("the plan's size is enough");
    for field in data {
        writer.field(field, &mut || ());
    }
    let captured = writer.finish(header);
    assert_eq!(captured.image_bytes, memory.len() as u64);
    memory
}

/// Fields as a program could protect them: a plan either refuses them or lays them out apart from
/// each other, and what is captured by it is restored to the byte.
///
/// # Panics
/// When that does not hold.
pub fn plan(data: &[u8]) -> bool {
    /// More than this is planned but not captured.
    const CAPTURED_MAX: u64 = 1 << 20;
    let mut source = Source::new(data);
    let count = source.u8() % 9;
    let specs: Vec<FieldSpec> = (0..count).map(|_| spec(&mut source)).collect();
    let Ok(plan) = Plan::new(&specs) else {
        return false;
    };
    let mut free = mainstay_ckpt::PAGE_BYTES;
    for i in 0..specs.len() {
        assert!(plan.at(i) >= free && plan.at(i).is_multiple_of(mainstay_ckpt::PAGE_BYTES));
        free = plan.at(i).checked_add(plan.field_bytes(i)).expect("a plan fits a file");
    }
    assert!(plan.table_at() >= free && plan.data_bytes() <= plan.table_at());
    let (n, cut) = cut(&mut source);
    let image_bytes = plan.image_bytes(n, messages_bytes(&cut.unexpected));
    if image_bytes > CAPTURED_MAX {
        return true;
    }
    let fill = source.u8();
    let data: Vec<Vec<u8>> = (0..specs.len())
        .map(|i| (0..plan.field_bytes(i)).map(|k| (k as u8).wrapping_mul(31) ^ fill).collect())
        .collect();
    let header = Header::of(Rank(n - 1), n, Epoch(source.u8().into()), Incarnation(0));
    let memory = write(&specs, &data, &cut, header.at(Version(source.u64()), Step(source.u64())));
    let image = Image::open(memory.as_slice()).expect("what was written is read");
    let expected = Expected {
        rank: Rank(n - 1),
        n,
        version: image.header.version,
        image_bytes,
        table_crc: image.header.table_crc,
    };
    assert_eq!(Image::open_expected(memory.as_slice(), &expected).as_ref(), Ok(&image));
    assert_eq!(image.table.cut, cut);
    check(&memory)
}

fn spec(source: &mut Source<'_>) -> FieldSpec {
    let kind = Kind::from_code(source.u8() % 12).unwrap_or(Kind::Opaque);
    let bits = source.u8();
    let element_bytes = match kind.element_bytes() {
        Some(bytes) if bits & 1 == 0 => bytes,
        Some(_) | None => source.u16().into(),
    };
    let count = if bits & 2 == 0 { source.u16().into() } else { source.u64() };
    let place = place(source, bits);
    FieldSpec {
        state: source.text(3),
        name: source.text(3),
        kind,
        element_bytes,
        count,
        place,
        bound: None,
    }
}

fn place(source: &mut Source<'_>, bits: u8) -> Option<Place> {
    let dimensions = bits >> 4;
    match (bits >> 2) & 3 {
        0 => None,
        1 => {
            let mut indices = || (0..dimensions).map(|_| u64::from(source.u8())).collect();
            Some(Place::Rows { shape: indices(), offset: indices() })
        }
        2 => {
            let mut axis = || {
                let extent = source.u8().into();
                let (a, b, c) = (source.u8().into(), source.u8().into(), source.u8());
                let share = match c & 1 {
                    0 => Share::Block { first: a, count: b },
                    _ => Share::Cyclic { block: a, parts: b, part: u64::from(c >> 1) },
                };
                Axis { extent, share }
            };
            Some(Place::Shares((0..dimensions).map(|_| axis()).collect()))
        }
        _ => Some(Place::Replicated),
    }
}

fn cut(source: &mut Source<'_>) -> (u32, Cut) {
    let n = 1 + u32::from(source.u8() % 4);
    let mut counters = || (0..n).map(|_| source.u64()).collect();
    let (sent, delivered) = (counters(), counters());
    let message = |source: &mut Source<'_>| Message {
        source: Rank(u32::from(source.u8()) % n),
        context: source.u16().into(),
        tag: source.u16().into(),
        sequence: source.u64(),
        payload: source.text(40).into_bytes(),
    };
    let unexpected = (0..source.u8() % 4).map(|_| message(source)).collect();
    let rounds = std::array::from_fn(|_| source.u8().into());
    let communicators = source.u16().into();
    (n, Cut { sent, delivered, unexpected, rounds, communicators })
}
