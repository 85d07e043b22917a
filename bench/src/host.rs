//! On what was measured: the machine, its load, and the commit.
//!
//! Deliberately absent: anything that would name a person or a path.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Failure;
use crate::build::root;

/// Time of all processors that the host of this machine has taken since it started, if it is virtual.
///
/// # Errors
/// What the kernel says.
pub(crate) fn stolen() -> Result<Duration, Failure> {
    let text = fs::read_to_string("/proc/stat")?;
    let ticks = text.split_whitespace().nth(8).and_then(|word| word.parse::<u64>().ok());
    let ticks = ticks.ok_or("/proc/stat does not tell what the host took")?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Where and when a measurement was made.
pub(crate) struct Host {
    processor: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    huge_pages: String,
    commit: String,
    date: String,
}

impl Host {
    /// Looks at this machine.
    pub(crate) fn look() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = model.map_or("unknown", |line| line.trim_start_matches(['\t', ' ', ':']));
        let uname = rustix::system::uname();
        let memory = rustix::system::sysinfo();
        let bytes = (memory.totalram as u64).saturating_mul(u64::from(memory.mem_unit));
        let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        let huge = huge.unwrap_or_default();
        let chosen = huge.split(['[', ']']).nth(1).unwrap_or("unknown");
        Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: bytes.div_ceil(1 << 30),
            kernel: uname.release().to_string_lossy().into_owned(),
            huge_pages: chosen.to_owned(),
            commit: said("git", &["describe", "--always", "--dirty"]),
            date: said("date", &["-u", "+%F %H:%M UTC"]),
        }
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}, {} cores, {} GiB, Linux {}, transparent huge pages: {}; commit {}; {}",
            self.processor,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.huge_pages,
            self.commit,
            self.date
        )
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "memory_gib": self.memory_gib,
            "kernel": self.kernel,
            "transparent_huge_pages": self.huge_pages,
            "commit": self.commit,
            "date": self.date,
        })
    }
}

/// The load average of the last minute: what else the machine is doing.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

/// The memory that the kernel says can be had.
pub(crate) fn available_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// What a small command says in the repository.
fn said(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).current_dir(root()).args(arguments).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}
