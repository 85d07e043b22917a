//! The peers: Open MPI, MPICH and ISA-L, installed by `peers/install`, VELOC and redset, built by
//! `peers/install-veloc`; never taken from `PATH`.
//!
//! Each MPI gets the settings that make it fast on this machine, found by trying; they are printed.
//! With a core for each rank it is bound there, which both do or recommend. With more ranks than
//! cores neither is bound, Open MPI is told to yield, and MPICH to sleep a microsecond when it finds
//! nothing to do: without that an allreduce of 8 bytes takes milliseconds.
//!
//! Invariant: variables of the user's environment that steer a peer do not reach it. Deliberately
//! absent: fault tolerance of the peers; it costs them time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::build::root;
use crate::contest::{Contestant, Side};
use crate::{Failure, process};

/// A small program is compiled within this time.
const COMPILED_WITHIN: Duration = Duration::from_secs(60);
/// How variables begin that steer a peer.
const STEERING: [&str; 10] =
    ["OMPI_", "OPAL_", "PRTE_", "PMIX_", "PMI_", "MPIR_", "MPICH_", "HYDRA_", "UCX_", "FI_"];
/// As root Open MPI wants to be asked twice.
const OPEN_MPI: [(&str, &str); 2] =
    [("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")];
/// What it selects by itself; naming it makes the start several times shorter.
const OPEN_MPI_SHARED: &str = "--mca pml ob1 --mca btl sm,self";
/// With more ranks than cores.
const MPICH_CROWDED: [(&str, &str); 2] = [
    ("MPIR_CVAR_CH4_PROGRESS_THROTTLE", "1"),
    ("MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT", "1"),
];

/// Which one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    OpenMpi,
    Mpich,
}

/// One that is installed, with its programs compiled.
pub(crate) struct Peer {
    which: Which,
    folder: PathBuf,
    version: String,
}

impl Which {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::OpenMpi, Self::Mpich];

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "Open MPI",
            Self::Mpich => "MPICH",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::OpenMpi => "openmpi",
            Self::Mpich => "mpich",
        }
    }

    /// How `ranks` ranks are started on so many cores: variables and options.
    fn settings(self, ranks: usize, cores: usize) -> (Vec<(&'static str, &'static str)>, String) {
        let crowded = ranks > cores;
        match (self, crowded) {
            (Self::OpenMpi, false) => {
                (OPEN_MPI.into(), format!("--bind-to core {OPEN_MPI_SHARED}"))
            }
            (Self::OpenMpi, true) => {
                let options = "--oversubscribe --bind-to none --mca mpi_yield_when_idle 1";
                (OPEN_MPI.into(), format!("{options} {OPEN_MPI_SHARED}"))
            }
            (Self::Mpich, false) => (Vec::new(), "-bind-to core".to_owned()),
            (Self::Mpich, true) => (MPICH_CROWDED.into(), String::new()),
        }
    }
}

impl Peer {
    /// The peer, with this program of `peers/` compiled by its own compiler.
    ///
    /// # Errors
    /// A peer that is not installed, with what to do, or a program that cannot be compiled.
    pub(crate) fn with(which: Which, program: &str) -> Result<Self, Failure> {
        let peer = Self::installed(which)?;
        let peers = root().join("bench/peers");
        let mut compile = Command::new(peer.folder.join("bin/mpicc"));
        steer(&mut compile);
        let source = peers.join(program).with_extension("c");
        compile.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(peer.program(program)).arg(source);
        match process::run(&mut compile, COMPILED_WITHIN)?.failure {
            Some(failure) => Err(format!("{program}.c cannot be compiled: {failure}").into()),
            None => Ok(peer),
        }
    }

    fn installed(which: Which) -> Result<Self, Failure> {
        let installed = root().join("bench/peers/installed");
        let pin = installed.join(which.package()).with_extension("txt");
        let pinned = std::fs::read_to_string(pin).unwrap_or_default();
        let version = version(&pinned).ok_or("not installed; bench/peers/install does it")?;
        let folder = installed.join(which.package());
        Ok(Self { which, folder, version: version.to_owned() })
    }

    /// Its name and version.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.which.name(), self.version)
    }

    /// How it is started, for a reader.
    pub(crate) fn how(&self, ranks: usize) -> String {
        let (variables, options) = self.which.settings(ranks, cores());
        let variables = variables.iter().map(|(name, value)| format!("{name}={value} "));
        let line = format!("{}mpiexec -n {ranks} {options}", variables.collect::<String>());
        format!("{}: {}", self.title(), line.trim_end())
    }

    /// A command that runs the program with so many ranks.
    pub(crate) fn command(&self, ranks: usize, program: &str) -> Command {
        self.command_of(ranks, &self.program(program))
    }

    fn command_of(&self, ranks: usize, program: &Path) -> Command {
        let (variables, options) = self.which.settings(ranks, cores());
        let mut command = Command::new(self.folder.join("bin/mpiexec"));
        steer(&mut command);
        command.envs(variables).args(["-n", &ranks.to_string()]);
        command.args(options.split_ascii_whitespace()).arg(program);
        command
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.join(format!("bench-{name}"))
    }
}

