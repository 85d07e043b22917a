//! The reader of vectors: its three forms, and that each refusal names line and mend.

use super::*;
use crate::testing::{gzip, scratch};

fn text(content: &str, length: usize) -> Result<Vec<f64>, InputError> {
    read(&scratch("b.txt", content.as_bytes()), length)
}

#[test]
fn text_with_comments_and_blank_lines() {
    let content = "# a vector\n1\n% more\n\n -2.5e-3 \r\n3";
    assert_eq!(text(content, 3).unwrap(), [1.0, -0.0025, 3.0]);
    let packed = scratch("b.txt.gz", &gzip(content.as_bytes()));
    assert_eq!(read(&packed, 3).unwrap(), [1.0, -0.0025, 3.0]);
    assert!(text("", 0).unwrap().is_empty());
}

#[test]
fn a_matrix_market_array_of_one_column() {
    let content = "%%MatrixMarket MATRIX array real general\n% why\n2 1\n7\n8\n";
    assert_eq!(text(content, 2).unwrap(), [7.0, 8.0]);
    for (content, line) in [
        ("%%MatrixMarket matrix coordinate real general\n2 1 2\n1 1 7\n2 1 8\n", 1),
        ("%%MatrixMarket matrix array complex general\n2 1\n7 0\n8 0\n", 1),
        ("%%MatrixMarket matrix array real general\n1 2\n7\n8\n", 2),
        ("%%MatrixMarket matrix array real general\n3 1\n7\n8\n9\n", 2),
    ] {
        let error = text(content, 2).unwrap_err();
        assert_eq!(error.line(), Some(line));
        assert!(error.to_string().contains("the line `2 1`"), "{error}");
    }
}

#[test]
fn lengths_are_checked() {
    let error = text("1\n2\n", 3).unwrap_err();
    assert_eq!(error.line(), Some(3));
    assert!(error.to_string().contains("after 2 numbers; the matrix has 3 rows"), "{error}");
    let error = text("1\n2\n#\n3\n", 2).unwrap_err();
    assert_eq!(error.line(), Some(4));
    assert!(error.to_string().contains("one number more than the 2 rows"), "{error}");
}

#[test]
fn words_that_are_no_finite_number() {
    for (content, message) in [
        ("1\nx\n", "`x` is not a number"),
        ("1\n1 2\n", "`1 2` is not a number; write one number a line"),
        ("1\nNaN\n", "`NaN` is not finite"),
        ("1\n-1e400\n", "`-1e400` is not finite"),
    ] {
        let error = text(content, 2).unwrap_err();
        assert_eq!(error.line(), Some(2));
        assert!(error.fault().to_string().starts_with(message), "{error}");
    }
}

#[test]
fn binary_files_are_little_endian_and_exactly_as_long() {
    let numbers = [1.0, -2.5, f64::MIN_POSITIVE];
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(read(&scratch("b.f64", &bytes), 3).unwrap(), numbers);
    for (cut, length) in [(23, 3), (24, 2), (24, 4), (0, 1)] {
        let error = read(&scratch("b.f64", &bytes[..cut]), length).unwrap_err().to_string();
        let wanted = format!("the file has {cut} bytes and must have {}", length * 8);
        assert!(error.contains(&wanted), "{error}");
    }
    let bytes: Vec<u8> = [0.0, f64::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
    let error = read(&scratch("b.F64", &bytes), 2).unwrap_err().to_string();
    assert!(error.contains("number 2 of the file is NaN"), "{error}");
}

#[test]
fn missing_files_are_named() {
    for path in ["no/such.f64", "no/such.txt"] {
        let error = read(Path::new(path), 1).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path}: cannot be opened (")), "{error}");
    }
}
