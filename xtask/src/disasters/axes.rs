//! The axes of what is lost while a job runs: levels, how they store, losses, moments.
//!
//! Invariant: cells are the product of the axes, thinned by rules that are stated here; nothing is a
//! case of its own. Every point of the runtime is either a step of a commit or a recovery, and then a
//! moment, or named as none. Deliberately absent: what has to come of a cell; see [`super::oracle`].

use mainstay_types::Point;

/// Ranks of a job, and nodes of one that has nodes: one rank on each.
pub(crate) const RANKS: u64 = 4;

/// What nodes hold for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// There are no nodes: the launcher has all memory.
    NoNodes,
    /// Each node has its own alone.
    Nothing,
    /// The next node has a copy.
    Partner,
    /// So many parities.
    Parity(u64),
}

/// A level or a mixture of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// Its name.
    pub(crate) name: &'static str,
    /// In memory.
    pub(crate) guard: Guard,
    /// Options of the launcher.
    options: &'static [&'static str],
    /// Whether each version goes to disk, and not the first alone.
    pub(crate) disk: bool,
}

const fn level(
    name: &'static str,
    guard: Guard,
    options: &'static [&'static str],
    disk: bool,
) -> Level {
    Level { name, guard, options, disk }
}

const NODES: &str = "--virtual-nodes=4";

/// Every level, and those with a directory behind them.
pub(crate) const LEVELS: &[Level] = &[
    level("memory", Guard::NoNodes, &[], false),
    level("partner", Guard::Partner, &[NODES, "--redundancy=partner"], false),
    level("xor", Guard::Parity(1), &[NODES, "--redundancy=xor"], false),
    level("parity:2", Guard::Parity(2), &[NODES, "--redundancy=parity:2"], false),
    level("directory", Guard::Nothing, &[NODES, "--redundancy=none"], true),
    level("memory+directory", Guard::NoNodes, &[], true),
    level("partner+directory", Guard::Partner, &[NODES, "--redundancy=partner"], true),
    level("xor+directory", Guard::Parity(1), &[NODES, "--redundancy=xor"], true),
    level("parity:2+directory", Guard::Parity(2), &[NODES, "--redundancy=parity:2"], true),
];

/// How versions are stored: the name, and options.
pub(crate) const STORING: &[(&str, &[&str])] =
    &[("plain", &[]), ("packed", &["--full-every=3", "--compress=zstd"])];

/// Memory for versions.
pub(crate) const MEMORY: &[&str] = &["2x", "1x"];

/// What is lost at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Ranks whose processes are killed.
    pub(crate) ranks: Vec<u64>,
    /// Nodes, with their ranks.
    pub(crate) nodes: Vec<u64>,
    /// The launcher; the job is gone on with afterwards.
    pub(crate) launcher: bool,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At the n-th passage of a point, by `--inject`.
    Point(Point, u64),
    /// At a point of a recovery, by `--inject`, from a loss of one rank before.
    Recovery(Point),
    /// From outside, once that event is told for the n-th time; of a version, in that state.
    Event(&'static str, &'static str, u64),
    /// From outside, once that event of a recovery is told; something was lost before.
    After(&'static str),
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// At which level.
    pub(crate) level: Level,
    /// Index in [`STORING`].
    pub(crate) storing: usize,
    /// Of [`MEMORY`].
    pub(crate) memory: &'static str,
    /// What.
    pub(crate) loss: Loss,
    /// When.
    pub(crate) moment: Moment,
}

/// Whether a rank passes a point as a step of a capture, of a recovery or of the end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Message,
    Capture,
    Publication,
    Recovery,
    End,
}

/// A new point does not compile before it has a stage.
fn stage(point: Point) -> Stage {
    match point {
        Point::Send
        | Point::RingPublish
        | Point::MidChunk
        | Point::CollectiveEnter
        | Point::CollectiveMid
        | Point::AgreeMid
        | Point::Agreed => Stage::Message,
        Point::Captured | Point::CaptureMid | Point::Prepared => Stage::Capture,
        Point::ManifestWritten | Point::Published => Stage::Publication,
        Point::Respawned | Point::RestoreMid | Point::Acknowledged => Stage::Recovery,
        Point::FinishMid | Point::Finished => Stage::End,
    }
}

