//! Every way to write a path, an `unsafe` or an ignored test, and what only looks like one.

use super::*;

fn paths(text: &str, test: bool) -> Vec<String> {
    let mentions = scan(text).unwrap().mentions;
    let of_kind = mentions.into_iter().filter(|m| m.test == test);
    of_kind.map(|m| m.path).collect()
}

#[test]
fn every_way_to_name_a_path_gives_its_full_name() {
    for (text, path) in [
        ("use std::fs;", "std::fs"),
        ("use ::std::{io, fs::{self, File}};", "std::fs::File"),
        ("use std as s; fn f() { s::fs::read(1); }", "std::fs::read"),
        (
            "use std::time as t; use t::Instant as I; fn f() { I::now(); }",
            "std::time::Instant::now",
        ),
        ("extern crate std as s; type T = s::net::TcpStream;", "std::net::TcpStream"),
        ("fn f() -> core::time::Duration { d }", "std::time::Duration"),
        ("macro_rules! m { () => { std::env::var(\"x\") } }", "std::env::var"),
        ("m! { use std::{thread, fs}; }", "std::thread"),
        ("m! { with std::sync::{Mutex as M} }", "std::sync::Mutex"),
        ("fn f() { x.collect::<std::fs::File>(); }", "std::fs::File"),
        ("fn f(x: &dyn Fn() -> <std::fs::File as T>::U) {}", "std::fs::File"),
        ("use std::time::*;", "std::time::*"),
        ("use r#std::r#fs;", "std::fs"),
    ] {
        let found = paths(text, false);
        assert!(found.iter().any(|p| p == path), "{text}: {found:?}");
    }
}

#[test]
fn comments_strings_members_and_casts_are_not_paths() {
    let text = "//! std::fs\n/// std::fs\nfn f() { /* std::fs */ let s = \"std::fs\"; x.fs; \
                y as usize; }";
    assert_eq!(paths(text, false), Vec::<String>::new());
}

#[test]
fn what_only_tests_compile_is_marked() {
    let text = "#[cfg(test)] mod tests { use std::fs; } use std::net;";
    assert_eq!(paths(text, true), ["std::fs"]);
    assert_eq!(paths(text, false), ["std::net"]);
    let text = "#[test] #[should_panic] fn f() { std::fs::read(1); } fn g() { std::net::x(); }";
    assert_eq!(paths(text, true), ["std::fs::read"]);
    assert_eq!(paths(text, false), ["std::net::x"]);
    assert_eq!(paths("#![cfg(test)] use std::fs;", true), ["std::fs"]);
    assert_eq!(paths("#[cfg(all(test, loom))] mod m { use std::fs; }", true), ["std::fs"]);
    assert_eq!(paths("#[cfg(not(test))] mod m { use std::fs; }", false), ["std::fs"]);
    assert_eq!(paths("#[cfg(any(test, loom))] mod m { use std::fs; }", false), ["std::fs"]);
    let text = "struct S { #[cfg(test)] a: u8, b: std::fs::File }";
    assert_eq!(paths(text, false), ["std::fs::File"]);
    assert_eq!(scan("#[cfg(test)] mod model;").unwrap().test_modules, ["model"]);
}

#[test]
fn unsafe_and_ignored_are_found_on_their_lines() {
    let text = "fn f() {\n m!(unsafe { g() });\n}\n#[unsafe(no_mangle)]\nunsafe fn g() {}\n\
                #[test] #[ignore = \"slow\"] fn t() {}\n#[cfg_attr(x, ignore)] fn u() {}\n\
                // unsafe\n#![deny(unsafe_op_in_unsafe_fn)]";
    let found = scan(text).unwrap();
    assert_eq!(found.unsafe_lines, [2, 4, 5]);
    assert_eq!(found.ignore_lines, [6, 7]);
}
