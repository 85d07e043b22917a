//! Collectives in which every rank has blocks of its own for others, and prefixes.
//!
//! Invariants: as in `collective`; a prefix folds from rank 0 up, one rank after the other, so its
//! bits too are a function of the number of ranks alone. Deliberately absent: algorithms that trade
//! latency for copies.

use mainstay_comm::matching::{Label, Wanted};
use mainstay_types::{Point, Rank};

use super::collective::{Kind, pieces};
use super::inbound::Buffer;
use super::wait::Work;
use super::{CommError, Endpoint, Fold, Result};

impl Endpoint {
    /// Gives each rank its block of `root`'s, which may differ in length. `blocks` is one for each
    /// rank at the root, and is not looked at elsewhere.
    ///
    /// # Errors
    /// [`CommError`]; [`CommError::Blocks`] for another number of them.
    pub fn scatter(&mut self, context: u32, root: Rank, blocks: &[&[u8]]) -> Result<Vec<u8>> {
        self.collective(|e| {
            e.known(root)?;
            let label = e.label(context, Kind::Scatter);
            if e.me != root {
                (e.point)(Point::CollectiveMid);
                return e.recv_growing(root, label);
            }
            e.one_for_each(blocks)?;
            for rank in Rank::all(e.n()).filter(|rank| *rank != root) {
                e.send_inner(rank, label, blocks[rank.index()])?;
                (e.point)(Point::CollectiveMid);
            }
            Ok(blocks[root.index()].to_vec())
        })
    }

    /// Gives each rank a block of this one, and this one a block of each, in rank order. Lengths may
    /// differ.
    ///
    /// # Errors
    /// As [`Endpoint::scatter`].
    pub fn alltoall(&mut self, context: u32, blocks: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        self.collective(|e| {
            e.one_for_each(blocks)?;
            let label = e.label(context, Kind::Exchange);
            let n = e.n();
            let mut all = vec![Vec::new(); n as usize];
            all[e.me.index()] = blocks[e.me.index()].to_vec();
            for k in 1..n {
                let (to, from) = (Rank((e.me.0 + k) % n), Rank((e.me.0 + n - k) % n));
                all[from.index()] = e.exchange(to, from, label, blocks[to.index()])?;
                (e.point)(Point::CollectiveMid);
            }
            Ok(all)
        })
    }

    /// Folds the blocks of this rank and all below it into `block`. `before` gets those below alone,
    /// and is left as it is at rank 0; it has the length of `block`.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn scan(
        &mut self,
        context: u32,
        block: &mut [u8],
        before: &mut [u8],
        fold: Fold<'_>,
    ) -> Result<()> {
        self.collective(|e| {
            let label = e.label(context, Kind::Scan);
            let (below, above) = (e.me.0.checked_sub(1).map(Rank), Rank(e.me.0 + 1));
            let chunk = e.chunk;
            for (piece, before) in pieces(block, chunk).zip(pieces(before, chunk)) {
                if let Some(below) = below {
                    e.recv_exact(below, label, before)?;
                    let mut prefix = before.to_vec();
                    fold(&mut prefix, piece);
                    piece.copy_from_slice(&prefix);
                }
                (e.point)(Point::CollectiveMid);
                if above.0 < e.n() {
                    e.send_inner(above, label, piece)?;
                }
            }
            Ok(())
        })
    }

    fn one_for_each(&self, blocks: &[&[u8]]) -> Result<()> {
        match blocks.len() == self.n() as usize {
            true => Ok(()),
            false => Err(CommError::Blocks { found: blocks.len(), n: self.n() }),
        }
    }

    /// Sends to one rank while it receives from another.
    fn exchange(&mut self, to: Rank, from: Rank, label: Label, payload: &[u8]) -> Result<Vec<u8>> {
        (self.point)(Point::Send);
        let send = self.number(to, label, payload)?.map(|message| (message, payload));
        let mut bytes = Vec::new();
        let target = self.target(Wanted::exactly(from, label), Buffer::Growing(&mut bytes));
        let mut work = Work { send, receive: Some(target), ..Work::default() };
        self.drive(&mut work)?;
        self.received(&mut work);
        Ok(bytes)
    }
}
