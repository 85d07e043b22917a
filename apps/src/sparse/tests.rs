//! The matrix by rows: expansion, order of sums, checks, division among ranks.

use super::*;
use crate::rhs;

fn coordinates(order: u32, symmetry: Symmetry, entries: &[(u32, u32, f64)]) -> Coordinates {
    let entries = entries.iter().map(|&(row, column, value)| Entry { row, column, value });
    Coordinates { rows: order, columns: order, symmetry, entries: entries.collect() }
}

fn dense(matrix: &Csr) -> Vec<Vec<f64>> {
    let order = matrix.order();
    (0..order).map(|row| (0..order).map(|column| matrix.at(row, column)).collect()).collect()
}

#[test]
fn symmetry_is_expanded_and_duplicates_are_summed_in_the_order_of_the_file() {
    let listed = [(2, 0, 1e16), (0, 0, 4.0), (2, 0, 1.0), (1, 1, 5.0), (2, 0, -1e16), (2, 2, 6.0)];
    let matrix = Csr::new(&coordinates(3, Symmetry::Symmetric, &listed)).unwrap();
    // (1e16 + 1) - 1e16 is 0 in this order, and would be 1 in another.
    let expected = [[4.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 6.0]];
    assert_eq!(dense(&matrix), expected);
    assert_eq!(matrix.entries(), 5);
}

#[test]
fn general_entries_stand_for_themselves_and_rows_may_be_empty() {
    let listed = [(3, 1, 2.0), (0, 3, 1.0), (0, 0, 7.0), (0, 3, 0.5)];
    let matrix = Csr::new(&coordinates(4, Symmetry::General, &listed)).unwrap();
    assert_eq!(matrix.row(0), (&[0, 3][..], &[7.0, 1.5][..]));
    assert_eq!(matrix.row(1), (&[][..], &[][..]));
    assert_eq!(matrix.row(3), (&[1][..], &[2.0][..]));
}

#[test]
fn shapes_without_a_solution_are_refused_before_rows_are_allocated() {
    let mut wide = coordinates(2, Symmetry::General, &[(0, 0, 1.0), (1, 1, 1.0)]);
    wide.columns = 3;
    assert_eq!(Csr::new(&wide), Err(MatrixFault::NotSquare { rows: 2, columns: 3 }));
    let huge = coordinates(u32::MAX, Symmetry::Symmetric, &[(0, 0, 1.0)]);
    assert_eq!(Csr::new(&huge), Err(MatrixFault::EmptyRow { entries: 1, rows: u32::MAX }));
    let sum = coordinates(1, Symmetry::General, &[(0, 0, 1.5e308), (0, 0, 1.5e308)]);
    let value = f64::INFINITY;
    assert_eq!(Csr::new(&sum), Err(MatrixFault::Overflow { row: 1, column: 1, value }));
}

#[test]
fn a_diagonal_that_is_missing_zero_or_negative_names_its_row() {
    for (listed, value) in [
        (vec![(0, 0, 1.0), (1, 0, 1.0)], 0.0),
        (vec![(0, 0, 1.0), (1, 1, 0.0)], 0.0),
        (vec![(0, 0, 1.0), (1, 1, -2.0)], -2.0),
    ] {
        let matrix = Csr::new(&coordinates(2, Symmetry::Symmetric, &listed)).unwrap();
        assert_eq!(matrix.check_definite(), Err(MatrixFault::Diagonal { row: 2, value }));
    }
}

#[test]
fn asymmetry_beyond_rounding_is_refused() {
    let with = |mirror| {
        let listed = [(0, 0, 4.0), (0, 1, 1.0), (1, 0, mirror), (1, 1, 4.0)];
        Csr::new(&coordinates(2, Symmetry::General, &listed)).unwrap().check_definite()
    };
    assert_eq!(with(1.0), Ok(()));
    assert_eq!(with(1.0 + 1e-12), Ok(()));
    let fault = MatrixFault::NotSymmetric { row: 1, column: 2, value: 1.0, mirror: 1.1 };
    assert_eq!(with(1.1), Err(fault));
    let lone = [(0, 0, 4.0), (1, 0, 1.0), (1, 1, 4.0)];
    let lone = Csr::new(&coordinates(2, Symmetry::General, &lone)).unwrap();
    assert!(matches!(lone.check_definite(), Err(MatrixFault::NotSymmetric { .. })));
}

fn random_matrix(order: u32, seed: u64) -> Csr {
    let mut listed: Vec<(u32, u32, f64)> = (0..order).map(|i| (i, i, 50.0)).collect();
    for k in 0..u64::from(order) * 3 {
        let place = |salt| (rhs::word(seed, salt, k) % u64::from(order)) as u32;
        let (row, column) = (place(0), place(1));
        listed.push((row.max(column), row.min(column), rhs::uniform(seed, 2, k)));
    }
    Csr::new(&coordinates(order, Symmetry::Symmetric, &listed)).unwrap()
}

#[test]
fn a_product_has_the_same_bits_whoever_owns_the_row() {
    let matrix = random_matrix(97, 5);
    let v: Vec<f64> = (0..97).map(|row| rhs::uniform(9, 0, row)).collect();
    let mut whole = vec![0.0; 97];
    matrix.multiply(0..97, &v, &mut whole);
    for ranks in [1, 2, 3, 8, 97, 200] {
        let mut joined = Vec::new();
        for rank in 0..ranks {
            let rows = matrix.rows_of(rank, ranks);
            let mut part = vec![0.0; rows.len()];
            matrix.multiply(rows, &v, &mut part);
            joined.extend(part);
        }
        assert_eq!(joined, whole, "{ranks} ranks");
    }
    for (row, product) in whole.iter().enumerate() {
        let naive: f64 = (0..97).map(|column| matrix.at(row, column) * v[column]).sum();
        assert!((naive - product).abs() < 1e-12);
    }
}

#[test]
fn row_sums_are_the_product_with_ones() {
    let matrix = random_matrix(40, 3);
    let mut product = vec![0.0; 40];
    matrix.multiply(0..40, &[1.0; 40], &mut product);
    assert_eq!(matrix.row_sums(0..40), product);
}

#[test]
fn the_division_covers_every_row_once_and_balances_entries() {
    for (order, ranks) in [(1, 1), (1, 5), (7, 3), (97, 4), (97, 96), (500, 16)] {
        let matrix = random_matrix(order, 11);
        let mut next = 0;
        for rank in 0..ranks {
            let rows = matrix.rows_of(rank, ranks);
            assert_eq!(rows.start, next);
            next = rows.end;
            let own = matrix.starts[rows.end] - matrix.starts[rows.start];
            let longest = (0..matrix.order()).map(|r| matrix.row(r).0.len()).max().unwrap();
            assert!(own <= matrix.entries() / ranks + longest + 1, "rank {rank} of {ranks}");
        }
        assert_eq!(next, matrix.order());
    }
}

#[test]
fn the_four_lanes_have_one_order() {
    assert_eq!(sum4(0, |_| 1.0).to_bits(), 0);
    let terms: Vec<f64> = (0..11).map(|k| rhs::uniform(1, 1, k)).collect();
    let t = |k: usize| terms[k];
    let lane0 = (t(0) + t(4)) + t(8);
    let lane1 = (t(1) + t(5)) + t(9);
    let lane2 = (t(2) + t(6)) + t(10);
    let expected = (lane0 + lane1) + (lane2 + (t(3) + t(7)));
    assert_eq!(sum4(11, t).to_bits(), expected.to_bits());
}
