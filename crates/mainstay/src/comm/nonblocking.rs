//! Collectives that are started now and waited for later.
//!
//! Flat, in one round: when it starts, every rank sends its part to whoever needs it and posts the
//! receives of what it needs itself. Invariants: a reduction folds in the order of `comm::tree`, so its
//! bits are those of the blocking one; see `host::endpoint::leg` for what matches the messages.
//! Deliberately absent: trees and segments, which need a second round. A reduction to all so moves
//! every block to every rank: for long blocks of many ranks the blocking one moves less.

use mainstay_comm::tree;
use mainstay_host::endpoint::{CommError, Group, Leg, Purpose, RequestId, Room};
use mainstay_types::Rank;

use super::elements::Elements;
use super::pending::Rooms;
use super::{Comm, Op, Pending, Reducible};
use crate::{Plain, Result};

impl Comm {
    /// Starts a barrier; it is complete when every rank has started it.
    ///
    /// # Errors
    /// An interruption.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let all_here = job.world().ibarrier()?;
    /// // … what needs no other rank …
    /// all_here.wait()?;
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn ibarrier(&self) -> Result<Pending<()>> {
        self.begin(self.legs::<u8>(Purpose::Barrier, |_| Some(&[])), |_| Ok(()))
    }

    /// Starts to give every rank what `root` has in `data`. All give as many elements; the memory comes
    /// back with those of `root`.
    ///
    /// # Errors
    /// As [`Comm::broadcast`]; lengths that differ are an error of [`Pending::wait`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let plan = job.world().ibroadcast(vec![job.rank() as f64; 3], 0)?;
    /// assert_eq!(plan.wait()?, [0.0; 3]);
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn ibroadcast<T: Plain>(&self, data: Vec<T>, root: usize) -> Result<Pending<Vec<T>>> {
        let (root, peer, count) = (self.place(root)?, self.peer(root)?, data.len());
        if root == self.group.me() {
            let bytes = bytemuck::cast_slice(&data);
            let send = |to| Leg::Send(to, Purpose::Broadcast, bytes);
            let requests = self.start(others(&self.group).map(send).collect())?;
            return Ok(Pending::new(self.handle.clone(), requests, |_| Ok(data)));
        }
        let room = Box::new(Elements::over(data));
        self.begin(vec![Leg::Receive(root, Purpose::Broadcast, room)], move |mut rooms| {
            block(rooms.remove(0), peer, count)
        })
    }

    /// Starts to combine the `data` of all ranks element by element; `root` gets the result.
    ///
    /// # Errors
    /// As [`Comm::reduce`]; lengths that differ are an error of [`Pending::wait`].
    pub fn ireduce<T: Reducible>(
        &self,
        data: &[T],
        op: Op,
        root: usize,
    ) -> Result<Pending<Option<Vec<T>>>> {
        self.ireduce_with(data, root, move |a, b| a.combine(b, op))
    }

    /// As [`Comm::ireduce`], with a function of the program's, as in [`Comm::reduce_with`].
    ///
    /// # Errors
    /// As [`Comm::ireduce`].
    pub fn ireduce_with<T: Plain>(
        &self,
        data: &[T],
        root: usize,
        combine: impl Fn(T, T) -> T + 'static,
    ) -> Result<Pending<Option<Vec<T>>>> {
        let (own, group) = (data.to_vec(), self.group.clone());
        self.collect(data, root, Purpose::Reduce, move |rooms| {
            Ok(fold(equal(&group, own, rooms)?, &combine))
        })
    }

    /// Starts to combine the `data` of all ranks element by element; every rank gets the result. It has
    /// the bits of [`Comm::allreduce`]. Every block goes to every rank, so that nothing has to be sent
    /// while it is waited for; for long blocks on many ranks the blocking one moves less.
    ///
    /// # Errors
    /// As [`Comm::allreduce`]; lengths that differ are an error of [`Pending::wait`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// # use mainstay::Op;
    /// let world = job.world();
    /// let norm = world.iallreduce(vec![2.0_f64], Op::Sum)?;
    /// let most = world.iallreduce(vec![job.rank() as u64], Op::Max)?;
    /// // … what needs neither …
    /// assert_eq!(most.wait()?, [job.size() as u64 - 1]);
    /// assert_eq!(norm.wait()?, [2.0 * job.size() as f64]);
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn iallreduce<T: Reducible>(&self, data: Vec<T>, op: Op) -> Result<Pending<Vec<T>>> {
        self.iallreduce_with(data, move |a, b| a.combine(b, op))
    }

