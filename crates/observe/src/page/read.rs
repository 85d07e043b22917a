//! Reading the text of a trace, one event after the other.
//!
//! Invariants: no event is kept as JSON; whatever the text is, it is read or refused. Keys and events
//! that are not known are passed over. Deliberately absent: order; events may come in any.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::PageError;
use super::columns::{Arg, Columns, Lane};
use crate::chrome::VERSION;

/// Reads a trace.
pub(super) fn read(json: &[u8]) -> Result<Columns, PageError> {
    let mut reading = Reading::default();
    let mut text = serde_json::Deserializer::from_slice(json);
    let read = Trace(&mut reading).deserialize(&mut text).and_then(|()| text.end());
    if let Some(error) = reading.refused {
        return Err(error);
    }
    read?;
    let about = &reading.columns.about;
    if about.get("format").and_then(Value::as_str) != Some("mainstay trace") {
        return Err(PageError::Foreign);
    }
    match about.get("v").and_then(Value::as_u64).unwrap_or(0) {
        found if found == u64::from(VERSION) => Ok(reading.columns),
        found => Err(PageError::Version { found, known: VERSION }),
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    columns: Columns,
    /// Arrows of which one end was met, by their number: whether that is the end, and where it is.
    halves: BTreeMap<u64, (bool, (Lane, f64))>,
    refused: Option<PageError>,
}

/// One event as it stands in the text.
#[derive(Default)]
struct Event {
    phase: String,
    name: String,
    category: String,
    pid: u32,
    tid: Option<u32>,
    at: f64,
    lasted: f64,
    id: u64,
    args: Vec<(String, Arg)>,
}

impl Reading {
    fn take(&mut self, event: Event) -> Result<(), PageError> {
        let Event { phase, name, category, pid, tid, at, lasted, id, args } = event;
        let lane = (pid, tid.unwrap_or(0));
        match phase.as_str() {
            "M" if matches!(name.as_str(), "process_name" | "thread_name") => {
                let title = args.into_iter().find_map(|(key, value)| match value {
                    Arg::Text(text) if key == "name" => Some(text),
                    _ => None,
                });
                let thread = if name == "thread_name" { tid } else { None };
                self.columns.title(pid, thread, title.unwrap_or_default());
                Ok(())
            }
            "X" => self.columns.event(lane, (at, Some(lasted)), &(category, name), args),
            "i" => self.columns.event(lane, (at, None), &(category, name), args),
            "s" | "f" => {
                let (ends, here) = (phase == "f", (lane, at));
                match self.halves.remove(&id) {
                    Some((false, start)) if ends => self.columns.arrow(start, here),
                    Some((true, end)) if !ends => self.columns.arrow(here, end),
                    _ => {
                        self.halves.insert(id, (ends, here));
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

/// The whole text: an object with the events in a list.
struct Trace<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Trace<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        text.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Trace<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a trace, an object with `traceEvents`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "otherData" => self.0.columns.about = map.next_value()?,
                "traceEvents" => map.next_value_seed(Events(&mut *self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Events<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Events<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        text.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(event) = list.next_element_seed(Event::default())? {
            if let Err(error) = self.0.take(event) {
                self.0.refused = Some(error);
                return Err(A::Error::custom("the trace is refused"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Event {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Self, D::Error> {
        text.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Event {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "ph" => self.phase = map.next_value()?,
                "name" => self.name = map.next_value()?,
                "cat" => self.category = map.next_value()?,
                "pid" => self.pid = map.next_value()?,
                "tid" => self.tid = Some(map.next_value()?),
                "ts" => self.at = map.next_value()?,
                "dur" => self.lasted = map.next_value()?,
                "id" => self.id = map.next_value()?,
                "args" => self.args = map.next_value_seed(Args)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self)
    }
}

/// The arguments of an event; those that are neither number nor text as their JSON.
struct Args;

impl<'de> DeserializeSeed<'de> for Args {
    type Value = Vec<(String, Arg)>;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Self::Value, D::Error> {
        text.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Args {
    type Value = Vec<(String, Arg)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("arguments, an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut args = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            args.push((
                key,
                match value {
                    Value::String(text) => Arg::Text(text),
                    Value::Number(number) => Arg::Number(number.as_f64().unwrap_or(0.0)),
                    other => Arg::Text(other.to_string()),
                },
            ));
        }
        Ok(args)
    }
}
