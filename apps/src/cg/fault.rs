//! How a solve fails by itself, on every rank alike.
//!
//! Invariants: systems and iterations count from 1 in messages; each message names the mend.

/// The algorithm cannot go on. Nothing can be retried: another matrix, right-hand side or tolerance
/// is needed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// A direction p with pᵀAp not above zero.
    #[error(
        "the matrix is not positive definite: p'Ap is {curvature:e} in iteration {iteration} of \
         system {system}; conjugate gradients need a positive definite matrix"
    )]
    NotPositiveDefinite {
        /// The right-hand side, from 1.
        system: u64,
        /// From 1.
        iteration: u64,
        /// pᵀAp.
        curvature: f64,
    },
    /// A number grew beyond the range of a double.
    #[error(
        "a number overflowed in iteration {iteration} of system {system}; \
         scale the matrix or the right-hand side"
    )]
    Overflow {
        /// The right-hand side, from 1.
        system: u64,
        /// From 1.
        iteration: u64,
    },
    /// ‖b‖² is not a normal number although b is not zero.
    #[error("the right-hand side of system {system} has the squared norm {square:e}; scale it")]
    RightHandSide {
        /// The right-hand side, from 1.
        system: u64,
        /// ‖b‖².
        square: f64,
    },
    /// The limit of iterations is reached.
    #[error(
        "system {system} has not converged in {iterations} iterations: the relative residual is \
         {reached:e}, wanted is {wanted:e}; give a greater --tol, or a better conditioned matrix"
    )]
    NotConverged {
        /// The right-hand side, from 1.
        system: u64,
        /// The limit.
        iterations: u64,
        /// ‖r‖/‖b‖.
        reached: f64,
        /// The tolerance.
        wanted: f64,
    },
}

impl SolveError {
    /// Whether the matrix or the right-hand side is to blame, rather than the tolerance.
    #[must_use]
    pub fn is_about_the_input(&self) -> bool {
        !matches!(self, Self::NotConverged { .. })
    }
}
