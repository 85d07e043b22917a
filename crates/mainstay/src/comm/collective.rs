//! Calls that all ranks of a communicator make together.
//!
//! Invariant: the order in which values are combined is a function of the number of ranks alone.
//! Deliberately absent: what a failure leaves half done; the recovery takes all ranks back.

use mainstay_host::endpoint::Fold;

use super::{Comm, Op, Reducible, joined, typed};
use crate::{Error, Plain, Result};

impl Comm {
    /// Returns when every rank has called it.
    ///
    /// # Errors
    /// An interruption.
    pub fn barrier(&self) -> Result<()> {
        Ok(self.handle.communicating()?.rank.endpoint().barrier(&self.group)?)
    }

    /// Gives every rank what `root` has in `data`.
    ///
    /// # Errors
    /// An interruption, a root that does not exist, or lengths that differ between ranks.
    pub fn broadcast<T: Plain>(&self, data: &mut [T], root: usize) -> Result<()> {
        let root = self.place(root)?;
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice_mut(data);
        Ok(core.rank.endpoint().broadcast(&self.group, root, bytes)?)
    }

    /// Combines the `data` of all ranks element by element; `root` gets the result.
    ///
    /// # Errors
    /// As [`Comm::broadcast`].
    pub fn reduce<T: Reducible>(&self, data: &[T], op: Op, root: usize) -> Result<Option<Vec<T>>> {
        let root = self.place(root)?;
        let mut all = data.to_vec();
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice_mut(&mut all);
        let mut combine = combine::<T>(op);
        core.rank.endpoint().reduce(&self.group, root, bytes, &mut fold::<T>(&mut combine))?;
        Ok((root.index() == self.rank()).then_some(all))
    }

    /// Combines the `data` of all ranks element by element; every rank gets the result in place.
    ///
    /// # Errors
    /// As [`Comm::broadcast`].
    pub fn allreduce<T: Reducible>(&self, data: &mut [T], op: Op) -> Result<()> {
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice_mut(data);
        let mut combine = combine::<T>(op);
        Ok(core.rank.endpoint().allreduce(&self.group, bytes, &mut fold::<T>(&mut combine))?)
    }

    /// Gives `root` the `data` of all ranks, in rank order. Lengths may differ.
    ///
    /// # Errors
    /// An interruption, or a root that does not exist.
    pub fn gather<T: Plain>(&self, data: &[T], root: usize) -> Result<Option<Vec<T>>> {
        let root = self.place(root)?;
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice(data);
        match core.rank.endpoint().gather(&self.group, root, bytes)? {
            Some(blocks) => joined(&blocks).map(Some),
            None => Ok(None),
        }
    }

    /// Gives every rank the `data` of all ranks, in rank order. Lengths may differ.
    ///
    /// # Errors
    /// An interruption.
    pub fn allgather<T: Plain>(&self, data: &[T]) -> Result<Vec<T>> {
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice(data);
        joined(&core.rank.endpoint().allgather(&self.group, bytes)?)
    }

    /// Combines the `data` of all ranks element by element with a function of the program's; every
    /// rank gets the result in place. It is given the value of the lower ranks first, and need not be
    /// commutative, nor associative: the order is fixed.
    ///
    /// # Errors
    /// As [`Comm::broadcast`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let mut farthest = [job.rank() as f64, -3.0];
    /// job.world().allreduce_with(&mut farthest, |a, b| if a.abs() >= b.abs() { a } else { b })?;
    /// # job.finish(farthest) }) }
    /// ```
    pub fn allreduce_with<T: Plain>(
        &self,
        data: &mut [T],
        combine: impl Fn(T, T) -> T,
    ) -> Result<()> {
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice_mut(data);
        let mut combine = combine_with(combine);
        Ok(core.rank.endpoint().allreduce(&self.group, bytes, &mut fold::<T>(&mut combine))?)
    }

