//! A file of a version, cut into the fields that the tables of its format give it.
//!
//! Invariant: the spans of a file cover each of its bytes exactly once; a file that the tables do not
//! fit to the last byte is an error. So the pages are checked against what was written, too.
//! Deliberately absent: checksums; whatever this reads was just written.

use std::ops::Range;

use super::tables::{Row, Shape, Structure, Tables};

/// Some bytes of a file, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Structure and field, with the number of each element: `table/field[1]/state`.
    pub(crate) path: String,
    /// Where.
    pub(crate) at: Range<usize>,
    /// Whether they are zeros between parts, which no checksum covers.
    pub(crate) gap: bool,
}

/// A reference to stored bytes, by a map: which holder (0 is the file itself) and which bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Version, epoch and incarnation of the holder; none of the file itself.
    pub(crate) holder: Option<[u64; 3]>,
    /// Which of its bytes.
    pub(crate) at: Range<usize>,
}

/// What a file consists of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walked {
    /// All of it, in order.
    pub(crate) spans: Vec<Span>,
    /// What a packed file refers to, itself included.
    pub(crate) references: Vec<Reference>,
}

/// Bytes of a field are cut where a checksum of their own begins.
const CHUNK_BYTES: usize = 1 << 20;
/// Fields and parts begin at multiples of this.
const PAGE_BYTES: usize = 4096;
/// A block of a packed file.
const BLOCK_BYTES: usize = 1 << 16;

/// Cuts a manifest.
///
/// # Errors
/// The tables do not fit it.
pub(crate) fn manifest(tables: &Tables, bytes: &[u8]) -> Result<Walked, String> {
    let mut walk = Walk::new(tables, bytes);
    walk.structure("manifests", "manifest")?;
    walk.done()
}

/// Cuts a shard, plain or packed.
///
/// # Errors
/// The tables do not fit it.
pub(crate) fn shard(tables: &Tables, bytes: &[u8]) -> Result<Walked, String> {
    let mut walk = Walk::new(tables, bytes);
    if bytes.starts_with(b"MSPACKED") {
        walk.packed()?;
    } else {
        walk.plain()?;
    }
    walk.done()
}

struct Walk<'a> {
    tables: &'a Tables,
    bytes: &'a [u8],
    at: usize,
    /// The last value of a single byte.
    tag: u64,
    spans: Vec<Span>,
    /// Numbers read so far: the field's name without structure, and its value.
    values: Vec<(String, u64)>,
    references: Vec<Reference>,
}

impl<'a> Walk<'a> {
    fn new(tables: &'a Tables, bytes: &'a [u8]) -> Self {
        let (spans, values, references) = (Vec::new(), Vec::new(), Vec::new());
        Self { tables, bytes, at: 0, tag: 0, spans, values, references }
    }

    fn done(mut self) -> Result<Walked, String> {
        self.spans.sort_by_key(|span| span.at.start);
        let mut at = 0;
        for span in &self.spans {
            if span.at.start != at {
                return Err(format!("{} begins at {}, not {at}", span.path, span.at.start));
            }
            at = span.at.end;
        }
        if at != self.bytes.len() {
            return Err(format!("the tables describe {at} of {} bytes", self.bytes.len()));
        }
        Ok(Walked { spans: self.spans, references: self.references })
    }

