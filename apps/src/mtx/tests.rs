//! The reader of Matrix Market files: what it accepts, and that each refusal names line and mend.

use super::*;
use crate::testing::{gzip, scratch};

fn parse(text: &str) -> Result<Coordinates, InputError> {
    read(&scratch("m.mtx", text.as_bytes()))
}

fn refusal(text: &str) -> (Option<u64>, String) {
    let error = parse(text).unwrap_err();
    (error.line(), error.fault().to_string())
}

fn entry(row: u32, column: u32, value: f64) -> Entry {
    Entry { row, column, value }
}

#[test]
fn real_symmetric_with_comments_blank_lines_and_any_case() {
    let text = "%%matrixMARKET Matrix COORDINATE Real SYMMETRIC\r\n% a comment\r\n\r\n%\n 2 2\t3 \n\
                1 1 4\n% another\n2 1 -1.5e-1\n\n2 2 +.5E1\n\n";
    let matrix = parse(text).unwrap();
    assert_eq!((matrix.rows, matrix.columns), (2, 2));
    assert_eq!(matrix.symmetry, Symmetry::Symmetric);
    assert_eq!(matrix.entries, [entry(0, 0, 4.0), entry(1, 0, -0.15), entry(1, 1, 5.0)]);
}

#[test]
fn integer_and_pattern_general_rectangular() {
    let text = "%%MatrixMarket matrix coordinate integer general\n2 3 2\n1 3 -7\n2 1 +8\n";
    let matrix = parse(text).unwrap();
    assert_eq!((matrix.rows, matrix.columns), (2, 3));
    assert_eq!(matrix.entries, [entry(0, 2, -7.0), entry(1, 0, 8.0)]);
    let text = "%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 2\n2 1";
    assert_eq!(parse(text).unwrap().entries, [entry(0, 1, 1.0), entry(1, 0, 1.0)]);
}

#[test]
fn a_banner_with_one_percent_sign_is_read() {
    let text = "%MatrixMarket matrix coordinate pattern general\n1 1 1\n1 1\n";
    assert_eq!(parse(text).unwrap().entries, [entry(0, 0, 1.0)]);
}

#[test]
fn compressed_and_plain_files_read_alike() {
    let text = "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 2.5\n";
    let packed = scratch("m.mtx.gz", &gzip(text.as_bytes()));
    assert_eq!(read(&packed).unwrap(), parse(text).unwrap());
    let misnamed = scratch("m.mtx", &gzip(text.as_bytes()));
    assert_eq!(read(&misnamed).unwrap(), parse(text).unwrap());
}

#[test]
fn a_compressed_file_cut_short_is_told_from_one_with_too_few_entries() {
    let text = "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 2.5\n2 2 1\n";
    let packed = gzip(text.as_bytes());
    let error = read(&scratch("m.mtx.gz", &packed[..packed.len() - 9])).unwrap_err();
    assert!(error.to_string().contains("gzip data is cut short"), "{error}");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (words, name) in [
        ("vector coordinate real general", "object `vector`"),
        ("matrix array real general", "format `array`"),
        ("matrix coordinate Complex general", "field `complex`"),
        ("matrix coordinate double general", "field `double`"),
        ("matrix coordinate complex hermitian", "field `complex`"),
        ("matrix coordinate real hermitian", "symmetry `hermitian`"),
        ("matrix coordinate real Skew-Symmetric", "symmetry `skew-symmetric`"),
    ] {
        let (line, message) = refusal(&format!("%%MatrixMarket {words}\n1 1 1\n1 1 1\n"));
        assert_eq!(line, Some(1));
        assert!(message.starts_with(name) && message.contains("; "), "{message}");
    }
}

#[test]
fn headers_that_are_none() {
    assert_eq!(refusal(""), (None, MatrixFault::Empty.to_string()));
    for text in ["\n", "1 1 1\n", "MatrixMarket matrix coordinate real general\n", "PK\u{3}"] {
        assert_eq!(refusal(text), (Some(1), MatrixFault::NotMatrixMarket.to_string()));
    }
    let (line, message) = refusal("%%MatrixMarket matrix coordinate real\n1 1 1\n");
    assert_eq!(line, Some(1));
    assert!(message.contains("4 words instead of 5"), "{message}");
}

const REAL: &str = "%%MatrixMarket matrix coordinate real general\n";

