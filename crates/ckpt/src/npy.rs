//! The header of an `.npy` file, which numpy and most others read.
//!
//! Invariant: it ends at a multiple of 64 bytes, behind which the elements lie row by row, as in a
//! version. Deliberately absent: reading such files, and archives of several.
//!
//! # Source
//! NEP 1, "A Simple File Format for `NumPy` Arrays", format version 1.0.

use std::fmt::Write as _;

use crate::format::kind::Kind;

/// What a header's length is a multiple of.
const ALIGN: usize = 64;
/// Magic, version and the length of the text.
const FIXED: usize = 10;

/// How numpy names elements of a kind.
#[must_use]
pub fn descr(kind: Kind, element_bytes: u32) -> String {
    let letter = match kind {
        Kind::U8 => "|u",
        Kind::I8 => "|i",
        Kind::U16 | Kind::U32 | Kind::U64 => "<u",
        Kind::I16 | Kind::I32 | Kind::I64 => "<i",
        Kind::F32 | Kind::F64 => "<f",
        Kind::Opaque => "|V",
    };
    format!("{letter}{element_bytes}")
}

/// The header of an array.
#[must_use]
pub fn header(kind: Kind, element_bytes: u32, shape: &[u64]) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': (", descr(kind, element_bytes));
    for extent in shape {
        let _infallible = write!(text, "{extent}, ");
    }
    // A tuple of one keeps its comma, and no other wants one.
    if shape.len() > 1 {
        text.truncate(text.len() - 2);
    } else if !shape.is_empty() {
        text.truncate(text.len() - 1);
    }
    text.push_str("), }");
    let bytes = (FIXED + text.len() + 1).next_multiple_of(ALIGN);
    while FIXED + text.len() + 1 < bytes {
        text.push(' ');
    }
    text.push('\n');
    // Eight dimensions of twenty digits stay far below 65536 bytes, so version 1.0 will do.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(length.to_le_bytes());
    header.extend(text.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_numpy_writes_them() {
        for (kind, bytes, shape, text) in [
            (
                Kind::F64,
                8,
                &[3, 4][..],
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }",
            ),
            (Kind::U8, 1, &[7], "{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }"),
            (Kind::I32, 4, &[], "{'descr': '<i4', 'fortran_order': False, 'shape': (), }"),
            (
                Kind::Opaque,
                12,
                &[1; 3],
                "{'descr': '|V12', 'fortran_order': False, 'shape': (1, 1, 1), }",
            ),
            (Kind::F32, 4, &[u64::MAX; 8], "{'descr': '<f4', 'fortran_order': False, 'shape': ("),
        ] {
            let header = header(kind, bytes, shape);
            assert_eq!(header[..8], *b"\x93NUMPY\x01\x00");
            assert_eq!(header.len() % 64, 0);
            let length = u16::from_le_bytes([header[8], header[9]]);
            assert_eq!(usize::from(length), header.len() - 10);
            let shown = std::str::from_utf8(&header[10..]).unwrap();
            assert!(shown.starts_with(text) && shown.ends_with('\n'), "{shown}");
        }
    }
}