/// The peer with its program `calls`, as one that takes part; how it is started is added to `notes`.
pub(crate) fn contestant(which: Which, ranks: usize, notes: &mut Vec<String>) -> Contestant {
    match Peer::with(which, "calls") {
        Ok(peer) => {
            notes.push(peer.how(ranks));
            let name = peer.title();
            let launch = move || peer.command(ranks, "calls");
            Contestant { name, side: Side::Peer, launch: Ok(Box::new(launch)) }
        }
        Err(reason) => Contestant {
            name: which.name().to_owned(),
            side: Side::Peer,
            launch: Err(reason.to_string()),
        },
    }
}

/// The program `codes` with ISA-L.
///
/// # Errors
/// A library that is not installed, with what to do, or a program that cannot be compiled.
pub(crate) fn isal() -> Result<PathBuf, Failure> {
    let peers = root().join("bench/peers");
    let folder = peers.join("installed/isal");
    let library = folder.join("libisal-pyeclib.so.2");
    if !library.exists() {
        return Err("not installed; bench/peers/install does it".into());
    }
    let program = folder.join("bench-codes");
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(&program).arg(peers.join("codes.c"));
    compile.arg(&library).arg(format!("-Wl,-rpath,{}", folder.display()));
    match process::run(&mut compile, COMPILED_WITHIN)?.failure {
        Some(failure) => Err(format!("codes.c cannot be compiled: {failure}").into()),
        None => Ok(program),
    }
}

/// VELOC and redset with the program `levels`, started by Open MPI.
pub(crate) struct Veloc {
    mpi: Peer,
    program: PathBuf,
}

impl Veloc {
    /// They, with their program compiled.
    ///
    /// # Errors
    /// Libraries that are not installed, with what to do, or a program that cannot be compiled.
    pub(crate) fn new() -> Result<Self, Failure> {
        let mpi = Peer::installed(Which::OpenMpi)?;
        let peers = root().join("bench/peers");
        let folder = peers.join("installed/veloc");
        if !folder.join("bin/veloc-backend").exists() {
            return Err("not installed; bench/peers/install-veloc does it".into());
        }
        let (library, program) = (folder.join("lib"), folder.join("bench-levels"));
        let mut compile = Command::new(mpi.folder.join("bin/mpicc"));
        steer(&mut compile);
        compile.args(["-O2", "-Wall", "-Wextra", "-DREDSET_ENABLE_MPI", "-o"]).arg(&program);
        compile.arg(peers.join("levels.c")).arg("-I").arg(folder.join("include")).arg("-L");
        compile.arg(&library).arg(format!("-Wl,-rpath,{}", library.display()));
        compile.args(["-lveloc-client", "-lredset"]);
        match process::run(&mut compile, COMPILED_WITHIN)?.failure {
            Some(failure) => Err(format!("levels.c cannot be compiled: {failure}").into()),
            None => Ok(Self { mpi, program }),
        }
    }

    /// What stands in the tables.
    pub(crate) const VERSIONS: &str = "VELOC 1.8, redset 0.3.0";

    /// A command that runs the program with so many ranks. VELOC starts its backend by itself.
    pub(crate) fn command(&self, ranks: usize) -> Command {
        let mut command = self.mpi.command_of(ranks, &self.program);
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(folder) = self.program.parent() {
            path = [folder.join("bin").as_os_str(), ":".as_ref(), &path].into_iter().collect();
        }
        command.env("PATH", path).env("LD_LIBRARY_PATH", self.program.with_file_name("lib"));
        command
    }
}

/// How many cores this machine has.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn steer(command: &mut Command) {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names {
        if STEERING.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes())) {
            command.env_remove(name);
        }
    }
}

/// Of a line `package==version --hash=…`.
fn version(pinned: &str) -> Option<&str> {
    pinned.split_ascii_whitespace().next()?.split_once("==").map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_in_the_pin() {
        assert_eq!(version("mpich==5.0.2 --hash=sha256:00\n"), Some("5.0.2"));
        assert_eq!(version(""), None);
        assert_eq!(version("mpich\n"), None);
    }

    #[test]
    fn ranks_are_bound_only_where_each_has_a_core() {
        let (_, alone) = Which::OpenMpi.settings(2, 2);
        let (_, crowded) = Which::OpenMpi.settings(3, 2);
        assert!(alone.contains("--bind-to core") && !alone.contains("oversubscribe"));
        assert!(crowded.contains("--oversubscribe") && crowded.contains("--bind-to none"));
        assert!(Which::Mpich.settings(2, 2).0.is_empty());
        assert_eq!(Which::Mpich.settings(3, 2).0, MPICH_CROWDED);
    }
}
