//! How a process ended, by its descriptor, also if it is no child of ours.
//!
//! Invariant: an answer is what the kernel recorded, never a guess. Deliberately absent: what it
//! says about the job.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus};

use crate::procfs;

/// `struct pidfd_info` in its first size, which every kernel that has the call accepts.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    /// pid, tgid, ppid and four pairs of user and group.
    identity: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
#[allow(clippy::cast_possible_wrap, reason = "musl has signed numbers for the same bits")]
const PIDFD_GET_INFO: libc::Ioctl = 0xC040_FF0B_u32 as libc::Ioctl;
/// The process has ended and was reaped: `exit_code` is filled.
const PIDFD_INFO_EXIT: u64 = 1 << 3;
const _: () = assert!(size_of::<Info>() == 64);

/// The status of a process that has ended, of which we hold a descriptor.
///
/// A child of ours is reaped by this, an adopted one too. Of another process Linux 6.15 and later
/// tell once its parent has reaped it; before that `/proc` tells a status that is not 0.
#[must_use]
pub fn ended(pidfd: BorrowedFd<'_>, pid: u32) -> Option<ExitStatus> {
    adopted(pidfd).or_else(|| recorded(pidfd)).or_else(|| {
        let before = procfs::exit_status(pid).map(ExitStatus::from_raw);
        // Reaped between the two looks: its number may be somebody else's by now.
        recorded(pidfd).or(before)
    })
}

fn adopted(pidfd: BorrowedFd<'_>) -> Option<ExitStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::PidFd(pidfd), options).ok()??;
    Some(ExitStatus::from_raw(as_wait_tells(&status)))
}

/// The bits of `wait` for what `waitid` says.
fn as_wait_tells(status: &WaitIdStatus) -> i32 {
    match status.terminating_signal() {
        Some(signal) => signal | if status.dumped() { 0x80 } else { 0 },
        None => status.exit_status().unwrap_or(0) << 8,
    }
}

fn recorded(pidfd: BorrowedFd<'_>) -> Option<ExitStatus> {
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: the kernel writes at most the 64 bytes that the request's number names, all of them
    // in the local, whose every bit pattern is valid.
    let asked = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (asked == 0 && info.mask & PIDFD_INFO_EXIT != 0).then(|| ExitStatus::from_raw(info.exit_code))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    /// How a grandchild ended, which its own parent reaps.
    fn grandchild(script: &str) -> Option<ExitStatus> {
        let script = format!("sh -c 'read go; {script}' & echo $!; wait $!; echo reaped");
        // A background process reads /dev/null unless it is told otherwise.
        let script = format!("exec 3<&0; {}", script.replacen("' &", "' <&3 &", 1));
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let pid: i32 = line.trim().parse().unwrap();
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        assert_eq!(ended(pidfd.as_fd(), pid.cast_unsigned()), None, "it has not ended");
        drop(shell.stdin.take());
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "reaped\n");
        shell.wait().unwrap();
        ended(pidfd.as_fd(), pid.cast_unsigned())
    }

    #[test]
    fn the_end_of_a_process_that_is_no_child_of_ours_is_known_where_the_kernel_tells() {
        let (exited, killed) = (grandchild("exit 3"), grandchild("kill -9 $$"));
        // Linux before 6.15 does not tell.
        assert_eq!(exited.is_some(), killed.is_some());
        assert!(exited.is_none_or(|status| status.code() == Some(3)), "{exited:?}");
        assert!(killed.is_none_or(|status| status.signal() == Some(9)), "{killed:?}");
    }

    #[test]
    fn a_child_is_reaped_and_asked() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
        assert_eq!(ended(pidfd.as_fd(), child.id()).and_then(|status| status.code()), Some(7));
        assert!(child.wait().is_err(), "there is nothing left to wait for");
    }
}
