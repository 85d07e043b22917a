//! What a suite found, as text and as JSON.
//!
//! Invariant: both say the same. Deliberately absent: units in the values; each line's name ends
//! with its unit.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::host::Host;
use crate::stats::Spread;
use crate::table::Table;

/// A named list of values, with what was promised of its median.
struct Line {
    name: String,
    spread: Spread,
    promise: Option<f64>,
}

/// Lines under one heading.
pub(crate) struct Section {
    title: String,
    lines: Vec<Line>,
}

/// All that a suite found.
#[derive(Default)]
pub(crate) struct Report {
    sections: Vec<Section>,
    tables: Vec<Table>,
    notes: Vec<String>,
}

impl Section {
    /// A section without lines.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), lines: Vec::new() }
    }

    /// Adds a line, unless there are no values.
    pub(crate) fn add(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        self.push(name, values, None);
    }

    /// Adds a line whose median was promised to be at most this.
    pub(crate) fn promised(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = f64>,
        most: f64,
    ) {
        self.push(name, values, Some(most));
    }

    fn push(&mut self, name: &str, values: impl IntoIterator<Item = f64>, promise: Option<f64>) {
        if let Some(spread) = Spread::of(values) {
            self.lines.push(Line { name: name.to_owned(), spread, promise });
        }
    }
}

impl Line {
    fn verdict(&self) -> String {
        self.promise.map_or_else(String::new, |most| {
            let kept = if self.spread.median <= most { "kept" } else { "MISSED" };
            format!("  <= {most} {kept}")
        })
    }
}

impl Report {
    /// Adds a section.
    pub(crate) fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// Adds a table, which stands before the sections.
    pub(crate) fn add_table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Adds a line at the end.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// For a person.
    pub(crate) fn text(&self, suite: &str, host: &Host, loads: (f64, f64)) -> String {
        let mut text =
            format!("{suite}: {}\nload {:.2} before, {:.2} after", host.line(), loads.0, loads.1);
        for table in &self.tables {
            let _written = write!(text, "\n\n{}", table.text());
        }
        for section in &self.sections {
            let header = format!("{:>8} {:>8} {:>8} {:>5}", "median", "q1", "q3", "n");
            // Writing to a string cannot fail.
            let _written = write!(text, "\n\n{}\n{:38}{header}", section.title, "");
            for line in &section.lines {
                let _written =
                    write!(text, "\n  {:36}{}{}", line.name, line.spread, line.verdict());
            }
        }
        if !self.notes.is_empty() {
            let _written = write!(text, "\n\n{}", self.notes.join("\n"));
        }
        text
    }

    /// For a program.
    pub(crate) fn json(&self, suite: &str, host: &Host, loads: (f64, f64)) -> Value {
        let tables: Vec<Value> = self.tables.iter().map(Table::json).collect();
        let sections: Vec<Value> = self.sections.iter().map(Section::json).collect();
        json!({
            "suite": suite,
            "host": host.json(),
            "load": [loads.0, loads.1],
            "tables": tables,
            "sections": sections,
            "notes": self.notes,
        })
    }
}

impl Section {
    fn json(&self) -> Value {
        let lines: Map<String, Value> = self
            .lines
            .iter()
            .map(|line| {
                let mut value = line.spread.json();
                if let Some(most) = line.promise {
                    value["promise"] = json!(most);
                }
                (line.name.clone(), value)
            })
            .collect();
        json!({"title": self.title, "lines": lines})
    }
}
