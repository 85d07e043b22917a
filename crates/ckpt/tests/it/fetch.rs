//! Nodes that hold each other's copies or parity, carried out on slices: every loss within the claim
//! gives every byte back, and one more is refused.

use mainstay_ckpt::fetch::{Fetch, Layout, Of, Piece, Place, Ring};
use mainstay_types::wire::node::{Part, Redundancy};
use mainstay_types::{Node, Rank};

struct World {
    own: Vec<Vec<u8>>,
    held: Vec<Vec<u8>>,
}

impl World {
    fn new(lengths: &[u64]) -> Self {
        let own = lengths.iter().zip(1_u64..).map(|(bytes, seed)| {
            let byte = |i: u64| (i.wrapping_mul(seed * 2 + 1) >> (seed % 5)) as u8;
            (0..*bytes).map(byte).collect()
        });
        Self { own: own.collect(), held: vec![Vec::new(); lengths.len()] }
    }

    fn bytes(&self, node: Node, place: Place) -> &[u8] {
        match place {
            Place::Own => &self.own[node.index()],
            Place::Held => &self.held[node.index()],
        }
    }

    /// The result of a fetch by a node.
    fn carry_out(&self, node: Node, mut fetch: Fetch, into: &mut [u8]) {
        let sums = fetch.sums().to_vec();
        let mut left = fetch.bytes();
        while let Some(Piece { sum, inputs, at, bytes }) = fetch.next() {
            left -= bytes as u64;
            assert_eq!(fetch.bytes(), left);
            let mut nodes: Vec<_> = inputs.iter().map(|input| input.node).collect();
            let inputs: Vec<Vec<u8>> = inputs
                .iter()
                .map(|input| {
                    assert_ne!(input.node, node, "nothing of its own");
                    let mut piece = vec![0; bytes];
                    if input.bytes > 0 {
                        let from = &self.bytes(input.node, input.place)[input.at as usize..];
                        piece[..input.bytes].copy_from_slice(&from[..input.bytes]);
                    }
                    piece
                })
                .collect();
            nodes.sort_unstable();
            nodes.dedup();
            assert_eq!(nodes.len(), inputs.len(), "each from another node");
            let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            sums[sum].apply(&inputs, &mut [&mut into[at as usize..][..bytes]]);
        }
    }

    fn guard(&mut self, ring: Ring, lengths: &[u64]) {
        for node in Node::all(lengths.len() as u32) {
            let mut held = vec![0; ring.held_bytes(node, lengths) as usize];
            let fetch = ring.guard(node, lengths);
            assert_eq!(fetch.bytes(), held.len() as u64);
            self.carry_out(node, fetch, &mut held);
            self.held[node.index()] = held;
        }
    }
}

/// All sets of so many of the nodes.
fn losses(nodes: u32, lost: u32) -> Vec<Vec<Node>> {
    let sets = (0_u32..1 << nodes).filter(|set| set.count_ones() == lost);
    sets.map(|set| Node::all(nodes).filter(|node| set >> node.0 & 1 == 1).collect()).collect()
}

fn lengths(nodes: u32) -> Vec<u64> {
    // Of other lengths each, one of none, one of several pieces.
    (0..u64::from(nodes)).map(|i| [300_000, 4097, 0, 777, 131_072][i as usize % 5]).collect()
}

#[test]
fn every_loss_within_the_claim_gives_every_byte_back() {
    let mut cases = 0;
    for nodes in 2..=6 {
        let parities = (1..nodes).map(|m| (Redundancy::Parity(m as u8), m));
        for (redundancy, survives) in [(Redundancy::Partner, 1)].into_iter().chain(parities) {
            let ring = Ring::new(nodes, redundancy).unwrap();
            let lengths = lengths(nodes);
            let mut world = World::new(&lengths);
            world.guard(ring, &lengths);
            for lost in (1..=survives).flat_map(|count| losses(nodes, count)) {
                let left: Vec<_> = Node::all(nodes).filter(|node| !lost.contains(node)).collect();
                for node in &lost {
                    let own = &world.own[node.index()];
                    let end = own.len() as u64;
                    for range in [0..end, end / 3..end / 2] {
                        let ranges = [range.clone()];
                        let fetch = ring.rebuild(*node, &lengths, &ranges, &left).unwrap();
                        assert_eq!(fetch.bytes(), range.end - range.start);
                        let mut back = vec![0; own.len()];
                        world.carry_out(*node, fetch, &mut back);
                        let range = range.start as usize..range.end as usize;
                        assert!(
                            back[range.clone()] == own[range],
                            "{nodes} {redundancy:?} {lost:?}"
                        );
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 500, "{cases} parts rebuilt");
}

#[test]
fn one_loss_more_is_refused_and_so_are_too_few_nodes() {
    let lengths = lengths(4);
    let all = 0..lengths[0];
    let whole = std::slice::from_ref(&all);
    let ring = Ring::new(4, Redundancy::Partner).unwrap();
    assert!(ring.rebuild(Node(0), &lengths, whole, &[Node(2), Node(3)]).is_err());
    let ring = Ring::new(4, Redundancy::Parity(2)).unwrap();
    assert!(ring.rebuild(Node(0), &lengths, whole, &[Node(3)]).is_err());
    assert!(ring.rebuild(Node(0), &lengths, whole, &[Node(0), Node(3)]).is_err(), "itself");
    let ring = Ring::new(4, Redundancy::None).unwrap();
    assert!(ring.rebuild(Node(0), &lengths, whole, &[Node(1)]).is_err());
    assert_eq!((ring.held_bytes(Node(0), &lengths), ring.guard(Node(0), &lengths).bytes()), (0, 0));
    for (nodes, redundancy) in [
        (1, Redundancy::Partner),
        (1, Redundancy::Parity(1)),
        (3, Redundancy::Parity(3)),
        (3, Redundancy::Parity(4)),
    ] {
        assert!(Ring::new(nodes, redundancy).is_err(), "{nodes} {redundancy:?}");
    }
}

#[test]
fn parts_lie_one_behind_the_other() {
    let part =
        |rank, image_bytes, late_bytes| Part { rank: Rank(rank), slot: 1, image_bytes, late_bytes };
    let layout = Layout::new(&[part(4, 100, 0), part(5, 64, 10)]);
    assert_eq!(layout.bytes(), 128 + 64 + 64);
    assert_eq!((layout.range(Rank(4)), layout.range(Rank(5))), (Some(0..128), Some(128..256)));
    assert_eq!(layout.range(Rank(6)), None);
    let within = layout.within(90..200);
    let (first, second) = (Of::Image(Rank(4), 1), Of::Image(Rank(5), 1));
    assert_eq!(within, [(first, 90..100, 0), (second, 0..64, 38), (Of::Late(Rank(5)), 0..8, 102)]);
    assert_eq!(layout.within(100..128), [], "zeros");
    assert_eq!(Layout::new(&[]).bytes(), 0);
}
