//! Every kind of ending and hint, and the verdict on it.

use mainstay_control::{Class, Ending, Endings, FenceReason, Hints, Program, classify, ending_of};
use mainstay_types::{Cause, exit};

const KILLED: Ending = Ending::Signal { signal: 9, core: false };

fn judged(ending: Ending, hints: &Hints) -> (Cause, Class, u8) {
    let verdict = classify(ending, hints);
    assert!(!verdict.detail.is_empty());
    (verdict.cause, verdict.class, verdict.code)
}

fn fenced(reason: FenceReason) -> Hints {
    Hints { fenced: Some(reason), ..Hints::default() }
}

#[test]
fn signals_from_outside_are_faults_and_own_ones_bugs() {
    for signal in 1..=64 {
        let ending = Ending::Signal { signal, core: false };
        let own = [4, 5, 6, 7, 8, 11, 13, 14, 24, 25, 31].contains(&signal);
        let class = if own { Class::Bug } else { Class::Fault };
        let code = u8::try_from(128 + signal).unwrap();
        assert_eq!(judged(ending, &Hints::default()), (Cause::Signal(signal), class, code));
    }
}

#[test]
fn our_own_kill_is_judged_by_its_reason() {
    let stopped = judged(KILLED, &fenced(FenceReason::Stopped));
    assert_eq!(stopped, (Cause::Stopped, Class::Fault, 137));
    let hung = judged(KILLED, &fenced(FenceReason::NoProgress));
    assert_eq!(hung, (Cause::NoProgress, Class::Fault, 137));
    let collateral = judged(KILLED, &fenced(FenceReason::Collateral));
    assert_eq!(collateral, (Cause::Signal(9), Class::Collateral, 137));
}

#[test]
fn a_rank_that_was_faster_than_our_kill_answers_for_itself() {
    let hints = fenced(FenceReason::Collateral);
    let crash = Ending::Signal { signal: 11, core: true };
    assert_eq!(judged(crash, &hints), (Cause::Signal(11), Class::Bug, 139));
    let exit = judged(Ending::Exit(3), &hints);
    assert_eq!(exit, (Cause::Exit(3), Class::Decision { code: 3 }, 3));
}

#[test]
fn memory_is_named_and_not_retried() {
    let hints = Hints { oom: true, ..Hints::default() };
    let verdict = judged(KILLED, &hints);
    assert_eq!(verdict, (Cause::Oom, Class::Decision { code: 137 }, 137));
    let other = Ending::Signal { signal: 15, core: false };
    assert_eq!(judged(other, &hints).0, Cause::Signal(15));
}

#[test]
fn panics_end_with_101_or_by_abort() {
    let hints = Hints { panicked: Some("index out of bounds".to_owned()), ..Hints::default() };
    assert_eq!(judged(Ending::Exit(101), &hints), (Cause::Panic, Class::Bug, 101));
    let abort = Ending::Signal { signal: 6, core: false };
    assert_eq!(judged(abort, &hints), (Cause::Panic, Class::Bug, 134));
    // A panic's message does not explain a kill from outside.
    assert_eq!(judged(KILLED, &hints), (Cause::Signal(9), Class::Fault, 137));
    assert!(classify(Ending::Exit(101), &hints).detail.contains("index out"));
}

#[test]
fn exits_are_decisions_and_leaving_early_is_an_error() {
    let own = Hints {
        failed: Some("not positive definite".to_owned()),
        joined: true,
        ..Hints::default()
    };
    let verdict = classify(Ending::Exit(1), &own);
    assert_eq!(verdict.class, Class::Decision { code: 1 });
    assert!(verdict.detail.contains("not positive definite"));
    let early = Hints { finished_early: true, ..Hints::default() };
    for (ending, hints) in
        [(Ending::Exit(0), &own), (Ending::Exit(0), &early), (Ending::Exit(70), &early)]
    {
        let verdict = judged(ending, hints);
        assert_eq!(verdict, (Cause::FinishedEarly, Class::Decision { code: 70 }, 70));
    }
    assert_eq!(judged(Ending::Exit(-1), &own).2, exit::INTERNAL);
}

fn behind(started: Ending, program: Option<Ending>, hints: &Hints) -> Ending {
    let program = Some(Program { ending: program, outlived_wrapper: false });
    ending_of(Endings { started, program }, hints)
}

#[test]
fn behind_a_wrapper_the_program_is_judged() {
    let nothing = Hints::default();
    for program in [Ending::Exit(3), Ending::Exit(0), Ending::Signal { signal: 11, core: true }] {
        for wrapper in [Ending::Exit(0), Ending::Exit(1), Ending::Exit(130), KILLED] {
            assert_eq!(behind(wrapper, Some(program), &nothing), program);
        }
    }
    let alone = Endings { started: Ending::Exit(137), program: None };
    assert_eq!(ending_of(alone, &nothing), Ending::Exit(137), "nobody joined from behind it");
}

#[test]
fn a_wrapper_speaks_for_a_program_whose_end_is_not_known() {
    let nothing = Hints::default();
    assert_eq!(behind(Ending::Exit(3), None, &nothing), Ending::Exit(3));
    let segv = Ending::Signal { signal: 11, core: false };
    assert_eq!(behind(Ending::Exit(139), None, &nothing), segv);
    let panicked = Hints { panicked: Some("index".to_owned()), ..Hints::default() };
    let failed = Hints { failed: Some("no such file".to_owned()), ..Hints::default() };
    let early = Hints { finished_early: true, ..Hints::default() };
    for silent in [Ending::Exit(0), KILLED] {
        assert_eq!(behind(silent, None, &nothing), KILLED);
        assert_eq!(behind(silent, None, &panicked), Ending::Exit(101));
        assert_eq!(behind(silent, None, &failed), Ending::Exit(1));
        assert_eq!(behind(silent, None, &early), Ending::Exit(0));
    }
}

#[test]
fn a_wrapper_that_ends_first_takes_its_program_with_it() {
    let program = Some(Program { ending: Some(KILLED), outlived_wrapper: true });
    let endings = Endings { started: Ending::Exit(3), program };
    assert_eq!(ending_of(endings, &Hints::default()), Ending::Exit(3));
}

#[test]
fn a_panic_that_somebody_caught_is_still_one() {
    let hints = Hints { panicked: Some("index".to_owned()), ..Hints::default() };
    let endings = Endings { started: Ending::Exit(0), program: None };
    assert_eq!(ending_of(endings, &hints), Ending::Exit(101));
}
