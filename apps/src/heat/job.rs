//! The field as a job of Mainstay: its state by name, and what ranks tell each other.
//!
//! Invariants: the field carries its place in the global array, so that a version can be read
//! without knowing the ranks and be restored on any number of them; two ranks share one side at most, so one tag will do. Deliberately
//! absent: what the messages are for.

use mainstay::{Comm, Fields, Op, Request, Result, State};

use super::{Layout, Side, Stencil, heat_of_row, rows, sum};
use crate::raster::Raster;

/// Tag of the edges of blocks.
const EDGE: u32 = 1;

/// What must survive a failure: the temperatures of a rank's block, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Steps done.
    pub step: u64,
    /// The block; NaN where a cell is missing.
    pub u: Vec<f64>,
    shape: [u64; 2],
    offset: [u64; 2],
    extent: [u64; 2],
}

impl Heat {
    /// The start: the cells of `raster` in the block of `rank`.
    #[must_use]
    pub fn new(raster: &Raster, layout: &Layout, rank: usize) -> Self {
        let block = layout.block(rank);
        let mut u = Vec::with_capacity(block.cells());
        for row in block.rows.clone() {
            u.extend_from_slice(&raster.row(row)[block.columns.clone()]);
        }
        Self {
            step: 0,
            u,
            shape: [raster.rows() as u64, raster.columns() as u64],
            offset: [block.rows.start as u64, block.columns.start as u64],
            extent: [block.rows.len() as u64, block.columns.len() as u64],
        }
    }
}

impl State for Heat {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step).replicated();
        f.array("u", &mut self.u).block(self.shape, self.offset, self.extent);
    }
}

/// A rank among those whose blocks touch its own.
#[derive(Debug)]
pub struct Neighbours {
    world: Comm,
    layout: Layout,
    /// With the side that is shared, but between ranks without cells.
    peers: Vec<(Option<Side>, usize)>,
    packed: Vec<f64>,
}

impl Neighbours {
    /// The neighbours of this rank.
    #[must_use]
    pub fn new(world: Comm, layout: Layout) -> Self {
        let rank = world.rank();
        let peer = |side| layout.neighbour(rank, side).map(|peer| (Some(side), peer));
        let peers = Side::ALL.into_iter().filter_map(peer);
        let peers = peers.chain(layout.followed(rank).map(|peer| (None, peer))).collect();
        Self { world, layout, peers, packed: Vec::new() }
    }

    /// Gives the edges of `u` to the neighbours and takes theirs.
    ///
    /// # Errors
    /// An interruption.
    pub fn exchange(&mut self, u: &[f64], stencil: &mut Stencil) -> Result<()> {
        let mut sends = Vec::with_capacity(self.peers.len());
        for (side, peer) in &self.peers {
            self.packed.clear();
            if let Some(side) = side {
                stencil.edge(u, *side, &mut self.packed);
            }
            sends.push(self.world.isend(&self.packed, *peer, EDGE)?);
        }
        for (side, peer) in &self.peers {
            let halo = side.map_or(&mut [][..], |side| stencil.halo(side));
            let received = self.world.recv(halo, *peer, EDGE)?;
            debug_assert_eq!(received, halo.len(), "blocks that touch have equal sides");
        }
        Request::wait_all(sends).map(drop)
    }

    /// Brings all blocks into rows; gives this rank's, of which every `together` stay on one rank.
    ///
    /// # Errors
    /// An interruption.
    pub fn to_rows(&self, u: &[f64], together: usize) -> Result<Vec<f64>> {
        let (rank, ranks) = (self.world.rank(), self.layout.ranks());
        let slab = |rank| rows::slab(&self.layout, rank, together);
        let block = self.layout.block(rank);
        let parts: Vec<&[f64]> = (0..ranks).map(|to| rows::cut(&block, u, &slab(to))).collect();
        let parts = self.world.alltoall(&parts)?;
        let (own, columns) = (slab(rank), self.layout.size().1);
        let mut cells = vec![f64::NAN; own.len() * columns];
        for (from, part) in parts.iter().enumerate() {
            rows::paste(&self.layout.block(from), part, &own, (&mut cells, columns));
        }
        Ok(cells)
    }

    /// The heat of the field whose rows the ranks hold; known to rank 0.
    ///
    /// # Errors
    /// An interruption.
    pub fn heat(&self, cells: &[f64]) -> Result<Option<f64>> {
        let each: Vec<f64> = cells.chunks(self.layout.size().1).map(heat_of_row).collect();
        Ok(self.world.gather(&each, 0)?.map(sum))
    }

    /// The least and the greatest number of the field; known to all ranks.
    ///
    /// # Errors
    /// An interruption.
    pub fn range(&self, cells: &[f64]) -> Result<(f64, f64)> {
        let least = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(f64::INFINITY, f64::min);
        let mut both =
            [least(&mut cells.iter().copied()), least(&mut cells.iter().map(|value| -value))];
        self.world.allreduce(&mut both, Op::Min)?;
        Ok((both[0], -both[1]))
    }
}
