//! The iteration.
//!
//! A solver holds what follows from the matrix, the options and the rank: nothing of it is saved.
//! Invariants: an interrupted step leaves a state that nobody uses again, for a rank that enters
//! anew restores its own; sums over a rank's rows have the order of [`sum4`], sums over ranks that of
//! the communicator.

use std::ops::Range;

use super::{Cg, Collectives, SolveError};
use crate::rhs;
use crate::sparse::{Csr, sum4};

/// What to solve, beside the matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// A system is solved when ‖r‖/‖b‖ is not above this.
    pub tolerance: f64,
    /// The number of right-hand sides. The first is given or A·1, the others are random.
    pub systems: usize,
    /// The seed of the random ones.
    pub seed: u64,
}

impl Options {
    /// The tolerance when none is asked for.
    pub const TOLERANCE: f64 = 1e-10;
}

/// Iterations allowed for each row of the matrix.
const ITERATIONS_PER_ROW: u64 = 10;

/// What a rank needs for iterating and computes again whenever it enters.
#[derive(Debug)]
pub struct Solver<'a> {
    matrix: &'a Csr,
    first: Option<&'a [f64]>,
    options: Options,
    rows: Range<usize>,
    inverse_diagonal: Vec<f64>,
    /// A vector over all rows: p, or x at the end of a system.
    whole: Vec<f64>,
    /// A·p, or A·x at the end of a system, over this rank's rows.
    product: Vec<f64>,
}

impl<'a> Solver<'a> {
    /// A solver for `rows` of `matrix`. `first` is the first right-hand side over all rows, A·1
    /// unless given.
    ///
    /// # Panics
    /// If `first` has another length than the matrix has rows.
    #[must_use]
    pub fn new(
        matrix: &'a Csr,
        first: Option<&'a [f64]>,
        rows: Range<usize>,
        options: Options,
    ) -> Self {
        assert!(first.is_none_or(|b| b.len() == matrix.order()), "one number a row");
        let inverse_diagonal = rows.clone().map(|row| 1.0 / matrix.at(row, row)).collect();
        let product = vec![0.0; rows.len()];
        Self { matrix, first, options, rows, inverse_diagonal, whole: Vec::new(), product }
    }

    /// A fresh state for this rank.
    #[must_use]
    pub fn fresh_state(&self) -> Cg {
        Cg::new(&self.rows, self.matrix.order(), self.options.systems)
    }

    /// Whether all systems are solved.
    #[must_use]
    pub fn is_done(&self, cg: &Cg) -> bool {
        cg.system as usize >= self.options.systems
    }

    /// One step of the job: one iteration, with the set-up of a system before its first one and its
    /// completion after its last one.
    ///
    /// # Errors
    /// A fault of the system, or of the communicator.
    pub fn step<C: Collectives>(&mut self, cg: &mut Cg, world: &mut C) -> Result<(), C::Error> {
        if cg.iteration == 0 && !self.set_up(cg, world)? {
            // b is zero, and so is x.
            self.store(cg);
            return Ok(());
        }
        let r_square = self.iterate(cg, world)?;
        if r_square.sqrt() <= self.options.tolerance * cg.b_square.sqrt() {
            self.measure(cg, world)?;
            self.store(cg);
            return Ok(());
        }
        let limit = ITERATIONS_PER_ROW * self.matrix.order() as u64;
        // Squares that underflow carry no direction any more: the next iteration would divide 0 by 0.
        let vanished = !(cg.rho.is_normal() && r_square.is_normal());
        if cg.iteration >= limit || vanished {
            return Err(C::Error::from(SolveError::NotConverged {
                system: cg.system + 1,
                iterations: cg.iteration,
                reached: (r_square / cg.b_square).sqrt(),
                wanted: self.options.tolerance,
            }));
        }
        Ok(())
    }

