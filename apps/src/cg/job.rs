//! The solve as a job of Mainstay: its state by name, and its collectives over the job's ranks.
//!
//! Invariants: every field that [`Solver`](super::Solver) changes is named; the solutions carry
//! their place in the global array, so that a version can be read without knowing the ranks; scalars
//! are the same on all, as each comes out of a sum over ranks. So a version can be restored on any
//! number of ranks, where sums then have another order.

use mainstay::{Comm, Error, Fields, Op, State};

use super::{Cg, Collectives};

impl State for Cg {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("system", &mut self.system).replicated();
        f.value("iteration", &mut self.iteration).replicated();
        f.value("iterations", &mut self.iterations).replicated();
        f.value("rho", &mut self.rho).replicated();
        f.value("b_square", &mut self.b_square).replicated();
        f.value("residual", &mut self.residual).replicated();
        let (shape, offset) = ([self.order], [self.first_row]);
        f.array("x", &mut self.x).global(shape, offset);
        f.array("r", &mut self.r).global(shape, offset);
        f.array("p", &mut self.p).global(shape, offset);
        let (shape, offset) = ([self.order, self.systems], [self.first_row, 0]);
        f.array("xs", &mut self.xs).global(shape, offset);
    }
}

/// The ranks of a job.
#[derive(Debug, Clone)]
pub struct World(pub Comm);

impl Collectives for World {
    type Error = Error;

    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn ranks(&self) -> usize {
        self.0.size()
    }

    fn sum(&mut self, values: &mut [f64]) -> Result<(), Error> {
        self.0.allreduce(values, Op::Sum)
    }

    fn allgather(&mut self, block: &[f64], whole: &mut Vec<f64>) -> Result<(), Error> {
        *whole = self.0.allgather(block)?;
        Ok(())
    }
}
