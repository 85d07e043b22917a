//! What can be wrong with a Matrix Market file, or with the matrix in it for a given use.
//!
//! Invariants: each message says what is wrong and how to mend it; it is the tail of a line that
//! begins with the file and the line. Rows and columns in messages count from 1, as in the file.

/// A fault of a matrix file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixFault {
    /// The file has no line at all.
    #[error("the file is empty; give a Matrix Market file")]
    Empty,
    /// The first line is something else.
    #[error(
        "the first line is not a Matrix Market header; it must read \
         `%%MatrixMarket matrix coordinate real symmetric` or alike"
    )]
    NotMatrixMarket,
    /// The header has too few or too many words.
    #[error(
        "the header has {found} words instead of 5; it must read \
         `%%MatrixMarket matrix coordinate real symmetric` or alike"
    )]
    HeaderWords {
        /// How many there are.
        found: usize,
    },
    /// An object other than `matrix`.
    #[error("object `{found}` is not supported; only `matrix` is")]
    Object {
        /// As in the header.
        found: String,
    },
    /// A format other than `coordinate`.
    #[error("format `{found}` is not supported; write the matrix in `coordinate` format")]
    Format {
        /// As in the header.
        found: String,
    },
    /// A field other than the three.
    #[error("field `{found}` is not supported; use `real`, `integer` or `pattern`")]
    Field {
        /// As in the header.
        found: String,
    },
    /// A symmetry other than the two.
    #[error("symmetry `{found}` is not supported; use `general` or `symmetric`")]
    Symmetry {
        /// As in the header.
        found: String,
    },
    /// The file ends before the size line.
    #[error("the size line is missing; after the comments must come `rows columns entries`")]
    NoSize,
    /// The size line is something else.
    #[error("the size line is not three whole numbers; it must read `rows columns entries`")]
    Size,
    /// A dimension is zero or beyond the limit.
    #[error("{rows} x {columns} is no usable size; rows and columns go from 1 to {max}")]
    Dimensions {
        /// As claimed.
        rows: u64,
        /// As claimed.
        columns: u64,
        /// The limit.
        max: u32,
    },
    /// A symmetric matrix that is not square.
    #[error("a symmetric matrix cannot be {rows} x {columns}; correct the size or write `general`")]
    SymmetricNotSquare {
        /// The rows.
        rows: u64,
        /// The columns.
        columns: u64,
    },
    /// More entries than the file has room for.
    #[error(
        "the size line claims {claimed} entries, and the file can hold {room} at most; \
         correct the number, or copy the file again if it was cut"
    )]
    NoRoom {
        /// As claimed.
        claimed: u64,
        /// The most that the file can hold.
        room: u64,
    },
    /// The file ends too early.
    #[error(
        "the file ends after {found} of {claimed} entries; \
         correct the size line, or copy the file again if it was cut"
    )]
    TooFew {
        /// Entries read.
        found: u64,
        /// Entries claimed.
        claimed: u64,
    },
    /// There is more after the last entry.
    #[error("this is one entry more than the {claimed} of the size line; correct one or the other")]
    TooMany {
        /// Entries claimed.
        claimed: u64,
    },
    /// An entry with the wrong number of words.
    #[error("an entry has {found} words instead of {expected}; it must read `{form}`")]
    Words {
        /// Words found.
        found: usize,
        /// Words that there must be.
        expected: usize,
        /// What they are.
        form: &'static str,
    },
    /// An index that is no number or outside the matrix.
    #[error("{what} `{found}` is not a whole number from 1 to {max}; indices count from 1")]
    Index {
        /// `row` or `column`.
        what: &'static str,
        /// As in the file.
        found: String,
        /// The last one.
        max: u32,
    },
    /// A value that is no number.
    #[error("value `{found}` is not a number; write it like -1.5e3")]
    Value {
        /// As in the file.
        found: String,
    },
    /// A value that is NaN, infinite or beyond the range of a double.
    #[error("value `{found}` is not finite; replace it by a finite number")]
    NotFinite {
        /// As in the file.
        found: String,
    },
    /// An integer file with another kind of number.
    #[error(
        "value `{found}` is not a whole number within 2^53; \
         correct it, or write `real` in the header"
    )]
    NotInteger {
        /// As in the file.
        found: String,
    },
    /// A symmetric file with entries on both sides of the diagonal.
    #[error(
        "this entry is in the other triangle than the one of line {other}; \
         a symmetric file lists one triangle: remove the mirror images or write `general`"
    )]
    BothTriangles {
        /// A line of the other triangle.
        other: u64,
    },
    /// Not a square matrix, for a use that needs one.
    #[error("the matrix is {rows} x {columns}; a linear system needs as many rows as columns")]
    NotSquare {
        /// The rows.
        rows: u32,
        /// The columns.
        columns: u32,
    },
    /// Some row must be empty.
    #[error(
        "the matrix has {entries} entries for {rows} rows, so that some row is empty and it \
         is not positive definite; check that the file is whole"
    )]
    EmptyRow {
        /// The entries.
        entries: usize,
        /// The rows.
        rows: u32,
    },
    /// Entries that overflow when summed.
    #[error("the entries of row {row}, column {column} add up to {value}; scale the matrix")]
    Overflow {
        /// From 1.
        row: u64,
        /// From 1.
        column: u64,
        /// The sum.
        value: f64,
    },
    /// A diagonal entry that no positive definite matrix has.
    #[error(
        "the diagonal of row {row} is {value}, so that the matrix is not positive definite \
         (seen before iteration 1); conjugate gradients need a positive diagonal"
    )]
    Diagonal {
        /// From 1.
        row: u64,
        /// The entry, or 0 if there is none.
        value: f64,
    },
    /// Entries that differ from their mirror image.
    #[error(
        "row {row}, column {column} holds {value} and its mirror image {mirror}; \
         conjugate gradients need a symmetric matrix"
    )]
    NotSymmetric {
        /// From 1.
        row: u64,
        /// From 1.
        column: u64,
        /// The entry.
        value: f64,
        /// The entry at (column, row).
        mirror: f64,
    },
}
