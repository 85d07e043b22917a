//! What `auto` costs under simulated failures, against the best of all fixed intervals.
//!
//! The same seeds fail at the same times whatever the interval, so that few runs compare well. The
//! table in the handbook is the one that comes out here.

use std::time::Duration;

use mainstay_control::target::{DiskMode, Mode, Terms};
use mainstay_types::duration;

use super::job::{Machine, Shape, takes};

const PAGE: &str = include_str!("../../../../../docs/handbook/src/checkpoint-interval.md");

const SEEDS: u64 = 10;

/// A case of the table.
struct Case {
    name: &'static str,
    machine: Machine,
    /// Whether the user declares the mean times.
    declared: bool,
    /// Work in mean times between failures of ranks.
    length: f64,
    /// Whether fixed intervals of disk are tried too.
    two_levels: bool,
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// The share of the time that is lost, over all seeds.
fn lost(case: &Case, terms: Terms) -> f64 {
    let work = case.length * case.machine.mtbf.0;
    let total: f64 = (0..SEEDS).map(|seed| takes(&case.machine, terms, work, 100 + seed)).sum();
    total / (work * SEEDS as f64) - 1.0
}

/// The best of the fixed intervals: its terms and what is lost.
fn best(case: &Case) -> (Terms, f64) {
    let root = |cost: f64, mtbf: f64| (2.0 * cost * mtbf).sqrt();
    let (half, factor) = if case.two_levels { (2, 1.7_f64) } else { (4, 1.4) };
    let grid = |center: f64| (-half..=half).map(move |i| seconds(center * factor.powi(i)));
    let (cost, mtbf) = (case.machine.cost, case.machine.mtbf);
    let disks: Vec<_> = match case.two_levels {
        true => grid(root(cost.1, mtbf.1)).map(DiskMode::Every).collect(),
        false => vec![DiskMode::Every(seconds(mtbf.1))],
    };
    let memories = grid(root(cost.0, mtbf.0)).map(Mode::Every);
    let all = memories.flat_map(|mode| disks.iter().map(move |disk| (mode, *disk)));
    let terms = all.map(|(mode, disk)| Terms { mode, disk, ..Terms::default() });
    let mut tried: Vec<_> = terms.map(|terms| (terms, lost(case, terms))).collect();
    tried.sort_by(|a, b| a.1.total_cmp(&b.1));
    tried[0]
}

fn row(case: &Case) -> (String, f64) {
    let declared = |mtbf| Some(seconds(mtbf)).filter(|_| case.declared);
    let (mtbf, machine_mtbf) = (declared(case.machine.mtbf.0), declared(case.machine.mtbf.1));
    let auto = lost(case, Terms { mtbf, machine_mtbf, ..Terms::default() });
    let (terms, least) = best(case);
    let text = |mode| match mode {
        Mode::Every(every) => duration::format(every),
        _ => String::new(),
    };
    let fixed = match terms.disk {
        DiskMode::Every(every) if case.two_levels => {
            format!("{}, disk {}", text(terms.mode), duration::format(every))
        }
        _ => text(terms.mode),
    };
    let ratio = (1.0 + auto) / (1.0 + least);
    let row = format!(
        "| {} | {:.1} % | {:.1} % | {fixed} | {:+.1} % |",
        case.name,
        auto * 100.0,
        least * 100.0,
        (ratio - 1.0) * 100.0
    );
    (row, ratio)
}

fn cases() -> Vec<Case> {
    let hour = 3600.0;
    let never = 1e9;
    let machine = Machine {
        cost: (5.0, 0.0),
        drain: 10.0,
        mtbf: (hour, never),
        shape: Shape::Exponential,
        noisy: false,
    };
    let case =
        |name, machine, declared| Case { name, machine, declared, length: 60.0, two_levels: false };
    let bursts = Machine { shape: Shape::Bursts, ..machine };
    let harsh = Machine { cost: (60.0, 0.0), mtbf: (600.0, never), ..machine };
    let gentle = Machine { cost: (0.5, 0.0), mtbf: (20.0 * hour, never), ..machine };
    let levels = Machine { cost: (1.0, 30.0), drain: 60.0, mtbf: (hour, 12.0 * hour), ..machine };
    vec![
        case("5 s, an hour, declared", machine, true),
        case("5 s, an hour, observed", machine, false),
        case("5 s, an hour in bursts, observed", bursts, false),
        case("5 s and noise, an hour, observed", Machine { noisy: true, ..machine }, false),
        case("60 s, ten minutes, declared", harsh, true),
        Case { length: 400.0, ..case("60 s, ten minutes, observed for long", harsh, false) },
        Case { length: 4.0, ..case("0.5 s, twenty hours, declared", gentle, true) },
        Case {
            two_levels: true,
            length: 40.0,
            ..case("1 s and 30 s on disk, an hour and twelve, declared", levels, true)
        },
    ]
}

#[test]
fn auto_is_within_a_few_percent_of_the_best_fixed_interval() {
    let (rows, ratios): (Vec<_>, Vec<_>) = cases().iter().map(row).unzip();
    let table = rows.join("\n");
    assert!(ratios.iter().all(|ratio| *ratio < 1.03), "{table}");
    assert!(PAGE.contains(&format!("\n{table}\n")), "the handbook has another table than\n{table}");
}
