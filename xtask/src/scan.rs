//! What one Rust file mentions: the paths it names, its `unsafe`, its ignored tests.
//!
//! Invariants: it reads tokens, so comments and strings never count, and code inside macros
//! always does; a path is reported under its full name, whatever `use … as` calls it. What only
//! tests compile is marked. Deliberately absent: name resolution across files, which the rules do
//! not need, because a name has to be imported before it can be passed on.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Group, Ident, LexError, TokenStream, TokenTree};

/// A path of two or more names, or an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The full path, with `core` and `alloc` written as `std`; `*` ends a glob import.
    pub(crate) path: String,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// Whether only tests compile it.
    pub(crate) test: bool,
}

/// What a file mentions.
#[derive(Default, Debug)]
pub(crate) struct Scan {
    /// Every path.
    pub(crate) mentions: Vec<Mention>,
    /// Lines with the keyword `unsafe`.
    pub(crate) unsafe_lines: Vec<usize>,
    /// Lines with `#[ignore]`.
    pub(crate) ignore_lines: Vec<usize>,
    /// Modules in files of their own that only tests compile.
    pub(crate) test_modules: Vec<String>,
    aliases: [BTreeMap<String, Vec<String>>; 2],
}

/// Reads a file's tokens.
///
/// # Errors
/// Text that is not Rust.
pub(crate) fn scan(text: &str) -> Result<Scan, LexError> {
    let stream: TokenStream = text.parse()?;
    let mut scan = Scan::default();
    scan.walk(stream, false);
    let aliases = std::mem::take(&mut scan.aliases);
    for mention in &mut scan.mentions {
        mention.path = full_name(&mention.path, mention.test, &aliases);
    }
    Ok(scan)
}

impl Scan {
    fn walk(&mut self, stream: TokenStream, outside: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut whole = outside;
        // The first token behind an item that only tests compile.
        let mut test_until = 0;
        let mut at = 0;
        while at < tokens.len() {
            let test = whole || at < test_until;
            match &tokens[at] {
                TokenTree::Punct(p) if p.as_char() == '#' => {
                    let inner = is_punct(tokens.get(at + 1), '!');
                    at += 1 + usize::from(inner);
                    let Some(TokenTree::Group(group)) = tokens.get(at) else {
                        continue;
                    };
                    at += 1;
                    if self.attribute(group) {
                        whole |= inner;
                        test_until = test_until.max(item_end(&tokens, at));
                    }
                }
                TokenTree::Group(group) => {
                    self.walk(group.stream(), test);
                    at += 1;
                }
                TokenTree::Ident(word) => at += self.word(word, &tokens[at..], test),
                TokenTree::Punct(p) if p.as_char() == '.' => {
                    // A method or field is not the start of a path.
                    let member = matches!(tokens.get(at + 1), Some(TokenTree::Ident(_)));
                    at += 1 + usize::from(member);
                }
                _ => at += 1,
            }
        }
    }

    /// Takes note of an attribute; true if what follows it is compiled for tests alone.
    fn attribute(&mut self, group: &Group) -> bool {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        let Some(TokenTree::Ident(name)) = tokens.first() else {
            return false;
        };
        match (plain(name).as_str(), tokens.get(1)) {
            ("test", None) => true,
            ("cfg", Some(TokenTree::Group(condition))) => needs_test(&condition.stream()),
            ("ignore", _) => {
                self.ignore_lines.push(line(name));
                false
            }
            (_, Some(TokenTree::Group(arguments))) => {
                self.walk_attribute(name, arguments);
                false
            }
            _ => false,
        }
    }

    fn walk_attribute(&mut self, name: &Ident, arguments: &Group) {
        match plain(name).as_str() {
            "unsafe" => self.unsafe_lines.push(line(name)),
            // `cfg_attr(condition, ignore)` ignores as well.
            "cfg_attr" => {
                let ignores = |t: &TokenTree| matches!(t, TokenTree::Ident(i) if *i == "ignore");
                if arguments.stream().into_iter().any(|t| ignores(&t)) {
                    self.ignore_lines.push(line(name));
                }
            }
            _ => {}
        }
    }

    /// Takes note of what starts with a word; returns how many tokens that is.
    fn word(&mut self, word: &Ident, tokens: &[TokenTree], test: bool) -> usize {
        match plain(word).as_str() {
            "unsafe" => {
                self.unsafe_lines.push(line(word));
                1
            }
            "use" if !is_punct(tokens.get(1), '<') => {
                let end = statement_end(tokens);
                self.import(&[], &tokens[1..end], test);
                end
            }
            "extern" if matches!(tokens.get(1), Some(TokenTree::Ident(i)) if *i == "crate") => {
                let end = statement_end(tokens);
                self.import(&[], &tokens[2..end], test);
                end
            }
            "mod" => {
                if let Some(TokenTree::Ident(name)) = tokens.get(1).filter(|_| test)
                    && is_punct(tokens.get(2), ';')
                {
                    self.test_modules.push(plain(name));
                }
                1
            }
            _ => self.path(word, tokens, test),
        }
    }

