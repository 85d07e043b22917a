//! What can be wrong with a raster file.
//!
//! Invariant: each message says what is wrong and how to mend it; it is the tail of a line that
//! begins with the file, and the line and column of a text.

/// A fault of a raster file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RasterFault {
    /// The file has no byte at all.
    #[error("the file is empty; give an ESRI ASCII grid, a grey PNG or a PGM")]
    Empty,
    /// The file begins otherwise than all that is read.
    #[error(
        "the file begins with `{found}`, like no raster read here; give an ESRI ASCII grid, whose \
         first word is `ncols`, a grey PNG, or a PGM, which begins with `P2` or `P5`"
    )]
    Unknown {
        /// Its first characters.
        found: String,
    },
    /// A bitmap, a colour picture or alike of the family of PGM.
    #[error("`P{kind}` is not supported; convert it to PGM, which begins with `P2` or `P5`")]
    Netpbm {
        /// The digit behind the P.
        kind: char,
    },
    /// A word of a length that no number has.
    #[error("a word is longer than {max} bytes; check that this is the right file")]
    LongWord {
        /// The limit.
        max: usize,
    },
    /// A word of a grid's header that has no meaning.
    #[error(
        "`{found}` is neither a number nor a word of the header, which has `ncols`, `nrows`, \
         `xllcorner`, `yllcorner`, `cellsize` and `NODATA_value`; correct or remove it"
    )]
    Key {
        /// As in the file.
        found: String,
    },
    /// A word of a grid's header that was there before.
    #[error("`{key}` is given a second time; remove one of them")]
    KeyTwice {
        /// The word.
        key: &'static str,
    },
    /// A word that a grid's header lacks.
    #[error("the header lacks `{key}`; add a line like `{key} {example}` before the numbers")]
    KeyMissing {
        /// The word.
        key: &'static str,
        /// What may follow it.
        example: &'static str,
    },
    /// The value of a word of the header.
    #[error("`{found}` is no value for `{key}`; give {wanted}")]
    KeyValue {
        /// The word.
        key: &'static str,
        /// As in the file.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The file ends in its header.
    #[error("the file ends in its header; copy it again if it was cut")]
    HeaderEnds,
    /// A raster without a cell.
    #[error("the raster has no {what}; give one with at least one cell")]
    NoCells {
        /// `columns` or `rows`.
        what: &'static str,
    },
    /// A raster beyond the limit.
    #[error(
        "{columns} columns by {rows} rows are more than {max} cells, the limit; cut the raster or \
         give it larger cells"
    )]
    TooLarge {
        /// As claimed.
        rows: u64,
        /// As claimed.
        columns: u64,
        /// The limit.
        max: u64,
    },
    /// More cells than the file has room for.
    #[error(
        "the header claims {columns} columns by {rows} rows, and the file can hold {room} cells at \
         most; correct the header, or copy the file again if it was cut"
    )]
    NoRoom {
        /// As claimed.
        rows: u64,
        /// As claimed.
        columns: u64,
        /// The most that the file can hold.
        room: u64,
    },
    /// A value that is no number.
    #[error("`{found}` is not a number; write it like -1.5e3")]
    Value {
        /// As in the file.
        found: String,
    },
    /// A value that is NaN, infinite or too great.
    #[error(
        "`{found}` is not a number of at most {max:e} in size; scale the raster, or write the \
         number of `NODATA_value` for a missing cell"
    )]
    Range {
        /// As in the file.
        found: String,
        /// The limit.
        max: f64,
    },
    /// A value of a PGM beyond the greatest that its header names.
    #[error(
        "`{found}` is not a whole number up to {max}, the maximum of the header; correct the one or \
         the other"
    )]
    Grey {
        /// As in the file.
        found: String,
        /// As in the header.
        max: u32,
    },
    /// The file ends too early.
    #[error("the file ends after {found} of {claimed} cells; copy it again if it was cut")]
    TooFew {
        /// Cells read.
        found: u64,
        /// Cells claimed.
        claimed: u64,
    },
    /// There is more after the last cell.
    #[error("there is more behind the {claimed} cells of the header; correct the one or the other")]
    TooMany {
        /// Cells claimed.
        claimed: u64,
    },
    /// There is more after the end of a binary file.
    #[error("there is more behind the raster, from byte {byte} on; remove it")]
    Trailing {
        /// From 0.
        byte: u64,
    },
    /// Every cell is missing.
    #[error("every cell is missing; correct `NODATA_value`, or give a raster with numbers")]
    AllMissing,
    /// A PNG whose pixels are no grey.
    #[error("the PNG has {found} pixels, and a colour is no number; convert it to grey first")]
    Colour {
        /// What it has.
        found: &'static str,
    },
    /// A PNG that is cut or damaged.
    #[error("the PNG is cut short or damaged near byte {byte} ({what}); copy the file again")]
    Damaged {
        /// From 0.
        byte: u64,
        /// What the decoder said.
        what: String,
    },
    /// A PNG beyond the limit on bytes.
    #[error("the PNG has more than {max} bytes; cut it, or give it larger cells")]
    PngBytes {
        /// The limit.
        max: u64,
    },
}
