//! Versions of N ranks put together for M, against a model that goes through every element.
//!
//! The data of an element are a number made of its place in the whole array, so that an element
//! which lands anywhere else is seen.

use mainstay_ckpt::{
    Assembly, Axis, Cut, FieldSpec, Header, Image, ImageWriter, Kind, Place, Plan, Residency,
    Share, Table,
};
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version};

use crate::format::spec;
use crate::random::Random;

/// A version in memory: the image of each rank.
pub(crate) struct World {
    pub(crate) images: Vec<(Vec<u8>, Image)>,
}

impl World {
    /// The images of ranks that have these fields, with these data.
    pub(crate) fn of(ranks: Vec<Vec<(FieldSpec, Vec<u8>)>>) -> Self {
        let n = u32::try_from(ranks.len()).unwrap();
        let images = (0..n).zip(ranks).map(|(rank, fields)| {
            let (specs, data): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
            let plan = Plan::new(&specs).unwrap();
            let counters = vec![0; n as usize];
            let cut = Cut { sent: counters.clone(), delivered: counters, ..Cut::default() };
            let mut memory = vec![0; plan.image_bytes(n, 4) as usize];
            let mut writer =
                ImageWriter::new(&mut memory[..], &plan, cut, Residency::Cached).unwrap();
            for bytes in &data {
                writer.field(bytes, &mut || ());
            }
            let header = Header::of(Rank(rank), n, Epoch(1), Incarnation(0));
            writer.finish(header.at(Version(1), Step(1)));
            let image = Image::open(memory.as_slice()).unwrap();
            (memory, image)
        });
        Self { images: images.collect() }
    }

    pub(crate) fn tables(&self) -> Vec<&Table> {
        self.images.iter().map(|(_, image)| &image.table).collect()
    }

    /// The wanted field, and the bytes that were read for it.
    pub(crate) fn restore(&self, want: &FieldSpec, turn: u32) -> (Vec<u8>, u64) {
        let assembly = Assembly::plan(want, Rank(turn), &self.tables()).unwrap();
        let bytes = assembly.count() * u64::from(want.element_bytes);
        let mut into = vec![0xEE; usize::try_from(bytes).unwrap()];
        let (mut aside, mut read) = (Vec::new(), 0);
        for part in assembly.parts() {
            let (memory, image) = &self.images[part.source().index()];
            let entry = &image.table.fields[part.field()];
            read +=
                part.copy((memory.as_slice(), entry), &mut into, &mut aside, &mut || ()).unwrap();
        }
        (into, read)
    }
}

/// The number that stands at this place of the whole array.
fn number(element: u64) -> u64 {
    element.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ element
}

/// The places in the whole array of a part's elements, in order: the naive way.
pub(crate) fn elements(axes: &[Axis]) -> Vec<u64> {
    let mut elements = vec![0];
    for axis in axes {
        let has = |index: &u64| match axis.share {
            Share::Block { first, count } => (first..first + count).contains(index),
            Share::Cyclic { block, parts, part } => index / block % parts == part,
        };
        let indices: Vec<u64> = (0..axis.extent).filter(has).collect();
        let with = |outer: &u64| {
            let outer = outer * axis.extent;
            indices.iter().map(move |index| outer + index).collect::<Vec<_>>()
        };
        elements = elements.iter().flat_map(with).collect();
    }
    elements
}

pub(crate) fn field(axes: Vec<Axis>) -> FieldSpec {
    let count = elements(&axes).len() as u64;
    FieldSpec { place: Some(Place::Shares(axes)), ..spec("s", "u", Kind::U64, 8, count) }
}

/// The field with the numbers that belong to its places.
pub(crate) fn filled(axes: Vec<Axis>) -> (FieldSpec, Vec<u8>) {
    let data = elements(&axes).into_iter().flat_map(|e| number(e).to_le_bytes()).collect();
    (field(axes), data)
}

/// One way to divide an array of this shape among `n` ranks: each dimension among some of them, in
/// blocks of any lengths, none included, or dealt out; ranks that are left over have nothing.
pub(crate) fn division(shape: &[u64], n: u64, random: &mut Random) -> Vec<Vec<Axis>> {
    let mut left = n;
    let grid: Vec<u64> = shape
        .iter()
        .map(|_| {
            let parts = 1 + random.below(left);
            left /= parts;
            parts
        })
        .collect();
    let shares: Vec<Vec<Share>> =
        shape.iter().zip(&grid).map(|(extent, parts)| shares(*extent, *parts, random)).collect();
    let axes = |rank: u64| {
        let mut rest = rank;
        let mut axes: Vec<Axis> = Vec::new();
        for (d, parts) in grid.iter().enumerate().rev() {
            let share = shares[d][(rest % parts) as usize];
            rest /= parts;
            axes.push(Axis { extent: shape[d], share });
        }
        axes.reverse();
        if rest > 0 {
            return shape.iter().map(|extent| Axis::block(*extent, *extent, 0)).collect();
        }
        axes
    };
    (0..n).map(axes).collect()
}

