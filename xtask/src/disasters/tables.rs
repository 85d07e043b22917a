//! The tables of `docs/formats`, read so that a program can walk a file by them.
//!
//! Invariant: nothing of a format is written here a second time. A new row of a table is a new field
//! of the matrix; a type that is not understood is an error that names it. Deliberately absent: how
//! the parts of a file follow each other, which the pages say in prose; see [`super::walk`].

use std::collections::BTreeMap;
use std::fs;

use crate::{Failure, workspace};

/// How many bytes a value takes, and what it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// So many bytes, a number if there are at most eight.
    Fixed(usize),
    /// A u32 and so many bytes.
    Lengthy,
    /// A u32 and so many values.
    List(Box<Self>),
    /// A byte, and the value if it is 1.
    Optional(Box<Self>),
    /// So many values.
    Times(usize, Box<Self>),
    /// What another table describes.
    Named(String),
    /// A u32; all rows behind it are there so many times.
    Counted,
    /// As many bytes as the row before it says that has `bytes of payload`.
    Payload,
    /// One value for each 64 KiB of the row that has `bytes`.
    Blocks(Box<Self>),
    /// These values if the byte before has this value.
    When(u8, Vec<Self>),
}

/// One field of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// What it is, as the page says it, up to the first comma or the like.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) shape: Shape,
    /// Whether only files of format 2 have it.
    pub(crate) packed_only: bool,
}

/// A structure: its fields one after the other, or what follows each value of its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Structure {
    /// Fields.
    Rows(Vec<Row>),
    /// What follows the byte, by its value.
    Tagged(BTreeMap<u8, Vec<Shape>>),
}

/// All structures of the formats, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables(BTreeMap<String, Structure>);

/// The pages whose tables describe the files of a version.
const PAGES: [&str; 3] = ["manifest.md", "shard.md", "packed.md"];

impl Tables {
    /// Reads the pages of this workspace.
    ///
    /// # Errors
    /// A page that is not there, or has a type that nobody understands.
    pub(crate) fn of_workspace() -> Result<Self, Failure> {
        let mut tables = Self::default();
        for page in PAGES {
            let path = workspace::root().join("docs/formats").join(page);
            let text = fs::read_to_string(&path)?;
            tables.read(&text).map_err(|why| format!("docs/formats/{page}: {why}"))?;
        }
        Ok(tables)
    }

    /// The structure of that name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn get(&self, name: &str) -> Result<&Structure, String> {
        self.0.get(name).ok_or_else(|| format!("no table of docs/formats describes `{name}`"))
    }

    fn read(&mut self, page: &str) -> Result<(), String> {
        let mut heading = String::new();
        let mut said = "";
        let mut lines = page.lines().peekable();
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                heading = name_of(line.trim_start_matches(['#', ' ']));
            }
            if let Some((name, rows)) = prose(line) {
                self.0.insert(name, Structure::Rows(rows?));
            }
            if line.starts_with('|') {
                let head = cells(line);
                let mut body = Vec::new();
                while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                    if !row.starts_with("|---") {
                        body.push(cells(row));
                    }
                }
                let name = introduced(said).unwrap_or_else(|| heading.clone());
                if let Some(structure) = structure(&head, &body)? {
                    self.0.insert(name, structure);
                }
            } else if !line.trim().is_empty() {
                said = line;
            }
        }
        Ok(())
    }
}

/// The columns of a line of a table.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split(" | ").map(str::trim).collect()
}

/// A name without what is said of it behind a comma and the like.
fn name_of(text: &str) -> String {
    let end = text.find([',', ';', ':', '(', '.']).unwrap_or(text.len());
    text[..end].trim().trim_matches('`').to_lowercase()
}

/// The name that a line like `Input:` or `Block, 34 bytes:` gives to the table behind it.
fn introduced(line: &str) -> Option<String> {
    let word: String = line.chars().take_while(char::is_ascii_alphabetic).collect();
    let rest = &line[word.len()..];
    let named = line.ends_with(':') && (rest == ":" || rest.starts_with(", "));
    named.then(|| word.to_lowercase())
}

/// A structure in a sentence: `Counter: u32 rank, u64 count.`
fn prose(line: &str) -> Option<(String, Result<Vec<Row>, String>)> {
    let (name, rest) = line.split_once(": ")?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
    if !is_name || !rest.starts_with("u32 ") && !rest.starts_with("u64 ") {
        return None;
    }
    let rest = &rest[..rest.find(['.', '(']).unwrap_or(rest.len())];
    let row = |text: &str| {
        let (kind, name) = text.trim().split_once(' ').ok_or_else(|| text.to_owned())?;
        Ok(Row { name: name_of(name), shape: shape(kind)?, packed_only: false })
    };
    Some((name.to_lowercase(), rest.split(',').map(row).collect()))
}

fn structure(head: &[&str], body: &[Vec<&str>]) -> Result<Option<Structure>, String> {
    match head {
        ["type", "what"] => Ok(Some(Structure::Rows(rows(body, 0)?))),
        ["at", "type", "what"] => Ok(Some(Structure::Rows(rows(body, 1)?))),
        ["byte", "then", "meaning"] => {
            let variant = |row: &Vec<&str>| {
                let byte = row[0].parse().map_err(|_| format!("`{}` is no byte", row[0]))?;
                Ok((byte, then(row[1])?))
            };
            Ok(Some(Structure::Tagged(body.iter().map(variant).collect::<Result<_, String>>()?)))
        }
        _ => Ok(None),
    }
}

