//! Who talks to whom in a collective: fixed schedules, functions of rank, root and `n` alone.
//!
//! Invariant: a reduction always combines in one order,
//! `acc(r) = op(acc(r), acc(r + 2^k))` for k = 0, 1, … , so its bits depend on nothing but the
//! operation and the number of ranks. Deliberately absent: payload, timing, sizes.

use mainstay_types::Rank;

/// The ranks whose partial results `rank` folds into its own, in this order, before it passes on
/// its own to [`parent`]. Rank 0 ends with the result of all.
pub fn children(rank: Rank, n: u32) -> impl Iterator<Item = Rank> + Clone {
    (0..u32::BITS)
        .map(|k| 1_u32 << k)
        .take_while(move |step| rank.0 & step == 0)
        .map_while(move |step| rank.0.checked_add(step))
        .take_while(move |child| *child < n)
        .map(Rank)
}

/// The rank that folds in the partial result of `rank`; `None` for rank 0.
#[must_use]
pub fn parent(rank: Rank) -> Option<Rank> {
    (rank.0 != 0).then(|| Rank(rank.0 & (rank.0 - 1)))
}

/// The rank from which `rank` gets what `root` broadcasts; `None` for the root.
#[must_use]
pub fn broadcast_parent(rank: Rank, root: Rank, n: u32) -> Option<Rank> {
    parent(relative(rank, root, n)).map(|parent| absolute(parent, root, n))
}

/// The ranks to which `rank` passes on what `root` broadcasts, farthest first.
pub fn broadcast_children(rank: Rank, root: Rank, n: u32) -> impl Iterator<Item = Rank> + Clone {
    let relative = relative(rank, root, n);
    let count = children(relative, n).count();
    (0..count).rev().map(move |k| absolute(Rank(relative.0 + (1 << k)), root, n))
}

/// The rounds of a barrier: in each, `rank` tells the first and then waits for the second.
pub fn barrier(rank: Rank, n: u32) -> impl Iterator<Item = (Rank, Rank)> + Clone {
    (0..u32::BITS)
        .map(|k| 1_u32 << k)
        .take_while(move |step| *step < n)
        .map(move |step| (absolute(rank, Rank(step), n), relative(rank, Rank(step), n)))
}

/// `rank` counted from `root`.
fn relative(rank: Rank, root: Rank, n: u32) -> Rank {
    Rank((rank.0 + n - root.0) % n)
}

fn absolute(relative: Rank, root: Rank, n: u32) -> Rank {
    Rank((relative.0 + root.0) % n)
}
