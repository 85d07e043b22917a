//! A checkpoint directory that fails while a job runs: it costs durability only, is told, and what
//! was written is undone; once the directory works again, versions go to disk again.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, getuid, prlimit};

use crate::checkpoints::{manifests, number};
use crate::harness::{Ended, Run, Scratch, program, run, start};

/// A job that is long enough for a directory to fail and to be mended.
fn job(directory: &str, steps: &str) -> Run {
    let probe = program("probe");
    let options = ["-n", "2", "--ckpt-every", "10steps", "--disk-every", "each", "--ckpt-dir"];
    let work = [directory, &probe, "steps", steps, "--spin-us", "500", "--bytes", "200000"];
    start(&[&options[..], &work].concat())
}

/// What is left of a version whose write failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// What nothing could remove, beside a mark by which the next start does.
    Marked,
}

/// Whether there are whole versions and what may be left.
fn is_tidy(files: &[String], left: Left) -> bool {
    let has = |name: &str, end: &str| {
        let version = name.split('.').next().unwrap_or_default();
        files.contains(&format!("{version}.{end}"))
    };
    let marked = |name: &str| left == Left::Marked && has(name, "manifest.aside");
    let tidy = |name: &String| match name.as_str() {
        "LOCK" => true,
        name if name.ends_with(".manifest") => true,
        name => marked(name) || name.ends_with(".shard") && has(name, "manifest"),
    };
    files.iter().all(tidy)
}

/// Lets the directory of a job fail and mends it again.
fn fails_and_is_mended(
    scratch: &Scratch,
    fail: &mut dyn FnMut(&Run, bool),
    (why, left): (&str, Left),
) -> Ended {
    let mut job = job(&scratch.join("d"), "1200");
    job.until("published");
    fail(&job, true);
    let told = job.until("memory alone");
    fail(&job, false);
    assert!(told.contains("is not on disk") && told.contains(why), "{told}");
    job.until("writing succeeds again");
    let ended = job.end().code(0);
    let files = scratch.files("d");
    assert!(is_tidy(&files, left), "{files:?}");
    // The last one may be published and not counted any more.
    assert!((2..=3).contains(&manifests(scratch).len()), "{files:?}");
    ended
}

#[test]
fn a_limit_on_the_size_of_files_costs_durability_while_it_holds() {
    let scratch = Scratch::new();
    let mut before = None;
    let mut limit = |job: &Run, on: bool| {
        let pid = Pid::from_raw(job.pid());
        let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
        let small = Rlimit { current: Some(50_000), maximum };
        let new = if on { small } else { before.take().unwrap() };
        before = Some(prlimit(pid, Resource::Fsize, new).unwrap());
    };
    fails_and_is_mended(&scratch, &mut limit, ("ulimit -f", Left::Nothing));
}

/// A directory that cannot be written, until this is dropped.
struct ReadOnly {
    directory: PathBuf,
    /// Where a read-only view of it lies, for root may write whatever its mode.
    view: PathBuf,
}

