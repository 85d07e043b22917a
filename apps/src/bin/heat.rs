//! `heat`: spreads the numbers of a raster as heat, on any number of ranks, through their failures.
//!
//! Invariants: whatever goes wrong is said once; the exit code is 65 for bad input, 2 for a bad
//! command line, 1 otherwise. Deliberately absent: the scheme and the picture, which are in the
//! library.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use mainstay::{Job, Result};
use mainstay_apps::InputError;
use mainstay_apps::command::{refuse, say};
use mainstay_apps::heat::{Heat, Layout, Neighbours, RATIO, Stencil, Totals};
use mainstay_apps::picture::Picture;
use mainstay_apps::raster::{self, Raster};

/// `EX_DATAERR`: the input is unusable.
const BAD_INPUT: u8 = 65;

/// Spreads heat over a raster: its numbers are the temperatures at the start.
///
/// The heat equation is solved by an explicit scheme. Edges are insulated, missing cells are walls,
/// and no heat is lost. Every step is one of the job, so that the run survives the death of any rank,
/// and ends with the same bits, which are those of any other number of ranks, too.
#[derive(Parser)]
#[command(name = "heat", version, after_long_help = EXAMPLES)]
struct Arguments {
    /// ESRI ASCII grid (.asc), grey PNG or PGM, of 8 or 16 bits, or the gzip of one; known by its
    /// content. Of a PNG, wholly transparent pixels are missing cells; colour is refused
    raster: PathBuf,
    /// How many steps; each is 3/16 of the square of a cell's side in time
    #[arg(long, value_name = "K", default_value_t = 1000)]
    steps: u64,
    /// Write the field here when the job has finished: as a picture with its scale (*.png), or as a
    /// grid (*.asc)
    #[arg(long, value_name = "PICTURE.png", value_parser = output)]
    out: Option<Output>,
}

const EXAMPLES: &str = "\
Examples:
  heat data/jacksboro.asc.gz --out later.png
      on one rank, without protection; a grid of terrain, as if its heights were temperatures
  mainstay run -n 4 heat data/jacksboro.asc.gz --steps 10000 --out later.png
      on four ranks; `sha256sum later.png` gives the result digest of the report
  mainstay run -n 4 --ckpt-every 100steps --inject kill:2@step=500 --twin heat data/jacksboro.asc.gz
      a rank is killed in its 500th step, and the field has the same bits
  heat photo.pgm --steps 0 --out start.asc
      no step at all: turns one format into another

Reported: `heat`, the sum over all cells; `drift`, how far rounding moved it, relative to the sum of
their sizes; `mean`, `min` and `max` of all cells; `time`, in squares of the unit of cell sides.
Without --out the result is the field: doubles, little-endian, row by row, NaN for a missing cell.

Exit codes: 0 done; 2 the command line is wrong; 65 the raster cannot be used; 1 anything else.";

/// A file for the field, by the end of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Picture,
    Grid,
}

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => match mainstay::run(|job| spread(job, &arguments)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say("heat", &error);
                let is_input = error.downcast_ref::<InputError>().is_some();
                if is_input { ExitCode::from(BAD_INPUT) } else { ExitCode::FAILURE }
            }
        },
        Err(help) if !help.use_stderr() => {
            help.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(wrong) => refuse(&wrong),
    }
}

