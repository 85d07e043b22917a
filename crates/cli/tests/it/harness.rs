//! Running the command: programs built once, a deadline, and a look at what is left behind.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No run of a test takes longer than this, even on a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(120);
/// Marks every process of a run, so that what is left of it can be found.
const MARK: &str = "MAINSTAY_TEST_RUN";

/// Where the programs are, which `cargo build` has put there now if not before.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let profile = Path::new(env!("CARGO_BIN_EXE_mainstay")).parent().unwrap();
        let target = profile.parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "mainstay-apps", "--bins", "--target-dir"]);
        build.arg(target).current_dir(root());
        if profile.file_name().unwrap() != "debug" {
            build.arg("--profile").arg(profile.file_name().unwrap());
        }
        assert!(build.status().unwrap().success(), "the programs do not build");
        profile.to_owned()
    })
}

/// The workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The path of a program of `apps`, as an argument.
pub(crate) fn program(name: &str) -> String {
    programs().join(name).to_str().unwrap().to_owned()
}

/// The real matrix.
pub(crate) fn matrix() -> String {
    root().join("data/bcsstk16.mtx.gz").to_str().unwrap().to_owned()
}

/// A directory of a test's own, removed with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mainstay-it-{}-{next}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// One in memory, where there is a place for that: syncs cost nothing there.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let of_disk = Self::new();
        if !memory.is_dir() {
            return of_disk;
        }
        let path = memory.join(of_disk.0.file_name().unwrap());
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// The files in a directory below, sorted, without the lock.
    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "LOCK")
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A run of the command under way.
pub(crate) struct Run {
    child: Child,
    mark: String,
    state: Scratch,
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `mainstay run` with these words; whatever belongs to the program included.
pub(crate) fn start(words: &[&str]) -> Run {
    start_with(words, Stdio::null())
}

pub(crate) fn start_with(words: &[&str], stdin: Stdio) -> Run {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    programs();
    let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let state = Scratch::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    let published = words.iter().any(|word| word.contains("point=published#"));
    if published || words.contains(&"--inject") && words.contains(&"--ckpt-dir") {
        // Versions are published before the fault and before the last step, also on a slow disk.
        command.env("PROBE_LEAST_SPIN_US", "5000");
    }
    let child = command
        .arg("run")
        .args(words)
        .env(MARK, &mark)
        .env("XDG_STATE_HOME", state.path())
        .env_remove("RUST_BACKTRACE")
        .env_remove("SLURM_JOB_END_TIME")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Run { child, mark, state }
}

/// Runs to the end and checks that nothing is left.
pub(crate) fn run(words: &[&str]) -> Ended {
    start(words).end()
}

/// `mainstay ckpt` with these words, to its end.
pub(crate) fn ckpt(words: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("ckpt").args(words).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let in_time = watchdog(child.id());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    assert!(in_time(), "{words:?} does not end within {DEADLINE:?}; {stderr}");
    let code = status.code().unwrap_or_else(|| panic!("{words:?}: {status}; {stderr}"));
    assert!(!stderr.contains("panicked"), "{words:?}: {stderr}");
    Ended { code, stdout, stderr }
}

impl Run {
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends the launcher a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Waits until `pattern` shows in a line of standard error; gives the lines so far.
    pub(crate) fn until(&mut self, pattern: &str) -> String {
        let in_time = watchdog(self.child.id());
        let mut stderr = self.child.stderr.take().unwrap();
        let (mut text, mut byte) = (String::new(), [0]);
        while !text.contains(pattern) {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "no `{pattern}` in: {text}");
            text.push(char::from(byte[0]));
        }
        self.child.stderr = Some(stderr);
        assert!(in_time(), "no `{pattern}` within {DEADLINE:?}");
        text
    }

    /// Waits for the end within the deadline, then looks at what is left.
    pub(crate) fn end(self) -> Ended {
        let Self { child, mark, state } = self;
        let in_time = watchdog(child.id());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(in_time(), "no end within {DEADLINE:?}; {stderr}");
        none_left(&mark);
        let code = std::os::unix::process::ExitStatusExt::signal(&status)
            .map_or_else(|| status.code().unwrap(), |signal| -signal);
        if code == 0 {
            let jobs = state.path().join("mainstay/jobs");
            let left = fs::read_dir(jobs).map_or(0, Iterator::count);
            assert_eq!(left, 0, "a job that succeeded leaves its directory");
        }
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        Ended { code, stdout, stderr }
    }
}

/// Kills the process at the deadline, so that whoever reads from it comes to an end. What is given
/// calls that off and says whether it was in time.
fn watchdog(pid: u32) -> impl FnOnce() -> bool {
    let (done, expired) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let timely = expired.recv_timeout(DEADLINE) != Err(RecvTimeoutError::Timeout);
        if !timely {
            let _gone = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
        timely
    });
    move || {
        drop(done);
        guard.join().unwrap()
    }
}

/// Requires that no process with this mark lives, within the time that a kill takes.
pub(crate) fn none_left(mark: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "processes are left: {left:?}");
        std::thread::yield_now();
    }
}

impl Run {
    /// The processes of the run, by their environment.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        marked(&self.mark)
    }

    pub(crate) fn mark(&self) -> String {
        self.mark.clone()
    }
}

fn marked(mark: &str) -> Vec<(i32, String)> {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let ours = environment.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes());
            let state = fs::read_to_string(entry.path().join("stat")).ok()?;
            let alive = !state.rsplit_once(") ")?.1.starts_with('Z');
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            (ours && alive).then_some((pid, command))
        })
        .collect()
}

impl Ended {
    /// Requires an exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Requires a text on standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in: {}", self.stderr);
        self
    }

    /// The value behind a key of the report.
    #[track_caller]
    pub(crate) fn value(&self, key: &str) -> String {
        let wanted = format!("{key}: ");
        let mut lines = self.stdout.lines().filter_map(|line| line.strip_prefix(&wanted));
        lines.next().unwrap_or_else(|| panic!("no `{key}` in: {}", self.stdout)).to_owned()
    }

    /// The objects of `--json`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let objects = self.stdout.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        objects.collect()
    }

    /// The last object of `--json`, which is the summary.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.events().pop().unwrap_or_default();
        assert_eq!(last["event"], "summary", "{}", self.stderr);
        assert_eq!(last["exit"], self.code);
        last
    }
}
