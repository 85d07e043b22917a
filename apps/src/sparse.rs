//! A square sparse matrix by rows, and its division among ranks.
//!
//! Invariants: columns rise within a row and none occurs twice; duplicates are summed in the order
//! of the file, so that a symmetric file gives an exactly symmetric matrix; a product sums each row
//! in one order, whoever owns the row; the division is a function of the matrix and the number of
//! ranks alone. Deliberately absent: threads, messages, any format but this one.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::mtx::{Coordinates, Entry, MatrixFault, Symmetry};

/// Entries may differ from their mirror image by this fraction of √(aᵢᵢ·aⱼⱼ): room for files that
/// print both triangles of a computed matrix, not for another matrix.
const ASYMMETRY_MAX: f64 = 1e-8;

/// A square matrix in compressed sparse rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Csr {
    /// Where each row begins in `columns` and `values`, then where the last one ends.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Csr {
    /// The matrix that `coordinates` list, with symmetry expanded and duplicates summed.
    ///
    /// # Errors
    /// If it is not square, has fewer entries than rows (checked before rows are allocated), or
    /// duplicates overflow.
    pub fn new(coordinates: &Coordinates) -> Result<Self, MatrixFault> {
        let &Coordinates { rows, columns, ref entries, symmetry } = coordinates;
        if rows != columns {
            return Err(MatrixFault::NotSquare { rows, columns });
        }
        if entries.len() < rows as usize {
            return Err(MatrixFault::EmptyRow { entries: entries.len(), rows });
        }
        let by_row = sort_by_row(rows as usize, entries, symmetry);
        let mut matrix = Self {
            starts: Vec::with_capacity(rows as usize + 1),
            columns: Vec::with_capacity(by_row.len()),
            values: Vec::with_capacity(by_row.len()),
        };
        matrix.starts.push(0);
        for entry in &by_row {
            matrix.append(entry)?;
        }
        matrix.close_rows(rows as usize);
        Ok(matrix)
    }

    /// Appends the next entry in order of row, column and file.
    fn append(&mut self, entry: &Entry) -> Result<(), MatrixFault> {
        self.close_rows(entry.row as usize);
        let row_is_empty = self.starts.last() == Some(&self.columns.len());
        match (self.columns.last(), self.values.last_mut()) {
            (Some(&column), Some(sum)) if !row_is_empty && column == entry.column => {
                *sum += entry.value;
                let value = *sum;
                if !value.is_finite() {
                    let (row, column) = (u64::from(entry.row) + 1, u64::from(column) + 1);
                    return Err(MatrixFault::Overflow { row, column, value });
                }
            }
            _ => {
                self.columns.push(entry.column);
                self.values.push(entry.value);
            }
        }
        Ok(())
    }

    /// Ends rows until `rows` of them have ended.
    fn close_rows(&mut self, rows: usize) {
        while self.starts.len() <= rows {
            self.starts.push(self.columns.len());
        }
    }

    /// The number of rows, which is the number of columns.
    #[must_use]
    pub fn order(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of stored entries, with symmetry expanded.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.values.len()
    }

    /// The columns and values of one row.
    fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let stored = self.starts[row]..self.starts[row + 1];
        (&self.columns[stored.clone()], &self.values[stored])
    }

    /// The entry at `row` and `column`; zero if none is stored.
    #[must_use]
    pub fn at(&self, row: usize, column: usize) -> f64 {
        let (columns, values) = self.row(row);
        let found = columns.binary_search_by(|&c| (c as usize).cmp(&column));
        found.map_or(0.0, |place| values[place])
    }

    /// The products of `rows` with the whole vector `v`, one for each row.
    ///
    /// # Panics
    /// If `v` is not as long as the matrix has rows, or `out` as there are `rows`.
    pub fn multiply(&self, rows: Range<usize>, v: &[f64], out: &mut [f64]) {
        assert_eq!(v.len(), self.order(), "the vector has another length than the matrix");
        assert_eq!(out.len(), rows.len(), "one product a row");
        for (row, product) in rows.zip(out) {
            let (columns, values) = self.row(row);
            *product = sum4(columns.len(), |k| values[k] * v[columns[k] as usize]);
        }
    }

    /// The sums of `rows`: A·1.
    pub fn row_sums(&self, rows: Range<usize>) -> Vec<f64> {
        rows.map(|row| {
            let values = self.row(row).1;
            sum4(values.len(), |k| values[k])
        })
        .collect()
    }

    /// Checks what can be seen of positive definiteness without computing: a positive diagonal, and
    /// symmetry.
    ///
    /// # Errors
    /// The first row that fails, from 1.
    pub fn check_definite(&self) -> Result<(), MatrixFault> {
        for row in 0..self.order() {
            let value = self.at(row, row);
            if value <= 0.0 {
                return Err(MatrixFault::Diagonal { row: row as u64 + 1, value });
            }
        }
        for row in 0..self.order() {
            let (columns, values) = self.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                self.check_mirror(row, column as usize, value)?;
            }
        }
        Ok(())
    }

    fn check_mirror(&self, row: usize, column: usize, value: f64) -> Result<(), MatrixFault> {
        let mirror = self.at(column, row);
        let scale = self.at(row, row).sqrt() * self.at(column, column).sqrt();
        if (value - mirror).abs() <= ASYMMETRY_MAX * scale {
            return Ok(());
        }
        let (row, column) = (row as u64 + 1, column as u64 + 1);
        Err(MatrixFault::NotSymmetric { row, column, value, mirror })
    }

    /// The rows of `rank` among `ranks`: contiguous, in rank order, with about the same number of
    /// stored entries each. A rank may have none.
    ///
    /// # Panics
    /// If `rank` is not below `ranks`.
    #[must_use]
    pub fn rows_of(&self, rank: usize, ranks: usize) -> Range<usize> {
        assert!(rank < ranks, "rank {rank} of {ranks}");
        self.boundary(rank, ranks)..self.boundary(rank + 1, ranks)
    }

    /// The first row whose entries begin at or beyond the given share of all of them.
    fn boundary(&self, share: usize, ranks: usize) -> usize {
        let entries = (self.entries() as u128 * share as u128) / ranks as u128;
        let rows = &self.starts[..self.order()];
        if share == ranks { self.order() } else { rows.partition_point(|&s| (s as u128) < entries) }
    }
}