    /// Takes so many bytes as a field; their value if they are a number.
    fn take(&mut self, bytes: usize, path: &str) -> Result<u64, String> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("{path} reaches beyond the end"))?;
        let taken = &self.bytes[self.at..end];
        if bytes > 0 {
            let at = self.at..end;
            self.spans.push(Span { path: path.to_owned(), at, gap: false });
        }
        self.at = end;
        let mut word = [0; 8];
        if bytes <= 8 {
            word[..bytes].copy_from_slice(taken);
        }
        let value = u64::from_le_bytes(word);
        if bytes == 1 {
            self.tag = value;
        }
        Ok(value)
    }

    /// Zeros up to there.
    fn gap(&mut self, to: usize, path: &str) -> Result<(), String> {
        if to < self.at || to > self.bytes.len() {
            return Err(format!("{path}: no gap from {} to {to}", self.at));
        }
        if to > self.at {
            let at = self.at..to;
            self.spans.push(Span { path: path.to_owned(), at, gap: true });
        }
        self.at = to;
        Ok(())
    }

    /// The last number of that name.
    fn value(&self, name: &str) -> Result<usize, String> {
        let found = self.values.iter().rev().find(|(known, _)| known == name);
        let (_, value) = found.ok_or_else(|| format!("no table has a number named `{name}`"))?;
        usize::try_from(*value).map_err(|_| format!("`{name}` is {value}"))
    }

    fn structure(&mut self, name: &str, path: &str) -> Result<(), String> {
        match self.tables.get(name)? {
            Structure::Rows(rows) => self.rows(rows, path),
            Structure::Tagged(variants) => {
                let tag = self.take(1, &format!("{path}/byte"))?;
                let then = u8::try_from(tag).ok().and_then(|tag| variants.get(&tag));
                let then = then.ok_or_else(|| format!("{path}: no variant {tag} of {name}"))?;
                for (i, shape) in then.iter().enumerate() {
                    self.shape(shape, &format!("{path}/{tag}.{i}"))?;
                }
                Ok(())
            }
        }
    }

    fn rows(&mut self, rows: &'a [Row], path: &str) -> Result<(), String> {
        for (i, row) in rows.iter().enumerate() {
            if row.packed_only && self.value("format")? < 2 {
                continue;
            }
            let here = format!("{path}/{}", row.name);
            if row.shape == Shape::Counted {
                let count = self.take(4, &here)?;
                for element in 0..count {
                    self.rows(&rows[i + 1..], &format!("{path}[{element}]"))?;
                }
                return Ok(());
            }
            let value = self.shape(&row.shape, &here)?;
            self.values.push((row.name.clone(), value));
        }
        Ok(())
    }

    fn shape(&mut self, shape: &'a Shape, path: &str) -> Result<u64, String> {
        match shape {
            Shape::Fixed(bytes) => return self.take(*bytes, path),
            Shape::Lengthy => {
                let length = self.take(4, &format!("{path}/length"))?;
                self.take(usize::try_from(length).unwrap_or(usize::MAX), path)?;
            }
            Shape::List(inner) => {
                let count = self.take(4, &format!("{path}/count"))?;
                for i in 0..count {
                    self.shape(inner, &format!("{path}[{i}]"))?;
                }
                return Ok(count);
            }
            Shape::Optional(inner) => {
                if self.take(1, &format!("{path}/there"))? == 1 {
                    self.shape(inner, path)?;
                }
            }
            Shape::Times(count, inner) => {
                for i in 0..*count {
                    self.shape(inner, &format!("{path}[{i}]"))?;
                }
            }
            Shape::Named(name) => self.structure(name, path)?,
            Shape::Payload => {
                let bytes = self.value("bytes of payload")?;
                self.take(bytes, path)?;
            }
            Shape::Blocks(inner) => {
                let blocks = self.value("bytes")?.div_ceil(BLOCK_BYTES);
                for i in 0..blocks {
                    self.shape(inner, &format!("{path}[{i}]"))?;
                }
            }
            Shape::When(value, then) => {
                if self.tag == u64::from(*value) {
                    for (i, shape) in then.iter().enumerate() {
                        self.shape(shape, &format!("{path}.{i}"))?;
                    }
                }
            }
            Shape::Counted => return Err(format!("{path}: a count without rows")),
        }
        Ok(0)
    }

    /// Header, fields, table, late messages, with zeros between them.
    fn plain(&mut self) -> Result<(), String> {
        self.structure("header", "header")?;
        let (table_at, table_bytes) = (self.value("table_at")?, self.value("table_bytes")?);
        self.at = table_at;
        self.structure("table", "table")?;
        if self.at != table_at + table_bytes {
            return Err(format!("the table ends at {}, not {}", self.at, table_at + table_bytes));
        }
        let fields: Vec<_> = self.all("offset of the data in the image");
        let sizes: Vec<_> = self
            .all("bytes of an element")
            .into_iter()
            .zip(self.all("number of elements"))
            .collect();
        self.at = 64;
        for (i, (at, (bytes, count))) in fields.into_iter().zip(sizes).enumerate() {
            self.gap(at.max(self.at), &format!("gap/before field[{i}]"))?;
            let end = at + bytes * count;
            for chunk in 0..(bytes * count).div_ceil(CHUNK_BYTES) {
                let left = (end - self.at).min(CHUNK_BYTES);
                self.take(left, &format!("data/field[{i}]/chunk[{chunk}]"))?;
            }
        }
        self.gap(table_at, "gap/before table")?;
        self.at = table_at + table_bytes;
        if self.at < self.bytes.len() {
            self.gap(self.at.next_multiple_of(PAGE_BYTES), "gap/before late")?;
            self.structure("what is handed in late", "late")?;
        }
        Ok(())
    }

    /// Every number of that name, in order.
    fn all(&self, name: &str) -> Vec<usize> {
        let numbers = self.values.iter().filter(|(known, _)| known == name);
        numbers.filter_map(|(_, value)| usize::try_from(*value).ok()).collect()
    }

    /// Front, stored bytes, map, tail.
    fn packed(&mut self) -> Result<(), String> {
        self.structure("front", "front")?;
        let front = self.at;
        self.at = self.bytes.len().checked_sub(32).ok_or("a packed shard without a tail")?;
        self.structure("tail", "tail")?;
        self.at = self.value("map_at")?;
        let map_at = self.at;
        self.values.clear();
        self.structure("map", "map")?;
        self.references = self.references()?;
        self.at = front;
        self.gap(PAGE_BYTES.min(map_at), "gap/before stored")?;
        let mut own: Vec<_> =
            self.references.iter().filter(|r| r.holder.is_none()).map(|r| r.at.clone()).collect();
        own.sort_by_key(|at| at.start);
        own.dedup();
        for (i, at) in own.into_iter().enumerate() {
            self.take(at.len(), &format!("stored/block[{i}]"))?;
        }
        self.gap(map_at, "gap/before map")
    }

    fn references(&self) -> Result<Vec<Reference>, String> {
        let path = |suffix: &str| -> Vec<u64> {
            let fields = self.spans.iter().filter(|span| span.path.ends_with(suffix));
            fields.map(|span| number(&self.bytes[span.at.clone()])).collect()
        };
        let holder = |suffix: &str| -> Vec<u64> {
            let fields = self.spans.iter().filter(|span| {
                span.path.starts_with("map/the other files") && span.path.ends_with(suffix)
            });
            fields.map(|span| number(&self.bytes[span.at.clone()])).collect()
        };
        let holders: Vec<[u64; 3]> = holder("/version")
            .into_iter()
            .zip(holder("/epoch").into_iter().zip(holder("/incarnation")))
            .map(|(version, (epoch, incarnation))| [version, epoch, incarnation])
            .collect();
        let files = path("/in which file");
        let offsets = path("/offset of the stored bytes in that file");
        let lengths = path("/their number");
        if files.len() != offsets.len() || files.len() != lengths.len() || files.is_empty() {
            return Err("the table of blocks does not say where they are stored".into());
        }
        let mut references = Vec::new();
        for (file, (offset, length)) in files.into_iter().zip(offsets.into_iter().zip(lengths)) {
            let holder = match usize::try_from(file).unwrap_or(usize::MAX) {
                0 => None,
                nth => Some(*holders.get(nth - 1).ok_or("a block in a holder that is not listed")?),
            };
            let (offset, length) = (offset as usize, length as usize);
            references.push(Reference { holder, at: offset..offset + length });
        }
        Ok(references)
    }
}

fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let len = bytes.len().min(8);
    word[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(word)
}
