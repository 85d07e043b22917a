//! Programs behind `sh -c`: what a wrapper does after its program, and what it hides.

use std::fs;

use crate::harness::{Run, Scratch, program, run, start};

/// A job whose wrappers go on after the program until the file is there.
fn going_on(scratch: &Scratch) -> Run {
    let (probe, file) = (program("probe"), scratch.join("go"));
    let script = format!("{probe} steps 20; until test -e {file}; do sleep 0.05; done; echo done");
    let mut job = start(&["-n", "2", "sh", "-c", &script]);
    // The note comes when the wrappers have been let go on for longer than one is after a failure.
    job.until("its program has ended, and `sh` around it");
    job
}

#[test]
fn a_wrapper_goes_on_after_a_program_that_has_done_its_work() {
    let scratch = Scratch::new();
    let job = going_on(&scratch);
    fs::write(scratch.path().join("go"), "").unwrap();
    let ended = job.end().code(0);
    assert_eq!(ended.stdout.matches("done\n").count(), 2, "{}", ended.stdout);
}

#[test]
fn an_interrupt_ends_wrappers_that_go_on_and_the_job_stays_finished() {
    let scratch = Scratch::new();
    let job = going_on(&scratch);
    job.signal("INT");
    let ended = job.end().code(0).says("after the job finished");
    assert!(!ended.stdout.contains("done\n") && ended.stdout.contains("result digest: "));
}

#[test]
fn a_wrapper_cannot_hide_how_its_program_ended() {
    let probe = program("probe");
    let fails = |mode: &str, then: &str| {
        let script = format!("{probe} {mode} --steps 20; {then}");
        run(&["-n", "2", "--json", "sh", "-c", &script]).summary()
    };
    for then in ["true", "sleep 1000"] {
        let summary = fails("panic-at 5 1", then);
        assert_eq!(
            (&summary["exit"], &summary["failures"][0]["cause"]),
            (&101.into(), &"panic".into())
        );
        let summary = fails("early", then);
        assert_eq!(summary["failures"][0]["cause"], "finished_early");
        if kernel_tells() {
            let summary = fails("exit-at 5 1 3", then);
            let first = &summary["failures"][0];
            assert_eq!((&summary["exit"], &first["cause"]), (&3.into(), &"exit:3".into()));
        }
    }
}

/// Whether the kernel tells how a process ended that is no child of who asks: Linux 6.15 does.
fn kernel_tells() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|word| word.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 15)
}