fn shares(extent: u64, parts: u64, random: &mut Random) -> Vec<Share> {
    if random.once_in(2) {
        let block = 1 + random.below(4);
        return (0..parts).map(|part| Share::Cyclic { block, parts, part }).collect();
    }
    let mut cuts: Vec<u64> = (1..parts).map(|_| random.below(extent + 1)).collect();
    cuts.extend([0, extent]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| Share::Block { first: cut[0], count: cut[1] - cut[0] }).collect()
}

/// A shape of this many dimensions and not too many elements.
pub(crate) fn shape(dimensions: usize, random: &mut Random) -> Vec<u64> {
    let most = [60, 14, 8, 5][dimensions - 1];
    (0..dimensions).map(|_| random.below(most) + u64::from(!random.once_in(20))).collect()
}

#[test]
fn every_element_comes_to_its_place_from_any_number_of_ranks_on_any_other() {
    let mut random = Random(42);
    let mut moved = 0;
    for round in 0..1200 {
        let shape = shape(1 + round % 4, &mut random);
        let (n, m) = (1 + random.below(9), 1 + random.below(9));
        let from = division(&shape, n, &mut random);
        let world = World::of(from.into_iter().map(|axes| vec![filled(axes)]).collect());
        for (rank, axes) in (0..).zip(division(&shape, m, &mut random)) {
            let (want, data) = filled(axes);
            let (restored, _) = world.restore(&want, rank);
            assert_eq!(restored, data, "{shape:?}, {n} to {m}, rank {rank}: {want:?}");
            moved += restored.len();
        }
    }
    assert!(moved > 500_000, "{moved}");
}

#[test]
fn pieces_come_in_order_and_lie_apart() {
    let mut random = Random(7);
    for round in 0..300 {
        let shape = shape(1 + round % 4, &mut random);
        let from = division(&shape, 1 + random.below(6), &mut random);
        let world = World::of(from.into_iter().map(|axes| vec![filled(axes)]).collect());
        let ranks = 1 + random.below(6);
        for axes in division(&shape, ranks, &mut random) {
            let want = field(axes);
            let assembly = Assembly::plan(&want, Rank(0), &world.tables()).unwrap();
            let mut bytes = 0;
            let mut source = None;
            for part in assembly.parts() {
                assert!(source.replace(part.source()).is_none_or(|last| last < part.source()));
                let pieces = part.pieces();
                assert!(!pieces.is_empty(), "a part gives something");
                for pair in pieces.windows(2) {
                    let [a, b] = pair else { unreachable!() };
                    assert!(a.at + a.bytes <= b.at && a.into + a.bytes <= b.into);
                    let behind = (a.at + a.bytes == b.at, a.into + a.bytes == b.into);
                    assert_ne!(behind, (true, true), "these are one piece");
                }
                bytes += pieces.iter().map(|piece| piece.bytes).sum::<u64>();
            }
            assert_eq!(Some(bytes), want.bytes());
        }
    }
}

#[test]
fn a_block_of_whole_rows_is_one_piece_of_each_image() {
    let slab = |first, count| vec![Axis::block(40, first, count), Axis::block(7, 0, 7)];
    let world = World::of(
        [(0, 13), (13, 13), (26, 14)].map(|(first, count)| vec![filled(slab(first, count))]).into(),
    );
    let want = field(slab(10, 20));
    let assembly = Assembly::plan(&want, Rank(0), &world.tables()).unwrap();
    let pieces: Vec<_> = assembly.parts().iter().map(|part| part.pieces().len()).collect();
    assert_eq!(pieces, [1, 1, 1]);
    let rows = Place::Rows { shape: vec![40, 7], offset: vec![10, 0] };
    let want = FieldSpec { place: Some(rows), ..want };
    assert_eq!(Assembly::plan(&want, Rank(0), &world.tables()), Ok(assembly));
}

#[test]
fn no_more_is_read_than_is_needed_and_the_rest_of_chunks_at_the_edges() {
    const MIB: u64 = 1 << 20;
    let all = 5 * MIB / 8 * 2;
    let block = |first, count| vec![Axis::block(all, first, count)];
    let world = World::of([0, 1].map(|r| vec![filled(block(r * all / 2, all / 2))]).into());
    for (first, count, most) in [
        (0, all, 10 * MIB),
        (0, MIB / 8, MIB),
        (1, MIB / 8, 2 * MIB),
        (all / 2 - 1, 2, 2 * MIB),
        (7, 1, MIB),
        (3, 3 * MIB / 8, 4 * MIB),
    ] {
        let (want, data) = filled(block(first, count));
        let (restored, read) = world.restore(&want, 0);
        assert!(restored == data, "{first} {count}");
        assert_eq!(read, most, "{first} {count}");
    }
}

#[test]
fn a_copy_of_what_is_the_same_comes_from_another_rank_for_each() {
    let value = || {
        let spec = spec("s", "step", Kind::U64, 8, 1);
        (FieldSpec { place: Some(Place::Replicated), ..spec }, 77_u64.to_le_bytes().to_vec())
    };
    let world = World::of((0..3).map(|_| vec![value()]).collect());
    for turn in 0..7 {
        let assembly = Assembly::plan(&value().0, Rank(turn), &world.tables()).unwrap();
        let sources: Vec<Rank> = assembly.parts().iter().map(|part| part.source()).collect();
        assert_eq!(sources, [Rank(turn % 3)]);
        assert_eq!(world.restore(&value().0, turn).0, value().1);
    }
}
