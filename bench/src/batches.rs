//! How often an operation is repeated, and the times of its batches.
//!
//! The number of operations is doubled until a quarter of a batch's time has passed, which also
//! warms up; then it is scaled. Rank 0 decides and the others follow. Invariant: all ranks do the
//! same operations. Deliberately absent: statistics; every batch is told.

use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Batches of each case, fewer where one operation takes much longer than a batch should.
    pub batches: u64,
    /// How long one takes, about.
    pub batch: Duration,
}

/// A rank whose operations are timed.
pub trait Timed {
    /// Why an operation fails.
    type Error;

    /// Waits for the other ranks.
    ///
    /// # Errors
    /// What the transport says.
    fn meet(&mut self) -> Result<(), Self::Error>;

    /// The number that rank 0 gives.
    ///
    /// # Errors
    /// What the transport says.
    fn agree(&mut self, number: u64) -> Result<u64, Self::Error>;

    /// Does it so many times.
    ///
    /// # Errors
    /// What the transport says.
    fn repeat(&mut self, count: u64) -> Result<(), Self::Error>;
}

/// The nanoseconds per operation of each batch.
///
/// # Errors
/// What an operation says.
pub fn measure<T: Timed>(rank: &mut T, plan: Plan) -> Result<Vec<f64>, T::Error> {
    let (count, batches) = operations(rank, plan)?;
    let batch = |rank: &mut T| Ok(once(rank, count)?.as_nanos() as f64 / count as f64);
    (0..batches).map(|_| batch(rank)).collect()
}

/// How many operations make a batch, and how many batches are made.
fn operations<T: Timed>(rank: &mut T, plan: Plan) -> Result<(u64, u64), T::Error> {
    let mut count = 1;
    loop {
        let took = once(rank, count)?;
        let more = if took * 4 >= plan.batch { 0 } else { count * 2 };
        match rank.agree(more)? {
            0 => {
                let count = rank.agree(scaled(count, took, plan.batch))?;
                return Ok((count, rank.agree(fewer(plan, took))?));
            }
            more => count = more,
        }
    }
}

/// As many batches as asked for, or as few as take four times the time that they should.
fn fewer(plan: Plan, took: Duration) -> u64 {
    scaled(plan.batches, took, plan.batch * 4).clamp(1, plan.batches.max(1))
}

fn once<T: Timed>(rank: &mut T, count: u64) -> Result<Duration, T::Error> {
    rank.meet()?;
    let started = Instant::now();
    rank.repeat(count)?;
    Ok(started.elapsed())
}

/// At least 1.
fn scaled(count: u64, took: Duration, batch: Duration) -> u64 {
    let exact = u128::from(count) * batch.as_nanos() / took.as_nanos().max(1);
    u64::try_from(exact).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rank that follows numbers given beforehand, as one that is not rank 0 does.
    struct Follower {
        given: Vec<u64>,
        done: Vec<u64>,
    }

    impl Timed for Follower {
        type Error = &'static str;

        fn meet(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }

        fn agree(&mut self, _: u64) -> Result<u64, Self::Error> {
            self.given.pop().ok_or("nobody says how many")
        }

        fn repeat(&mut self, count: u64) -> Result<(), Self::Error> {
            self.done.push(count);
            Ok(())
        }
    }

    #[test]
    fn rank_0_decides_how_often() {
        let mut rank = Follower { given: vec![3, 37, 0, 4, 2], done: Vec::new() };
        let plan = Plan { batches: 9, batch: Duration::from_millis(1) };
        assert_eq!(measure(&mut rank, plan).unwrap().len(), 3);
        assert_eq!(rank.done, [1, 2, 4, 37, 37, 37]);
        assert_eq!(measure(&mut rank, plan), Err("nobody says how many"));
    }

    #[test]
    fn a_batch_is_scaled_and_never_empty() {
        let ms = Duration::from_millis;
        assert_eq!(scaled(8, ms(5), ms(10)), 16);
        assert_eq!(scaled(1, ms(50), ms(10)), 1);
        let plan = Plan { batches: 9, batch: ms(10) };
        assert_eq!([3, 40, 90, 9000].map(|took| fewer(plan, ms(took))), [9, 9, 4, 1]);
        assert_eq!(scaled(3, Duration::ZERO, ms(1)), 3_000_000);
    }
}
