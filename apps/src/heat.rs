//! The heat equation on a raster, in two dimensions, by an explicit scheme.
//!
//! ∂u/∂t = Δu, with the numbers of the raster as temperatures at the start. Edges are insulated, and
//! so are missing cells: they are walls, and stay missing. A step changes a cell of temperature c to
//!
//! ```text
//! c + R·(((n − c) + (s − c)) + ((w − c) + (e − c)))        R = Δt/Δx² = 3/16
//! ```
//!
//! where n, s, w, e are its neighbours and a difference to a wall is 0. The scheme is stable up to
//! R = 1/4; at three quarters of that every pattern fades, the checkerboard too, and R is a binary
//! fraction. So a step is [`RATIO`]·Δx² of time. What a cell gains its neighbour loses, so the sum
//! over all cells, the heat, stays as it is but for rounding, and no cell leaves the range of the
//! start.
//!
//! [`Layout`] divides the raster into blocks, one a rank. Ranks exchange the edges of their blocks,
//! then [`Stencil`] changes the block in place. At the end [`rows`](mod@rows) brings the blocks into
//! rows.
//!
//! Invariants: a cell is computed by the same operations in the same order wherever it lies in a
//! block, so the field has the same bits for every number of ranks. Deliberately absent: implicit
//! schemes, and other equations.
//!
//! # Source
//! K. W. Morton, D. F. Mayers, *Numerical Solution of Partial Differential Equations*, 2nd edition,
//! sections 2.11 (conservation) and 3.1 (two dimensions).

mod job;
mod layout;
pub mod rows;
mod stencil;
mod totals;

pub use job::{Heat, Neighbours};
pub use layout::{Block, Layout, Side};
pub use stencil::Stencil;
pub use totals::{Totals, heat_of_row, sum};

/// Δt/Δx², and the time of a step in a raster whose cells have sides of 1.
pub const RATIO: f64 = 3.0 / 16.0;

#[cfg(test)]
mod tests;
