//! An order under way: pieces asked of other nodes, summed up, put where they belong.
//!
//! Invariant: a piece counts only with the checksum that its node gave; an answer to an older order is
//! heard by nobody. Deliberately absent: which pieces, see `ckpt::fetch`.

use std::collections::BTreeMap;

use mainstay_ckpt::Combination;
use mainstay_ckpt::fetch::{Fetch, Piece, Place};
use mainstay_types::wire::node::{Order, Talk, What};
use mainstay_types::{Node, Version};

use super::link::{DEPTH, Link};
use super::store::{Rebuilt, Store};

/// Where the result goes.
#[derive(Debug)]
pub(super) enum Target {
    /// It is held for others.
    Held(Vec<u8>),
    /// It is this node's own.
    Own(Rebuilt),
}

/// A piece whose inputs are on their way.
#[derive(Debug)]
struct Flying {
    piece: Piece,
    /// The number of each input's question; `None` once it is there.
    asked: Vec<Option<u32>>,
    inputs: Vec<Vec<u8>>,
}

/// Why an order comes to nothing.
#[derive(Debug)]
pub(super) struct Broken {
    /// The node whose line failed, if that is it.
    pub(super) peer: Option<Node>,
    pub(super) why: String,
}

impl Broken {
    /// The line to a node failed.
    pub(super) fn line(peer: Node, why: impl std::fmt::Display) -> Self {
        Self { peer: Some(peer), why: format!("the line to node {peer} failed: {why}") }
    }
}

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Self { peer: None, why }
    }
}

/// An order under way.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) version: Version,
    pub(super) attempt: u32,
    pub(super) bytes: u64,
    sums: Vec<Combination>,
    fetch: Fetch,
    flying: [Option<Flying>; DEPTH],
    /// Buffers that no piece uses.
    spare: Vec<Vec<u8>>,
    result: Vec<u8>,
    target: Target,
}

impl Task {
    pub(super) fn new(order: &Order, fetch: Fetch, target: Target) -> Self {
        Self {
            version: order.version,
            attempt: order.attempt,
            bytes: fetch.bytes(),
            sums: fetch.sums().to_vec(),
            result: vec![0; fetch.piece_bytes()],
            fetch,
            flying: [const { None }; DEPTH],
            spare: Vec::new(),
            target,
        }
    }

    /// Asks for as much as may be asked for; whether all is there.
    pub(super) fn advance(
        &mut self,
        links: &BTreeMap<Node, Link>,
        number: &mut u32,
    ) -> Result<bool, Broken> {
        for place in 0..DEPTH {
            while self.flying[place].is_none() {
                let Some(piece) = self.fetch.next() else { break };
                let flying = self.ask(piece, place, links, number)?;
                self.flying[place] = Some(flying);
                self.land(place);
            }
        }
        Ok(self.flying.iter().all(Option::is_none))
    }

    fn ask(
        &mut self,
        piece: Piece,
        place: usize,
        links: &BTreeMap<Node, Link>,
        next: &mut u32,
    ) -> Result<Flying, Broken> {
        let (mut asked, mut inputs) = (Vec::new(), Vec::new());
        for source in &piece.inputs {
            let mut input = self.spare.pop().unwrap_or_default();
            input.clear();
            input.resize(piece.bytes, 0);
            inputs.push(input);
            if source.bytes == 0 {
                asked.push(None);
                continue;
            }
            *next = next.wrapping_add(1);
            asked.push(Some(*next));
            let what = match source.place {
                Place::Own => What::Own,
                Place::Held => What::Held,
            };
            let link = links.get(&source.node);
            let link = link.ok_or_else(|| Broken::line(source.node, "there is none"))?;
            let ask = Talk::Ask {
                number: *next,
                place: u8::try_from(place).expect("a window has few places"),
                version: self.version,
                what,
                at: source.at,
                bytes: u32::try_from(source.bytes).expect("a piece is small"),
            };
            link.send(&ask).map_err(|error| Broken::line(source.node, error))?;
        }
        Ok(Flying { piece, asked, inputs })
    }

    /// An answer of a node; whether it is one to this order.
    pub(super) fn answer(&mut self, node: Node, link: &Link, talk: &Talk) -> Result<bool, Broken> {
        let (Talk::Data { number, .. } | Talk::Lacks { number, .. }) = talk else {
            return Ok(false);
        };
        let found = self.flying.iter().enumerate().find_map(|(place, flying)| {
            let i = flying.as_ref()?.asked.iter().position(|asked| *asked == Some(*number))?;
            Some((place, i))
        });
        let Some((place, i)) = found else { return Ok(false) };
        let flying = self.flying[place].as_mut().filter(|f| f.piece.inputs[i].node == node);
        let Some(flying) = flying else { return Ok(false) };
        match talk {
            Talk::Data { crc, .. } => {
                let bytes = flying.piece.inputs[i].bytes;
                let into = match &mut self.target {
                    // A copy goes to its place at once.
                    Target::Held(held) if self.sums[flying.piece.sum].is_a_copy() => {
                        let at = usize::try_from(flying.piece.at).expect("it lies in memory");
                        &mut held[at..at + bytes]
                    }
                    Target::Held(_) | Target::Own(_) => &mut flying.inputs[i][..bytes],
                };
                let place = u8::try_from(place).expect("a window has few places");
                let taken = link.take(place, into).map_err(|error| error.to_string())?;
                if taken != *crc {
                    return Err(format!("bytes of node {node} changed on their way").into());
                }
            }
            Talk::Lacks { why, .. } => return Err(format!("node {node}: {why}").into()),
            Talk::Ask { .. } => return Ok(false),
        }
        flying.asked[i] = None;
        self.land(place);
        Ok(true)
    }

    /// Sums a piece up if all of it is there.
    fn land(&mut self, place: usize) {
        let there = |flying: &mut Flying| flying.asked.iter().all(Option::is_none);
        let Some(Flying { piece, inputs, .. }) = self.flying[place].take_if(there) else { return };
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let sum = &self.sums[piece.sum];
        match &mut self.target {
            Target::Held(_) if sum.is_a_copy() => {}
            Target::Held(held) => {
                let at = usize::try_from(piece.at).expect("what is held lies in memory");
                sum.apply(&slices, &mut [&mut held[at..at + piece.bytes]]);
            }
            Target::Own(rebuilt) => {
                let result = &mut self.result[..piece.bytes];
                sum.apply(&slices, &mut [&mut *result]);
                rebuilt.put(piece.at, result);
            }
        }
        self.spare.extend(inputs);
    }

    /// All is there: puts it into the store; whether it is held for others.
    pub(super) fn finish(self, store: &mut Store) -> Result<bool, String> {
        match self.target {
            Target::Held(held) => {
                store.hold(self.version, held);
                Ok(true)
            }
            Target::Own(rebuilt) => rebuilt.finish(store, self.version).map(|()| false),
        }
    }
}
