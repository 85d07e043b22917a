//! What a program may put into the report of a run, and how it is shown there.
//!
//! Invariants: no key of a program can be taken for one of the report's own, nor for another line
//! of it; a value shown is one line without control characters. Deliberately absent: the report.

use std::borrow::Cow;

use crate::limits::NAME_BYTES_MAX;

/// The keys of the report's own lines.
pub const OWN_KEYS: [&str; 10] = [
    "bit-identical",
    "checkpoints",
    "held back",
    "intervals",
    "lost time",
    "not injected",
    "result digest",
    "timeline",
    "twin",
    "twin digest",
];

/// Why a key cannot stand in a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is longer than a name may be.
    #[error("a report's key has {bytes} bytes; at most {NAME_BYTES_MAX} are possible")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not made of the characters of a key.
    #[error(
        "`{key}` cannot be a key of the report: a key is ASCII letters, digits, spaces and `_-./`, \
         begins with a letter and does not end with a space"
    )]
    Form {
        /// The key, with control characters escaped.
        key: String,
    },
    /// The report has a line of its own under it.
    #[error("`{key}` cannot be a key of the report: `{own}` is one of its own; choose another")]
    Own {
        /// The key.
        key: String,
        /// The report's own.
        own: &'static str,
    },
}

/// Whether a program may report a value under `key`.
///
/// # Errors
/// [`KeyError`].
pub fn check_key(key: &str) -> Result<(), KeyError> {
    if key.len() > NAME_BYTES_MAX {
        return Err(KeyError::TooLong { bytes: key.len() });
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || " _-./".contains(c);
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || key.ends_with(' ') || !key.chars().all(inside) {
        return Err(KeyError::Form { key: one_line(key).into_owned() });
    }
    match OWN_KEYS.into_iter().find(|own| letters(own).eq(letters(key))) {
        Some(own) => Err(KeyError::Own { key: key.to_owned(), own }),
        None => Ok(()),
    }
}

/// What an eye compares of a key.
fn letters(key: &str) -> impl Iterator<Item = char> {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase())
}

/// A text as it is shown in one line: what could end the line, move the cursor or change the
/// direction of writing is escaped.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if acts(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Whether a character does something to a terminal instead of being shown.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || c == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_imitate_the_report_are_refused() {
        for own in OWN_KEYS {
            assert!(matches!(check_key(own), Err(KeyError::Own { .. })), "{own}");
        }
        for key in ["Bit-Identical", "bit_identical", "result  digest", "losttime", "t.w.i.n"] {
            assert!(matches!(check_key(key), Err(KeyError::Own { .. })), "{key}");
        }
        for key in ["residual", "iterations", "memcpy_ns_3", "error L2", "a/b", "twin primes"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn keys_that_are_no_words_are_refused_in_one_line() {
        for key in ["", " x", "x ", "3d", "a\nb", "a: b", "a\x1b[2J", "\u{431}it-identical", "-a"] {
            let error = check_key(key).unwrap_err();
            assert!(matches!(error, KeyError::Form { .. }), "{key}");
            assert!(!error.to_string().contains(acts), "{key}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(check_key(&long), Err(KeyError::TooLong { bytes: NAME_BYTES_MAX + 1 }));
        assert_eq!(check_key(&long[1..]), Ok(()));
    }

    #[test]
    fn a_value_is_one_line_whatever_it_holds() {
        assert_eq!(one_line("1.2e-11 ‖r‖"), "1.2e-11 ‖r‖");
        let forged = "1\nbit-identical: yes\r\x1b[2K\u{9b}\u{202e}";
        assert_eq!(one_line(forged), r"1\nbit-identical: yes\r\u{1b}[2K\u{9b}\u{202e}");
    }
}
