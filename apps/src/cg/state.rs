//! What of a solve must survive a failure.
//!
//! Invariants: between steps these fields, with the matrix and the options, determine all that
//! follows; right-hand sides are absent since they can be computed again. The vectors never change
//! their length after [`Cg::new`].

/// The state of one rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Cg {
    /// The system being solved, from 0; the number of systems when all are solved.
    pub(super) system: u64,
    /// Iterations of this system so far; 0 before its vectors are set up.
    pub(super) iteration: u64,
    /// Iterations of all systems so far.
    pub(super) iterations: u64,
    /// rᵀz.
    pub(super) rho: f64,
    /// ‖b‖² of this system.
    pub(super) b_square: f64,
    /// The greatest true residual ‖b − A·x‖/‖b‖ of the systems solved.
    pub(super) residual: f64,
    /// This rank's block of the iterate.
    pub(super) x: Vec<f64>,
    /// This rank's block of the residual b − A·x, by recurrence.
    pub(super) r: Vec<f64>,
    /// This rank's block of the search direction.
    pub(super) p: Vec<f64>,
    /// Solutions of this rank's rows: row by row, one number for each system, so that the blocks of
    /// all ranks, joined, are the global array of rows × systems.
    pub(super) xs: Vec<f64>,
    /// The number of rows before this rank's, over all rows: where `xs` lies in the global array.
    pub(super) first_row: u64,
    /// The rows of the matrix.
    pub(super) order: u64,
    /// The right-hand sides to solve for.
    pub(super) systems: u64,
}

impl Cg {
    /// A fresh state for a rank that owns `rows` of a matrix of `order` rows.
    #[must_use]
    pub fn new(rows: &std::ops::Range<usize>, order: usize, systems: usize) -> Self {
        let zeros = || vec![0.0; rows.len()];
        Self {
            system: 0,
            iteration: 0,
            iterations: 0,
            rho: 0.0,
            b_square: 0.0,
            residual: 0.0,
            x: zeros(),
            r: zeros(),
            p: zeros(),
            xs: vec![0.0; rows.len() * systems],
            first_row: rows.start as u64,
            order: order as u64,
            systems: systems as u64,
        }
    }

    /// The number of systems solved.
    #[must_use]
    pub fn solved(&self) -> u64 {
        self.system
    }

    /// Iterations of all systems so far.
    #[must_use]
    pub fn iterations(&self) -> u64 {
        self.iterations
    }

    /// The greatest true residual ‖b − A·x‖/‖b‖ of the systems solved.
    #[must_use]
    pub fn residual(&self) -> f64 {
        self.residual
    }

    /// The solutions of this rank's rows: row by row, one number for each system.
    #[must_use]
    pub fn solutions(&self) -> &[f64] {
        &self.xs
    }
}
