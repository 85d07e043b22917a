//! The two lines of a Matrix Market file that precede its entries: the banner and the size line.
//!
//! Invariants: words are compared without regard to case; a size that the file cannot have is
//! refused before anything is allocated for it.

use super::{MatrixFault, is_blank_or_comment};
use crate::InputError;
use crate::lines::Lines;

/// What the values of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Decimal numbers.
    Real,
    /// Whole numbers.
    Integer,
    /// No values: every entry is 1.
    Pattern,
}

/// What an entry off the diagonal stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symmetry {
    /// For itself.
    General,
    /// For itself and its mirror image.
    Symmetric,
}

/// The banner: `%%MatrixMarket matrix coordinate <field> <symmetry>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) field: Field,
    pub(super) symmetry: Symmetry,
}

impl Header {
    pub(super) fn read(lines: &mut Lines) -> Result<Self, InputError> {
        if !lines.advance()? {
            return Err(lines.file_fault(MatrixFault::Empty));
        }
        Self::parse(lines.text()).map_err(|fault| lines.fault(fault))
    }

    fn parse(text: &str) -> Result<Self, MatrixFault> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        // The standard asks for two signs; files with one exist, `data/bcsstk16.mtx.gz` among them.
        let banner = words.first().map(String::as_str);
        if !matches!(banner, Some("%%matrixmarket" | "%matrixmarket")) {
            return Err(MatrixFault::NotMatrixMarket);
        }
        let [_, object, format, field, symmetry] = words.as_slice() else {
            return Err(MatrixFault::HeaderWords { found: words.len() });
        };
        if object != "matrix" {
            return Err(MatrixFault::Object { found: object.clone() });
        }
        if format != "coordinate" {
            return Err(MatrixFault::Format { found: format.clone() });
        }
        let field = match field.as_str() {
            "real" => Field::Real,
            "integer" => Field::Integer,
            "pattern" => Field::Pattern,
            _ => {
                return Err(MatrixFault::Field { found: field.clone() });
            }
        };
        let symmetry = match symmetry.as_str() {
            "general" => Symmetry::General,
            "symmetric" => Symmetry::Symmetric,
            _ => {
                return Err(MatrixFault::Symmetry { found: symmetry.clone() });
            }
        };
        Ok(Self { field, symmetry })
    }
}

/// The size line: `rows columns entries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) entries: u64,
}

impl Size {
    pub(super) fn read(lines: &mut Lines, header: &Header) -> Result<Self, InputError> {
        while lines.advance()? {
            if !is_blank_or_comment(lines.text()) {
                let size = Self::parse(lines.text(), header, lines.bytes_max());
                return size.map_err(|fault| lines.fault(fault));
            }
        }
        Err(lines.fault(MatrixFault::NoSize))
    }

    fn parse(text: &str, header: &Header, bytes_max: u64) -> Result<Self, MatrixFault> {
        let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| MatrixFault::Size)?;
        let &[rows, columns, claimed] = numbers.as_slice() else {
            return Err(MatrixFault::Size);
        };
        let sides = (u32::try_from(rows), u32::try_from(columns));
        let (Ok(rows_u32 @ 1..), Ok(columns_u32 @ 1..)) = sides else {
            return Err(MatrixFault::Dimensions { rows, columns, max: u32::MAX });
        };
        if header.symmetry == Symmetry::Symmetric && rows != columns {
            return Err(MatrixFault::SymmetricNotSquare { rows, columns });
        }
        let room = bytes_max.saturating_add(1) / header.entry_bytes_min();
        if claimed > room {
            return Err(MatrixFault::NoRoom { claimed, room });
        }
        Ok(Self { rows: rows_u32, columns: columns_u32, entries: claimed })
    }
}

impl Header {
    /// The shortest entry with its line end: `1 1` or `1 1 1`.
    fn entry_bytes_min(self) -> u64 {
        match self.field {
            Field::Pattern => 4,
            Field::Real | Field::Integer => 6,
        }
    }
}
