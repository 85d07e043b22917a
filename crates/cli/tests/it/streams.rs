//! Output, input, signals and pipes.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Run, Scratch, program, run, start, start_with};

#[test]
fn lines_are_whole_and_labelled() {
    let script = "printf 'one\\ntwo'; printf 'err\\n' >&2";
    let ended = run(&["-n", "3", "--label", "--quiet", "sh", "-c", script]).code(0);
    for rank in 0..3 {
        // Lines of other ranks may come between, and never within.
        let label = format!("[{rank}] ");
        let own: Vec<_> =
            ended.stdout.lines().filter_map(|line| line.strip_prefix(&label)).collect();
        assert_eq!(own, ["one", "two"], "{}", ended.stdout);
        assert!(ended.stderr.contains(&format!("[{rank}] err\n")));
    }
}

#[test]
fn input_goes_to_rank_0_and_the_others_have_none() {
    let script = "cat; echo end";
    let mut run = start_with(&["-n", "2", "--label", "sh", "-c", script], Stdio::piped());
    let mut stdin = run.child().stdin.take().unwrap();
    stdin.write_all(&[b'x'; 100_000]).unwrap();
    stdin.write_all(b"\n").unwrap();
    drop(stdin);
    let ended = run.end().code(0);
    assert!(ended.stdout.contains("[1] end\n"));
    assert_eq!(ended.stdout.matches('x').count(), 100_000);
    assert!(ended.stdout.contains("[0] end\n"));
}

/// Rank 0 asks last, so that the others would load nothing if they were let.
#[test]
fn an_input_of_the_job_may_come_from_standard_input() {
    let words = ["-n", "3", &program("probe"), "stdin"];
    let mut run = start_with(&words, Stdio::piped());
    run.child().stdin.take().unwrap().write_all(&[b'x'; 100_000]).unwrap();
    let ended = run.end().code(0);
    assert_eq!(ended.value("bytes"), "[100000, 100000, 100000]", "each rank was given all of it");
}

#[test]
fn an_input_that_rank_0_does_not_ask_for_ends_the_job_by_name() {
    let ended =
        run(&["-n", "3", "--heartbeat", "50ms", &program("probe"), "stdin", "--skips"]).code(70);
    ended.says("rank 0 has not called `job.input` for `stdin`");
}

#[test]
fn a_twin_and_the_run_after_it_have_the_same_input() {
    let scratch = Scratch::new();
    let script = format!("cat | tee -a {}; echo end", scratch.join("seen"));
    let input = "line\n".repeat(50_000);
    let mut run = start_with(&["--twin", "sh", "-c", &script], Stdio::piped());
    run.child().stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = run.end().code(76);
    assert!(ended.stdout.starts_with(&format!("{input}end\n")), "the run as asked");
    let seen = std::fs::read_to_string(scratch.path().join("seen")).unwrap();
    assert_eq!(seen, input.repeat(2), "the twin and the run as asked");
}

#[test]
fn input_that_stays_open_holds_no_twin_up() {
    let script = "read line; echo \"got $line\"";
    let mut run = start_with(&["--twin", "sh", "-c", script], Stdio::piped());
    let mut stdin = run.child().stdin.take().unwrap();
    stdin.write_all(b"abc\n").unwrap();
    let ended = run.end().code(76);
    drop(stdin);
    assert!(ended.stdout.contains("got abc\n"), "{}", ended.stdout);
}

#[test]
fn json_is_one_object_a_line_also_with_output_that_is_not_text() {
    let ended = run(&["-n", "2", "--json", "sh", "-c", "printf 'a\\377\\\"\\n'"]).code(0);
    let lines = ended.events().iter().filter(|event| event["event"] == "output").count();
    assert_eq!(lines, 2);
    assert_eq!(ended.summary()["exit"], 0);
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
}

#[test]
fn signals_end_the_job_with_their_code_and_a_summary() {
    let probe = program("probe");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut job = start(&["-n", "2", "--json", &probe, "steps", "100000", "--spin-us", "1000"]);
        let mut line = String::new();
        let stdout = job.child().stdout.take().unwrap();
        let mut reader = std::io::BufReader::new(stdout);
        while !line.contains("checkpoint") {
            line.clear();
            std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        }
        job.signal(signal);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut reader, &mut rest).unwrap();
        let summary = rest.lines().last().unwrap().to_owned();
        assert!(summary.contains("\"summary\"") && summary.contains(&format!("\"exit\":{code}")));
        job.end().code(code);
    }
}

