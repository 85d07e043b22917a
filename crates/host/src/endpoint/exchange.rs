//! Collectives in which every rank has blocks of its own for others, and prefixes.
//!
//! Invariants: as in `collective`; a prefix folds from rank 0 up, one rank after the other, so its
//! bits too are a function of the number of ranks alone. Deliberately absent: algorithms that trade
//! latency for copies.

use mainstay_comm::matching::{Label, Wanted};
use mainstay_types::{Point, Rank};

use super::board::Rooms;
use super::collective::{Kind, pieces};
use super::inbound::Buffer;
use super::wait::Work;
use super::{CommError, Endpoint, Fold, Group, Result};

impl Endpoint {
    /// Gives each rank its block of `root`'s, which may differ in length. `blocks` is one for each
    /// rank at the root, and is not looked at elsewhere.
    ///
    /// # Errors
    /// [`CommError`]; [`CommError::Blocks`] for another number of them.
    pub fn scatter(&mut self, group: &Group, root: Rank, blocks: &[&[u8]]) -> Result<Vec<u8>> {
        self.collective(|e| {
            group.known(root)?;
            let label = e.label(group, Kind::Scatter);
            if group.me() != root {
                (e.point)(Point::CollectiveMid);
                return e.recv_growing(group.at(root), label);
            }
            one_for_each(group, blocks)?;
            for place in Rank::all(group.n()).filter(|place| *place != root) {
                e.send_inner(group.at(place), label, blocks[place.index()])?;
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
    pub fn alltoall(&mut self, group: &Group, blocks: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        let mut rooms = Rooms::growing(group.n());
        self.alltoall_into(group, blocks, &mut rooms)?;
        Ok(rooms.into_blocks())
    }

    /// As [`Endpoint::alltoall`] with blocks of one length, side by side in `data` and `room`, which
    /// have the same length, a multiple of the number of ranks.
    ///
    /// # Errors
    /// As [`Endpoint::alltoall`]; [`CommError::Unequal`] for blocks of other lengths.
    pub fn alltoall_equal(&mut self, group: &Group, data: &[u8], room: &mut [u8]) -> Result<()> {
        let bytes = room.len() / group.n() as usize;
        let block = |place: Rank| &data[place.index() * bytes..][..bytes];
        let blocks: Vec<&[u8]> = Rank::all(group.n()).map(block).collect();
        self.alltoall_into(group, &blocks, &mut Rooms::Equal { room, bytes })
    }

    fn alltoall_into(
        &mut self,
        group: &Group,
        blocks: &[&[u8]],
        rooms: &mut Rooms<'_>,
    ) -> Result<()> {
        self.collective(|e| {
            one_for_each(group, blocks)?;
            if let Some(board) = e.board_of(group)
                && e.swap_on_board((group, board), Kind::Exchange, blocks, rooms)?
            {
                return Ok(());
            }
            let label = e.label(group, Kind::Exchange);
            let (me, n) = (group.me().0, group.n());
            rooms.put(group.me(), e.me, blocks[group.me().index()])?;
            for k in 1..n {
                let (to, from) = (Rank((me + k) % n), Rank((me + n - k) % n));
                let peers = (group.at(to), group.at(from));
                let block = e.exchange(peers, label, blocks[to.index()])?;
                rooms.put(from, peers.1, &block)?;
                (e.point)(Point::CollectiveMid);
            }
            Ok(())
        })
    }

    /// Folds the blocks of this rank and all below it into `block`. `before` gets those below alone,
    /// and is left as it is at rank 0; it has the length of `block`.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn scan(
        &mut self,
        group: &Group,
        block: &mut [u8],
        before: &mut [u8],
        fold: &mut Fold<'_>,
    ) -> Result<()> {
        self.collective(|e| {
            let label = e.label(group, Kind::Scan);
            let me = group.me().0;
            let (below, above) = (me.checked_sub(1).map(Rank), Rank(me + 1));
            let chunk = fold.piece_bytes(e.chunk);
            for (piece, before) in pieces(block, chunk).zip(pieces(before, chunk)) {
                if let Some(below) = below {
                    e.recv_exact(group.at(below), label, before)?;
                    let mut prefix = before.to_vec();
                    (fold.combine)(&mut prefix, piece);
                    piece.copy_from_slice(&prefix);
                }
                (e.point)(Point::CollectiveMid);
                if above.0 < group.n() {
                    e.send_inner(group.at(above), label, piece)?;
                }
            }
            Ok(())
        })
    }

    /// Sends to one rank while it receives from another.
    fn exchange(
        &mut self,
        (to, from): (Rank, Rank),
        label: Label,
        payload: &[u8],
    ) -> Result<Vec<u8>> {
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

fn one_for_each(group: &Group, blocks: &[&[u8]]) -> Result<()> {
    match blocks.len() == group.n() as usize {
        true => Ok(()),
        false => Err(CommError::Blocks { found: blocks.len(), n: group.n() }),
    }
}
