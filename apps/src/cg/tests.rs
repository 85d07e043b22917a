//! The iteration: alone on small and real systems, on several ranks as threads, and its faults.

use std::sync::{Barrier, Mutex};

use sha2::{Digest, Sha256};

use super::*;
use crate::mtx::{self, Coordinates, Entry, Symmetry};
use crate::sparse::Csr;
use crate::testing::real_matrix;

/// Ranks as threads: each call writes its block, waits, reads all blocks, waits.
struct Together<'a> {
    rank: usize,
    blocks: &'a [Mutex<Vec<f64>>],
    barrier: &'a Barrier,
}

impl Together<'_> {
    fn exchange(&self, block: &[f64]) -> Vec<Vec<f64>> {
        *self.blocks[self.rank].lock().unwrap() = block.to_vec();
        self.barrier.wait();
        let all = self.blocks.iter().map(|b| b.lock().unwrap().clone()).collect();
        self.barrier.wait();
        all
    }
}

impl Collectives for Together<'_> {
    type Error = SolveError;

    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.blocks.len()
    }

    fn sum(&mut self, values: &mut [f64]) -> Result<(), SolveError> {
        let all = self.exchange(values);
        for (k, value) in values.iter_mut().enumerate() {
            *value = all[1..].iter().fold(all[0][k], |sum, block| sum + block[k]);
        }
        Ok(())
    }

    fn allgather(&mut self, block: &[f64], whole: &mut Vec<f64>) -> Result<(), SolveError> {
        *whole = self.exchange(block).concat();
        Ok(())
    }
}

fn options(systems: usize) -> Options {
    Options { tolerance: Options::TOLERANCE, systems, seed: 1 }
}

fn solve<C: Collectives>(
    matrix: &Csr,
    first: Option<&[f64]>,
    options: &Options,
    world: &mut C,
) -> Result<Cg, C::Error> {
    let rows = matrix.rows_of(world.rank(), world.ranks());
    let mut solver = Solver::new(matrix, first, rows, options.clone());
    let mut cg = solver.fresh_state();
    while !solver.is_done(&cg) {
        solver.step(&mut cg, world)?;
    }
    Ok(cg)
}