impl ReadOnly {
    /// `None` for root without the right to mount, who can make nothing read-only.
    fn new(directory: &Path, view: &Path) -> Option<Self> {
        let this = Self { directory: directory.to_owned(), view: view.to_owned() };
        if !getuid().is_root() {
            this.mode(0o500);
            return Some(this);
        }
        let mount = |words: &[&OsStr]| {
            let status = Command::new("mount").args(words).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        let (bind, from, to) = (OsStr::new("--bind"), directory.as_os_str(), view.as_os_str());
        let now = OsStr::new("-oremount,bind,ro");
        fs::create_dir_all(view).unwrap();
        // The view is read-only before it covers what a launcher writes in.
        (mount(&[bind, from, to]) && mount(&[now, to]) && mount(&[bind, to, from])).then_some(this)
    }

    fn mode(&self, mode: u32) {
        fs::set_permissions(&self.directory, fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if !getuid().is_root() {
            return self.mode(0o700);
        }
        for mounted in [&self.directory, &self.view] {
            let _not_there = Command::new("umount").arg("-l").arg(mounted).output();
        }
    }
}

#[test]
fn a_directory_that_becomes_read_only_costs_durability_while_it_is() {
    let scratch = Scratch::new();
    let (d, view) = (scratch.path().join("d"), scratch.path().join("view"));
    fs::create_dir(&d).unwrap();
    if ReadOnly::new(&d, &view).is_none() {
        return;
    }
    let mut now = None;
    let mut fail = |_: &Run, on: bool| now = on.then(|| ReadOnly::new(&d, &view).unwrap());
    // It may strike in the middle of a version, and nothing can be undone then.
    fails_and_is_mended(&scratch, &mut fail, ("give a --ckpt-dir", Left::Marked));
    // The next start does it, whatever it goes on with.
    let (d, probe) = (scratch.join("d"), program("probe"));
    let work = [&*probe, "steps", "1200", "--spin-us", "500", "--bytes", "200000"];
    run(&[&["-n", "2", "--ckpt-dir", &d, "--resume"][..], &work].concat()).code(0);
    let files = scratch.files("d");
    assert!(is_tidy(&files, Left::Nothing), "{files:?}");
}

/// The thread of a launcher that writes versions.
fn drain_thread(job: &Run) -> String {
    let tasks = fs::read_dir(format!("/proc/{}/task", job.pid())).unwrap();
    let mut tasks = tasks.map(|task| task.unwrap().path());
    let name = |task: &Path| fs::read_to_string(task.join("comm")).unwrap_or_default();
    let drain = tasks.find(|task| name(task).trim() == "mainstay-drain").unwrap();
    drain.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Whether a test may let system calls of a process fail, as `strace` can.
fn may_trace() -> bool {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let allowed = getuid().is_root() || ["", "0"].contains(&scope.trim());
    allowed && works.is_ok_and(|ended| ended.status.success())
}

#[test]
fn a_sync_that_fails_costs_one_version() {
    if !may_trace() {
        // There is nothing else here that lets a sync fail; the tests of `ckpt` do, at each.
        return;
    }
    for call in ["fdatasync", "fsync"] {
        let scratch = Scratch::new();
        let mut tracer = None;
        let mut fail = |job: &Run, on: bool| {
            if on {
                let trace = format!("trace={call}");
                let inject = format!("inject={call}:error=EIO:when=2");
                let mut strace = Command::new("strace");
                strace.args(["-o", "/dev/null", "-e", &trace, "-e", &inject, "-p"]);
                let strace = strace.arg(drain_thread(job)).stderr(Stdio::null()).spawn();
                tracer = Some(strace.unwrap());
            } else {
                let pid = tracer.as_ref().unwrap().id().to_string();
                assert!(Command::new("kill").arg(pid).status().unwrap().success());
                tracer.as_mut().unwrap().wait().unwrap();
            }
        };
        let why = ("cannot sync: Input/output error", Left::Nothing);
        fails_and_is_mended(&scratch, &mut fail, why);
    }
}

#[test]
fn a_manifest_that_somebody_else_has_put_there_stays_as_it_is() {
    let scratch = Scratch::new();
    let mut job = job(&scratch.join("d"), "800");
    job.until("published");
    let newest = manifests(&scratch).pop().map_or(1, |name| number(&name));
    let foreign = format!("v{:08}.manifest", newest + 8);
    let path = scratch.path().join("d").join(&foreign);
    fs::write(&path, b"theirs").unwrap();
    let told = job.until("memory alone");
    assert!(told.contains(&foreign) && told.contains("File exists"), "{told}");
    job.until("writing succeeds again");
    job.end().code(0);
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    let versions: Vec<_> = manifests(&scratch).iter().map(|name| number(name)).collect();
    assert!((3..=4).contains(&versions.len()), "two are kept beside it: {versions:?}");
}