/// One entry of the job.
fn spread(job: &Job, arguments: &Arguments) -> Result<()> {
    if let (0, Some(out)) = (job.rank(), &arguments.out) {
        InputError::refuse_output(&out.path, &[&arguments.raster])?;
        // First, so that a place that cannot be written costs no work.
        job.output(&out.path)?;
    }
    let raster = job.input("raster", || Raster::read(&arguments.raster))?;
    let layout = Layout::new((raster.rows(), raster.columns()), job.size());
    let mut stencil = Stencil::new(&raster, &layout.block(job.rank()));
    let mut neighbours = Neighbours::new(job.world(), layout.clone());
    let mut heat = job.protect("heat", || Heat::new(&raster, &layout, job.rank()))?;
    while heat.step < arguments.steps {
        neighbours.exchange(&heat.u, &mut stencil)?;
        stencil.relax(&mut heat.u);
        heat.step += 1;
        job.checkpoint(&mut heat)?;
    }
    let picture = Picture::new(layout.size());
    let cells = neighbours.to_rows(&heat.u, picture.rows_together())?;
    let range = neighbours.range(&cells)?;
    report(job, &raster, neighbours.heat(&cells)?, range, heat.step)?;
    match arguments.out.as_ref().map(|out| out.form) {
        None => job.finish(cells),
        Some(Form::Grid) => job.finish(grid(job, &raster, &cells, range)),
        Some(Form::Picture) => {
            // One rank paints: a picture is small, whatever the raster.
            let shades = job.world().gather(&picture.shades(&cells, range), 0)?;
            let caption = if heat.step == 1 { "step" } else { "steps" };
            let caption = format!("{} {caption}", heat.step);
            let painted = shades.map(|shades| picture.paint(&shades, range, &caption));
            job.finish(painted.transpose()?.unwrap_or_default())
        }
    }
}

/// Says what the field holds, on rank 0, which knows its heat.
fn report(
    job: &Job,
    raster: &Raster,
    heat: Option<f64>,
    (min, max): (f64, f64),
    steps: u64,
) -> Result<()> {
    let Some(heat) = heat else { return Ok(()) };
    let start = Totals::of(raster);
    let side = raster.place().map_or(1.0, |place| place.cell);
    job.report("heat", format_args!("{heat:?}"))?;
    job.report("drift", format_args!("{:.1e}", start.drift(heat)))?;
    job.report("mean", format_args!("{:?}", heat / start.cells as f64))?;
    job.report("min", format_args!("{min:?}"))?;
    job.report("max", format_args!("{max:?}"))?;
    job.report("time", format_args!("{:?}", steps as f64 * RATIO * side * side))
}

/// This rank's part of the grid: the header comes first.
fn grid(job: &Job, raster: &Raster, cells: &[f64], (min, max): (f64, f64)) -> String {
    let nodata = raster::nodata_beside(min, max);
    let size = (raster.rows(), raster.columns());
    let mut text = match job.rank() {
        0 => raster::header_text(size, raster.place(), nodata),
        _ => String::new(),
    };
    for row in cells.chunks(raster.columns()) {
        raster::row_text(&mut text, row, nodata);
    }
    text
}

fn output(text: &str) -> Result<Output, String> {
    let path = PathBuf::from(text);
    let ends = |end: &str| Path::new(text).extension().is_some_and(|e| e.eq_ignore_ascii_case(end));
    let form = match (ends("png"), ends("asc")) {
        (true, _) => Form::Picture,
        (_, true) => Form::Grid,
        _ => return Err("must end in .png for a picture or in .asc for a grid".to_owned()),
    };
    Ok(Output { path, form })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_has_the_documented_defaults() {
        Arguments::command().debug_assert();
        let arguments = Arguments::try_parse_from(["heat", "t.asc"]).unwrap();
        assert_eq!((arguments.steps, arguments.out), (1000, None));
        let words = ["heat", "t.asc", "--out", "a/b.PNG", "--steps", "0"];
        let arguments = Arguments::try_parse_from(words).unwrap();
        assert_eq!((arguments.steps, arguments.out.map(|out| out.form)), (0, Some(Form::Picture)));
        assert_eq!(output("x.asc").unwrap().form, Form::Grid);
    }

    #[test]
    fn options_out_of_range_are_refused() {
        for wrong in [
            &["heat"][..],
            &["heat", "t", "--steps", "-1"],
            &["heat", "t", "--steps", "many"],
            &["heat", "t", "--out", "picture"],
            &["heat", "t", "--out", "picture.jpg"],
            &["heat", "t", "u"],
        ] {
            let error = Arguments::try_parse_from(wrong).err().unwrap();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