    /// As [`Comm::allreduce_with`], for `root` alone.
    ///
    /// # Errors
    /// As [`Comm::broadcast`].
    pub fn reduce_with<T: Plain>(
        &self,
        data: &[T],
        root: usize,
        combine: impl Fn(T, T) -> T,
    ) -> Result<Option<Vec<T>>> {
        let root = self.place(root)?;
        let mut all = data.to_vec();
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice_mut(&mut all);
        let mut combine = combine_with(combine);
        core.rank.endpoint().reduce(&self.group, root, bytes, &mut fold::<T>(&mut combine))?;
        Ok((root.index() == self.rank()).then_some(all))
    }

    /// Combines the `data` of this rank and all below it, element by element, from rank 0 up.
    ///
    /// # Errors
    /// As [`Comm::broadcast`].
    pub fn scan<T: Reducible>(&self, data: &mut [T], op: Op) -> Result<()> {
        self.prefix(data, op).map(drop)
    }

    /// Combines the `data` of all ranks below this one, element by element, from rank 0 up; nothing
    /// at rank 0.
    ///
    /// # Errors
    /// As [`Comm::broadcast`].
    pub fn exscan<T: Reducible>(&self, data: &[T], op: Op) -> Result<Option<Vec<T>>> {
        let before = self.prefix(&mut data.to_vec(), op)?;
        Ok((self.rank() > 0).then_some(before))
    }

    fn prefix<T: Reducible>(&self, data: &mut [T], op: Op) -> Result<Vec<T>> {
        let mut before = data.to_vec();
        let mut core = self.handle.communicating()?;
        let (block, below) =
            (bytemuck::cast_slice_mut(data), bytemuck::cast_slice_mut(&mut before));
        let mut combine = combine::<T>(op);
        core.rank.endpoint().scan(&self.group, block, below, &mut fold::<T>(&mut combine))?;
        Ok(before)
    }

    /// Gives each rank its block of `root`'s. Lengths may differ; `blocks` is not looked at
    /// elsewhere.
    ///
    /// # Errors
    /// As [`Comm::gather`], and another number of blocks than ranks.
    pub fn scatter<T: Plain>(&self, blocks: &[&[T]], root: usize) -> Result<Vec<T>> {
        let root = self.place(root)?;
        let blocks: Vec<&[u8]> = blocks.iter().map(|block| bytemuck::cast_slice(block)).collect();
        let mut core = self.handle.communicating()?;
        typed(&core.rank.endpoint().scatter(&self.group, root, &blocks)?)
    }

    /// Gives each rank a block of this one, and this one a block of each, in rank order. Lengths may
    /// differ.
    ///
    /// # Errors
    /// As [`Comm::scatter`].
    pub fn alltoall<T: Plain>(&self, blocks: &[&[T]]) -> Result<Vec<Vec<T>>> {
        let blocks: Vec<&[u8]> = blocks.iter().map(|block| bytemuck::cast_slice(block)).collect();
        let mut core = self.handle.communicating()?;
        let all = core.rank.endpoint().alltoall(&self.group, &blocks)?;
        all.iter().map(|block| typed(block)).collect()
    }

    /// As [`Comm::alltoall`] with blocks of one length, side by side in `data` and, in the order of
    /// the ranks they come from, in `room`.
    ///
    /// # Errors
    /// An interruption, lengths that differ, or one that is no multiple of the number of ranks.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let world = job.world();
    /// let (mine, mut theirs) = (vec![job.rank() as u32; world.size()], vec![0; world.size()]);
    /// world.alltoall_into(&mine, &mut theirs)?;
    /// assert_eq!(theirs, (0..world.size() as u32).collect::<Vec<_>>());
    /// # job.finish(theirs) }) }
    /// ```
    pub fn alltoall_into<T: Plain>(&self, data: &[T], room: &mut [T]) -> Result<()> {
        if data.len() != room.len() || !room.len().is_multiple_of(self.size()) {
            return Err(Error::msg(format!(
                "{} elements and room for {} cannot be exchanged among {} ranks: give as many of \
                 each, a multiple of the number of ranks",
                data.len(),
                room.len(),
                self.size()
            )));
        }
        let mut core = self.handle.communicating()?;
        let (data, room) = (bytemuck::cast_slice(data), bytemuck::cast_slice_mut(room));
        Ok(core.rank.endpoint().alltoall_equal(&self.group, data, room)?)
    }