    /// x = 0, r = b, p = z. Returns whether b differs from zero.
    fn set_up<C: Collectives>(&mut self, cg: &mut Cg, world: &mut C) -> Result<bool, C::Error> {
        cg.x.fill(0.0);
        cg.r = self.right_hand_side(cg.system);
        for ((p, r), d) in cg.p.iter_mut().zip(&cg.r).zip(&self.inverse_diagonal) {
            *p = r * d;
        }
        let nonzero = cg.r.iter().filter(|b| **b != 0.0).count() as f64;
        let mut sums = [dot(&cg.r, &cg.p), dot(&cg.r, &cg.r), nonzero];
        world.sum(&mut sums)?;
        let [rho, square, nonzero] = sums;
        (cg.rho, cg.b_square) = (rho, square);
        if nonzero > 0.0 && !square.is_normal() {
            let system = cg.system + 1;
            return Err(C::Error::from(SolveError::RightHandSide { system, square }));
        }
        Ok(nonzero > 0.0)
    }

    /// One iteration of algorithm 9.1. Returns rᵀr.
    fn iterate<C: Collectives>(&mut self, cg: &mut Cg, world: &mut C) -> Result<f64, C::Error> {
        cg.iteration += 1;
        cg.iterations += 1;
        world.allgather(&cg.p, &mut self.whole)?;
        self.matrix.multiply(self.rows.clone(), &self.whole, &mut self.product);
        let mut curvature = [dot(&cg.p, &self.product)];
        world.sum(&mut curvature)?;
        let alpha = cg.rho / positive(curvature[0], cg)?;
        for (x, p) in cg.x.iter_mut().zip(&cg.p) {
            *x += alpha * p;
        }
        for (r, ap) in cg.r.iter_mut().zip(&self.product) {
            *r -= alpha * ap;
        }
        let (r, d) = (&cg.r, &self.inverse_diagonal);
        let mut sums = [sum4(r.len(), |k| r[k] * (d[k] * r[k])), dot(r, r)];
        world.sum(&mut sums)?;
        let [rho, r_square] = sums;
        if !(rho.is_finite() && r_square.is_finite()) {
            return Err(C::Error::from(overflow(cg)));
        }
        let beta = rho / cg.rho;
        cg.rho = rho;
        for ((p, r), d) in cg.p.iter_mut().zip(&cg.r).zip(&self.inverse_diagonal) {
            *p = d * r + beta * *p;
        }
        Ok(r_square)
    }

    /// The true residual of this system, into the greatest so far.
    fn measure<C: Collectives>(&mut self, cg: &mut Cg, world: &mut C) -> Result<(), C::Error> {
        world.allgather(&cg.x, &mut self.whole)?;
        self.matrix.multiply(self.rows.clone(), &self.whole, &mut self.product);
        let (b, ax) = (self.right_hand_side(cg.system), &self.product);
        let mut square = [sum4(b.len(), |k| (b[k] - ax[k]) * (b[k] - ax[k]))];
        world.sum(&mut square)?;
        cg.residual = cg.residual.max((square[0] / cg.b_square).sqrt());
        Ok(())
    }

    /// Puts x among the solutions and goes to the next system.
    fn store(&self, cg: &mut Cg) {
        let (system, systems) = (cg.system as usize, self.options.systems);
        for (row, x) in cg.xs.chunks_exact_mut(systems).zip(&cg.x) {
            row[system] = *x;
        }
        cg.system += 1;
        cg.iteration = 0;
    }

    /// b of one system over this rank's rows.
    fn right_hand_side(&self, system: u64) -> Vec<f64> {
        match (system, self.first) {
            (0, Some(b)) => b[self.rows.clone()].to_vec(),
            (0, None) => self.matrix.row_sums(self.rows.clone()),
            _ => {
                let seed = self.options.seed;
                self.rows.clone().map(|row| rhs::uniform(seed, system, row as u64)).collect()
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum4(a.len().min(b.len()), |k| a[k] * b[k])
}

/// `curvature`, if the algorithm can divide by it.
fn positive(curvature: f64, cg: &Cg) -> Result<f64, SolveError> {
    if curvature == f64::INFINITY {
        Err(overflow(cg))
    } else if curvature > 0.0 {
        Ok(curvature)
    } else {
        let (system, iteration) = (cg.system + 1, cg.iteration);
        Err(SolveError::NotPositiveDefinite { system, iteration, curvature })
    }
}

fn overflow(cg: &Cg) -> SolveError {
    SolveError::Overflow { system: cg.system + 1, iteration: cg.iteration }
}
