//! The events of a trace as columns of numbers, as the script of a page reads them.
//!
//! ```text
//! u32        bytes of `about`, a multiple of 8 with the four before it
//! about      JSON: what the head of the trace says, names, lanes, texts, counts
//! f64        start of each event; how long it lasted, or -1 for a moment; values; start of each
//!            arrow; end of each arrow; times in microseconds
//! u32        where each event's values begin
//! u16        lane, name and shape of each event; lanes of each arrow's ends
//! ```
//! A shape is the list of keys of an event's values. A value that is negative is a text, by its place
//! in the list, counted from -1. Invariants: little-endian; each column is aligned to its numbers;
//! what is counted in 16 bits has at most so many different values. Deliberately absent: JSON of
//! events.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::PageError;

/// Different lanes, names or shapes at most.
const MOST: usize = 1 << 16;

/// A process and a thread.
pub(super) type Lane = (u32, u32);

/// The columns of a page.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) about: Value,
    lanes: Index<Lane>,
    names: Index<(String, String)>,
    shapes: Index<Vec<String>>,
    texts: Index<String>,
    /// What processes (no thread) and threads are called.
    titles: BTreeMap<(u32, Option<u32>), String>,
    start: Vec<f64>,
    duration: Vec<f64>,
    values_at: Vec<u32>,
    values: Vec<f64>,
    lane: Vec<u16>,
    name: Vec<u16>,
    shape: Vec<u16>,
    arrows: Vec<(f64, f64, u16, u16)>,
}

/// One argument of an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arg {
    Number(f64),
    Text(String),
}

/// Different things, numbered in the order in which they were first met.
#[derive(Debug)]
struct Index<T> {
    numbers: BTreeMap<T, usize>,
    met: Vec<T>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), met: Vec::new() }
    }
}

impl<T: Ord + Clone> Index<T> {
    fn number(&mut self, thing: &T) -> usize {
        if let Some(number) = self.numbers.get(thing) {
            return *number;
        }
        self.numbers.insert(thing.clone(), self.met.len());
        self.met.push(thing.clone());
        self.met.len() - 1
    }

    fn small(&mut self, thing: &T, what: &'static str) -> Result<u16, PageError> {
        u16::try_from(self.number(thing)).map_err(|_| PageError::TooMany { what, most: MOST })
    }
}

impl Columns {
    pub(super) fn events(&self) -> usize {
        self.start.len()
    }

    /// A process or a thread is called so.
    pub(super) fn title(&mut self, pid: u32, tid: Option<u32>, title: String) {
        self.titles.insert((pid, tid), title);
    }

    /// An event; `duration` is `None` for a moment.
    pub(super) fn event(
        &mut self,
        lane: Lane,
        (start, duration): (f64, Option<f64>),
        name: &(String, String),
        args: Vec<(String, Arg)>,
    ) -> Result<(), PageError> {
        self.lane.push(self.lanes.small(&lane, "lanes")?);
        self.name.push(self.names.small(name, "names")?);
        let too_many = PageError::TooMany { what: "values", most: u32::MAX as usize };
        self.values_at.push(u32::try_from(self.values.len()).map_err(|_| too_many)?);
        let (keys, values): (Vec<_>, Vec<_>) = args.into_iter().unzip();
        self.shape.push(self.shapes.small(&keys, "shapes of arguments")?);
        for value in values {
            self.values.push(match value {
                Arg::Number(number) => number.max(0.0),
                Arg::Text(text) => -1.0 - self.texts.number(&text) as f64,
            });
        }
        self.start.push(start);
        self.duration.push(duration.map_or(-1.0, |duration| duration.max(0.0)));
        Ok(())
    }

    /// An arrow from one lane to another.
    pub(super) fn arrow(
        &mut self,
        (from, start): (Lane, f64),
        (to, end): (Lane, f64),
    ) -> Result<(), PageError> {
        let (from, to) = (self.lanes.small(&from, "lanes")?, self.lanes.small(&to, "lanes")?);
        self.arrows.push((start, end, from, to));
        Ok(())
    }

    /// Writes all of it.
    pub(super) fn write(&self, out: &mut dyn FnMut(&[u8])) {
        let lane = |(pid, tid): &Lane| {
            let title = |tid| self.titles.get(&(*pid, tid)).map_or("", String::as_str);
            json!({"pid": pid, "tid": tid, "process": title(None), "thread": title(Some(*tid))})
        };
        let about = json!({
            "about": self.about,
            "lanes": self.lanes.met.iter().map(lane).collect::<Vec<_>>(),
            "names": self.names.met,
            "shapes": self.shapes.met,
            "texts": self.texts.met,
            "events": self.start.len(),
            "values": self.values.len(),
            "arrows": self.arrows.len(),
        });
        let mut about = about.to_string();
        while !(about.len() + 4).is_multiple_of(8) {
            about.push(' ');
        }
        out(&u32::try_from(about.len()).unwrap_or(u32::MAX).to_le_bytes());
        out(about.as_bytes());
        let mut put = |bytes: &mut dyn Iterator<Item = Vec<u8>>| {
            bytes.for_each(|bytes| out(&bytes));
        };
        let arrows = &self.arrows;
        put(&mut self.start.iter().map(|v| v.to_le_bytes().to_vec()));
        put(&mut self.duration.iter().map(|v| v.to_le_bytes().to_vec()));
        put(&mut self.values.iter().map(|v| v.to_le_bytes().to_vec()));
        put(&mut arrows.iter().map(|v| v.0.to_le_bytes().to_vec()));
        put(&mut arrows.iter().map(|v| v.1.to_le_bytes().to_vec()));
        put(&mut self.values_at.iter().map(|v| v.to_le_bytes().to_vec()));
        for column in [&self.lane, &self.name, &self.shape] {
            put(&mut column.iter().map(|v| v.to_le_bytes().to_vec()));
        }
        put(&mut arrows.iter().map(|v| v.2.to_le_bytes().to_vec()));
        put(&mut arrows.iter().map(|v| v.3.to_le_bytes().to_vec()));
    }
}