impl Level {
    /// Whether it has nodes.
    pub(crate) fn has_nodes(&self) -> bool {
        self.guard != Guard::NoNodes
    }

    /// How many nodes it may survive the loss of, if they are the right ones.
    fn claim(&self) -> u64 {
        match self.guard {
            Guard::NoNodes | Guard::Nothing => 0,
            Guard::Partner => RANKS / 2,
            Guard::Parity(parities) => parities,
        }
    }

    /// Every loss: each rank, all of them, each set of nodes up to the claim and one more, a node and
    /// a rank of another, the launcher.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        let none = || Loss { ranks: Vec::new(), nodes: Vec::new(), launcher: false };
        let mut losses: Vec<_> =
            (0..RANKS).map(|rank| Loss { ranks: vec![rank], ..none() }).collect();
        losses.push(Loss { ranks: (0..RANKS).collect(), ..none() });
        losses.push(Loss { launcher: true, ..none() });
        if self.has_nodes() {
            for set in 1_u64..1 << RANKS {
                let nodes: Vec<_> = (0..RANKS).filter(|node| set >> node & 1 == 1).collect();
                if nodes.len() as u64 <= self.claim() + 1 {
                    losses.push(Loss { nodes, ..none() });
                }
            }
            for node in 0..RANKS {
                let other = (node + 1) % RANKS;
                losses.push(Loss { nodes: vec![node], ranks: vec![other], ..none() });
            }
        }
        losses
    }

    /// Every moment at which that loss can be inflicted.
    fn moments(&self, loss: &Loss) -> Vec<Moment> {
        // Of a level without a directory the first version alone is published.
        let published = if self.disk { 2 } else { 1 };
        let mut moments = Vec::new();
        let one_rank = loss.nodes.is_empty() && loss.ranks.len() == 1;
        for point in Point::ALL {
            match stage(*point) {
                Stage::Message => {}
                Stage::Publication if loss.launcher => {}
                Stage::Publication => moments.push(Moment::Point(*point, published)),
                Stage::Capture if one_rank => moments.push(Moment::Point(*point, 3)),
                Stage::End if one_rank => moments.push(Moment::Point(*point, 1)),
                Stage::Recovery if one_rank => moments.push(Moment::Recovery(*point)),
                Stage::Capture | Stage::End | Stage::Recovery => {}
            }
        }
        moments.push(Moment::Event("target", "", 3));
        moments.push(Moment::Event("checkpoint", "committed", 3));
        moments.push(Moment::Event("checkpoint", "published", published));
        if self.claim() > 0 {
            moments.push(Moment::Event("guarded", "", 2));
        }
        moments.push(Moment::After("failure"));
        moments.push(Moment::After("restored"));
        if self.claim() > 0 {
            moments.push(Moment::After("rebuilt"));
        }
        moments
    }
}

impl Loss {
    /// Its name.
    fn name(&self) -> String {
        let list = |what: &str, of: &[u64]| {
            let of: Vec<_> = of.iter().map(u64::to_string).collect();
            if of.is_empty() { String::new() } else { format!("{what}{}", of.join("-")) }
        };
        match self.launcher {
            true => "launcher".to_owned(),
            false => list("nodes", &self.nodes) + &list("ranks", &self.ranks),
        }
    }

    /// Whether it stands for those of its kind where the product is thinned: rank 1, node 1, nodes 1
    /// and 2, node 1 and rank 2, all ranks, the launcher.
    fn is_typical(&self) -> bool {
        let first = |of: &[u64]| of.first().is_none_or(|first| *first == 1);
        let adjacent = self.nodes.windows(2).all(|pair| pair[1] == pair[0] + 1);
        self.ranks.len() as u64 == RANKS
            || first(&self.nodes) && adjacent && (!self.nodes.is_empty() || first(&self.ranks))
    }
}

impl Moment {
    /// Whether results are handed in already.
    pub(crate) fn is_at_the_end(self) -> bool {
        matches!(self, Self::Point(point, _) if stage(point) == Stage::End)
    }

