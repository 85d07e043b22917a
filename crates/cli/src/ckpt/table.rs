//! Tables of text, and numbers as people read them.
//!
//! Invariant: a cell is one line without control characters. Deliberately absent: colours.

use std::fmt::Write as _;

use mainstay_types::report::one_line;

/// Columns and rows. Columns whose heads begin with `>` are set to the right.
#[derive(Debug)]
pub(super) struct Table<'a> {
    heads: &'a [&'a str],
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(heads: &'a [&'a str]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.iter().map(|cell| one_line(cell).into_owned()).collect());
    }

    /// The table, each line behind two spaces.
    pub(super) fn text(&self) -> String {
        let heads: Vec<&str> = self.heads.iter().map(|head| head.trim_start_matches('>')).collect();
        let width = |i: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(i));
            let cells = cells.map(|cell| cell.chars().count());
            cells.chain([heads[i].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((cell, head), width) in cells.zip(self.heads).zip(&widths) {
                let _infallible = match head.starts_with('>') {
                    true => write!(line, "  {cell:>width$}"),
                    false => write!(line, "  {cell:<width$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(&mut heads.iter().copied());
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str));
        }
        text
    }
}

/// So many bytes, three digits and a unit.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64 / 1024.0, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 99.95) + usize::from(value < 9.995);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `1 shard`, `2 shards`.
pub(super) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_aligned_and_cannot_act() {
        let mut table = Table::new(&["name", ">bytes", "why"]);
        table.row(&["a".to_owned(), "12345".to_owned(), "x\n\x1b[2J".to_owned()]);
        table.row(&["größer".to_owned(), "1".to_owned(), String::new()]);
        let text = table.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "  name    bytes  why");
        assert_eq!(lines[1], r"  a       12345  x\n\u{1b}[2J");
        assert_eq!(lines[2], "  größer      1");
    }

    #[test]
    fn bytes_have_three_digits() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_240, "10.0 KiB"),
            (102_400, "100 KiB"),
            (1_048_000, "1.00 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), text, "{count}");
        }
        assert_eq!(
            (counted(1, "shard"), counted(0, "shard")),
            ("1 shard".into(), "0 shards".into())
        );
    }
}
