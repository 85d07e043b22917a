//! Runs a block as a reader would: in a directory of its own, with the built programs on the path.
//!
//! Invariants: a block that outlives its deadline is killed with all that it started; nothing that
//! it writes stays. Deliberately absent: which block, and whether it printed what it should.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::{Failure, workspace};

/// A block takes seconds; what takes this long hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// How a block ended.
pub(super) struct Ended {
    /// Its exit code; `None` if a signal ended it, as at the deadline.
    pub(super) code: Option<i32>,
    /// What it printed on both streams, in order.
    pub(super) printed: String,
    /// Whether it had to be killed.
    pub(super) late: bool,
}

/// Runs a script in `directory`, which is made empty first but for the link `data`.
///
/// # Errors
/// A directory that cannot be made, a shell that cannot be started.
pub(super) fn execute(script: &str, programs: &Path, directory: &Path) -> Result<Ended, Failure> {
    let _none_there = fs::remove_dir_all(directory);
    fs::create_dir_all(directory)?;
    std::os::unix::fs::symlink(workspace::root().join("data"), directory.join("data"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(programs.to_path_buf()).chain(std::env::split_paths(&path));
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{script}")]);
    bash.env("PATH", std::env::join_paths(all)?).env("XDG_STATE_HOME", directory.join(".state"));
    bash.current_dir(directory).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = bash.spawn().map_err(|e| format!("bash: {e}"))?;
    let ended = follow(&mut child)?;
    fs::remove_dir_all(directory)?;
    Ok(ended)
}

fn follow(child: &mut Child) -> Result<Ended, Failure> {
    let mut stdout = child.stdout.take().ok_or("no pipe to the shell")?;
    let (tell, pieces) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.read_to_end(&mut bytes);
        // Nobody listens any more if the deadline came first.
        let _late = tell.send(read.map(|_| bytes));
    });
    let (bytes, late) = match pieces.recv_timeout(DEADLINE) {
        Ok(read) => (read?, false),
        Err(_) => {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(group) = group {
                let _already_gone = rustix::process::kill_process_group(group, Signal::KILL);
            }
            (pieces.recv_timeout(DEADLINE).ok().and_then(Result::ok).unwrap_or_default(), true)
        }
    };
    if !late {
        let _no_panics_there = reader.join();
    }
    let code = child.wait()?.code();
    Ok(Ended { code, printed: String::from_utf8_lossy(&bytes).into_owned(), late })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_runs_among_data_and_leaves_nothing() {
        let directory = std::env::temp_dir().join(format!("mainstay-docs-{}", std::process::id()));
        let script = "test -d data; touch x; echo out; echo err >&2; exit 3";
        let ended = execute(script, Path::new("/nowhere"), &directory).unwrap();
        assert_eq!((ended.code, ended.late), (Some(3), false));
        assert_eq!(ended.printed, "out\nerr\n");
        assert!(!directory.exists());
        let ended = execute("false; echo on", Path::new("/nowhere"), &directory).unwrap();
        assert_eq!((ended.code, ended.printed.as_str()), (Some(1), ""));
    }
}