    /// A path in code: names joined by `::`.
    fn path(&mut self, first: &Ident, tokens: &[TokenTree], test: bool) -> usize {
        let mut names = vec![plain(first)];
        let mut at = 1;
        while is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':') {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(name)) => names.push(plain(name)),
                // The body of a macro may hold a `use` tree whose keyword comes from elsewhere.
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inside: Vec<_> = group.stream().into_iter().collect();
                    self.import(&names, &inside, test);
                    return at + 3;
                }
                _ => break,
            }
            at += 3;
        }
        if names.len() > 1 {
            self.mention(&names, line(first), test);
        }
        at
    }

    /// The trees of an import, behind `prefix`.
    fn import(&mut self, prefix: &[String], tokens: &[TokenTree], test: bool) {
        for tree in tokens.split(|t| is_punct(Some(t), ',')) {
            let mut names = prefix.to_vec();
            let mut at_line = 0;
            let mut rename = None;
            let mut after_as = false;
            for token in tree {
                match token {
                    TokenTree::Ident(name) if *name == "as" => after_as = true,
                    TokenTree::Ident(name) if after_as => rename = Some(plain(name)),
                    TokenTree::Ident(name) => {
                        at_line = line(name);
                        // `use a::{self}` imports `a` itself.
                        if *name != "self" || names.is_empty() {
                            names.push(plain(name));
                        }
                    }
                    TokenTree::Punct(p) if p.as_char() == '*' => {
                        at_line = p.span().start().line;
                        names.push("*".to_owned());
                    }
                    TokenTree::Group(group) => {
                        let inside: Vec<_> = group.stream().into_iter().collect();
                        self.import(&names, &inside, test);
                        names.clear();
                    }
                    _ => {}
                }
            }
            let Some(last) = names.last() else { continue };
            let alias = rename.unwrap_or_else(|| last.clone());
            self.aliases[usize::from(test)].insert(alias, names.clone());
            self.mention(&names, at_line, test);
        }
    }

    fn mention(&mut self, names: &[String], line: usize, test: bool) {
        let path = names.join("::");
        self.mentions.push(Mention { path, line, test });
    }
}

/// The path behind any renaming, with the standard library under one name.
fn full_name(path: &str, test: bool, aliases: &[BTreeMap<String, Vec<String>>; 2]) -> String {
    let mut names: Vec<String> = path.split("::").map(str::to_owned).collect();
    // Renamings of renamings end; a cycle cannot compile, and the bound keeps it from mattering.
    for _ in 0..8 {
        let in_tests = aliases[1].get(&names[0]).filter(|_| test);
        let Some(target) = in_tests.or_else(|| aliases[0].get(&names[0])) else {
            break;
        };
        if target[0] == names[0] {
            break;
        }
        names.splice(..1, target.iter().cloned());
    }
    if matches!(names[0].as_str(), "core" | "alloc") {
        "std".clone_into(&mut names[0]);
    }
    names.join("::")
}

/// Whether a `cfg` condition can hold only for tests.
fn needs_test(condition: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = condition.clone().into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(word)] => *word == "test",
        [TokenTree::Ident(word), TokenTree::Group(parts)] => {
            let parts: Vec<_> = parts.stream().into_iter().collect();
            let mut parts = parts
                .split(|t| is_punct(Some(t), ','))
                .filter(|part| !part.is_empty())
                .map(|part| needs_test(&part.iter().cloned().collect()));
            match plain(word).as_str() {
                "all" => parts.any(|needed| needed),
                "any" => parts.all(|needed| needed),
                _ => false,
            }
        }
        _ => false,
    }
}

/// The end of the item, statement, field or arm that starts at `at`, behind its attributes.
fn item_end(tokens: &[TokenTree], mut at: usize) -> usize {
    while is_punct(tokens.get(at), '#') {
        at += 2;
    }
    let item = tokens[at.min(tokens.len())..].iter().take(6).any(|token| {
        let words = "fn mod impl struct enum union trait use static const type let macro_rules";
        matches!(token, TokenTree::Ident(i) if words.split(' ').any(|word| *i == word))
    });
    for (i, token) in tokens.iter().enumerate().skip(at) {
        let ends = match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(p) => p.as_char() == ';' || (!item && p.as_char() == ','),
            _ => false,
        };
        if ends {
            return i + 1;
        }
    }
    tokens.len()
}

fn statement_end(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|token| is_punct(Some(token), ';'));
    end.unwrap_or(tokens.len())
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == character)
}

fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

fn line(name: &Ident) -> usize {
    name.span().start().line
}

#[cfg(test)]
mod tests;
