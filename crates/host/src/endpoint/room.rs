//! Memory that a caller lends to an endpoint, whatever its elements are.
//!
//! A message is received straight into it and sent straight from it, so that bytes never lie where
//! elements belong. Invariant: what an endpoint was lent comes back when its request is waited for, and
//! is gone if the epoch ends before. Deliberately absent: elements; the facade knows them.

use std::any::Any;
use std::fmt::Debug;

/// Memory for the bytes of one message.
pub trait Room: Any + Debug {
    /// Makes it as long as a message of so many bytes; their content is whatever it was.
    fn fit(&mut self, bytes: usize);

    /// The message.
    fn bytes(&self) -> &[u8];

    /// The message, to be filled.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Takes over a message that is already in memory; copies it unless its memory will do.
    fn take(&mut self, message: Vec<u8>) {
        self.fit(message.len());
        self.bytes_mut().copy_from_slice(&message);
    }
}

impl Room for Vec<u8> {
    fn fit(&mut self, bytes: usize) {
        match self.capacity() < bytes {
            true => *self = vec![0; bytes],
            false => self.resize(bytes, 0),
        }
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn take(&mut self, message: Vec<u8>) {
        *self = message;
    }
}

/// What a send lends that has copied its message: nothing, without an allocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRoom;

impl Room for NoRoom {
    fn fit(&mut self, _bytes: usize) {}

    fn bytes(&self) -> &[u8] {
        &[]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut []
    }
}