/// Rows whose type stands in that column and whose meaning in the next.
fn rows(body: &[Vec<&str>], column: usize) -> Result<Vec<Row>, String> {
    let row = |cells: &Vec<&str>| {
        let [kind, what, ..] = cells[column..] else {
            return Err(format!("a row without a meaning: {cells:?}"));
        };
        let counted = what.contains("then for each") || kind.contains("then for each");
        let shape = if counted { Shape::Counted } else { shape(kind)? };
        let packed_only = what.contains("in format 2 alone");
        Ok(Row { name: name_of(what), shape, packed_only })
    };
    body.iter().map(row).collect()
}

/// What follows a byte: values joined by commas, with words between them that are no types.
fn then(text: &str) -> Result<Vec<Shape>, String> {
    let pieces = text.split([',', ';']).map(str::trim);
    let mut shapes = Vec::new();
    for piece in pieces {
        let piece = piece.strip_prefix("then a ").unwrap_or(piece);
        let words: Vec<_> = piece.split(' ').collect();
        match words[..] {
            ["list", "of", kind, ..] => shapes.push(shape(&format!("list of {kind}"))?),
            ["u32" | "u64" | "f64" | "place", ..] => shapes.push(shape(words[0])?),
            _ => {}
        }
    }
    Ok(shapes)
}

/// A type as the pages write it.
fn shape(text: &str) -> Result<Shape, String> {
    if let Some(rest) = text.strip_prefix("list of ") {
        return Ok(Shape::List(Box::new(shape(rest.split(',').next().unwrap_or(rest))?)));
    }
    if let Some(rest) = text.strip_prefix("option of ") {
        return Ok(Shape::Optional(Box::new(shape(rest)?)));
    }
    if let Some((count, rest)) = text.split_once(" × ") {
        let count = count.parse().map_err(|_| format!("the type `{text}` is not known"))?;
        return Ok(Shape::Times(count, Box::new(shape(rest)?)));
    }
    if let Some((value, kinds)) = text.strip_prefix("if ").and_then(|rest| rest.split_once(": ")) {
        let value = value.parse().map_err(|_| format!("the type `{text}` is not known"))?;
        let kinds: Result<_, _> = kinds.split(", ").map(shape).collect();
        return Ok(Shape::When(value, kinds?));
    }
    if let Some(kind) = text.strip_suffix(", without a count") {
        return Ok(Shape::Blocks(Box::new(shape(kind.trim_end_matches('s'))?)));
    }
    if let Some(bytes) = text.strip_suffix(" bytes").and_then(|bytes| bytes.parse().ok()) {
        return Ok(Shape::Fixed(bytes));
    }
    Ok(match text {
        "u8" => Shape::Fixed(1),
        "u16" => Shape::Fixed(2),
        "u32" => Shape::Fixed(4),
        "u64" | "f64" => Shape::Fixed(8),
        "text" | "bytes" => Shape::Lengthy,
        "bytes without a length" => Shape::Payload,
        name if name.chars().all(|c| c.is_ascii_lowercase()) => Shape::Named(name.to_owned()),
        _ => {
            return Err(format!(
                "the type `{text}` is not known; teach xtask/src/disasters/tables.rs"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_understood_and_every_name_is_described() {
        let tables = Tables::of_workspace().unwrap();
        let named = |shape: &Shape| match shape {
            Shape::Named(name) => Some(name.clone()),
            Shape::List(inner) | Shape::Optional(inner) | Shape::Blocks(inner) => match &**inner {
                Shape::Named(name) => Some(name.clone()),
                _ => None,
            },
            _ => None,
        };
        for structure in tables.0.values() {
            let names: Vec<_> = match structure {
                Structure::Rows(rows) => rows.iter().filter_map(|r| named(&r.shape)).collect(),
                Structure::Tagged(then) => then.values().flatten().filter_map(named).collect(),
            };
            for name in names {
                tables.get(&name).unwrap();
            }
        }
        for name in ["manifests", "header", "table", "map", "front", "tail", "messages"] {
            tables.get(name).unwrap();
        }
    }

    #[test]
    fn a_new_row_is_a_new_field_and_an_unknown_type_is_named() {
        let page =
            "# Things\n\n| type | what |\n|---|---|\n| u32 | one, of many |\n| text | two |\n";
        let mut tables = Tables::default();
        tables.read(page).unwrap();
        let one = Row { name: "one".into(), shape: Shape::Fixed(4), packed_only: false };
        let two = Row { name: "two".into(), shape: Shape::Lengthy, packed_only: false };
        assert_eq!(tables.get("things").unwrap(), &Structure::Rows(vec![one, two]));
        let why = tables.read(&page.replace("u32", "a half")).unwrap_err();
        assert!(why.contains("`a half`"), "{why}");
        assert!(tables.get("nothing").unwrap_err().contains("`nothing`"));
    }
}
