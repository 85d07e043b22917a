//! Words of a command as a shell reads them back.
//!
//! Invariant: pasted into bash, zsh or ksh, a line gives exactly the words it was made of, and it
//! is one line of text whatever they hold. Deliberately absent: other shells' quoting.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// The words as one line.
pub(crate) fn line(words: &[OsString]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| quoted(word.as_bytes())).collect();
    quoted.join(" ")
}

fn quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,".contains(byte);
    match std::str::from_utf8(word) {
        Ok(text) if !text.is_empty() && word.iter().all(plain) => text.to_owned(),
        // An option with its value; alone it might be an assignment.
        Ok(text) if text.starts_with("--") && word.iter().all(|b| plain(b) || *b == b'=') => {
            text.to_owned()
        }
        Ok(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        Ok(_) | Err(_) => escaped(word),
    }
}

/// For bytes that cannot be shown. Three octal digits each, so that none runs into what follows.
fn escaped(word: &[u8]) -> String {
    let mut text = String::from("$'");
    for byte in word {
        match byte {
            b'\'' | b'\\' => {
                let _infallible = write!(text, "\\{}", char::from(*byte));
            }
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _infallible = write!(text, "\\{byte:03o}");
            }
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn only_words_that_need_it_are_quoted() {
        let words = ["mainstay", "--resume=ab", "A=b", "./a b", "", "it's", "~"];
        let words = words.map(OsString::from);
        assert_eq!(line(&words), r"mainstay --resume=ab 'A=b' './a b' '' 'it'\''s' '~'");
    }

    #[test]
    fn a_shell_reads_the_same_words_back() {
        let words: Vec<OsString> = [
            &b"plain"[..],
            b"with space",
            b"",
            b"it's",
            b"$HOME `id` \"x\" \\ * ; & | < > ( ) # ! ~",
            b"two\nlines\t",
            b"not \xff text\x01'7",
            "gr\u{fc}n \u{221e}".as_bytes(),
        ]
        .map(|bytes| OsString::from_vec(bytes.to_vec()))
        .into();
        let text = line(&words);
        assert_eq!(text.lines().count(), 1);
        let script = format!("printf '%s\\0' {text}");
        let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        let expected: Vec<u8> =
            words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        assert_eq!(output.stdout, expected, "{text}");
    }
}