    /// As [`Comm::allgather`] with blocks of one length, side by side in `room`.
    ///
    /// # Errors
    /// An interruption, lengths that differ, or room that is not that of all blocks.
    pub fn allgather_into<T: Plain>(&self, data: &[T], room: &mut [T]) -> Result<()> {
        if data.len().checked_mul(self.size()) != Some(room.len()) {
            return Err(Error::msg(format!(
                "{} elements of each of {} ranks do not fill room for {}",
                data.len(),
                self.size(),
                room.len()
            )));
        }
        let mut core = self.handle.communicating()?;
        let (data, room) = (bytemuck::cast_slice(data), bytemuck::cast_slice_mut(room));
        Ok(core.rank.endpoint().allgather_equal(&self.group, data, room)?)
    }

    /// Combines the `data` of all ranks element by element, and gives each rank its part of the
    /// result: the first `counts[0]` elements to rank 0, and so on.
    ///
    /// # Errors
    /// As [`Comm::scatter`], and counts that do not sum up to the elements.
    pub fn reduce_scatter<T: Reducible>(
        &self,
        data: &[T],
        counts: &[usize],
        op: Op,
    ) -> Result<Vec<T>> {
        let sum = counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count));
        let sum = sum.unwrap_or(usize::MAX);
        if counts.len() != self.size() || sum != data.len() {
            return Err(Error::msg(format!(
                "{} counts of {sum} elements divide {} elements among {} ranks: give one count a \
                 rank, and all elements",
                counts.len(),
                data.len(),
                self.size()
            )));
        }
        let all = self.reduce(data, op, 0)?.unwrap_or_default();
        let mut rest = all.as_slice();
        let mut next = |count: &usize| {
            let (block, behind) = rest.split_at(if self.rank() == 0 { *count } else { 0 });
            rest = behind;
            block
        };
        let blocks: Vec<_> = counts.iter().map(&mut next).collect();
        self.scatter(&blocks, 0)
    }
}

/// A fold of elements of `T`.
fn fold<T>(combine: &mut dyn FnMut(&mut [u8], &[u8])) -> Fold<'_> {
    Fold { element_bytes: size_of::<T>().max(1), combine }
}

/// Combines `higher` into `lower`, element by element.
pub(super) fn combine<T: Reducible>(op: Op) -> impl FnMut(&mut [u8], &[u8]) {
    combine_with(move |a: T, b: T| a.combine(b, op))
}

/// The same with a function of the program's.
fn combine_with<T: Plain>(combine: impl Fn(T, T) -> T) -> impl FnMut(&mut [u8], &[u8]) {
    move |lower, higher| {
        let bytes = size_of::<T>().max(1);
        // Message buffers need not be aligned for `T`.
        for (low, high) in lower.chunks_exact_mut(bytes).zip(higher.chunks_exact(bytes)) {
            let a: T = bytemuck::pod_read_unaligned(low);
            let b: T = bytemuck::pod_read_unaligned(high);
            low.copy_from_slice(bytemuck::bytes_of(&combine(a, b)));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Op;

    /// A lone rank; more of them are in the tests of the endpoint.
    #[test]
    fn collectives_of_one_are_what_they_are_given() {
        crate::run(|job| {
            let world = job.world();
            let mut data = [1.5_f64, 2.0];
            world.scan(&mut data, Op::Sum)?;
            assert_eq!((data, world.exscan(&data, Op::Sum)?), ([1.5, 2.0], None));
            assert_eq!(world.scatter(&[&data[..]], 0)?, data);
            assert_eq!(world.alltoall(&[&data[..1]])?, [vec![1.5]]);
            assert_eq!(world.reduce_scatter(&data, &[2], Op::Max)?, data);
            assert_eq!(world.reduce_with(&data, 0, |a, _| a)?, Some(data.to_vec()));
            for wrong in [&[1_usize][..], &[1, 1], &[]] {
                let error = world.reduce_scatter(&data, wrong, Op::Max).unwrap_err().to_string();
                assert!(error.contains("one count a rank"), "{error}");
            }
            assert!(world.scatter::<f64>(&[], 0).unwrap_err().to_string().contains("0 blocks"));
            job.finish(data)
        })
        .unwrap();
    }
}
