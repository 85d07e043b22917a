//! `cg`: solves A·x = b for a real sparse matrix, on any number of ranks, through their failures.
//!
//! Invariants: whatever goes wrong is said once, by the rank that knows it, before that rank or any
//! other leaves; the exit code is 65 for bad input, 2 for a bad command line, 1 otherwise.
//! Deliberately absent: the algorithm, which is in the library.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use mainstay::{Error, Job};
use mainstay_apps::cg::{Options, SolveError, Solver, World};
use mainstay_apps::command::{refuse, say};
use mainstay_apps::sparse::Csr;
use mainstay_apps::{InputError, mtx, vector};

/// `EX_DATAERR`: the input is unusable.
const BAD_INPUT: u8 = 65;

/// Solves A·x = b by conjugate gradients with the Jacobi preconditioner.
///
/// A is a symmetric positive definite matrix in a Matrix Market file. Every iteration is one step of
/// the job, so that the solve survives the death of any rank, and ends with the same bits.
#[derive(Parser)]
#[command(name = "cg", version, after_long_help = EXAMPLES)]
struct Arguments {
    /// Matrix Market file, .mtx or .mtx.gz: coordinate format; real, integer or pattern; general or
    /// symmetric
    matrix: PathBuf,
    /// The first right-hand side: doubles, little-endian (*.f64), or text with one number a line
    /// [default: A·1, whose solution is all ones]
    #[arg(long, value_name = "FILE")]
    rhs: Option<PathBuf>,
    /// Stop when ‖r‖/‖b‖ is not above this
    #[arg(long, value_name = "TOL", default_value = "1e-10", value_parser = tolerance)]
    tol: f64,
    /// Solve for this many right-hand sides in turn; all after the first are random numbers that
    /// depend on the seed, the place in the turn and the row alone
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Seed of the random right-hand sides
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Write x here when the job has finished: doubles, little-endian; row by row M numbers, one
    /// for each right-hand side
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cg data/bcsstk16.mtx.gz
      on one rank, without protection
  mainstay run -n 4 cg data/bcsstk16.mtx.gz --out x.f64
      on four ranks; `sha256sum x.f64` gives the result digest of the report
  mainstay run -n 4 --inject kill:2@step=100 --twin cg data/bcsstk16.mtx.gz
      a rank is killed in its 100th iteration, and the answer has the same bits
  mainstay run -n 4 cg data/bcsstk16.mtx.gz --repeat 50
      fifty systems in turn, for a run that lasts

Reported: `residual`, the greatest ‖b − A·x‖/‖b‖ of all systems, computed anew from x; `iterations`,
of all systems together.

Exit codes: 0 solved; 1 not converged after 10 iterations a row; 2 the command line is wrong; 65 the
matrix or the right-hand side cannot be used, or the matrix is not positive definite.";

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => {
            let told = Cell::new(false);
            let outcome = mainstay::run(|job| {
                solve(job, &arguments)
                    .inspect_err(|error| tell(job, error, &arguments.matrix, &told))
            });
            outcome.map_or_else(|error| code_of(&error, &told), |()| ExitCode::SUCCESS)
        }
        Err(help) if !help.use_stderr() => {
            help.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(wrong) => refuse(&wrong),
    }
}

/// One entry of the job.
fn solve(job: &Job, arguments: &Arguments) -> mainstay::Result<()> {
    let mut world = World(job.world());
    if let (0, Some(path)) = (job.rank(), &arguments.out) {
        let inputs = [Some(&arguments.matrix), arguments.rhs.as_ref()];
        let inputs: Vec<&Path> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
        InputError::refuse_output(path, &inputs)?;
        // First, so that a place that cannot be written costs no work.
        job.output(path)?;
    }
    let matrix = job.input("matrix", || read_matrix(&arguments.matrix))?;
    let first = match &arguments.rhs {
        Some(path) => Some(job.input("rhs", || vector::read(path, matrix.order()))?),
        None => None,
    };
    let options = Options {
        tolerance: arguments.tol,
        systems: arguments.repeat as usize,
        seed: arguments.seed,
    };
    let rows = matrix.rows_of(job.rank(), job.size());
    let first = first.as_ref().map(|b| b.as_slice());
    let mut solver = Solver::new(&matrix, first, rows, options);
    let mut cg = job.protect("cg", || solver.fresh_state())?;
    while !solver.is_done(&cg) {
        solver.step(&mut cg, &mut world)?;
        job.checkpoint(&mut cg)?;
    }
    if job.rank() == 0 {
        job.report("residual", format_args!("{:.3e}", cg.residual()))?;
        job.report("iterations", cg.iterations())?;
    }
    job.finish(cg.solutions())
}

fn read_matrix(path: &Path) -> Result<Csr, InputError> {
    let listed = mtx::read(path)?;
    let matrix = Csr::new(&listed).map_err(|fault| InputError::of_file(path, fault))?;
    matrix.check_definite().map_err(|fault| InputError::of_file(path, fault))?;
    Ok(matrix)
}

/// Says what went wrong, once for all ranks: bad input by the rank that read it, a fault of the
/// solve, which all ranks meet alike, by rank 0. A rank that leaves ends the job, so the others wait
/// until that is said.
fn tell(job: &Job, error: &Error, matrix: &Path, told: &Cell<bool>) {
    if error.is_interrupted() {
        return;
    }
    if let Some(fault) = error.downcast_ref::<SolveError>() {
        if job.rank() == 0 && !told.get() {
            say("cg", &format_args!("{}: {fault}", matrix.display()));
        }
        // Interrupted or not, the job is over for this program.
        let _ = job.world().barrier();
    } else {
        say("cg", &error);
    }
    told.set(true);
}

fn code_of(error: &Error, told: &Cell<bool>) -> ExitCode {
    if !told.get() {
        say("cg", &error);
    }
    let fault = error.downcast_ref::<SolveError>();
    let input = error.downcast_ref::<InputError>().is_some();
    if input || fault.is_some_and(SolveError::is_about_the_input) {
        ExitCode::from(BAD_INPUT)
    } else {
        ExitCode::FAILURE
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(tolerance) if tolerance > 0.0 && tolerance < 1.0 => Ok(tolerance),
        _ => Err("must be a number above 0 and below 1, like 1e-8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_has_the_documented_defaults() {
        Arguments::command().debug_assert();
        let arguments = Arguments::try_parse_from(["cg", "m.mtx"]).unwrap();
        assert_eq!((arguments.tol, arguments.repeat, arguments.seed), (Options::TOLERANCE, 1, 1));
        assert!(arguments.rhs.is_none() && arguments.out.is_none());
    }

    #[test]
    fn options_out_of_range_are_refused() {
        for wrong in [
            &["cg"][..],
            &["cg", "m", "--tol", "0"],
            &["cg", "m", "--tol", "nan"],
            &["cg", "m", "--tol", "1"],
            &["cg", "m", "--repeat", "0"],
            &["cg", "m", "--seed", "-1"],
            &["cg", "m", "n"],
        ] {
            let error = Arguments::try_parse_from(wrong).err().unwrap();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
