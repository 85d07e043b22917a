//! One error that `?` carries out of a program: the interruption, or whatever went wrong.
//!
//! Invariant: an interruption stays recognisable however it is passed on as [`Error`].
//! Deliberately absent: `std::error::Error` for [`Error`], so that every other error converts into
//! it with `?`; convert it into a boxed error where that trait is needed.

use std::error::Error as StdError;
use std::fmt;

use mainstay_host::endpoint::CommError;
use mainstay_host::rank::RankError;

/// What programs return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call of Mainstay, or the program itself, did not succeed.
///
/// # Examples
/// ```
/// fn number(text: &str) -> mainstay::Result<f64> {
///     Ok(text.parse::<f64>()?)
/// }
/// assert!(!number("x").unwrap_err().is_interrupted());
/// ```
pub struct Error(Repr);

enum Repr {
    Rank(RankError),
    Program(Box<dyn StdError + Send + Sync>),
    /// What the program returned when it was to load the input of this name.
    Input(String, Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// An error of the program's own, from a sentence.
    #[must_use]
    pub fn msg(sentence: impl fmt::Display) -> Self {
        Self(Repr::Program(sentence.to_string().into()))
    }

    /// Whether a peer failed and this entry of the program is over. Let it pass with `?`: `run`
    /// enters the program again.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.0, Repr::Rank(RankError::Interrupted))
    }

    /// The program's own error of type `E`, if that is what this is.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match &self.0 {
            Repr::Program(error) | Repr::Input(_, error) => error.downcast_ref(),
            Repr::Rank(error) => (error as &(dyn StdError + 'static)).downcast_ref(),
        }
    }

    pub(crate) fn rank(&self) -> Option<&RankError> {
        match &self.0 {
            Repr::Rank(error) => Some(error),
            Repr::Program(_) | Repr::Input(..) => None,
        }
    }

    /// Names the input at which a program's error came up.
    pub(crate) fn of_input(self, name: &str) -> Self {
        match self.0 {
            Repr::Program(error) => Self(Repr::Input(name.to_owned(), error)),
            told => Self(told),
        }
    }

    fn as_std(&self) -> &(dyn StdError + Send + Sync + 'static) {
        match &self.0 {
            Repr::Rank(error) => error,
            Repr::Program(error) | Repr::Input(_, error) => error.as_ref(),
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(error);
        let other = match boxed.downcast::<RankError>() {
            Ok(error) => return Self(Repr::Rank(*error)),
            Err(other) => other,
        };
        Self(match other.downcast::<CommError>() {
            Ok(error) => Repr::Rank((*error).into()),
            Err(other) => Repr::Program(other),
        })
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        match error.0 {
            Repr::Rank(error) => Box::new(error),
            Repr::Program(error) => error,
            Repr::Input(input, cause) => Box::new(InputError { input, cause }),
        }
    }
}

/// An error of an input where it has to be an error of the standard library's kind; its cause is its source.
#[derive(Debug)]
struct InputError {
    input: String,
    cause: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input `{}`: {}", self.input, self.cause)
    }
}

impl StdError for InputError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.cause.as_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Repr::Input(name, _) = &self.0 {
            write!(f, "input `{name}`: ")?;
        }
        let mut text = self.as_std().to_string();
        let mut cause = self.as_std().source();
        while let Some(error) = cause {
            let told = error.to_string();
            if !tells(&text, &told) {
                text.push_str(": ");
                text.push_str(&told);
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

/// Whether a sentence tells its cause already, as many errors do that have it as their source too.
fn tells(text: &str, cause: &str) -> bool {
    text.match_indices(cause).any(|(at, _)| {
        let before = &text[..at];
        let behind = &text[at + cause.len()..];
        (before.is_empty() || before.ends_with(": ")) && !behind.starts_with(char::is_alphanumeric)
    })
}

/// As [`Display`](fmt::Display): what `main` shows when it returns the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_survives_conversion_and_others_downcast() {
        assert!(Error::from(RankError::Interrupted).is_interrupted());
        assert!(Error::from(CommError::Interrupted).is_interrupted());
        let parse = Error::from("x".parse::<u8>().unwrap_err());
        assert!(parse.downcast_ref::<std::num::ParseIntError>().is_some());
        assert!(parse.downcast_ref::<std::fmt::Error>().is_none());
        assert_eq!(format!("{parse:?}"), format!("{parse}"));
    }

    #[test]
    fn an_error_of_an_input_names_it_and_stays_what_it_is() {
        let missing = || Error::from(std::io::Error::from(std::io::ErrorKind::NotFound));
        let error = missing().of_input("rule");
        assert_eq!(error.to_string(), format!("input `rule`: {}", missing()));
        assert!(error.downcast_ref::<std::io::Error>().is_some());
        let boxed: Box<dyn StdError + Send + Sync> = error.into();
        assert!(boxed.to_string().starts_with("input `rule`: "));
        assert!(boxed.source().unwrap().downcast_ref::<std::io::Error>().is_some());
        assert!(Error::from(RankError::Interrupted).of_input("rule").is_interrupted());
    }

    /// An error with a source, which its own sentence tells or does not.
    #[derive(Debug)]
    struct Outer(&'static str, std::io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn each_cause_is_shown_once() {
        let shown = |text| Error::from(Outer(text, std::io::Error::other("no room"))).to_string();
        assert_eq!(shown("cannot write"), "cannot write: no room");
        assert_eq!(shown("cannot write: no room"), "cannot write: no room");
        assert_eq!(shown("cannot write: no room; make some"), "cannot write: no room; make some");
        assert_eq!(shown("no room"), "no room");
        assert_eq!(shown("no roommate"), "no roommate: no room");
        assert_eq!(shown("a: no roommate"), "a: no roommate: no room");
        let cause = std::io::Error::other("no room");
        let io = RankError::Io { action: "map the segment", cause };
        assert_eq!(Error::from(io).to_string(), "cannot map the segment: no room");
    }
}
