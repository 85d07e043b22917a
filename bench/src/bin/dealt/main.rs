//! `dealt MIB HOW`: an array of MIB MiB that all ranks hold together, captured after its first step.
//!
//! HOW is `rows`, whole rows to each rank, or `tiles`, a grid of blocks of two dimensions. After the
//! second step nothing happens: a launch with `--resume` measures how long it takes to be there.

use mainstay::{Fields, Job, Result, State};

/// Columns of the array.
const COLUMNS: u64 = 1 << 13;
/// Steps of the job.
const STEPS: u64 = 60;

struct Dealt {
    step: u64,
    cells: Vec<f64>,
    shape: [u64; 2],
    offset: [u64; 2],
    extent: [u64; 2],
}

impl State for Dealt {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step).replicated();
        f.array("cells", &mut self.cells).block(self.shape, self.offset, self.extent);
    }
}

impl Dealt {
    fn new(job: &Job, rows: u64, tiles: bool) -> Self {
        let (rank, ranks) = (job.rank() as u64, job.size() as u64);
        let across = if tiles && ranks.is_multiple_of(2) { 2 } else { 1 };
        let part = |count: u64, parts: u64, i: u64| count * i / parts;
        let (down, i, j) = (ranks / across, rank / across, rank % across);
        let offset = [part(rows, down, i), part(COLUMNS, across, j)];
        let ends = [part(rows, down, i + 1), part(COLUMNS, across, j + 1)];
        let extent = [ends[0] - offset[0], ends[1] - offset[1]];
        let cells = vec![0.0; usize::try_from(extent[0] * extent[1]).unwrap_or(0)];
        Self { step: 0, cells, shape: [rows, COLUMNS], offset, extent }
    }
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mib: u64 = words.first().map_or(Ok(64), |word| word.parse())?;
    let tiles = words.get(1).is_some_and(|word| word == "tiles");
    mainstay::run(|job| {
        let rows = (mib << 20) / 8 / COLUMNS;
        let mut dealt = job.protect("dealt", || Dealt::new(job, rows, tiles))?;
        let first = dealt.step == 0;
        while dealt.step < STEPS {
            dealt.step += 1;
            if first {
                // Long enough for a version to come to disk before the last step.
                let rank = job.rank() as f64;
                let count = dealt.cells.len() as f64;
                dealt.cells.iter_mut().zip(0_u32..).for_each(|(cell, k)| {
                    *cell = f64::from(k) / count + rank;
                });
            }
            job.world().barrier()?;
            job.checkpoint(&mut dealt)?;
        }
        job.finish([dealt.step])
    })
}