fn solve_on(ranks: usize, matrix: &Csr, options: &Options) -> Vec<Result<Cg, SolveError>> {
    let blocks: Vec<_> = (0..ranks).map(|_| Mutex::new(Vec::new())).collect();
    let barrier = Barrier::new(ranks);
    std::thread::scope(|scope| {
        let start = |rank| {
            let mut world = Together { rank, blocks: &blocks, barrier: &barrier };
            scope.spawn(move || solve(matrix, None, options, &mut world))
        };
        let running: Vec<_> = (0..ranks).map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn joined(states: &[Result<Cg, SolveError>]) -> Vec<f64> {
    states.iter().flat_map(|cg| cg.as_ref().unwrap().solutions()).copied().collect()
}

/// Small symmetric matrices, by their lower triangle.
fn symmetric(order: u32, listed: &[(u32, u32, f64)]) -> Csr {
    let entries = listed.iter().map(|&(row, column, value)| Entry { row, column, value });
    let (symmetry, entries) = (Symmetry::Symmetric, entries.collect());
    Csr::new(&Coordinates { rows: order, columns: order, symmetry, entries }).unwrap()
}

/// The second difference in one dimension.
fn laplace(order: u32) -> Csr {
    let mut listed: Vec<_> = (0..order).map(|i| (i, i, 2.0)).collect();
    listed.extend((1..order).map(|i| (i, i - 1, -1.0)));
    symmetric(order, &listed)
}

#[test]
fn a_diagonal_matrix_is_solved_in_one_iteration() {
    let matrix = symmetric(3, &[(0, 0, 2.0), (1, 1, 4.0), (2, 2, 8.0)]);
    let cg = solve(&matrix, Some(&[2.0, 8.0, 32.0]), &options(1), &mut Alone).unwrap();
    assert_eq!(cg.solutions(), [1.0, 2.0, 4.0]);
    assert_eq!((cg.iterations(), cg.solved(), cg.residual()), (1, 1, 0.0));
}

#[test]
fn a_small_system_is_solved_in_as_many_iterations_as_rows() {
    let cg = solve(&laplace(50), None, &options(1), &mut Alone).unwrap();
    assert!(cg.iterations() <= 50);
    assert!(cg.residual() <= 1e-10);
    assert!(cg.solutions().iter().all(|x| (x - 1.0).abs() < 1e-8));
}

#[test]
fn several_systems_lie_row_by_row_and_the_first_is_the_lone_one() {
    let matrix = laplace(30);
    let lone = solve(&matrix, None, &options(1), &mut Alone).unwrap();
    let three = solve(&matrix, None, &options(3), &mut Alone).unwrap();
    assert_eq!(three.solutions().len(), 90);
    let first: Vec<f64> = three.solutions().chunks(3).map(|row| row[0]).collect();
    assert_eq!(first, lone.solutions());
    for system in 1..3_usize {
        let x: Vec<f64> = three.solutions().chunks(3).map(|row| row[system]).collect();
        let mut ax = vec![0.0; 30];
        matrix.multiply(0..30, &x, &mut ax);
        for (row, value) in ax.iter().enumerate() {
            assert!((value - crate::rhs::uniform(1, system as u64, row as u64)).abs() < 1e-8);
        }
    }
    let other = solve(&matrix, None, &Options { seed: 2, ..options(3) }, &mut Alone).unwrap();
    assert_ne!(other.solutions(), three.solutions());
}

#[test]
fn a_zero_right_hand_side_has_the_zero_solution() {
    let mut solver_options = options(2);
    solver_options.seed = 7;
    let cg = solve(&laplace(5), Some(&[0.0; 5]), &solver_options, &mut Alone).unwrap();
    assert!(cg.solutions().chunks(2).all(|row| row[0] == 0.0 && row[1] != 0.0));
    assert_eq!(cg.solved(), 2);
}

#[test]
fn an_indefinite_matrix_is_told_with_its_iteration() {
    let matrix = symmetric(2, &[(0, 0, 1.0), (1, 0, 2.0), (1, 1, 1.0)]);
    let error = solve(&matrix, Some(&[1.0, -1.0]), &options(1), &mut Alone).unwrap_err();
    let (system, iteration, curvature) = (1, 1, -2.0);
    assert_eq!(error, SolveError::NotPositiveDefinite { system, iteration, curvature });
    assert!(error.is_about_the_input());
    // In the second iteration, of the second system, on every rank.
    let matrix = symmetric(3, &[(0, 0, 1.0), (1, 0, 2.0), (1, 1, 1.0), (2, 2, 3.0)]);
    for outcome in solve_on(3, &matrix, &options(2)) {
        let error = outcome.unwrap_err();
        let SolveError::NotPositiveDefinite { iteration, .. } = error else { panic!("{error}") };
        assert!(error.to_string().contains(&format!("in iteration {iteration} of system")));
    }
}

#[test]
fn numbers_out_of_range_are_told_apart_from_indefinite_matrices() {
    let tiny = [1e-200; 5];
    let error = solve(&laplace(5), Some(&tiny), &options(1), &mut Alone).unwrap_err();
    assert_eq!(error, SolveError::RightHandSide { system: 1, square: 0.0 });
    let error = solve(&laplace(5), Some(&[1e200; 5]), &options(1), &mut Alone).unwrap_err();
    assert_eq!(error, SolveError::RightHandSide { system: 1, square: f64::INFINITY });
    let huge = symmetric(2, &[(0, 0, 1.0), (1, 0, 1e155), (1, 1, 1e308)]);
    let error = solve(&huge, Some(&[1e150, 1e150]), &options(1), &mut Alone).unwrap_err();
    assert_eq!(error, SolveError::Overflow { system: 1, iteration: 1 });
}

/// The fourth difference in one dimension: a clamped beam, badly conditioned.
fn beam(order: u32) -> Csr {
    let mut listed: Vec<_> = (0..order).map(|i| (i, i, 6.0)).collect();
    listed.extend((1..order).map(|i| (i, i - 1, -4.0)));
    listed.extend((2..order).map(|i| (i, i - 2, 1.0)));
    symmetric(order, &listed)
}

#[test]
fn a_tolerance_out_of_reach_ends_at_the_limit_or_when_the_residual_vanishes() {
    let never = Options { tolerance: 1e-300, ..options(1) };
    for (matrix, last) in [(laplace(40), 384), (beam(40), 400)] {
        let error = solve(&matrix, None, &never, &mut Alone).unwrap_err();
        let SolveError::NotConverged { iterations, reached, wanted, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((iterations, wanted), (last, 1e-300));
        assert!(reached < 1e-10 && reached > 0.0);
        assert!(!error.is_about_the_input());
    }
}

#[test]
fn every_number_of_ranks_gives_its_own_bits_each_time_and_nearly_the_same_numbers() {
    let matrix = laplace(60);
    let lone = joined(&solve_on(1, &matrix, &options(2)));
    assert_eq!(lone, solve(&matrix, None, &options(2), &mut Alone).unwrap().solutions());
    for ranks in [2, 3, 4, 7, 61] {
        let once = joined(&solve_on(ranks, &matrix, &options(2)));
        assert_eq!(once, joined(&solve_on(ranks, &matrix, &options(2))), "{ranks} ranks");
        assert!(once.iter().zip(&lone).all(|(a, b)| (a - b).abs() < 1e-6), "{ranks} ranks");
    }
}

#[test]
fn a_copy_of_the_state_continues_to_the_same_bits() {
    let matrix = laplace(40);
    let whole = solve(&matrix, None, &options(2), &mut Alone).unwrap();
    let steps = whole.iterations();
    for pause in 0..steps {
        let mut before = Solver::new(&matrix, None, 0..40, options(2));
        let mut cg = before.fresh_state();
        for _ in 0..pause {
            before.step(&mut cg, &mut Alone).unwrap();
        }
        let mut after = Solver::new(&matrix, None, 0..40, options(2));
        let mut restored = cg.clone();
        while !after.is_done(&restored) {
            after.step(&mut restored, &mut Alone).unwrap();
        }
        assert_eq!(restored, whole, "paused after step {pause}");
    }
}

#[test]
fn the_real_matrix_is_the_published_one_and_is_solved() {
    let packed = std::fs::read(real_matrix()).unwrap();
    let digest: String = Sha256::digest(&packed).iter().map(|b| format!("{b:02x}")).collect();
    let readme = include_str!("../../../data/README.md");
    assert!(readme.contains(&digest), "data/README.md must name {digest}");

    let listed = mtx::read(&real_matrix()).unwrap();
    assert_eq!((listed.rows, listed.entries.len()), (4884, 147_631));
    let matrix = Csr::new(&listed).unwrap();
    assert_eq!(matrix.entries(), 2 * 147_631 - 4884);
    matrix.check_definite().unwrap();
    let alone = solve(&matrix, None, &options(1), &mut Alone).unwrap();
    assert!(alone.residual() < 2e-10, "{:e}", alone.residual());
    assert!(alone.solutions().iter().all(|x| (x - 1.0).abs() < 1e-6));

    // A loose tolerance, for the time that an unoptimised build takes.
    let loose = Options { tolerance: 1e-2, ..options(1) };
    let four = joined(&solve_on(4, &matrix, &loose));
    assert_eq!(four, joined(&solve_on(4, &matrix, &loose)));
}
