//! One seed of a campaign: which program, how many ranks, which policy, which faults.
//!
//! Invariant: a case is a function of its seed and of the fault-free references alone, so that
//! `--seed N` runs exactly that case again; only the moment at which the kernel delivers a kill
//! from outside is chance. Seeds that follow each other aim at every point in turn.

use mainstay_types::Point;

use super::reference::{MANY, PROGRAMS, Reference, SPECIAL};

/// Sebastiano Vigna's SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0. The bias is below 2^-40 for what is drawn here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A SIGKILL from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutsideKill {
    /// Whom.
    pub(crate) rank: u64,
    /// How long after all ranks were up, µs.
    pub(crate) after_us: u64,
}

/// What a case has to end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The reference's digest, with code 0, or 75 if an injection's moment never came.
    SameBits,
    /// The job is given up for SIGKILL: code 137, no digest, that cause.
    GivenUp,
}

/// One run of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// Its seed.
    pub(crate) seed: u64,
    /// Which program of [`PROGRAMS`].
    pub(crate) program: usize,
    /// Number of ranks.
    pub(crate) n: u64,
    /// Options of `mainstay run`, without the directory.
    pub(crate) options: Vec<String>,
    /// The point that it aims at, and the injection as the summary would name it.
    pub(crate) aim: Option<(Point, String)>,
    /// Kills from outside.
    pub(crate) kills: Vec<OutsideKill>,
    /// What it has to end with.
    pub(crate) expected: Expected,
}

/// The fewest and most ranks of a case.
pub(crate) const RANKS: std::ops::RangeInclusive<u64> = 2..=5;

/// What is drawn first, and decides which reference is needed.
pub(crate) fn program_and_ranks(seed: u64) -> (usize, u64) {
    let mut random = Random::new(seed ^ 0x5EED);
    let n = RANKS.start() + random.below(RANKS.end() - RANKS.start() + 1);
    let point = aim(seed);
    let special = SPECIAL.contains(&point);
    let fits = |program: &usize| !special || PROGRAMS[*program].passes.contains(&point);
    let programs: Vec<usize> = (0..PROGRAMS.len()).filter(fits).collect();
    let among = usize::try_from(random.below(programs.len() as u64)).unwrap_or(0);
    (programs[among], n)
}

/// The point that a seed aims at.
fn aim(seed: u64) -> Point {
    let count = Point::ALL.len() as u64;
    Point::ALL[usize::try_from(seed % count).unwrap_or(0)]
}

impl Case {
    /// The case of a seed, given the fault-free run of its program and number of ranks.
    pub(crate) fn new(seed: u64, reference: &Reference) -> Self {
        let (program, n) = program_and_ranks(seed);
        let mut random = Random::new(seed);
        let mut case = Self {
            seed,
            program,
            n,
            options: vec!["-n".into(), n.to_string()],
            aim: None,
            kills: Vec::new(),
            expected: Expected::SameBits,
        };
        if random.once_in(20) {
            case.give_up(&mut random, reference);
        } else {
            case.survive(&mut random, reference);
        }
        case
    }

    /// A fault that the policy or the budget does not cover.
    fn give_up(&mut self, random: &mut Random, reference: &Reference) {
        self.expected = Expected::GivenUp;
        let (rank, step) = (random.below(self.n), 1 + random.below(reference.steps));
        let every = 1 + reference.steps / (2 + random.below(8));
        let (policy, times) = match random.below(3) {
            0 => ("abort", ""),
            1 => ("restart", ":always"),
            _ => ("rollback", ":always"),
        };
        self.options(&["--policy", policy, "--ckpt-every", &format!("{every}steps")]);
        self.options(&["--max-restarts", &random.below(4).to_string()]);
        self.options(&["--inject", &format!("kill:{rank}@step={step}{times}")]);
    }

    fn survive(&mut self, random: &mut Random, reference: &Reference) {
        let point = aim(self.seed);
        let rank = random.below(self.n);
        let aimed = match passage(point, self.program, random) {
            1 => format!("kill:{rank}@point={}", point.name()),
            nth => format!("kill:{rank}@point={}#{nth}", point.name()),
        };
        let mut injections = vec![aimed.clone()];
        let late = |random: &mut Random| {
            let half = reference.steps / 2;
            1 + half + random.below((reference.steps - half) / 2)
        };
        // These points are passed only in a recovery, so something has to die first.
        match point {
            Point::Respawned => injections.push(format!("kill:{rank}@step={}", late(random))),
            Point::RestoreMid | Point::Acknowledged => {
                let other = (rank + 1 + random.below(self.n - 1)) % self.n;
                injections.push(format!("kill:{other}@step={}", late(random)));
            }
            _ => {
                if random.once_in(3) {
                    let (rank, step) = (random.below(self.n), 1 + random.below(reference.steps));
                    injections.push(format!("kill:{rank}@step={step}"));
                }
            }
        }
        if random.once_in(3) {
            for _ in 0..=random.below(2) {
                let after_us = random.below(reference.took_us);
                self.kills.push(OutsideKill { rank: random.below(self.n), after_us });
            }
        }
        let restart = point != Point::Acknowledged && random.once_in(4);
        self.options(&["--policy", if restart { "restart" } else { "rollback" }]);
        self.options(&["--max-restarts", "50", "--inject", &injections.join(",")]);
        let every = interval(point, random, reference);
        self.options(&["--ckpt-every", &every]);
        self.aim = Some((point, aimed));
        if !restart || random.once_in(2) {
            self.nodes(reference);
        }
    }

