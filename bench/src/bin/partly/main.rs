//! `partly MIB PERMILLE STEPS PLACE`: MIB MiB of a smooth field, of whose blocks of 64 KiB so many in a
//! thousand change in each step, evenly spread. Each step is captured, and is waited for until PLACE
//! holds it; reported are the bytes that each version has there, with commas between.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mainstay::{Fields, Result, State};

/// Numbers of a block.
const BLOCK: usize = 8192;
/// The launcher gets so long to make the arenas.
const ARENAS_WITHIN: Duration = Duration::from_millis(500);
/// Longer is not waited for a version.
const WITHIN: Duration = Duration::from_secs(30);

struct Partly {
    step: u64,
    cells: Vec<f64>,
}

impl State for Partly {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        f.array("cells", &mut self.cells);
    }
}

impl Partly {
    fn new(mib: usize) -> Self {
        let cells = (0..mib << 17).map(|i| (i as f64 / 900.0).sin() + (i as f64 / 7e5).cos());
        Self { step: 0, cells: cells.collect() }
    }

    fn advance(&mut self, permille: usize) {
        self.step += 1;
        for (i, block) in self.cells.chunks_mut(BLOCK).enumerate() {
            // Which ones goes on with the step, so that none stays the same for ever.
            if (i * 7 + self.step as usize * 13) % 1000 < permille {
                block.iter_mut().for_each(|cell| *cell += 1e-3);
            }
        }
    }
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| words.get(i).map_or(Ok(0), |word| word.parse::<usize>());
    let (mib, permille, steps) = (number(0)?, number(1)?, number(2)? as u64);
    let place = words.get(3).cloned().unwrap_or_default();
    mainstay::run(|job| {
        let mut partly = job.protect("partly", || Partly::new(mib))?;
        let mut sizes = Vec::new();
        let mut newest = None;
        // The first call makes the arenas. Once they are there the launcher names the first step.
        job.checkpoint(&mut partly)?;
        std::thread::sleep(ARENAS_WITHIN);
        while partly.step < steps {
            partly.advance(permille);
            job.checkpoint(&mut partly)?;
            sizes.push(awaited(place.as_ref(), &mut newest)?.to_string());
        }
        job.report("bytes", sizes.join(","))?;
        job.finish([partly.step])
    })
}

/// Waits for a version newer than `newest`; gives the bytes of its files.
fn awaited(place: &Path, newest: &mut Option<String>) -> Result<u64> {
    let started = Instant::now();
    while started.elapsed() < WITHIN {
        let mut files = Vec::new();
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        let manifest = |(name, _): &(String, _)| name.strip_suffix(".manifest").map(str::to_owned);
        let now = files.iter().filter_map(manifest).max();
        if now > *newest {
            let version = now.clone().unwrap_or_default();
            *newest = now;
            let of = files.iter().filter(|(name, _)| name.starts_with(&version));
            let bytes = of.map(|(_, path)| fs::metadata(path).map_or(0, |data| data.len())).sum();
            // The launcher names the next step.
            std::thread::sleep(Duration::from_millis(20));
            return Ok(bytes);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(0)
}