    fn name(self) -> String {
        match self {
            Self::Point(point, nth) => format!("at {}#{nth}", point.name()),
            Self::Recovery(point) => format!("recovering at {}", point.name()),
            Self::Event(event, "", nth) => format!("after {event}#{nth}"),
            Self::Event(_, state, nth) => format!("after {state}#{nth}"),
            Self::After(event) => format!("recovering after {event}"),
        }
    }
}

impl Live {
    /// Its name: one word for each axis.
    pub(crate) fn name(&self) -> String {
        let storing = STORING[self.storing].0;
        let (loss, moment) = (self.loss.name(), self.moment.name());
        format!("live/{}/{storing}/{}/{loss}/{moment}", self.level.name, self.memory)
    }

    /// Options of the launcher but for directory and injections.
    pub(crate) fn options(&self) -> Vec<&'static str> {
        let disk: &[_] =
            if self.level.disk { &["--disk-every=each"] } else { &["--disk-every=1h"] };
        let stored = STORING[self.storing].1;
        let memory: &[_] = &["--ckpt-memory", self.memory];
        [self.level.options, disk, stored, memory].concat()
    }
}

/// One of so many moments of a loss is in the thinned product.
const THINNED: usize = 4;

/// The product: every loss at every moment at each level, stored plain with two arenas; of the other
/// ways to store, the losses that stand for their kind. Thinned, each loss meets one moment in four, the
/// next loss the next one: so every level still meets every loss, and every moment.
pub(crate) fn cells(all: bool) -> Vec<Live> {
    let mut cells = Vec::new();
    for level in LEVELS {
        for storing in 0..if level.disk { STORING.len() } else { 1 } {
            for memory in MEMORY.iter().copied() {
                for (nth, loss) in level.losses().into_iter().enumerate() {
                    if (storing > 0 || memory != "2x") && !loss.is_typical() {
                        continue;
                    }
                    for (turn, moment) in level.moments(&loss).into_iter().enumerate() {
                        if all || (nth + turn) % THINNED == 0 {
                            let loss = loss.clone();
                            cells.push(Live { level: *level, storing, memory, loss, moment });
                        }
                    }
                }
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_level_loses_every_rank_and_every_set_of_nodes_up_to_one_more_than_it_claims() {
        let sets = |name: &str| {
            let level = LEVELS.iter().find(|level| level.name == name).unwrap();
            let losses = level.losses();
            assert_eq!(losses.iter().filter(|loss| loss.launcher).count(), 1);
            let ranks = losses.iter().filter(|l| l.nodes.is_empty() && l.ranks.len() == 1);
            assert_eq!(ranks.count(), 4);
            losses.iter().filter(|l| !l.nodes.is_empty() && l.ranks.is_empty()).count()
        };
        let expected = [("memory", 0), ("directory", 4), ("xor", 10), ("partner", 14)];
        for (name, nodes) in expected {
            assert_eq!(sets(name), nodes, "{name}");
        }
    }

    #[test]
    fn names_are_unique_and_no_axis_is_thinned_away() {
        let all = cells(true);
        let names: BTreeSet<_> = all.iter().map(Live::name).collect();
        assert_eq!(names.len(), all.len());
        let thinned = cells(false);
        assert!(thinned.len() * 3 < all.len());
        for of in [&all, &thinned] {
            for level in LEVELS {
                let of_level: Vec<_> = of.iter().filter(|cell| cell.level == *level).collect();
                for point in Point::ALL.iter().filter(|point| stage(**point) != Stage::Message) {
                    let here = |cell: &&&Live| cell.moment.name().contains(point.name());
                    assert!(of_level.iter().any(|cell| here(&cell)), "{} {point:?}", level.name);
                }
                for loss in level.losses() {
                    assert!(
                        of_level.iter().any(|cell| cell.loss == loss),
                        "{} {loss:?}",
                        level.name
                    );
                }
            }
        }
        assert!(names.iter().any(|name| name.contains("/packed/1x/launcher/")));
    }
}