    /// Puts the memory of every third case into nodes, and kills one of them at some time. It draws from
    /// a stream of its own, so that what else a seed does is not changed by it.
    fn nodes(&mut self, reference: &Reference) {
        let mut random = Random::new(self.seed ^ 0x0DE5);
        if !random.once_in(3) {
            return;
        }
        let nodes = 1 + random.below(self.n);
        let redundancy = match random.below(4) {
            _ if nodes == 1 => "none".to_owned(),
            0 => "none".to_owned(),
            1 => "partner".to_owned(),
            _ => format!("parity:{}", 1 + random.below(nodes - 1)),
        };
        self.options(&["--virtual-nodes", &nodes.to_string(), "--redundancy", &redundancy]);
        let kill = |random: &mut Random| {
            let after_us = 1 + random.below(reference.took_us);
            format!(",kill:node{}@time={after_us}us", random.below(nodes))
        };
        let mut kills = kill(&mut random);
        if random.once_in(2) {
            kills.push_str(&kill(&mut random));
        }
        if let Some(at) = self.options.iter().position(|option| option == "--inject") {
            self.options[at + 1].push_str(&kills);
        }
    }

    fn options(&mut self, options: &[&str]) {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
    }
}

/// Which passage of a point a kill waits for: a late one where there are many in this program.
fn passage(point: Point, program: usize, random: &mut Random) -> u64 {
    match point {
        point if SPECIAL.contains(&point) => 1 + random.below(PROGRAMS[program].passages),
        Point::Send | Point::RingPublish => 1 + random.below(MANY),
        Point::Captured | Point::CaptureMid | Point::Prepared => 1 + random.below(3),
        _ => 1,
    }
}

/// When to checkpoint: by steps where the point lies in a checkpoint or needs one before it.
fn interval(point: Point, random: &mut Random, reference: &Reference) -> String {
    let needs_versions = matches!(
        point,
        Point::Captured
            | Point::CaptureMid
            | Point::Prepared
            | Point::ManifestWritten
            | Point::Published
            | Point::RestoreMid
    );
    match random.below(if needs_versions { 1 } else { 4 }) {
        0 | 1 => format!("{}steps", 1 + reference.steps / (8 + random.below(12))),
        2 => format!("{}us", 1 + random.below(reference.took_us / 4)),
        _ => "auto".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use mainstay_types::inject;

    fn reference() -> Reference {
        Reference { digest: "d".into(), steps: 40, took_us: 100_000 }
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first, published);
    }

    #[test]
    fn cases_repeat_and_their_injections_can_be_read() {
        for seed in 0..2000 {
            let case = Case::new(seed, &reference());
            assert_eq!(case, Case::new(seed, &reference()));
            assert!(RANKS.contains(&case.n));
            let at = case.options.iter().position(|option| option == "--inject").unwrap();
            let list = inject::parse(&case.options[at + 1]).unwrap();
            for injection in &list {
                let whom = injection.rank.map(|rank| rank.0);
                let whom = whom.or(injection.node().map(|node| node.0)).unwrap();
                assert!(u64::from(whom) < case.n, "{:?}", case.options);
            }
            // The summary names an injection as it prints itself.
            if let Some((_, aimed)) = &case.aim {
                assert!(list.iter().any(|injection| injection.to_string() == *aimed));
            }
        }
    }

    #[test]
    fn two_hundred_seeds_aim_at_every_point_and_try_every_policy() {
        let cases: Vec<_> = (0..200).map(|seed| Case::new(seed, &reference())).collect();
        let aims: BTreeSet<_> = cases.iter().filter_map(|case| case.aim.as_ref()).collect();
        let points: BTreeSet<_> = aims.iter().map(|(point, _)| *point).collect();
        assert_eq!(points.len(), Point::ALL.len());
        for word in ["rollback", "restart", "abort", "auto", "partner", "parity:2", "none"] {
            assert!(cases.iter().any(|case| case.options.iter().any(|o| o == word)), "{word}");
        }
        assert!(cases.iter().any(|case| !case.kills.is_empty()));
        assert!(cases.iter().any(|case| case.expected == Expected::GivenUp));
    }

    #[test]
    fn a_thousand_seeds_aim_at_each_special_point_of_each_program_within_its_reach() {
        let cases: Vec<_> = (0..1000).map(|seed| Case::new(seed, &reference())).collect();
        for (i, program) in PROGRAMS.iter().enumerate() {
            for point in program.passes {
                let aimed = |case: &&Case| {
                    case.program == i && case.aim.as_ref().is_some_and(|(at, _)| at == point)
                };
                let passages: Vec<u64> = cases.iter().filter(aimed).map(passage_of).collect();
                assert!(!passages.is_empty(), "{} {point:?}", program.name);
                assert!(passages.iter().all(|nth| (1..=program.passages).contains(nth)));
            }
        }
    }

    /// The passage that a case's aimed kill waits for.
    fn passage_of(case: &Case) -> u64 {
        let (_, aimed) = case.aim.as_ref().unwrap();
        aimed.split_once('#').map_or(1, |(_, nth)| nth.parse().unwrap())
    }
}
