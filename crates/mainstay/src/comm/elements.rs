//! A message's memory as elements of the program's type.
//!
//! Invariant: elements are made once the message's length is known, and its bytes are copied into
//! them once. Deliberately absent: `unsafe`; a vector of plain data is lent as its bytes.

use std::any::Any;
use std::fmt;

use mainstay_host::endpoint::Room;

use super::whole;
use crate::{Plain, Result};

/// Elements, and how many bytes of them a message is.
pub(super) struct Elements<T> {
    values: Vec<T>,
    bytes: usize,
}

impl<T: Plain> Elements<T> {
    /// Room in the memory of a vector, which grows if the message is longer.
    pub(super) fn over(values: Vec<T>) -> Self {
        let bytes = size_of_val(values.as_slice());
        Self { values, bytes }
    }

    /// The message.
    pub(super) fn values(self) -> Result<Vec<T>> {
        whole::<T>(self.bytes).map(|_| self.values)
    }

    /// What a request gives back: its message, or what was lent for a send; nothing if it had copied
    /// that.
    pub(super) fn of(room: Box<dyn Room>) -> Result<Vec<T>> {
        let room: Box<dyn Any> = room;
        room.downcast::<Self>().map_or_else(|_| Ok(Vec::new()), |elements| elements.values())
    }
}

impl<T: Plain> Room for Elements<T> {
    fn fit(&mut self, bytes: usize) {
        let count = bytes.div_ceil(size_of::<T>().max(1));
        match self.values.capacity() < count {
            // Zeros from the system cost nothing before they are overwritten.
            true => self.values = vec![T::zeroed(); count],
            false => self.values.resize(count, T::zeroed()),
        }
        self.bytes = bytes;
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.values)[..self.bytes]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.values)[..self.bytes]
    }

    fn take(&mut self, message: Vec<u8>) {
        let bytes = message.len();
        match bytemuck::try_cast_vec(message) {
            Ok(values) => *self = Self { values, bytes },
            Err((_, message)) => {
                self.fit(bytes);
                self.bytes_mut().copy_from_slice(&message);
            }
        }
    }
}

impl<T> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elements").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_where_it_suffices_and_bytes_become_elements() {
        let given = Vec::<u32>::with_capacity(8);
        let place = given.as_ptr();
        let mut room = Elements::over(given);
        room.fit(20);
        room.bytes_mut().copy_from_slice(&[1; 20]);
        room.take(vec![2; 12]);
        let values = room.values().unwrap();
        assert_eq!((values.as_ptr(), values.as_slice()), (place, &[0x0202_0202; 3][..]));

        let mut room = Elements::over(vec![1_u32; 2]);
        room.fit(400);
        assert_eq!((room.bytes().len(), room.values().unwrap().len()), (400, 100));
        let mut room = Elements::<u32>::over(Vec::new());
        room.take(vec![0; 9]);
        assert_eq!(room.bytes().len(), 9);
        assert!(room.values().unwrap_err().to_string().contains("9 bytes"));
    }

    #[test]
    fn bytes_are_taken_over_without_a_copy() {
        let message = vec![7_u8; 100];
        let place = message.as_ptr();
        let mut room = Elements::<u8>::over(vec![1; 3]);
        room.take(message);
        let values = room.values().unwrap();
        assert_eq!((values.as_ptr(), values.len()), (place, 100));
    }
}
