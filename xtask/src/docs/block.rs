//! Which blocks of a page are run, and what they are to print.
//!
//! A block whose first line is ` ```sh run ` is run; ` ```sh run exit:75 ` is to end with 75. If the
//! next block of the page is ` ```text output `, the run is to print that. Both render as any other
//! block, because only the first word names a language; a mark has a colon, as rustdoc takes no `=`. Deliberately absent: running.

use std::ops::Range;

use crate::tidy::{Finding, Page};

/// Stands for anything: inside a line for any characters, alone in a line for any lines.
const GAP: char = '…';

/// A block that is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The line of its fence.
    pub(super) line: usize,
    /// What the shell is given.
    pub(super) script: String,
    /// The exit code that it is to end with.
    pub(super) exit: i32,
    /// What it is to print, with gaps.
    pub(super) output: Option<Vec<String>>,
}

/// The blocks of a page that are run, and marks that nobody can follow.
pub(super) fn runs(page: &Page) -> (Vec<Run>, Vec<Finding>) {
    let (mut runs, mut findings) = (Vec::<Run>::new(), Vec::new());
    let mut follows_run = false;
    for (line, info, lines) in page.blocks() {
        let mut words = info.split_whitespace();
        let (language, marks) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
        match (language, marks.as_slice()) {
            ("sh", ["run", rest @ ..]) => match exit_of(rest) {
                Ok(exit) => {
                    runs.push(Run { line, script: lines.join("\n"), exit, output: None });
                    follows_run = true;
                    continue;
                }
                Err(text) => findings.push(Finding::new(&page.path, line, text)),
            },
            ("text", ["output"]) => match runs.last_mut().filter(|_| follows_run) {
                Some(run) => run.output = Some(lines),
                None => {
                    let text = "marks an output, and no block that is run stands before it";
                    findings.push(Finding::new(&page.path, line, text));
                }
            },
            ("sh" | "text", [mark, ..]) => {
                let text = format!(
                    "has the mark `{mark}`; a block is `sh run`, `sh run exit:N` or `text output`"
                );
                findings.push(Finding::new(&page.path, line, text));
            }
            _ => {}
        }
        follows_run = false;
    }
    (runs, findings)
}

fn exit_of(marks: &[&str]) -> Result<i32, String> {
    let [mark] = marks else {
        return if marks.is_empty() { Ok(0) } else { Err("has more than one exit code".into()) };
    };
    let code = mark.strip_prefix("exit:").and_then(|code| code.parse::<u8>().ok());
    code.map(i32::from)
        .ok_or_else(|| format!("has the mark `{mark}`; it may be `exit:N`, 0 to 255"))
}

/// The first line of `output` that `printed` has no place for; `None` if it is all there, in order
/// and with nothing between that no gap stands for.
pub(super) fn missing<'a>(output: &'a [String], printed: &str) -> Option<&'a str> {
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let wanted: Vec<&str> = output.iter().map(|line| line.trim_end()).collect();
    if fits(&wanted, &printed, is_gap, agrees) {
        return None;
    }
    let mut front: Vec<&str> = Vec::new();
    for line in &wanted {
        front.push(line);
        let mut open = front.clone();
        open.push("…");
        if !fits(&open, &printed, is_gap, agrees) {
            return Some(line);
        }
    }
    Some("the end of the output")
}

fn is_gap(line: &&str) -> bool {
    line.trim() == "…"
}

fn agrees(wanted: &&str, line: &&str) -> bool {
    let wanted: Vec<char> = wanted.chars().collect();
    let line: Vec<char> = line.chars().collect();
    fits(&wanted, &line, |c| *c == GAP, |a, b| a == b)
}

/// Whether a pattern with gaps covers all items: at a mismatch the last gap takes one item more.
fn fits<P, T>(pattern: &[P], items: &[T], gap: fn(&P) -> bool, one: fn(&P, &T) -> bool) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut last: Option<Range<usize>> = None;
    while i < items.len() {
        if pattern.get(p).is_some_and(gap) {
            last = Some(p..i);
            p += 1;
        } else if pattern.get(p).is_some_and(|wanted| one(wanted, &items[i])) {
            (p, i) = (p + 1, i + 1);
        } else if let Some(back) = &mut last {
            back.end += 1;
            (p, i) = (back.start + 1, back.end);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_and_outputs_belong_to_the_block_before() {
        let text = "```sh run\na\nb\n```\nIt says:\n```text output\nx\n```\n```sh\nno\n```\n\
                    ```sh run exit:75\nc\n```\n```rust\n```\n";
        let (runs, findings) = runs(&Page::new("x.md", text));
        assert!(findings.is_empty());
        let first = Run { line: 1, script: "a\nb".into(), exit: 0, output: Some(vec!["x".into()]) };
        let second = Run { line: 12, script: "c".into(), exit: 75, output: None };
        assert_eq!(runs, [first, second]);
    }

    #[test]
    fn marks_that_nobody_can_follow_are_told() {
        for (text, part) in [
            ("```sh runs\n```", "`runs`"),
            ("```sh run exit:x\n```", "`exit:x`"),
            ("```sh run exit:256\n```", "`exit:256`"),
            ("```sh run exit:1 exit:2\n```", "more than one"),
            ("```text output\n```", "no block that is run"),
            ("```sh run\n```\n```sh\n```\n```text output\n```", "no block that is run"),
            ("```text outputs\n```", "`outputs`"),
        ] {
            let (_, findings) = runs(&Page::new("x.md", text));
            let told = findings.iter().filter(|finding| finding.text.contains(part)).count();
            assert_eq!((told, findings.len()), (1, 1), "{text}: {findings:?}");
        }
    }

    #[test]
    fn a_gap_stands_for_anything_and_nothing_else_does() {
        let wanted = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        for (output, printed, first) in [
            ("a\nb", "a\nb\n", None),
            ("a … ms\nb", "a 12.5 ms\nb", None),
            ("…\nb", "x\ny\nb", None),
            ("…\nb\n…", "b", None),
            ("…\na b…\n…\nc", "a b\na bc\nc", None),
            ("…a…b", "xaxbxb", None),
            ("", "", None),
            ("a\nb", "a", Some("b")),
            ("a", "a\nb", Some("the end of the output")),
            ("a … ms", "a 12 s", Some("a … ms")),
            ("…\nx\n…\ny", "y\nx", Some("y")),
        ] {
            assert_eq!(missing(&wanted(output), printed), first, "{output:?} in {printed:?}");
        }
    }
}
