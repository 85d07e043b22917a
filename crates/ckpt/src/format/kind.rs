//! The kinds of elements that a field can have.
//!
//! Invariant: a code, once written, keeps its meaning; new kinds get new codes.

macro_rules! kinds {
    ($($name:ident $code:literal $text:literal $bytes:expr;)*) => {
        /// What the elements of a field are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = concat!("`", $text, "`, code ", stringify!($code), ".")] $name,)*
        }

        impl Kind {
            /// Every kind, by code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The byte in the table.
            #[must_use]
            pub fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// The kind of a byte in the table.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// The name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Bytes of one element; `None` where the field says it.
            #[must_use]
            pub fn element_bytes(self) -> Option<u32> {
                match self { $(Self::$name => $bytes,)* }
            }
        }
    };
}

kinds! {
    U8 0 "u8" Some(1);
    U16 1 "u16" Some(2);
    U32 2 "u32" Some(4);
    U64 3 "u64" Some(8);
    I8 4 "i8" Some(1);
    I16 5 "i16" Some(2);
    I32 6 "i32" Some(4);
    I64 7 "i64" Some(8);
    F32 8 "f32" Some(4);
    F64 9 "f64" Some(8);
    Opaque 10 "opaque" None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_and_read_back() {
        for code in 0..=u8::MAX {
            let kind = Kind::from_code(code);
            assert_eq!(kind, Kind::ALL.get(usize::from(code)).copied());
            assert!(kind.is_none_or(|kind| kind.code() == code));
        }
    }
}
