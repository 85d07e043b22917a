//! `mainstay ckpt diff`: two versions, field by field.

use mainstay_ckpt::compare::Comparison;
use mainstay_ckpt::npy;
use mainstay_host::archive::{self, Archive, FieldDiff, Outcome, Place};
use mainstay_types::{Version, exit};
use serde_json::{Value, json};

use super::progress::Progress;
use super::show::indices;
use super::table::Table;
use super::{Done, args, line, object, say};

/// The versions differ, as `diff` and `cmp` have it.
const DIFFER: u8 = 1;

pub(super) fn run(options: &args::Diff) -> Done {
    let in_a = Archive::open(&options.dir)?;
    let in_b = Archive::open(options.other.as_ref().unwrap_or(&options.dir))?;
    let (catalogue_a, catalogue_b) = (in_a.look()?, in_b.look()?);
    let entry_a = in_a.find(&catalogue_a, Some(options.a))?;
    let entry_b = in_b.find(&catalogue_b, Some(options.b))?;
    let (mut a, mut b) = (in_a.fields(entry_a)?, in_b.fields(entry_b)?);
    let mut progress = Progress::new("compared", entry_a.bytes());
    let mut found = Vec::new();
    archive::diff(&mut a, &mut b, &mut |count| progress.more(count), &mut |field| {
        if options.json {
            object("field", body(&field));
        }
        found.push(field);
    })?;
    drop(progress);
    let differing = found.iter().filter(|field| !field.is_identical()).count();
    let code = if differing == 0 { exit::OK } else { DIFFER };
    if options.json {
        let body = json!({
            "a": options.a.0,
            "b": options.b.0,
            "fields": found.len(),
            "differing": differing,
            "identical": differing == 0,
            "exit": code,
        });
        object("summary", body);
        return Ok(code);
    }
    people((options.a, options.b), &found, differing);
    Ok(code)
}

fn people((a, b): (Version, Version), found: &[FieldDiff], differing: usize) {
    let heads =
        ["field", "kind", ">elements", ">differ", "first", ">largest", ">relative", ">L2", "note"];
    let mut table = Table::new(&heads);
    for field in found {
        table.row(&row(field));
    }
    say(&table.text());
    line(&match (found.len(), differing) {
        (0, _) => format!("versions {a} and {b} have no fields"),
        (_, 0) => format!("versions {a} and {b} have the same bits in all fields"),
        (all, some) => format!("versions {a} and {b} differ in {some} of {all} fields"),
    });
}

fn row(field: &FieldDiff) -> Vec<String> {
    let mut cells = vec![field.name.clone()];
    match &field.outcome {
        Outcome::OnlyIn(side) => {
            cells.resize(8, "-".to_owned());
            cells.push(format!("only in {}", side.name()));
        }
        Outcome::Unlike(why) => {
            cells.resize(8, "-".to_owned());
            cells.push(why.clone());
        }
        Outcome::Compared(c, place) => {
            cells.extend([c.kind().name().to_owned(), c.elements.to_string()]);
            cells.push(c.differing.to_string());
            cells.push(place.as_ref().map_or_else(|| "-".to_owned(), shown));
            let number = |value: f64| match c.differing > 0 && c.is_numeric() {
                true => format!("{value:.3e}"),
                false => "-".to_owned(),
            };
            cells.extend([number(c.largest), number(c.largest_relative), number(c.l2)]);
            cells.push(note(c));
        }
    }
    cells
}

fn shown(place: &Place) -> String {
    let rank = place.rank.map_or_else(String::new, |rank| format!("rank {rank} "));
    format!("{rank}{}", indices(&place.indices))
}

fn note(c: &Comparison) -> String {
    match (c.differing, c.is_numeric(), c.without_distance) {
        (0, ..) => "identical".to_owned(),
        (_, false, _) => format!("{} bytes differ", c.differing_bytes),
        (_, true, 0) => String::new(),
        (_, true, none) => format!("{none} without a distance (NaN, infinity)"),
    }
}

fn body(field: &FieldDiff) -> Value {
    let (outcome, note) = match &field.outcome {
        Outcome::Compared(c, _) if c.differing == 0 => ("identical", None),
        Outcome::Compared(..) => ("differs", None),
        Outcome::OnlyIn(side) => ("only", Some(side.name().to_owned())),
        Outcome::Unlike(why) => ("unlike", Some(why.clone())),
    };
    let (compared, place) = match &field.outcome {
        Outcome::Compared(c, place) => (Some(c), place.as_ref()),
        _ => (None, None),
    };
    let numeric = compared.filter(|c| c.is_numeric());
    json!({
        "field": field.name,
        "outcome": outcome,
        "note": note,
        "dtype": compared.map(|c| npy::descr(c.kind(), c.element_bytes())),
        "elements": compared.map(|c| c.elements),
        "differing": compared.map(|c| c.differing),
        "differing_bytes": compared.map(|c| c.differing_bytes),
        "first": place.map(|place| &place.indices),
        "first_rank": place.and_then(|place| place.rank).map(|rank| rank.0),
        "largest": numeric.map(|c| c.largest),
        "largest_relative": numeric.map(|c| c.largest_relative),
        "l2": numeric.map(|c| c.l2),
        "without_distance": numeric.map(|c| c.without_distance),
    })
}
