//! Whether the type of a value that was sent is the one that is asked for, by its name.
//!
//! Invariant: types that serde writes alike and that differ in who owns a value are one: `&str` and
//! `String`, `[T]` and `Vec<T>`, `&T`, `Box<T>`, `Rc<T>`, `Arc<T>` and `Cow<T>`. Types of other names
//! are others, whatever their fields. Deliberately absent: what is in them.

use std::any::type_name;

use mainstay_types::crc32c;

/// The sum over a type's name, computed anew for each value.
pub(super) fn type_sum<T: ?Sized>() -> u32 {
    crc32c(alike(type_name::<T>()).as_bytes())
}

/// A type's name with one word for all that serde writes alike.
fn alike(name: &str) -> String {
    const OWNERS: [&str; 4] =
        ["alloc::boxed::Box<", "alloc::rc::Rc<", "alloc::sync::Arc<", "alloc::borrow::Cow<"];
    let (mut told, mut rest) = (String::new(), name);
    // What closes each bracket that is open: an owner's is left out.
    let mut closing = Vec::new();
    while let Some(first) = rest.chars().next() {
        let word = |word: &str| rest.strip_prefix(word);
        let starts = !told.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if let Some(behind) = word("&mut ").or(word("&")) {
            rest = behind;
        } else if let (true, Some(behind)) = (starts, OWNERS.iter().find_map(|owner| word(owner))) {
            closing.push("");
            rest = behind;
        } else if let (true, Some(behind)) = (starts, word("alloc::vec::Vec<")) {
            told.push('[');
            closing.push("]");
            rest = behind;
        } else if let (true, Some(behind)) = (starts, word("alloc::string::String")) {
            told.push_str("str");
            rest = behind;
        } else {
            match first {
                '<' => closing.push(">"),
                '>' if told.ends_with('-') => closing.push(">"),
                _ => {}
            }
            match first {
                '>' => told.push_str(closing.pop().unwrap_or(">")),
                first => told.push(first),
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_left_out_of_names() {
        assert_eq!(alike(type_name::<Box<Vec<Option<&[u8]>>>>()), "[core::option::Option<[u8]>]");
        assert_eq!(alike("fn(&str) -> my::String"), "fn(str) -> my::String");
    }
}