    /// As [`Comm::iallreduce`], with a function of the program's, as in [`Comm::allreduce_with`].
    ///
    /// # Errors
    /// As [`Comm::iallreduce`].
    pub fn iallreduce_with<T: Plain>(
        &self,
        data: Vec<T>,
        combine: impl Fn(T, T) -> T + 'static,
    ) -> Result<Pending<Vec<T>>> {
        let group = self.group.clone();
        let requests = self.start(self.legs(Purpose::Reduce, |_| Some(&data)))?;
        Ok(Pending::new(self.handle.clone(), requests, move |rooms| {
            Ok(fold(equal(&group, data, rooms)?, &combine))
        }))
    }

    /// Starts to give `root` the `data` of all ranks, in rank order. Lengths may differ.
    ///
    /// # Errors
    /// As [`Comm::gather`].
    pub fn igather<T: Plain>(&self, data: &[T], root: usize) -> Result<Pending<Option<Vec<T>>>> {
        let (own, group) = (data.to_vec(), self.group.clone());
        self.collect(data, root, Purpose::Gather, move |rooms| {
            Ok(blocks(&group, own, rooms)?.concat())
        })
    }

    /// Starts to give every rank the `data` of all ranks, in rank order. Lengths may differ.
    ///
    /// # Errors
    /// As [`Comm::allgather`].
    pub fn iallgather<T: Plain>(&self, data: &[T]) -> Result<Pending<Vec<T>>> {
        let (own, group) = (data.to_vec(), self.group.clone());
        self.begin(self.legs(Purpose::Gather, |_| Some(data)), move |rooms| {
            Ok(blocks(&group, own, rooms)?.concat())
        })
    }

    /// Starts to give each rank a block of this one, and this one a block of each, in rank order.
    /// Lengths may differ.
    ///
    /// # Errors
    /// As [`Comm::alltoall`].
    pub fn ialltoall<T: Plain>(&self, data: &[&[T]]) -> Result<Pending<Vec<Vec<T>>>> {
        let group = self.group.clone();
        if data.len() != self.size() {
            return Err(CommError::Blocks { found: data.len(), n: group.n() }.into());
        }
        let own = data[self.rank()].to_vec();
        self.begin(self.legs(Purpose::Exchange, |to| Some(data[to.index()])), move |rooms| {
            blocks(&group, own, rooms)
        })
    }

    /// Every rank's block to `root`, which makes the value of them.
    fn collect<T: Plain, R: 'static>(
        &self,
        data: &[T],
        root: usize,
        purpose: Purpose,
        value: impl FnOnce(Rooms) -> Result<R> + 'static,
    ) -> Result<Pending<Option<R>>> {
        let root = self.place(root)?;
        if root == self.group.me() {
            let legs = self.legs::<T>(purpose, |_| None);
            return self.begin(legs, |rooms| value(rooms).map(Some));
        }
        let legs = vec![Leg::Send(root, purpose, bytemuck::cast_slice(data))];
        self.begin(legs, |_| Ok(None))
    }

    /// A receive from every other rank, then a send to each if there is something for it.
    fn legs<'a, T: Plain>(
        &self,
        purpose: Purpose,
        data: impl Fn(Rank) -> Option<&'a [T]>,
    ) -> Vec<Leg<'a>> {
        let room = || Box::new(Elements::<T>::over(Vec::new()));
        let receive = |from| Leg::Receive(from, purpose, room());
        let send = |to| data(to).map(|data| Leg::Send(to, purpose, bytemuck::cast_slice(data)));
        others(&self.group).map(receive).chain(others(&self.group).filter_map(send)).collect()
    }

    fn start(&self, legs: Vec<Leg<'_>>) -> Result<Vec<RequestId>> {
        Ok(self.handle.communicating()?.rank.endpoint().start(&self.group, legs)?)
    }

    fn begin<R>(
        &self,
        legs: Vec<Leg<'_>>,
        value: impl FnOnce(Rooms) -> Result<R> + 'static,
    ) -> Result<Pending<R>> {
        Ok(Pending::new(self.handle.clone(), self.start(legs)?, value))
    }
}

/// The places of all ranks but the caller.
fn others(group: &Group) -> impl Iterator<Item = Rank> + use<> {
    let me = group.me();
    Rank::all(group.n()).filter(move |place| *place != me)
}

