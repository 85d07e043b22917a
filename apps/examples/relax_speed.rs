//! The speed of `heat`'s step, beside a plain loop over two fields.
//!
//! `cargo run --release -p mainstay-apps --example relax_speed`: nanoseconds a cell, medians of
//! eleven runs, for fields that lie in a cache and one that does not, without and with missing cells.
//! Deliberately absent: ranks and messages, which `bench` measures.

use std::time::Instant;

use mainstay_apps::heat::{Heat, Layout, RATIO, Stencil};
use mainstay_apps::raster::Raster;

/// Cells computed in a run.
const CELLS: usize = 1 << 26;

/// A step into another field, as one would write it first: no missing cells, edges left alone.
fn plain(old: &[f64], new: &mut [f64], columns: usize) {
    for i in 1..old.len() / columns - 1 {
        let row = |i: usize| &old[i * columns..][..columns];
        let (above, here, below) = (row(i - 1), row(i), row(i + 1));
        let new = &mut new[i * columns..][..columns];
        for j in 1..columns - 1 {
            let c = here[j];
            let (north_south, west_east) =
                ((above[j] - c) + (below[j] - c), (here[j - 1] - c) + (here[j + 1] - c));
            new[j] = c + RATIO * (north_south + west_east);
        }
    }
}

fn raster(side: usize, holes_every: usize) -> Raster {
    let is_hole =
        |cell: usize| holes_every > 0 && cell.wrapping_mul(7919).is_multiple_of(holes_every);
    let cell = |cell: usize| if is_hole(cell) { f64::NAN } else { (cell % 1000) as f64 };
    let cells = (0..side * side).map(cell).collect();
    Raster::new((side, side), None, cells).unwrap_or_else(|fault| panic!("{fault}"))
}

/// Nanoseconds a cell, the median of eleven runs.
fn measure(side: usize, mut step: impl FnMut()) -> f64 {
    let steps = (CELLS / side / side).max(1);
    let mut times: Vec<f64> = (0..11)
        .map(|_| {
            let started = Instant::now();
            (0..steps).for_each(|_| step());
            started.elapsed().as_secs_f64() * 1e9 / (steps * side * side) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[5]
}

#[allow(clippy::print_stdout, reason = "a measurement is for reading")]
fn main() {
    println!("{:>6} {:>8}  {:>8} {:>8} {:>6}", "side", "missing", "plain", "heat", "ratio");
    for side in [128, 512, 4096] {
        for holes_every in [0, 1000, 50, 3] {
            let raster = raster(side, holes_every);
            let layout = Layout::new((side, side), 1);
            let mut heat = Heat::new(&raster, &layout, 0);
            let mut stencil = Stencil::new(&raster, &layout.block(0));
            let ours = measure(side, || stencil.relax(&mut heat.u));
            let (mut old, mut new) = (vec![1.0; side * side], vec![1.0; side * side]);
            let plain = measure(side, || {
                plain(&old, &mut new, side);
                std::mem::swap(&mut old, &mut new);
            });
            let missing = if holes_every > 0 { 100.0 / holes_every as f64 } else { 0.0 };
            let ratio = ours / plain;
            println!("{side:>6} {missing:>6.1} %  {plain:>5.2} ns {ours:>5.2} ns {ratio:>6.2}");
        }
    }
}
