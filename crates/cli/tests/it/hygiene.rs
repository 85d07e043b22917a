//! What a run leaves behind: nothing.

use std::process::Command;

use crate::harness::{Scratch, none_left, program, run, start};

#[test]
fn a_process_that_a_rank_leaves_is_ended_with_the_job() {
    let probe = program("probe");
    run(&["-n", "2", &probe, "fork"]).code(0);
    // In a group and session of its own, and with the output pipes held open.
    let script = "setsid sleep 1000 & echo started";
    let ended = run(&["-n", "2", "sh", "-c", script]).code(0);
    assert_eq!(ended.stdout.matches("started").count(), 2);
}

#[test]
fn a_killed_launcher_takes_its_ranks_groups_with_it() {
    let script = "sleep 1000 & echo ready >&2; wait";
    let mut job = start(&["-n", "2", "sh", "-c", script]);
    job.until("ready");
    let mark = job.mark();
    job.signal("KILL");
    job.end().code(-9);
    none_left(&mark);
}

#[test]
fn a_killed_guardian_has_a_successor() {
    let script = "sleep 1000 & echo ready >&2; wait";
    let mut job = start(&["-n", "2", "sh", "-c", script]);
    job.until("ready");
    let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let guardian = job.processes().into_iter().find(|(pid, _)| name(*pid) == "mainstay-guard\n");
    let pid = guardian.unwrap().0.to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    job.until("another one has taken its place");
    let mark = job.mark();
    job.signal("KILL");
    job.end().code(-9);
    none_left(&mark);
}

#[test]
fn a_launcher_without_descriptors_says_so_and_ends() {
    let (probe, scratch) = (program("probe"), Scratch::new());
    let run = format!(
        "exec {} run -n 4 --ckpt-every 5steps {probe} steps 60",
        env!("CARGO_BIN_EXE_mainstay")
    );
    let mut short = 0;
    // From too few to start anything to too few for the messages that carry some.
    for limit in (15..60).step_by(3) {
        let output = Command::new("bash")
            .args(["-c", &format!("ulimit -n {limit}; {run}")])
            .env("XDG_STATE_HOME", scratch.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => {}
            Some(70) if stderr.contains("raise `ulimit -n`") => short += 1,
            code => panic!("{code:?} with {limit} descriptors: {stderr}"),
        }
    }
    assert!(short > 0);
}

#[test]
fn a_rank_has_no_descriptor_or_mapping_of_another_kind_than_its_own() {
    let script = "ls -l /proc/self/fd | grep -c -E 'memfd|socket' ; true";
    let ended = run(&["-n", "2", "sh", "-c", script]).code(0);
    // Before it joins, a program holds nothing of the job but its three streams.
    assert_eq!(ended.stdout.lines().filter(|line| *line == "0").count(), 2, "{}", ended.stdout);
}

#[test]
fn a_child_of_a_rank_inherits_no_mapping_of_the_job() {
    let probe = program("probe");
    let mut job = start(&["-n", "2", &probe, "fork", "--steps", "3000", "--spin-us", "1000"]);
    job.until("committed");
    let mut seen = 0;
    for (pid, command) in job.processes() {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        if command.starts_with("sleep") {
            seen += 1;
            assert!(!maps.contains("memfd:mainstay"), "{command}: {maps}");
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            for fd in fds.flatten() {
                let to = std::fs::read_link(fd.path()).unwrap_or_default();
                assert!(!to.to_string_lossy().contains("memfd:mainstay"), "{command}: {to:?}");
            }
        } else if command.contains("probe fork") && !command.contains("mainstay run") {
            assert!(maps.contains("memfd:mainstay"), "{command}");
        }
    }
    assert!(seen > 0, "{:?}", job.processes());
    job.signal("TERM");
    job.end().code(143);
}