/// The block of a rank, which has to have so many elements.
fn block<T: Plain>(room: Box<dyn Room>, peer: Rank, count: usize) -> Result<Vec<T>> {
    let (expected, found) = ((count * size_of::<T>()) as u64, room.bytes().len() as u64);
    match expected == found {
        true => Elements::of(room),
        false => Err(CommError::Unequal { peer, expected, found }.into()),
    }
}

/// The blocks of all ranks in rank order, the caller's among them. The rooms of sends come behind.
fn blocks<T: Plain>(group: &Group, own: Vec<T>, rooms: Rooms) -> Result<Vec<Vec<T>>> {
    let others = rooms.into_iter().take(group.n() as usize - 1);
    let mut blocks = others.map(Elements::of).collect::<Result<Vec<_>>>()?;
    blocks.insert(group.me().index(), own);
    Ok(blocks)
}

/// The same, of blocks that have to be as long as the caller's.
fn equal<T: Plain>(group: &Group, own: Vec<T>, rooms: Rooms) -> Result<Vec<Vec<T>>> {
    let each = others(group).zip(rooms);
    let each = each.map(|(from, room)| block(room, group.at(from), own.len()));
    let mut blocks = each.collect::<Result<Vec<_>>>()?;
    blocks.insert(group.me().index(), own);
    Ok(blocks)
}

/// Folds the blocks of all ranks in the order of the blocking reductions.
fn fold<T: Plain>(mut blocks: Vec<Vec<T>>, combine: &impl Fn(T, T) -> T) -> Vec<T> {
    let n = blocks.len() as u32;
    // Whatever is folded into a rank's block comes from higher ones, so that each is whole by then.
    for rank in Rank::all(n).rev() {
        for child in tree::children(rank, n) {
            let (low, high) = blocks.split_at_mut(child.index());
            for (a, b) in low[rank.index()].iter_mut().zip(&high[0]) {
                *a = combine(*a, *b);
            }
        }
    }
    blocks.swap_remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the messages of a blocking reduction do: each rank folds in its children's results.
    fn by_messages(rank: Rank, blocks: &[Vec<f64>], op: &impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let mut own = blocks[rank.index()].clone();
        for child in tree::children(rank, blocks.len() as u32) {
            let higher = by_messages(child, blocks, op);
            own.iter_mut().zip(higher).for_each(|(a, b)| *a = op(*a, b));
        }
        own
    }

    #[test]
    fn blocks_are_folded_as_the_blocking_reductions_fold_them() {
        // Neither commutative nor associative, so that every order has bits of its own.
        let op = |a: f64, b: f64| a * 0.7 - b;
        for n in 1..=17_u32 {
            let block = |rank: u32| (0..3).map(|k| 1.0 / f64::from(rank * 3 + k + 1)).collect();
            let blocks: Vec<Vec<f64>> = (0..n).map(block).collect();
            let expected = by_messages(Rank(0), &blocks, &op);
            let bits = |block: &[f64]| block.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&fold(blocks, &op)), bits(&expected), "{n}");
        }
    }

    /// A lone rank; more of them are in the tests of the command.
    #[test]
    fn collectives_of_one_are_what_they_are_given() {
        crate::run(|job| {
            let world = job.world();
            let own = [1.5_f64, 2.0];
            let all_here = world.ibarrier()?;
            let sum = world.iallreduce(own.to_vec(), Op::Sum)?;
            let most = world.ireduce(&own, Op::Max, 0)?;
            let mut blocks = world.ialltoall(&[&own[..1]])?;
            assert!(blocks.test()? && blocks.test()?);
            assert_eq!(blocks.wait()?, [vec![1.5]]);
            assert_eq!((sum.wait()?, most.wait()?), (own.to_vec(), Some(own.to_vec())));
            assert_eq!(world.ibroadcast(own.to_vec(), 0)?.wait()?, own);
            assert_eq!(world.igather(&own, 0)?.wait()?, Some(own.to_vec()));
            assert_eq!(world.iallgather(&own)?.wait()?, own);
            all_here.wait()?;
            for error in [
                world.ialltoall::<f64>(&[]).map(drop).unwrap_err(),
                world.ireduce(&own, Op::Sum, 1).map(drop).unwrap_err(),
            ] {
                let told = error.to_string();
                assert!(told.contains("0 blocks") || told.contains("rank 1"), "{told}");
            }
            job.finish(own)
        })
        .unwrap();
    }
}
