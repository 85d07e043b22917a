//! The workspace itself, checked by its own rules.

use std::process::Command;

#[test]
fn the_workspace_is_tidy() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("tidy").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let broken: Vec<_> = said.lines().filter(|line| !line.starts_with("advice: ")).collect();
    assert!(output.status.success(), "{}", broken.join("\n"));
}

#[test]
fn what_it_does_not_know_is_a_usage_error() {
    for arguments in [&["mend"][..], &["tidy", "--all"], &["golden", "--force"], &[]] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: cargo xtask"));
    }
}
