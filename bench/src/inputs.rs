//! Inputs of the programs that the suite `overhead` runs, made when they are needed.
//!
//! Invariant: an input is a function of its size. Deliberately absent: inputs that anybody would
//! want the answer of.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::Failure;

/// Writes the matrix of a grid of `columns` by `rows` points: five points each, in Matrix Market
/// form. The greater the diagonal, from 4 on, the fewer iterations it needs.
///
/// # Errors
/// What the file system says.
pub(crate) fn matrix(
    path: &Path,
    (columns, rows): (u64, u64),
    diagonal: f64,
) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    let order = columns * rows;
    let entries = order + (columns - 1) * rows + columns * (rows - 1);
    writeln!(file, "%%MatrixMarket matrix coordinate real symmetric")?;
    writeln!(file, "{order} {order} {entries}")?;
    for point in 1..=order {
        writeln!(file, "{point} {point} {diagonal}")?;
        if !point.is_multiple_of(columns) {
            writeln!(file, "{} {point} -1", point + 1)?;
        }
        if point + columns <= order {
            writeln!(file, "{} {point} -1", point + columns)?;
        }
    }
    Ok(file.flush()?)
}

/// Writes a grey picture of so many cells, in PGM form.
///
/// # Errors
/// What the file system says.
pub(crate) fn raster(path: &Path, (columns, rows): (u64, u64)) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    write!(file, "P5\n{columns} {rows}\n255\n")?;
    for row in 0..rows {
        let cell = |column: u64| (column ^ row).wrapping_mul(37) as u8;
        file.write_all(&(0..columns).map(cell).collect::<Vec<u8>>())?;
    }
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_has_as_many_entries_as_it_says() {
        let path = std::env::temp_dir().join(format!("bench-matrix-{}", std::process::id()));
        matrix(&path, (3, 2), 4.5).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "6 6 13");
        assert_eq!(lines.len(), 2 + 13);
        assert_eq!(lines[2..5], ["1 1 4.5", "2 1 -1", "4 1 -1"]);
        assert!(!text.contains("4 3 -1"), "the ends of two rows are no neighbours");
    }

    #[test]
    fn a_raster_has_as_many_cells_as_it_says() {
        let path = std::env::temp_dir().join(format!("bench-raster-{}", std::process::id()));
        raster(&path, (5, 3)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes.len(), b"P5\n5 3\n255\n".len() + 15);
    }
}
