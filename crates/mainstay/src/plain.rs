//! Plain data: what can be sent, captured and restored as its bytes.
//!
//! Invariant: every bit pattern of a [`Plain`] type is a value of it, so bytes from a checkpoint or
//! a message can never make an invalid one. Deliberately absent: pointers, enums and padding.

use bytemuck::Pod;
use mainstay_ckpt::Kind;

/// Data that is its own bytes: the integers, the floats, and arrays of them.
pub trait Plain: Pod {
    /// What a tool shows it as.
    #[doc(hidden)]
    const KIND: Kind;
    /// How many scalars of that kind a value is.
    #[doc(hidden)]
    const SCALARS: usize;
}

macro_rules! plain {
    ($($ty:ty => $kind:ident),* $(,)?) => {
        $(impl Plain for $ty {
            const KIND: Kind = Kind::$kind;
            const SCALARS: usize = 1;
        })*
    };
}

plain! {
    u8 => U8, u16 => U16, u32 => U32, u64 => U64, usize => U64,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64, isize => I64,
    f32 => F32, f64 => F64,
}

impl<T: Plain, const N: usize> Plain for [T; N] {
    const KIND: Kind = T::KIND;
    const SCALARS: usize = N * T::SCALARS;
}
