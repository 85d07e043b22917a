//! The shared words that rings and doorbells are generic over: atomics in production, modelled
//! ones in a loom test.
//!
//! Invariant: orderings are named at each access by ring and bell, so the code that a model
//! explores is the code that runs. Deliberately absent: read-modify-write on 64 bits; every
//! 64-bit word has one writer.

pub use std::sync::atomic::Ordering;
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

/// A 64-bit word with one writer and any number of readers.
pub trait Word64 {
    /// The value.
    fn load(&self, order: Ordering) -> u64;
    /// Replaces the value.
    fn store(&self, value: u64, order: Ordering);
}

/// A 32-bit word that the kernel can wait on.
pub trait Word32 {
    /// The value.
    fn load(&self, order: Ordering) -> u32;
    /// Replaces the value.
    fn store(&self, value: u32, order: Ordering);
    /// Adds one, wrapping.
    fn increment(&self, order: Ordering);
    /// A sequentially consistent fence of the same memory model as this word.
    fn fence();
}

impl Word64 for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }
}

impl Word32 for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        Self::load(self, order)
    }

    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        Self::store(self, value, order);
    }

    #[inline]
    fn increment(&self, order: Ordering) {
        self.fetch_add(1, order);
    }

    #[inline]
    fn fence() {
        fence(Ordering::SeqCst);
    }
}