/// Whether something more fits a pipe, which its other end, opened once more, tells.
fn has_room(pipe: &str) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let writer = std::fs::File::options().write(true).open(pipe).unwrap();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&writer, PollFlags::OUT)], Some(&now)) != Ok(0)
}

/// Waits until nothing more fits the pipe that the launcher writes to.
fn until_stalled(job: &mut Run) {
    use std::os::fd::AsRawFd;
    let fd = job.child().stdout.as_ref().unwrap().as_raw_fd();
    let pipe = format!("/proc/self/fd/{fd}");
    let until = Instant::now() + Duration::from_secs(60);
    while has_room(&pipe) {
        assert!(Instant::now() < until, "the pipe does not fill");
        std::thread::yield_now();
    }
}

#[test]
fn a_reader_that_stalls_holds_back_a_rank_that_prints() {
    let mut job = start(&["-n", "1", "sh", "-c", "exec yes"]);
    until_stalled(&mut job);
    let ranks = job.processes();
    let (pid, _) = ranks.iter().find(|(_, command)| command.starts_with("yes")).unwrap();
    let pipe = format!("/proc/{pid}/fd/1");
    // A launcher that went on taking would make room again and again, and grow.
    let (until, mut full) = (Instant::now() + Duration::from_secs(30), Instant::now());
    while full.elapsed() < Duration::from_millis(500) {
        assert!(Instant::now() < until, "the rank's output is still taken");
        if has_room(&pipe) {
            full = Instant::now();
        }
        std::thread::yield_now();
    }
    job.signal("INT");
    job.end().code(130);
}

#[test]
fn a_reader_that_stalls_holds_up_no_signal() {
    let (people, program) = (&["-n", "2", "--label"][..], &["-n", "2", "--json"][..]);
    let cases = [(people, "INT", 130), (program, "INT", 130), (people, "TERM", 143)];
    for (words, signal, code) in
        cases.into_iter().chain([(people, "HUP", 129), (people, "QUIT", 131)])
    {
        let mut job = start(&[words, &["sh", "-c", "yes; true"]].concat());
        until_stalled(&mut job);
        job.signal(signal);
        // Nobody reads, and it ends all the same.
        let until = Instant::now() + Duration::from_secs(60);
        while job.child().try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the launcher waits for a reader");
            std::thread::yield_now();
        }
        job.end().code(code);
    }
}

#[test]
fn a_reader_that_stalls_holds_up_no_recovery_and_loses_nothing() {
    let probe = program("probe");
    let steps = ["steps", "1000000", "--bytes", "64"];
    let mut job =
        start(&[&["-n", "2", "--json", "--ckpt-every", "1steps", &probe], &steps[..]].concat());
    until_stalled(&mut job);
    let ranks = |job: &Run| -> Vec<i32> {
        let all = job.processes().into_iter();
        all.filter(|(_, command)| command.starts_with(&probe)).map(|(pid, _)| pid).collect()
    };
    let before = ranks(&job);
    assert_eq!(before.len(), 2);
    let victim = rustix::process::Pid::from_raw(before[1]).unwrap();
    rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !ranks(&job).iter().any(|pid| !before.contains(pid)) {
        assert!(Instant::now() < until, "nobody took the dead rank's place");
        std::thread::yield_now();
    }
    job.signal("TERM");
    let ended = job.end().code(143);
    let summary = ended.summary();
    assert_eq!(summary["failures"][0]["cause"], "signal:9");
    assert_eq!(summary["respawns"], 1);
    let versions = ended.events().iter().filter(|event| event["event"] == "checkpoint").count();
    assert!(versions > 50, "{versions}");
}

