//! The scheme on small rasters: alone, divided among ranks without processes, and its invariants.

use super::*;
use crate::raster::Raster;
use crate::rhs::uniform;
use crate::testing::terrain;

/// Numbers between -1 and 1, and a hole now and then.
fn noise((rows, columns): (usize, usize), holes: bool) -> Raster {
    let cell = |at: u64| match holes && uniform(2, 1, at) > 0.6 {
        true => f64::NAN,
        false => uniform(1, 1, at) * 100.0,
    };
    let cells = (0..(rows * columns) as u64).map(cell).collect();
    Raster::new((rows, columns), None, cells).unwrap()
}

/// The field after some steps on so many ranks, in the order of rows.
fn field(raster: &Raster, ranks: usize, steps: u64, together: usize) -> Vec<f64> {
    let layout = Layout::new((raster.rows(), raster.columns()), ranks);
    let mut parts: Vec<_> = (0..ranks)
        .map(|rank| (Heat::new(raster, &layout, rank), Stencil::new(raster, &layout.block(rank))))
        .collect();
    let mut packed = Vec::new();
    for _ in 0..steps {
        for rank in 0..ranks {
            for side in Side::ALL {
                let Some(peer) = layout.neighbour(rank, side) else { continue };
                let mirror = match side {
                    Side::North => Side::South,
                    Side::South => Side::North,
                    Side::West => Side::East,
                    Side::East => Side::West,
                };
                assert_eq!(layout.neighbour(peer, mirror), Some(rank));
                packed.clear();
                parts[rank].1.edge(&parts[rank].0.u, side, &mut packed);
                parts[peer].1.halo(mirror).copy_from_slice(&packed);
            }
        }
        for (heat, stencil) in &mut parts {
            stencil.relax(&mut heat.u);
        }
    }
    let slab_of = |rank| rows::slab(&layout, rank, together);
    let one = |rank| {
        let slab = slab_of(rank);
        let mut cells = vec![0.0; slab.len() * raster.columns()];
        for (from, (heat, _)) in parts.iter().enumerate() {
            let block = layout.block(from);
            let part = rows::cut(&block, &heat.u, &slab);
            rows::paste(&block, part, &slab, (&mut cells, raster.columns()));
        }
        cells
    };
    assert_eq!((slab_of(0).start, slab_of(ranks - 1).end), (0, raster.rows()));
    (0..ranks).flat_map(one).collect()
}

/// The scheme as it is written in the documentation, cell by cell.
fn plainly(raster: &Raster, steps: u64) -> Vec<f64> {
    let (rows, columns) = (raster.rows(), raster.columns());
    let mut old = raster.cells().to_vec();
    for _ in 0..steps {
        let at = |row: usize, column: usize| match row < rows && column < columns {
            true => old[row * columns + column],
            false => f64::NAN,
        };
        let new = (0..rows * columns).map(|cell| {
            let (i, j) = (cell / columns, cell % columns);
            let c = at(i, j);
            let to = |n: f64| if n.is_nan() { 0.0 } else { n - c };
            let (north, south) = (to(at(i.wrapping_sub(1), j)), to(at(i + 1, j)));
            let (west, east) = (to(at(i, j.wrapping_sub(1))), to(at(i, j + 1)));
            c + RATIO * ((north + south) + (west + east))
        });
        old = new.collect();
    }
    old
}

fn bits(field: &[f64]) -> Vec<Option<u64>> {
    field.iter().map(|value| (!value.is_nan()).then(|| value.to_bits())).collect()
}

#[test]
fn every_number_of_ranks_gives_the_bits_of_the_plain_loop() {
    for size in [(1, 1), (1, 40), (40, 1), (2, 3), (23, 37), (41, 19)] {
        for holes in [false, size.0 * size.1 > 20] {
            let raster = noise(size, holes);
            let plain = bits(&plainly(&raster, 12));
            for ranks in 1..=13 {
                for together in [1, 3] {
                    let divided = bits(&field(&raster, ranks, 12, together));
                    assert_eq!(divided, plain, "{size:?} on {ranks} ranks");
                }
            }
        }
    }
}

