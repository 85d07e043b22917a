//! What cannot be put together: each refused by the name of the field, the ranks and the element.

use mainstay_ckpt::reshape::fits;
use mainstay_ckpt::{Assembly, Axis, FieldSpec, FormatError, Kind, Place, ReshapeError, Table};
use mainstay_types::Rank;

use crate::format::{message, spec};
use crate::random::Random;
use crate::reshape::{World, division, elements, field, filled, shape};

/// The place of an element of an array of this shape.
fn place_of(element: &[u64], shape: &[u64]) -> u64 {
    element.iter().zip(shape).fold(0, |place, (index, extent)| place * extent + index)
}

#[test]
fn an_element_that_is_missing_or_doubled_is_told() {
    let mut random = Random(11);
    let (mut lacking, mut doubled, mut sound) = (0, 0, 0);
    for round in 0..1500 {
        let shape = shape(1 + round % 4, &mut random);
        let mut from = division(&shape, 1 + random.below(6), &mut random);
        let other = division(&shape, 1 + random.below(6), &mut random);
        // One rank has the part of another division, or of another rank.
        let victim = random.below(from.len() as u64) as usize;
        from[victim] = other[random.below(other.len() as u64) as usize].clone();
        let world = World::of(from.iter().map(|axes| vec![filled(axes.clone())]).collect());
        let has: Vec<Vec<u64>> = from.iter().map(|axes| elements(axes)).collect();
        let ranks = 1 + random.below(4);
        for axes in division(&shape, ranks, &mut random) {
            let wanted = elements(&axes);
            let owners = |e: &u64| has.iter().filter(|has| has.contains(e)).count();
            match Assembly::plan(&field(axes), Rank(0), &world.tables()) {
                Ok(_) => {
                    sound += 1;
                    assert!(wanted.iter().all(|e| owners(e) == 1), "{from:?}");
                }
                Err(ReshapeError::Lacking { element, .. }) => {
                    lacking += 1;
                    let place = place_of(&element, &shape);
                    assert!(wanted.contains(&place) && owners(&place) == 0, "{element:?}");
                }
                Err(ReshapeError::Doubled { element, ranks: (a, b), .. }) => {
                    doubled += 1;
                    let place = place_of(&element, &shape);
                    let both = has[a.index()].contains(&place) && has[b.index()].contains(&place);
                    assert!(wanted.contains(&place) && both && a != b, "{element:?} {a} {b}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(lacking > 300 && doubled > 300 && sound > 300, "{lacking} {doubled} {sound}");
}

fn block(first: u64, count: u64) -> Vec<Axis> {
    vec![Axis::block(10, first, count)]
}

fn two() -> World {
    World::of(vec![vec![filled(block(0, 4))], vec![filled(block(4, 6))]])
}

fn refused(want: &FieldSpec, world: &World) -> String {
    Assembly::plan(want, Rank(0), &world.tables()).unwrap_err().to_string()
}

#[test]
fn a_program_that_wants_something_else_is_told_what_the_version_has() {
    let want = field(block(0, 10));
    let kind = FieldSpec { kind: Kind::F64, ..want.clone() };
    assert_eq!(
        refused(&kind, &two()),
        "`s.u` is u64 on rank 0 of the version, where f64 is expected"
    );
    let longer = field(vec![Axis::block(11, 0, 10)]);
    let says = refused(&longer, &two());
    assert!(says.contains("shape [10] on rank 0") && says.contains("shape [11]"), "{says}");
    let same = FieldSpec { place: Some(Place::Replicated), ..want.clone() };
    assert!(refused(&same, &two()).contains("where the same on all ranks is expected"));
    let nothing = FieldSpec { place: None, ..want.clone() };
    assert!(refused(&nothing, &two()).contains("`s.u` does not say"));
    let missing = FieldSpec { name: "v".to_owned(), ..want.clone() };
    assert_eq!(refused(&missing, &two()), "rank 0 of the version has no field `s.v`");
    let opaque = |bytes| spec("s", "o", Kind::Opaque, bytes, 0);
    let world = World::of(vec![vec![(opaque(3), Vec::new())]]);
    assert!(refused(&opaque(4), &world).contains("opaque of 3 bytes on rank 0"));
}

#[test]
fn blocks_of_unknown_reach_are_refused_where_they_are_no_whole_rows() {
    let rows = |offset: [u64; 2], count| {
        let place = Place::Rows { shape: vec![4, 4], offset: offset.to_vec() };
        let spec = FieldSpec { place: Some(place), ..spec("s", "u", Kind::U8, 1, count) };
        (spec, vec![0; count as usize])
    };
    let world = World::of(vec![vec![rows([0, 0], 8)], vec![rows([0, 2], 8)]]);
    let whole = field(vec![Axis::block(4, 0, 4), Axis::block(4, 0, 4)]);
    let whole = FieldSpec { kind: Kind::U8, element_bytes: 1, ..whole };
    let says = refused(&whole, &world);
    assert!(says.contains("rank 1 of the version has 8 elements of `s.u` from [0, 2]"), "{says}");
    assert!(says.contains("declare it with `.block`"), "{says}");
}

#[test]
fn copies_that_differ_are_told_by_rank() {
    let value = |value: u64| {
        let spec = spec("s", "step", Kind::U64, 8, 1);
        vec![(FieldSpec { place: Some(Place::Replicated), ..spec }, value.to_le_bytes().to_vec())]
    };
    let world = World::of([7, 7, 8, 7, 9].map(value).into());
    let says = fits(&world.tables()).unwrap_err().to_string();
    assert_eq!(
        says,
        "`s.step` is declared to be the same on all ranks, and ranks 2, 4 differ from rank 0"
    );
    assert_eq!(refused(&value(0)[0].0, &world), says);
    assert_eq!(fits(&World::of([7, 7].map(value).into()).tables()), Ok(()));
}

#[test]
fn a_version_fits_if_every_field_is_declared_on_every_rank() {
    assert_eq!(fits(&two().tables()), Ok(()));
    let undeclared = |state: &str| (spec(state, "u", Kind::U8, 1, 0), Vec::new());
    let world = World::of(vec![vec![undeclared("s")], vec![undeclared("s")]]);
    let says = fits(&world.tables()).unwrap_err().to_string();
    assert!(says.contains("`s.u`") && says.contains("`.replicated`"), "{says}");
    let world = World::of(vec![Vec::new(), vec![undeclared("s")]]);
    assert!(matches!(fits(&world.tables()), Err(ReshapeError::Missing { rank: Rank(0), .. })));
    let world = World::of(vec![vec![undeclared("s")], vec![undeclared("t")]]);
    assert!(fits(&world.tables()).is_err());
}

#[test]
fn a_message_that_crosses_the_cut_is_told_by_its_channel() {
    let world = two();
    let tables = |change: &dyn Fn(&mut Vec<Table>)| {
        let mut tables: Vec<Table> = world.tables().into_iter().cloned().collect();
        change(&mut tables);
        fits(&tables.iter().collect::<Vec<_>>())
    };
    let (from, to) = (Rank(0), Rank(1));
    let late = tables(&|tables| tables[0].cut.sent[1] = 3);
    assert_eq!(late, Err(ReshapeError::UnderWay { from, to, sequence: 1 }));
    let early = tables(&|tables| tables[1].cut.delivered[0] = 1);
    assert_eq!(early, Err(ReshapeError::Early { from, to, sequence: 1 }));
    // Taken in before the capture and sent after it, but received by nobody yet: it is sent again.
    let kept = |tables: &mut Vec<Table>| {
        tables[1].cut.delivered[0] = 1;
        tables[1].cut.unexpected = vec![message(0, 1, b"halo")];
    };
    assert_eq!(tables(&kept), Ok(()));
    let both = tables(&|tables| {
        kept(tables);
        tables[0].cut.sent[1] = 1;
    });
    assert_eq!(both, Err(ReshapeError::UnderWay { from, to, sequence: 1 }));
    let foreign = tables(&|tables| tables[1].cut.unexpected = vec![message(9, 1, b"")]);
    assert_eq!(foreign, Err(ReshapeError::Channels { rank: to }));
    let short = tables(&|tables| tables[0].cut.sent = vec![0]);
    assert_eq!(short, Err(ReshapeError::Channels { rank: from }));
}

#[test]
fn a_flipped_bit_is_met_where_it_is_read_and_nowhere_else() {
    let mut world = two();
    let (memory, image) = &mut world.images[1];
    let at = image.table.fields[0].at as usize;
    memory[at + 3] ^= 4;
    let reads = |want: &FieldSpec| {
        let assembly = Assembly::plan(want, Rank(0), &world.tables()).unwrap();
        let mut into = vec![0; want.bytes().unwrap() as usize];
        let mut parts = assembly.parts().iter();
        parts.try_for_each(|part| {
            let (memory, image) = &world.images[part.source().index()];
            let entry = &image.table.fields[part.field()];
            let copied =
                part.copy((memory.as_slice(), entry), &mut into, &mut Vec::new(), &mut || ());
            copied.map(drop).map_err(|error| (part.source(), error))
        })
    };
    assert_eq!(reads(&field(block(0, 4))), Ok(()));
    // Another element than the damaged one, under the same checksum.
    for want in [field(block(9, 1)), field(block(0, 10)), field(block(4, 6))] {
        let (rank, error) = reads(&want).unwrap_err();
        assert_eq!(rank, Rank(1));
        assert!(matches!(error, FormatError::Chunk { chunk: 0, .. }), "{error}");
    }
}