#[test]
fn ranks_that_ignore_the_request_to_end_are_killed() {
    let script = "trap '' TERM; echo ready >&2; while :; do sleep 1; done";
    let mut job = start(&["-n", "2", "sh", "-c", script]);
    job.until("ready");
    job.signal("INT");
    job.end().code(130);
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let script = "trap '' TERM; echo ready >&2; while :; do sleep 1; done";
    let mut job = start(&["-n", "1", "sh", "-c", script]);
    job.until("ready");
    let started = std::time::Instant::now();
    job.signal("INT");
    // The first has been seen once the job says so or ends; a second before that counts as one.
    while job.child().try_wait().unwrap().is_none() {
        job.signal("INT");
        std::thread::yield_now();
        if started.elapsed() > std::time::Duration::from_secs(60) {
            break;
        }
    }
    job.end().code(130);
}

#[test]
fn a_closed_standard_output_ends_the_job_with_141() {
    let probe = program("probe");
    let script = format!(
        "{} run -n 2 --json {probe} steps 100000 --spin-us 1000 | head -n 1; \
         echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_mainstay")
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.lines().last(), Some("141"), "{text}");
}

/// Suspends a job as Ctrl-Z does, and lets it go on once all of it has stood still for so long.
fn stand_still(job: &mut Run, time: Duration) {
    job.signal("TSTP");
    let stopped = |job: &Run| {
        let own = job.pid();
        let programs = job.processes();
        let state = |pid: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").map_or('?', |(_, rest)| rest.chars().next().unwrap_or('?'))
        };
        // The guardian runs on; it has the launcher's command line.
        programs
            .iter()
            .filter(|(pid, command)| {
                *pid == own || command.contains("probe steps") && !command.contains("mainstay run")
            })
            .all(|(pid, _)| state(*pid) == 'T')
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !stopped(job) {
        assert!(Instant::now() < until, "{:?}", job.processes());
        std::thread::yield_now();
    }
    // The time is what is tested, not a wait for anything.
    let seconds = time.as_secs_f64().to_string();
    assert!(Command::new("sleep").arg(seconds).status().unwrap().success());
    job.signal("CONT");
}

#[test]
fn suspending_the_launcher_suspends_the_ranks_and_nothing_is_declared_dead() {
    let probe = program("probe");
    let words = ["-n", "2", "--lost-after", "200ms", "--heartbeat", "50ms", &probe];
    let mut job = start(&[&words[..], &["steps", "600", "--spin-us", "1000"]].concat());
    job.until("committed");
    // For longer than --lost-after.
    stand_still(&mut job, Duration::from_millis(600));
    let ended = job.end().code(0);
    assert!(!ended.stderr.contains("FAILED"), "{}", ended.stderr);
}

#[test]
fn a_pause_makes_no_version_due() {
    let probe = program("probe");
    let words = ["-n", "2", "--ckpt-every", "10s", &probe, "steps", "2000", "--spin-us", "1000"];
    let (began, interval) = (Instant::now(), Duration::from_secs(10));
    let pause = interval + Duration::from_secs(1);
    let mut job = start(&words);
    job.until("rank 1 is up");
    job.signal("USR1");
    job.until("is on disk, as asked");
    stand_still(&mut job, pause);
    let ended = job.end().code(0);
    // Where the machine is so slow that the job itself takes longer than the interval, some are due.
    let due = began.elapsed().saturating_sub(pause).as_secs() / interval.as_secs();
    let committed = ended.value("checkpoints").split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!((1..=1 + due).contains(&committed), "{due} due: {}", ended.stdout);
}

#[test]
fn a_very_long_line_comes_in_marked_pieces_and_whole_for_people() {
    let bytes = 2_500_000;
    let script = format!("head -c {bytes} /dev/zero | tr '\\0' x; echo; echo end");
    let ended = run(&["--label", "--quiet", "sh", "-c", &script]).code(0);
    let line = ended.stdout.lines().next().unwrap();
    assert_eq!((line.len(), &line[..5]), (bytes + 4, "[0] x"));
    assert!(ended.stdout.contains("\n[0] end\n"));
    let ended = run(&["--json", "sh", "-c", &script]).code(0);
    let output: Vec<_> = ended.events().into_iter().filter(|e| e["event"] == "output").collect();
    let partial: Vec<_> = output.iter().map(|piece| piece["partial"].as_bool().unwrap()).collect();
    assert_eq!(partial, [true, true, false, false]);
    let lens = output.iter().map(|piece| piece["line"].as_str().unwrap().len());
    assert_eq!(lens.sum::<usize>(), bytes + "end".len());
}