/// The entries with their mirror images, by row, then column, then place in the file.
fn sort_by_row(rows: usize, entries: &[Entry], symmetry: Symmetry) -> Vec<Entry> {
    let mirrored = |e: &Entry| symmetry == Symmetry::Symmetric && e.row != e.column;
    let mut ends = vec![0_usize; rows + 1];
    let images = |e: &Entry| mirrored(e).then_some(Entry { row: e.column, column: e.row, ..*e });
    for entry in entries.iter().flat_map(|e| std::iter::once(*e).chain(images(e))) {
        ends[entry.row as usize + 1] += 1;
    }
    for row in 0..rows {
        ends[row + 1] += ends[row];
    }
    let nothing = Entry { row: 0, column: 0, value: 0.0 };
    let mut sorted = vec![nothing; ends[rows]];
    let mut next = ends.clone();
    for entry in entries.iter().flat_map(|e| std::iter::once(*e).chain(images(e))) {
        let place = &mut next[entry.row as usize];
        sorted[*place] = entry;
        *place += 1;
    }
    for row in 0..rows {
        sorted[ends[row]..ends[row + 1]].sort_by_key(|entry| entry.column);
    }
    sorted
}

/// The sum of `count` terms in four interleaved lanes, (0+1)+(2+3) at the end: an order that is a
/// function of `count` alone and leaves room for the processor to overlap additions.
pub(crate) fn sum4(count: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; 4];
    let whole = count - count % 4;
    for first in (0..whole).step_by(4) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    for (k, sum) in (whole..count).zip(&mut lanes) {
        *sum += term(k);
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

#[cfg(test)]
mod tests;
