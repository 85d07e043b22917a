//! What ranks do only when they know that all of them can.
//!
//! Invariant: what one rank is told was agreed on, every rank that lives is told; none goes on with it
//! while another is interrupted before it. Deliberately absent: how that is known; the supervisor
//! decides, and outlives every rank.

use mainstay_types::Rank;
use mainstay_types::wire::Group;

use super::Comm;
use crate::{Error, Result};

impl Comm {
    /// Whether all ranks say `ok`. Collective.
    ///
    /// If this returns `Ok` at one rank, it returns `Ok` with the same answer at every rank that
    /// lives, also when ranks die meanwhile; else every rank is interrupted. No message can promise
    /// that: the ranks of a [`barrier`](Comm::barrier) that leave it first do not know whether the
    /// last is interrupted in it.
    ///
    /// Every rank calls it between the same two checkpoints: what would let a version bring back some
    /// of them alone is refused with an error.
    ///
    /// Use it before what a rollback cannot take back, such as a line of output. A rollback may
    /// still come after it and do the step again: the answer says that all ranks got here together,
    /// not that they will not come by once more. It costs a message to the launcher and back: 0.1 to
    /// 0.5 ms for two to four ranks on two busy cores, more than a barrier or a sum.
    ///
    /// # Errors
    /// An interruption, or ranks in different steps.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let world = job.world();
    /// let converged = true; // what this rank thinks
    /// if world.agree(converged)? {
    ///     // Every rank comes here, or none does.
    /// }
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn agree(&self, ok: bool) -> Result<bool> {
        let group = self.who_agrees();
        Ok(self.handle.communicating()?.rank.agree(group, ok)?)
    }

    /// Runs `collective`, and gives its value once every rank has completed it. Collective.
    ///
    /// A collective alone may complete at one rank and be interrupted at another. That does no harm
    /// to what a recovery takes back, and this is for what it does not: a file written or a line
    /// printed with the value. The promise and its price are those of [`agree`](Comm::agree).
    ///
    /// # Errors
    /// Those of `collective`, at once and without an agreement: let them end the program. An
    /// interruption before all have completed it.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let energy = job.world().checked(|world| {
    ///     let mut sum = [1.5];
    ///     world.allreduce(&mut sum, mainstay::Op::Sum)?;
    ///     Ok(sum[0])
    /// })?;
    /// println!("energy {energy}"); // all ranks have it
    /// # job.finish([energy]) }) }
    /// ```
    pub fn checked<R>(&self, collective: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        let value = collective(self)?;
        match self.agree(true)? {
            true => Ok(value),
            false => Err(Error::msg(
                "another rank called `agree` where this one called `checked`: every rank has to \
                 call the same",
            )),
        }
    }

    /// Who agrees.
    fn who_agrees(&self) -> Group {
        let ranks = self.group.ranks();
        let lowest = ranks.iter().min().copied().unwrap_or(Rank(0));
        Group { context: self.context(), lowest, members: self.group.n() }
    }
}

#[cfg(test)]
mod tests {
    /// A lone rank; more of them are in the tests of the command.
    #[test]
    fn one_agrees_with_itself_and_errors_pass() {
        crate::run(|job| {
            let world = job.world();
            assert_eq!((world.agree(true)?, world.agree(false)?), (true, false));
            assert_eq!(world.checked(|world| Ok(world.size()))?, 1);
            let own = world.checked(|_| Err::<(), _>(crate::Error::msg("its own"))).unwrap_err();
            assert_eq!(own.to_string(), "its own");
            job.finish([0_u8])?;
            assert!(world.agree(true).unwrap_err().to_string().contains("the last one"));
            Ok(())
        })
        .unwrap();
    }
}