#[test]
fn the_real_terrain_has_the_same_bits_on_every_number_of_ranks_and_keeps_its_heat() {
    let raster = Raster::read(&terrain()).unwrap();
    assert_eq!((raster.rows(), raster.columns()), (344, 403));
    let lone = field(&raster, 1, 50, 1);
    for ranks in [2, 3, 4, 6] {
        assert_eq!(bits(&field(&raster, ranks, 50, 1)), bits(&lone), "{ranks} ranks");
    }
    let totals = Totals::of(&raster);
    let heat = sum(lone.chunks(403).map(heat_of_row));
    assert!(totals.drift(heat) < 1e-15, "{:e}", totals.drift(heat));
    let range = |field: &[f64]| {
        let least = field.iter().copied().fold(f64::INFINITY, f64::min);
        (least, field.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let (before, after) = (range(raster.cells()), range(&lone));
    assert!(before.0 < after.0 && after.1 < before.1, "{before:?} {after:?}");
}

#[test]
fn walls_hold_heat_back_and_stay() {
    let nan = f64::NAN;
    // Two rooms with a wall between, and one behind a corner.
    let cells = vec![8.0, 0.0, nan, 5.0, nan, 5.0, 4.0, nan, nan, nan, nan, nan];
    let raster = Raster::new((2, 6), None, cells).unwrap();
    let end = field(&raster, 1, 400, 1);
    assert_eq!(end[3], 5.0, "a cell between walls keeps its heat");
    assert_eq!(end[5], 5.0);
    for cell in [0, 1, 6] {
        assert!((end[cell] - 4.0).abs() < 1e-12, "{end:?}");
    }
    let walls: Vec<_> = end.iter().map(|value| value.is_nan()).collect();
    let before: Vec<_> = raster.cells().iter().map(|value| value.is_nan()).collect();
    assert_eq!(walls, before);
}

#[test]
fn an_even_field_stays_exactly_and_a_checkerboard_fades() {
    let even = Raster::new((9, 30), None, vec![0.1; 270]).unwrap();
    assert_eq!(field(&even, 4, 100, 1), even.cells());
    let board = (0..400).map(|cell| if (cell / 20 + cell % 20) % 2 == 0 { 1.0 } else { -1.0 });
    let board = Raster::new((20, 20), None, board.collect()).unwrap();
    let end = field(&board, 1, 60, 1);
    // What is left is smooth: neighbours differ by less than a hundredth of what they did.
    assert!(end.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.02), "{end:?}");
    assert!(end.iter().all(|value| value.abs() < 0.01), "{end:?}");
}

#[test]
fn a_wave_fades_as_fast_as_the_equation_says() {
    // cos(πx/L) on an insulated strip fades with exp(-π²t/L²).
    let length = 64.0;
    let wave = |x: f64| (std::f64::consts::PI * (x + 0.5) / length).cos();
    let cells = (0..64).map(|x| wave(f64::from(x))).collect();
    let raster = Raster::new((1, 64), None, cells).unwrap();
    let steps = 2000;
    let end = field(&raster, 3, steps, 1);
    let time = steps as f64 * RATIO;
    let left = (-(std::f64::consts::PI / length).powi(2) * time).exp();
    for (x, value) in end.iter().enumerate() {
        assert!((value - left * wave(x as f64)).abs() < 1e-4, "{x}: {value}");
    }
}

#[test]
fn blocks_are_as_square_as_they_can_be() {
    let grid = |size, ranks| Layout::new(size, ranks).grid();
    assert_eq!(grid((100, 100), 4), (2, 2));
    assert_eq!(grid((344, 403), 2), (1, 2));
    assert_eq!(grid((344, 403), 6), (2, 3));
    assert_eq!(grid((100, 100), 2), (2, 1), "rows need no packing");
    assert_eq!(grid((1, 100), 4), (1, 4));
    assert_eq!(grid((100, 1), 4), (4, 1));
    assert!((0..4).all(|rank| Layout::new((9, 9), 4).followed(rank).next().is_none()));
    // Seven have no place in 3 by 3, six have; the last two of eight own nothing.
    let layout = Layout::new((3, 3), 8);
    assert_eq!(layout.grid(), (3, 2));
    assert_eq!((layout.block(6).cells(), layout.neighbour(6, Side::North)), (0, None));
    let followed = |rank| layout.followed(rank).collect::<Vec<_>>();
    assert_eq!((4..8).map(followed).collect::<Vec<_>>(), [vec![], vec![6], vec![5, 7], vec![6]]);
    let cells: usize = (0..8).map(|rank| layout.block(rank).cells()).sum();
    assert_eq!(cells, 9);
}

#[test]
fn sums_keep_what_they_lose() {
    assert_eq!(sum([1e16, 1.0, -1e16]), 1.0);
    assert_eq!(heat_of_row(&[1.0, f64::NAN, 2.0]), 3.0);
    let raster = Raster::new((1, 3), None, vec![1.0, -2.0, f64::NAN]).unwrap();
    let totals = Totals::of(&raster);
    assert_eq!(totals, Totals { heat: -1.0, size: 3.0, cells: 2 });
    assert_eq!((totals.drift(-1.0), totals.drift(-1.3)), (0.0, 0.30000000000000004 / 3.0));
    let still = Raster::new((1, 1), None, vec![0.0]).unwrap();
    assert_eq!(Totals::of(&still).drift(0.0), 0.0);
}
