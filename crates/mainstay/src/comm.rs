//! Messages between ranks, typed.
//!
//! Invariants: a message is received by source and tag in the order it was sent; the order in which
//! a reduction combines is a function of the number of ranks alone, so its bits do not depend on
//! timing. Deliberately absent: collectives in `Drop`.

mod agree;
mod collective;
mod elements;
mod nonblocking;
mod pending;
mod receive;
mod request;
mod split;
mod value;

use std::fmt;
use std::marker::PhantomData;

use mainstay_host::endpoint::{Group, RequestId};

use self::elements::Elements;
pub use self::pending::Pending;
pub use self::receive::{Any, Source, Status, Tag};
pub use self::request::Request;
pub use self::value::ValueError;
use crate::job::Handle;
use crate::{Error, Plain, Result};

/// A group of ranks that exchange messages: all of the job, or those of a
/// [`split`](Comm::split).
#[derive(Clone)]
pub struct Comm {
    handle: Handle,
    group: Group,
}

/// How a reduction combines two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Addition; integers wrap.
    Sum,
    /// Multiplication; integers wrap.
    Prod,
    /// The smaller; for floats the one that is a number.
    Min,
    /// The larger; for floats the one that is a number.
    Max,
}

/// A type that reductions combine.
pub trait Reducible: Plain {
    /// `self` of the lower ranks combined with `other` of the higher ones.
    #[must_use]
    fn combine(self, other: Self, op: Op) -> Self;
}

macro_rules! reducible {
    ($($ty:ty: $add:expr, $mul:expr;)*) => {
        $(impl Reducible for $ty {
            fn combine(self, other: Self, op: Op) -> Self {
                match op {
                    Op::Sum => $add(self, other),
                    Op::Prod => $mul(self, other),
                    Op::Min => self.min(other),
                    Op::Max => self.max(other),
                }
            }
        })*
    };
}

reducible! {
    u8: u8::wrapping_add, u8::wrapping_mul;
    u16: u16::wrapping_add, u16::wrapping_mul;
    u32: u32::wrapping_add, u32::wrapping_mul;
    u64: u64::wrapping_add, u64::wrapping_mul;
    usize: usize::wrapping_add, usize::wrapping_mul;
    i8: i8::wrapping_add, i8::wrapping_mul;
    i16: i16::wrapping_add, i16::wrapping_mul;
    i32: i32::wrapping_add, i32::wrapping_mul;
    i64: i64::wrapping_add, i64::wrapping_mul;
    isize: isize::wrapping_add, isize::wrapping_mul;
    f32: std::ops::Add::add, std::ops::Mul::mul;
    f64: std::ops::Add::add, std::ops::Mul::mul;
}

impl Comm {
    pub(crate) fn world(handle: Handle, rank: usize, size: usize) -> Self {
        // A job has at most as many ranks as fit.
        let (me, n) = (mainstay_types::Rank(rank as u32), size as u32);
        Self { handle, group: Group::all(0, n, me) }
    }

    /// This rank in the communicator, `0..size`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.group.me().index()
    }

    /// How many ranks it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.group.n() as usize
    }

    /// Sends `data` and returns when it may be changed again.
    ///
    /// # Errors
    /// An interruption, or a destination that does not exist.
    pub fn send<T: Plain>(&self, data: &[T], destination: usize, tag: u32) -> Result<()> {
        let destination = self.peer(destination)?;
        let mut core = self.handle.communicating()?;
        let endpoint = core.rank.endpoint();
        Ok(endpoint.send(destination, self.context(), tag, bytemuck::cast_slice(data))?)
    }

    /// Starts a send; `data` may be changed at once.
    ///
    /// # Errors
    /// As [`Comm::send`].
    pub fn isend<T: Plain>(&self, data: &[T], destination: usize, tag: u32) -> Result<Request<T>> {
        let destination = self.peer(destination)?;
        let mut core = self.handle.communicating()?;
        let bytes = bytemuck::cast_slice(data);
        let id = core.rank.endpoint().isend(destination, self.context(), tag, bytes)?;
        Ok(self.request(id))
    }

    /// Starts a send that takes `data` over, so that nothing is copied that does not go out at once;
    /// [`Request::wait`] gives it back.
    ///
    /// # Errors
    /// As [`Comm::send`]; `data` is gone then.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let world = job.world();
    /// let received = world.irecv_into(Vec::<f64>::with_capacity(1000), 0, 1)?;
    /// let sent = world.isend_vec(vec![1.5_f64; 1000], 0, 1)?;
    /// assert_eq!(received.wait()?, [1.5; 1000]);
    /// let data = sent.wait()?; // the same memory again
    /// # assert_eq!(data, [1.5; 1000]);
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn isend_vec<T: Plain>(
        &self,
        data: Vec<T>,
        destination: usize,
        tag: u32,
    ) -> Result<Request<T>> {
        let destination = self.peer(destination)?;
        let mut core = self.handle.communicating()?;
        let room = Box::new(Elements::over(data));
        let id = core.rank.endpoint().isend_room(destination, self.context(), tag, room)?;
        Ok(self.request(id))
    }

    fn context(&self) -> u32 {
        self.group.communicator()
    }

    /// The place of a rank in the group.
    fn place(&self, rank: usize) -> Result<mainstay_types::Rank> {
        match u32::try_from(rank) {
            Ok(place) if place < self.group.n() => Ok(mainstay_types::Rank(place)),
            _ => Err(Error::msg(format!(
                "rank {rank} does not exist: the communicator has ranks 0 to {}",
                self.group.n() - 1
            ))),
        }
    }

    /// The rank of the job at a place.
    fn peer(&self, rank: usize) -> Result<mainstay_types::Rank> {
        self.place(rank).map(|place| self.group.at(place))
    }

    fn request<T>(&self, id: RequestId) -> Request<T> {
        Request { handle: self.handle.clone(), group: self.group.clone(), id, element: PhantomData }
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comm").field("rank", &self.rank()).field("size", &self.size()).finish()
    }
}

fn whole<T>(bytes: usize) -> Result<usize> {
    let size = size_of::<T>().max(1);
    if bytes.is_multiple_of(size) {
        return Ok(bytes / size);
    }
    Err(Error::msg(format!(
        "a message of {bytes} bytes is no whole number of elements of {size} bytes; send and \
         receive the same type"
    )))
}

fn typed<T: Plain>(bytes: &[u8]) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); whole::<T>(bytes.len())?];
    bytemuck::cast_slice_mut(&mut values).copy_from_slice(bytes);
    Ok(values)
}

fn joined<T: Plain>(blocks: &[Vec<u8>]) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); whole::<T>(blocks.iter().map(Vec::len).sum())?];
    let mut rest: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
    for block in blocks {
        let (front, back) = rest.split_at_mut(block.len());
        front.copy_from_slice(block);
        rest = back;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_combine_in_order_and_integers_wrap() {
        assert_eq!(250_u8.combine(10, Op::Sum), 4);
        assert_eq!(2.0_f64.combine(f64::NAN, Op::Max), 2.0);
        let mut low = bytemuck::cast_slice(&[1.0_f64, 5.0]).to_vec();
        collective::combine::<f64>(Op::Min)(&mut low, bytemuck::cast_slice(&[3.0_f64, 2.0]));
        assert_eq!(typed::<f64>(&low).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn broken_elements_are_refused() {
        assert!(typed::<f64>(&[0; 9]).unwrap_err().to_string().contains("9 bytes"));
        assert_eq!(joined::<u16>(&[vec![1, 0], vec![], vec![2, 0]]).unwrap(), [1, 2]);
    }
}
