//! Rules on documentation: links lead somewhere, nothing is left open, no machine is named.
//!
//! Invariants: links in code are no links; an anchor has to be a heading of its page, under the
//! slug that GitHub and mdBook give it; a link to another site has the form of one. Deliberately
//! absent: asking other sites, which no test may depend on.

use std::collections::BTreeSet;

use super::Finding;
use crate::workspace;

/// Words that mark unfinished text.
const OPEN: &[&str] = &["TODO", "FIXME", "XXX", "TBD"];
/// What stands for a figure that nobody has measured yet.
const UNMEASURED: &str = "to be measured";
/// Beginnings of paths that exist on one person's machine only.
const LOCAL: &[&str] = &["/home/", "/root/", "/Users/", "file://"];

/// A page of documentation.
pub(crate) struct Page {
    /// Its path from the root.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Page {
    /// A page.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Its fenced blocks: the line of the fence, the word behind it, the lines inside.
    pub(crate) fn blocks(&self) -> Vec<(usize, String, Vec<String>)> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, String, Vec<String>)> = None;
        for (i, line) in self.text.lines().enumerate() {
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (None, Some(info)) => open = Some((i + 1, info.trim().to_owned(), Vec::new())),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some((_, _, lines)), None) => lines.push(line.to_owned()),
                (None, None) => {}
            }
        }
        blocks
    }

    /// Its lines outside fenced blocks, numbered from 1.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let numbered = self.text.lines().enumerate();
        let outside = numbered.filter(|(_, line)| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        });
        outside.map(|(i, line)| (i + 1, line)).collect()
    }

    fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        for (_, line) in self.prose() {
            let Some(heading) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#'))
            else {
                continue;
            };
            let slug = slug(heading.trim());
            // A second heading of the same name gets a number.
            let mut name = slug.clone();
            for number in 1.. {
                if anchors.insert(name) {
                    break;
                }
                name = format!("{slug}-{number}");
            }
        }
        anchors
    }

    /// Links outside code, with their lines.
    fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            let outside_code: String = line.split('`').step_by(2).collect();
            for part in outside_code.split("](").skip(1) {
                let target = part.split(')').next().unwrap_or_default();
                links.push((number, target.to_owned()));
            }
        }
        links
    }
}

/// What is wrong with a page's words.
pub(super) fn check(page: &Page) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, line) in page.text.lines().enumerate() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
        if let Some(open) = OPEN.iter().find(|open| words.contains(open)) {
            let text = format!("says {open}: finish it or leave it out");
            findings.push(Finding::new(&page.path, i + 1, text));
        }
        if line.contains(UNMEASURED) {
            let text = "lacks a figure: measure it with the command beside it";
            findings.push(Finding::new(&page.path, i + 1, text));
        }
        if let Some(local) = LOCAL.iter().find(|local| mentions_path(line, local)) {
            let text = format!("names a path under {local}, which readers do not have");
            findings.push(Finding::new(&page.path, i + 1, text));
        }
    }
    findings
}

fn mentions_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '/' | '~' | '}' | '_'))
    })
}

/// Links that lead nowhere, over all pages.
pub(crate) fn links(pages: &[Page]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in pages {
        for (line, link) in page.links() {
            if is_elsewhere(&link) {
                if !is_well_formed(&link) {
                    let text = format!("links to {link}, which is no address");
                    findings.push(Finding::new(&page.path, line, text));
                }
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = if file.is_empty() { page.path.clone() } else { joined(&page.path, file) };
            let target = pages.iter().find(|page| page.path == path);
            let exists = target.is_some() || workspace::root().join(&path).exists();
            if !exists {
                let text = format!("links to {link}, and there is no {path}");
                findings.push(Finding::new(&page.path, line, text));
            } else if !anchor.is_empty() && target.is_some_and(|t| !t.anchors().contains(anchor)) {
                let text = format!("links to {link}, and {path} has no such heading");
                findings.push(Finding::new(&page.path, line, text));
            }
        }
    }
    findings
}

fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

/// Whether a link to another site or a mailbox has the form of one. Nobody is asked.
fn is_well_formed(link: &str) -> bool {
    let printable = link.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"'));
    let is_domain = |host: &str| {
        let part =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '-');
        host.contains('.') && host.split('.').all(part)
    };
    let domain = match link.strip_prefix("mailto:") {
        Some(mailbox) => mailbox.split_once('@').map(|(_, domain)| domain),
        None => {
            let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
            rest.map(|rest| rest.split(['/', '?', '#', ':']).next().unwrap_or_default())
        }
    };
    printable && domain.is_some_and(is_domain)
}

/// The path of `link` as seen from the page at `from`.
fn joined(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_anchors_have_to_exist() {
        let there = Page::new("docs/a/there.md", "# One thing\n## `code` & more\n# One thing\n");
        for (link, count) in [
            ("../a/there.md", 0),
            ("../a/there.md#one-thing", 0),
            ("../a/there.md#one-thing-1", 0),
            ("../a/there.md#code--more", 0),
            ("../a/there.md#another", 1),
            ("gone.md", 1),
            ("#here", 0),
            ("#not-here", 1),
            ("https://example.org/gone.md", 0),
            ("https://example.org:8080?q#a", 0),
            ("mailto:a@example.org", 0),
            ("https:///gone.md", 1),
            ("htps://example.org", 1),
            ("https://example..org", 1),
            ("https://example.org/a b", 1),
            ("mailto:example.org", 1),
            ("../../Cargo.toml", 0),
        ] {
            let page = Page::new("docs/b/page.md", &format!("# Here\nsee [it]({link}) now"));
            let there = Page::new(&there.path, &there.text);
            assert_eq!(links(&[page, there]).len(), count, "{link}");
        }
        let code = Page::new("docs/b/page.md", "`[a](gone.md)`\n```\n[a](gone.md)\n```\n");
        assert!(links(&[code]).is_empty());
    }

    #[test]
    fn open_ends_and_local_paths_are_caught() {
        let broken = |text: &str| !check(&Page::new("docs/x.md", text)).is_empty();
        for text in ["a TODO: x", "`FIXME`", "cd /home/me/x", "(/root/.cargo)"] {
            assert!(broken(text), "{text}");
        }
        for text in ["mastodon", "todos", "/proc/self/fd", "~/work/x", "a/home/b", "${D}/work/"] {
            assert!(!broken(text), "{text}");
        }
    }

    #[test]
    fn blocks_are_read_with_their_words() {
        let page = Page::new("x.md", "a\n```sh run\nls\n```\nb\n```\nc\n```\n");
        assert_eq!(
            page.blocks(),
            [(2, "sh run".to_owned(), vec!["ls".to_owned()]), (6, String::new(), vec!["c".into()])]
        );
        assert_eq!(page.prose(), [(1, "a"), (5, "b")]);
    }
}