#[test]
fn sizes_that_cannot_be() {
    assert_eq!(refusal(&format!("{REAL}% only\n")), (Some(3), MatrixFault::NoSize.to_string()));
    for size in ["1 1", "1 1 1 1", "one 1 1", "-1 1 1", "1.0 1 1", "1 1 99999999999999999999999"] {
        let found = refusal(&format!("{REAL}{size}\n1 1 1\n"));
        assert_eq!(found, (Some(2), MatrixFault::Size.to_string()), "{size}");
    }
    for size in ["0 1 0", "1 0 0", "4294967296 1 0"] {
        let (line, message) = refusal(&format!("{REAL}{size}\n"));
        assert_eq!(line, Some(2));
        assert!(message.contains("no usable size"), "{message}");
    }
    let (line, message) = refusal("%%MatrixMarket matrix coordinate real symmetric\n2 3 0\n");
    assert_eq!(line, Some(2));
    assert!(message.contains("symmetric matrix cannot be 2 x 3"), "{message}");
}

#[test]
fn a_claim_beyond_the_file_is_refused_before_it_allocates() {
    let (line, message) = refusal(&format!("{REAL}1 1 18446744073709551615\n1 1 1\n"));
    assert_eq!(line, Some(2));
    assert!(message.contains("claims 18446744073709551615 entries"), "{message}");
    let text = format!("{REAL}1 1 1000000000000000\n1 1 1\n");
    let error = read(&scratch("m.mtx.gz", &gzip(text.as_bytes()))).unwrap_err();
    assert!(error.to_string().contains("can hold"), "{error}");
    // A claim that a compressed file of this size could hold costs no more than its real content.
    let text = format!("{REAL}1 1 10000\n1 1 1\n");
    let error = read(&scratch("m.mtx.gz", &gzip(text.as_bytes()))).unwrap_err();
    assert!(error.to_string().contains("after 1 of 10000 entries"), "{error}");
}

#[test]
fn too_few_and_too_many_entries_name_the_line() {
    let (line, message) = refusal(&format!("{REAL}2 2 3\n1 1 1\n2 2 1\n"));
    assert_eq!(line, Some(5));
    assert!(message.contains("after 2 of 3 entries"), "{message}");
    let (line, message) = refusal(&format!("{REAL}2 2 1\n1 1 1\n\n% tail\n2 2 1\n"));
    assert_eq!(line, Some(6));
    assert!(message.contains("one entry more than the 1"), "{message}");
}

#[test]
fn entries_are_checked_word_by_word() {
    for (entry, expected) in [
        ("1 1", "an entry has 2 words instead of 3; it must read `row column value`"),
        ("1 1 1 1", "an entry has 4 words instead of 3"),
        ("0 1 1", "row `0` is not a whole number from 1 to 2; indices count from 1"),
        ("3 1 1", "row `3` is not a whole number from 1 to 2"),
        ("1 0 1", "column `0` is not a whole number from 1 to 2"),
        ("1 4294967297 1", "column `4294967297` is not"),
        ("-1 1 1", "row `-1` is not"),
        ("1.0 1 1", "row `1.0` is not"),
        ("1 1 x", "value `x` is not a number"),
        ("1 1 1.0D3", "value `1.0D3` is not a number"),
        ("1 1 nan", "value `nan` is not finite"),
        ("1 1 -Inf", "value `-Inf` is not finite"),
        ("1 1 1e999", "value `1e999` is not finite"),
    ] {
        let (line, message) = refusal(&format!("{REAL}2 2 1\n{entry}\n"));
        assert_eq!(line, Some(3), "{entry}");
        assert!(message.starts_with(expected), "{entry}: {message}");
    }
}

#[test]
fn integer_and_pattern_files_hold_to_their_word() {
    for (value, ok) in [
        ("9007199254740992", true),
        ("-9007199254740992", true),
        ("9007199254740993", false),
        ("-9223372036854775808", false),
        ("1.5", false),
        ("1e3", false),
    ] {
        let text = format!("%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1 {value}");
        assert_eq!(parse(&text).is_ok(), ok, "{value}");
    }
    let (line, message) =
        refusal("%%MatrixMarket matrix coordinate pattern general\n1 1 1\n1 1 1\n");
    assert_eq!(line, Some(3));
    assert!(message.contains("3 words instead of 2; it must read `row column`"), "{message}");
}

#[test]
fn a_symmetric_file_lists_either_triangle_and_not_both() {
    let symmetric = "%%MatrixMarket matrix coordinate real symmetric\n2 2 3\n";
    assert!(parse(&format!("{symmetric}1 1 1\n1 2 1\n2 2 1\n")).is_ok());
    let (line, message) = refusal(&format!("{symmetric}1 1 1\n2 1 1\n1 2 1\n"));
    assert_eq!(line, Some(5));
    assert!(message.contains("other triangle than the one of line 4"), "{message}");
}

#[test]
fn the_message_begins_with_file_and_line() {
    let file = scratch("bad.mtx", format!("{REAL}2 2 1\n9 1 1\n").as_bytes());
    let message = read(&file).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}:3: row `9`", file.display())), "{message}");
}
