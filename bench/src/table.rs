//! A table: a row for each case, a column for each program, and ours over the best peer.
//!
//! Invariant: text and JSON say the same; a column that is missing says why. Deliberately absent:
//! programs that were not asked to take part.

use std::fmt::Write;

use measured::case::{Case, Kind};
use serde_json::{Map, Value, json};

use crate::contest::{Column, Side, against_best};
use crate::stats::Spread;

/// What is aimed at, of ours over the best peer.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

/// In what the values are given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Microseconds,
    /// Bytes of a case per nanosecond.
    GigabytesPerSecond,
}

struct Row {
    label: String,
    cells: Vec<Option<Spread>>,
    /// Ours over the best peer, with its name.
    ratio: Option<(Spread, String)>,
    aim: Aim,
}

/// What some programs came to in some cases.
pub(crate) struct Table {
    title: String,
    unit: Unit,
    names: Vec<String>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Aim {
    fn verdict(self, ratio: f64) -> (String, bool) {
        match self {
            Self::AtMost(most) => (format!("<= {most}"), ratio <= most),
            Self::AtLeast(least) => (format!(">= {least}"), ratio >= least),
        }
    }
}

impl Unit {
    fn of(self, ns: f64, case: Case) -> f64 {
        match self {
            Self::Microseconds => ns / 1000.0,
            Self::GigabytesPerSecond => case.bytes as f64 / ns,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::GigabytesPerSecond => "GB/s",
        }
    }
}

impl Table {
    /// The table of these cases, each with its aim. Only the first column of ours is compared.
    pub(crate) fn new(
        title: impl Into<String>,
        unit: Unit,
        columns: &[Column],
        cases: impl IntoIterator<Item = (Case, Aim)>,
    ) -> Self {
        let rows = cases.into_iter().map(|(case, aim)| Row::new(unit, columns, case, aim));
        let missing = columns.iter().filter_map(|column| {
            let reason = column.failure.as_ref()?;
            Some(format!("{}: not measured: {reason}", column.name))
        });
        Self {
            title: title.into(),
            unit,
            names: columns.iter().map(|column| column.name.clone()).collect(),
            rows: rows.collect(),
            notes: missing.collect(),
        }
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let unit = self.unit.name();
        let mut text = format!("{}, {unit}: median (quartiles)\n  {:14}", self.title, "");
        for name in &self.names {
            let _written = write!(text, "{name:<25}");
        }
        let _written = write!(text, "{:<24}aim", "ours / best peer");
        for row in &self.rows {
            let _written = write!(text, "\n  {:14}", row.label);
            for cell in &row.cells {
                let _written = write!(text, "{:<25}", cell.map_or("not measured".into(), short));
            }
            text.push_str(&row.verdict());
        }
        for note in &self.notes {
            let _written = write!(text, "\n  {note}");
        }
        text
    }

    /// For a program.
    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| row.json(&self.names)).collect();
        json!({"title": self.title, "unit": self.unit.name(), "rows": rows, "notes": self.notes})
    }
}

impl Row {
    fn new(unit: Unit, columns: &[Column], case: Case, aim: Aim) -> Self {
        let cell = |column: &Column| {
            Spread::of(column.rounds.get(&case)?.iter().map(|ns| unit.of(*ns, case)))
        };
        let ours = columns.iter().find(|column| column.side == Side::Ours);
        let ratio = ours.and_then(|ours| against_best(columns, ours, case));
        let ratio = ratio.and_then(|(best, ratios)| {
            let in_unit = |ratio| if unit == Unit::Microseconds { ratio } else { 1.0 / ratio };
            Some((Spread::of(ratios.into_iter().map(in_unit))?, best))
        });
        Self { label: label(case), cells: columns.iter().map(cell).collect(), ratio, aim }
    }

    fn verdict(&self) -> String {
        self.ratio.as_ref().map_or_else(
            || "not measured".to_owned(),
            |(ratio, _)| {
                let (aim, kept) = self.aim.verdict(ratio.median);
                let word = if kept { "kept" } else { "MISSED" };
                format!("{:<24}{aim} {word}", short(*ratio))
            },
        )
    }

    fn json(&self, names: &[String]) -> Value {
        let cells: Map<String, Value> = names
            .iter()
            .zip(&self.cells)
            .map(|(name, cell)| (name.clone(), cell.map_or(Value::Null, |spread| spread.json())))
            .collect();
        let mut row = json!({"case": self.label, "values": cells});
        if let Some((ratio, best)) = &self.ratio {
            let (aim, kept) = self.aim.verdict(ratio.median);
            row["ratio"] = ratio.json();
            row["best_peer"] = json!(best);
            row["aim"] = json!(aim);
            row["kept"] = json!(kept);
        }
        row
    }
}

/// A median and its quartiles.
fn short(spread: Spread) -> String {
    let [median, lower, upper] = [spread.median, spread.lower, spread.upper].map(digits);
    format!("{median} ({lower} {upper})")
}

/// About three digits.
fn digits(value: f64) -> String {
    match value {
        value if value < 0.1 => format!("{value:.4}"),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// A size as people say it.
fn label(case: Case) -> String {
    let size = match case.bytes {
        0 => "no data".to_owned(),
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} B"),
    };
    match case.kind {
        Kind::Rebuild => format!("{size}, lost"),
        _ if case.window > 1 => format!("{} x {size}", case.window),
        _ => size,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn bandwidth_is_better_when_it_is_more() {
        let case = Case { kind: Kind::Window, bytes: 1 << 20, window: 64 };
        let column = |name: &str, side, ns: f64| Column {
            name: name.to_owned(),
            side,
            failure: None,
            rounds: BTreeMap::from([(case, vec![ns])]),
        };
        let columns = [
            column("ours", Side::Ours, 131_072.0),
            column("slow", Side::Peer, 262_144.0),
            column("fast", Side::Peer, 104_857.6),
        ];
        let unit = Unit::GigabytesPerSecond;
        let table = Table::new("t", unit, &columns, [(case, Aim::AtLeast(0.9))]);
        let text = table.text();
        assert!(text.contains("64 x 1 MiB    8.00 (8.00 8.00)"), "{text}");
        assert!(text.ends_with("0.80 (0.80 0.80)        >= 0.9 MISSED"), "{text}");
        let row = &table.json()["rows"][0];
        assert_eq!((&row["best_peer"], &row["kept"]), (&json!("fast"), &json!(false)));
    }

    #[test]
    fn what_is_missing_says_why() {
        let column = Column {
            name: "MPICH".to_owned(),
            side: Side::Peer,
            failure: Some("not installed".to_owned()),
            rounds: BTreeMap::new(),
        };
        let case = Case::new(Kind::Barrier, 0);
        let table = Table::new("t", Unit::Microseconds, &[column], [(case, Aim::AtMost(1.0))]);
        assert!(table.text().ends_with("\n  MPICH: not measured: not installed"));
        assert_eq!(table.json()["rows"][0]["values"]["MPICH"], Value::Null);
        assert_eq!(table.json()["rows"][0]["kept"], Value::Null);
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        let said = [0, 8, 1000, 1024, 65536, 16 << 20].map(|b| label(Case::new(Kind::Barrier, b)));
        assert_eq!(said, ["no data", "8 B", "1000 B", "1 KiB", "64 KiB", "16 MiB"]);
        assert_eq!(label(Case::new(Kind::Rebuild, 1024)), "1 KiB, lost");
    }
}
