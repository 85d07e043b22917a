//! Erasure codes: parity of shards, and lost shards from those that are left.
//!
//! Shards 0 to k−1 are data, k to k+m−1 parity; all have one length. Parity i is the sum over j of
//! c(i, j) times shard j in GF(2⁸), with c a Cauchy matrix whose columns are scaled so that its first
//! row is all ones: a single parity is the exclusive or. Every square part of a Cauchy matrix has an
//! inverse, and scaling keeps that, so any k shards give all others.
//!
//! Encoding and rebuilding are the same sums with other factors, so they run at the same speed.
//! Invariants: a code is a function of k and m alone, so parity that was written can be read by
//! whoever knows both; all kernels give the same bytes. Deliberately absent: where shards lie, and
//! whether they are what was written; manifests tell.
//!
//! # Source
//! J. Blömer, M. Kalfane, R. Karp, M. Karpinski, M. Luby, D. Zuckerman: An XOR-Based
//! Erasure-Resilient Coding Scheme. ICSI TR-95-048, 1995.

mod factor;
pub mod field;
mod group;
pub mod kernel;

pub use group::{Group, Held};
pub use kernel::{Combination, Kernel};

use field::{inverse, product};

/// Most shards of a code, parity included: rows and columns of the matrix are different elements of a
/// field of 256.
pub const SHARDS_MAX: usize = 255;

/// What a code cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// No data, no parity, or too many shards.
    #[error(
        "{data} data and {parity} parity shards make no code: give at least one of each, and at most \
         255 together"
    )]
    Size {
        /// Data shards.
        data: usize,
        /// Parity shards.
        parity: usize,
    },
    /// More shards are lost than there is parity.
    #[error("{left} shards are left, and {needed} are needed to rebuild another")]
    TooFew {
        /// Shards that are left.
        left: usize,
        /// Shards needed.
        needed: usize,
    },
    /// A shard that the code does not have, or one that is named twice.
    #[error("shard {0} is none of this code, or is named twice")]
    Shard(usize),
}

/// A code of k data and m parity shards: any k of them give all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    data: usize,
    parity: usize,
}

impl Code {
    /// The code of `data` and `parity` shards.
    ///
    /// # Errors
    /// [`CodeError::Size`] unless both are at least 1 and together at most [`SHARDS_MAX`].
    ///
    /// # Examples
    /// ```
    /// use mainstay_ckpt::erasure::Code;
    /// # fn main() -> Result<(), mainstay_ckpt::erasure::CodeError> {
    /// let code = Code::new(2, 1)?;
    /// let mut parity = [0; 3];
    /// code.encoder().apply(&[b"abc", b"xyz"], &mut [&mut parity]);
    /// // Shard 0 from those that are left: 1 and the parity, 2.
    /// let mut lost = [0; 3];
    /// code.rebuilder(&[1, 2], &[0])?.apply(&[b"xyz", &parity], &mut [&mut lost]);
    /// assert_eq!(&lost, b"abc");
    /// # Ok(()) }
    /// ```
    pub fn new(data: usize, parity: usize) -> Result<Self, CodeError> {
        let fits = data > 0 && parity > 0 && data.saturating_add(parity) <= SHARDS_MAX;
        if fits { Ok(Self { data, parity }) } else { Err(CodeError::Size { data, parity }) }
    }

    /// Data shards, k.
    #[must_use]
    pub fn data(self) -> usize {
        self.data
    }

    /// Parity shards, m.
    #[must_use]
    pub fn parity(self) -> usize {
        self.parity
    }

    /// How the parity shards come from the data shards, in order.
    #[must_use]
    pub fn encoder(self) -> Combination {
        let rows = (self.data..self.data + self.parity).flat_map(|shard| self.row(shard));
        Combination::new(self.data, rows)
    }

    /// How the shards `wanted` come from the first k of the shards `left`, which are the inputs in that
    /// order.
    ///
    /// # Errors
    /// [`CodeError::TooFew`] if fewer than k are left, [`CodeError::Shard`] for one that there is not,
    /// or that is among the first k twice.
    pub fn rebuilder(self, left: &[usize], wanted: &[usize]) -> Result<Combination, CodeError> {
        let k = self.data;
        let all = k + self.parity;
        if let Some(shard) = left.iter().chain(wanted).find(|shard| **shard >= all) {
            return Err(CodeError::Shard(*shard));
        }
        if left.len() < k {
            return Err(CodeError::TooFew { left: left.len(), needed: k });
        }
        let inputs = &left[..k];
        if let Some(shard) = twice(inputs) {
            return Err(CodeError::Shard(shard));
        }
        let known = inputs.iter().flat_map(|shard| self.row(*shard)).collect();
        // Rows of different shards are independent, so there is one.
        let inverse = inverted(known, k).ok_or(CodeError::Shard(inputs[0]))?;
        let factors = |shard: &usize| {
            let row = self.row(*shard);
            let factor = |input| sum_of_products(&row, inverse[input..].iter().step_by(k));
            (0..k).map(factor).collect::<Vec<_>>()
        };
        Ok(Combination::new(k, wanted.iter().flat_map(factors)))
    }

    /// A shard as a sum of data shards: the factor of each.
    fn row(self, shard: usize) -> Vec<u8> {
        (0..self.data)
            .map(|column| match shard.checked_sub(self.data) {
                None => u8::from(column == shard),
                Some(parity) => self.cauchy(parity, column),
            })
            .collect()
    }

    /// With x(i) = k + i and y(j) = j as elements: (x(0) + y(j)) / (x(i) + y(j)).
    fn cauchy(self, parity: usize, column: usize) -> u8 {
        // Below 256 by the bound on shards.
        let sum = |i: usize| (self.data + i) as u8 ^ column as u8;
        product(sum(0), inverse(sum(parity)))
    }
}

fn sum_of_products<'a>(a: &[u8], b: impl Iterator<Item = &'a u8>) -> u8 {
    a.iter().zip(b).fold(0, |sum, (a, b)| sum ^ product(*a, *b))
}

/// One that is named twice.
fn twice(shards: &[usize]) -> Option<usize> {
    let mut seen = [false; SHARDS_MAX];
    shards.iter().copied().find(|shard| std::mem::replace(&mut seen[*shard], true))
}

/// The inverse of a square matrix, rows one after the other, by Gauss and Jordan; `None` if it has none.
fn inverted(mut matrix: Vec<u8>, n: usize) -> Option<Vec<u8>> {
    let mut result: Vec<u8> = (0..n * n).map(|at| u8::from(at / n == at % n)).collect();
    for column in 0..n {
        let pivot = (column..n).find(|row| matrix[row * n + column] != 0)?;
        let scale = inverse(matrix[pivot * n + column]);
        for side in [&mut matrix, &mut result] {
            (0..n).for_each(|i| side.swap(pivot * n + i, column * n + i));
            side[column * n..][..n].iter_mut().for_each(|value| *value = product(*value, scale));
        }
        for row in (0..n).filter(|row| *row != column) {
            let factor = matrix[row * n + column];
            for side in [&mut matrix, &mut result] {
                for i in 0..n {
                    side[row * n + i] ^= product(factor, side[column * n + i]);
                }
            }
        }
    }
    Some(result)
}
