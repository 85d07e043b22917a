//! The shared words that rings and doorbells are generic over: atomics of the standard library in
//! production, loom's in a model.
//!
//! Invariant: the orderings are named by the caller at each access, so the code that loom explores
//! is the code that runs. Deliberately absent: read-modify-write on 64 bits; every 64-bit word has
//! one writer.

pub use std::sync::atomic::Ordering;

/// A 64-bit word with one writer and any number of readers.
pub trait Word64 {
    /// The value.
    fn load(&self, order: Ordering) -> u64;
    /// Replaces the value.
    fn store(&self, value: u64, order: Ordering);
}

/// A 32-bit word; the kernel can wait on it.
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

macro_rules! words {
    ($w64:ty, $w32:ty, $fence:path) => {
        impl Word64 for $w64 {
            #[inline]
            fn load(&self, order: Ordering) -> u64 {
                <$w64>::load(self, order)
            }

            #[inline]
            fn store(&self, value: u64, order: Ordering) {
                <$w64>::store(self, value, order);
            }
        }

        impl Word32 for $w32 {
            #[inline]
            fn load(&self, order: Ordering) -> u32 {
                <$w32>::load(self, order)
            }

            #[inline]
            fn store(&self, value: u32, order: Ordering) {
                <$w32>::store(self, value, order);
            }

            #[inline]
            fn increment(&self, order: Ordering) {
                self.fetch_add(1, order);
            }

            #[inline]
            fn fence() {
                $fence(Ordering::SeqCst);
            }
        }
    };
}

words!(
    std::sync::atomic::AtomicU64,
    std::sync::atomic::AtomicU32,
    std::sync::atomic::fence
);

#[cfg(loom)]
words!(
    loom::sync::atomic::AtomicU64,
    loom::sync::atomic::AtomicU32,
    loom::sync::atomic::fence
);
