//! What a campaign aimed at and hit: each point, and the special points of each program.
//!
//! Invariant: a campaign long enough to have hit something fails if it has not. How long that is
//! depends on how many seeds aim at it: all points in turn, and each of the special ones at several
//! programs. Deliberately absent: whether the runs went well.

use mainstay_types::Point;

use super::case::Case;
use super::judge::Report;
use super::reference::{PROGRAMS, SPECIAL};

/// Seeds from which on every special point of every program has to be hit.
const LONG: u64 = 1000;

/// The aimed kill of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aim {
    point: Point,
    /// Which of [`PROGRAMS`].
    program: usize,
    hit: bool,
}

impl Aim {
    /// That of a run, if it had one.
    pub(super) fn of((case, report): &(Case, Report)) -> Option<Self> {
        let (point, _) = case.aim.as_ref()?;
        Some(Self { point: *point, program: case.program, hit: report.hit })
    }
}

/// Prints two tables, and what a campaign of so many seeds should have hit. Returns how much that is.
pub(super) fn tell(aims: &[Aim], seeds: u64) -> usize {
    println!("{:<18} {:>6} {:>6}", "point", "aimed", "hit");
    for point in Point::ALL {
        let (aimed, hit) = count(aims, |aim| aim.point == *point);
        println!("{:<18} {aimed:>6} {hit:>6}", point.name());
    }
    println!("\nhit of aimed, by program:");
    for (i, program) in PROGRAMS.iter().enumerate() {
        let (aimed, hit) = count(aims, |aim| aim.program == i);
        let cell = |point: &Point| {
            let (aimed, hit) = count(aims, |aim| aim.program == i && aim.point == *point);
            format!(", {} {hit} of {aimed}", point.name())
        };
        let special: String = program.passes.iter().map(cell).collect();
        println!("  {} {}: {hit} of {aimed}{special}", program.name, program.arguments.join(" "));
    }
    let missed = missed(aims, seeds);
    for (point, program) in &missed {
        let place = program.map_or(String::new(), |i| {
            format!(" in {} {}", PROGRAMS[i].name, PROGRAMS[i].arguments.join(" "))
        });
        println!("  {}{place} was never hit: the campaign proves nothing about it", point.name());
    }
    missed.len()
}

/// Says so if no node was lost, or none rebuilt, in a campaign of so many seeds. Returns how much that is.
pub(super) fn tell_nodes((lost, rebuilt): (usize, usize), seeds: u64) -> usize {
    let long = seeds >= 2 * Point::ALL.len() as u64;
    let never = [(lost, "lost"), (rebuilt, "rebuilt")].into_iter().filter(|(n, _)| *n == 0);
    let never: Vec<_> = never.filter(|_| long).collect();
    for (_, what) in &never {
        println!("  no node was {what}: the campaign proves nothing about it");
    }
    never.len()
}

/// How many of some aims there are, and how many hit.
fn count(aims: &[Aim], which: impl Fn(&Aim) -> bool) -> (usize, usize) {
    let those = || aims.iter().filter(|aim| which(aim));
    (those().count(), those().filter(|aim| aim.hit).count())
}

/// What was never hit, though there were seeds enough.
fn missed(aims: &[Aim], seeds: u64) -> Vec<(Point, Option<usize>)> {
    let hit = |point: Point, program: Option<usize>| {
        let is = |aim: &&Aim| aim.point == point && program.is_none_or(|i| aim.program == i);
        aims.iter().filter(is).any(|aim| aim.hit)
    };
    let mut missed = Vec::new();
    if seeds >= 2 * Point::ALL.len() as u64 {
        missed.extend(Point::ALL.iter().map(|point| (*point, None)));
    }
    if seeds >= LONG {
        let of = |point| move |i: &usize| PROGRAMS[*i].passes.contains(&point);
        for point in SPECIAL {
            missed.extend((0..PROGRAMS.len()).filter(of(point)).map(|i| (point, Some(i))));
        }
    }
    missed.retain(|(point, program)| !hit(*point, *program));
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Aim> {
        let aims =
            |program| Point::ALL.iter().map(move |point| Aim { point: *point, program, hit: true });
        (0..PROGRAMS.len()).flat_map(aims).collect()
    }

    #[test]
    fn a_point_that_was_never_hit_is_missed() {
        let mut aims = all();
        assert_eq!(missed(&aims, LONG), []);
        for aim in aims.iter_mut().filter(|aim| aim.point == Point::Published) {
            aim.hit = false;
        }
        assert_eq!(missed(&aims, 200), [(Point::Published, None)]);
        // Too few to tell.
        assert_eq!(missed(&aims, Point::ALL.len() as u64), []);
    }

    #[test]
    fn a_long_campaign_hits_special_points_in_each_program_that_has_them() {
        let mut aims = all();
        let program = PROGRAMS.len() - 1;
        aims.retain(|aim| aim.program != program || aim.point != Point::Agreed);
        assert_eq!(missed(&aims, LONG - 1), []);
        assert_eq!(missed(&aims, LONG), [(Point::Agreed, Some(program))]);
    }

    #[test]
    fn a_campaign_without_lost_nodes_proves_nothing_about_them() {
        assert_eq!(tell_nodes((3, 1), 200), 0);
        assert_eq!((tell_nodes((3, 0), 200), tell_nodes((0, 0), 200)), (1, 2));
        assert_eq!(tell_nodes((0, 0), 5), 0);
    }

    #[test]
    fn what_programs_pass_is_special() {
        for point in PROGRAMS.iter().flat_map(|program| program.passes) {
            assert!(SPECIAL.contains(point), "{point:?}");
        }
        for point in SPECIAL {
            assert!(PROGRAMS.iter().any(|program| program.passes.contains(&point)), "{point:?}");
        }
    }
}
