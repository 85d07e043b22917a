//! Versions of VELOC, written into a checkpoint directory of their own.
//!
//! Invariants: a version is imported whole or not at all, by the operations of a commit; the source is
//! only read, a file at a time, and what could block, as a pipe would, not at all; a file that changed
//! while it was read is not believed; bytes are held a chunk at a time.
//! Deliberately absent: which files belong together and what regions become, which `ckpt::veloc`
//! decides; and going on from a version that no program of ours wrote.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mainstay_ckpt::commit::{Content, Failure, Fault, Next, Op, Outcome};
use mainstay_ckpt::format::MANIFEST_BYTES_MAX;
use mainstay_ckpt::veloc::{self, Mapping, Region, Versions, veloc_name};
use mainstay_ckpt::{
    Commit, Cut, FieldEntry, FieldSpec, Files, Header, Identity, Manifest, Plan, Program,
    RankEntry, Table, highest_version,
};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Epoch, Incarnation, JobId, Rank, Step, Version, crc32c};
use sha2::{Digest, Sha256};

use super::{ArchiveError, Tell};
use crate::directory::{Carrier, Directory};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// VELOC's directory.
    pub from: &'a Path,
    /// Where its checksums lie, if not there.
    pub meta: Option<&'a Path>,
    /// Ours.
    pub to: &'a Path,
    /// The checkpoint's name; not needed if there is one alone.
    pub name: Option<&'a str>,
    /// Number of ranks; otherwise one more than the highest that is found.
    pub ranks: Option<u32>,
    /// What regions are.
    pub mappings: &'a [Mapping],
}

/// What became of each version.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The checkpoint's name.
    pub name: String,
    /// Number of ranks.
    pub ranks: u32,
    /// Bytes of each version's data, or why it is not imported.
    pub versions: Vec<(Version, Result<u64, String>)>,
}

/// Why a rank's file is not copied.
enum Uncopied {
    /// It is not what it has to be.
    Refused(String),
    /// Ours cannot be written.
    Target(io::Error),
    /// Somebody wants the end.
    Signal(i32),
}

/// What is another when a file is, or when somebody writes it: device, inode, bytes, and the times of
/// its last changes.
type State = (u64, u64, u64, [i64; 4]);

/// A rank's file, its header read.
struct Source {
    path: PathBuf,
    was: State,
    /// The header's bytes.
    header: Vec<u8>,
    regions: Vec<Region>,
    /// The checksum that VELOC has left, if it has.
    sha256: Option<Vec<u8>>,
}

impl Import<'_> {
    /// Imports all versions that are whole, the oldest first.
    ///
    /// # Errors
    /// Whatever concerns all versions: a directory, a name, a signal. What is wrong with one
    /// version is told in its place.
    pub fn run(&self, tell: &mut Tell<'_>) -> Result<Imported, ArchiveError> {
        let unseen = |path: &Path, source| {
            let (path, action) = (path.to_owned(), "look at the directory of VELOC");
            ArchiveError::Directory { path, action, source }
        };
        let failed = |source| unseen(self.from, source);
        if let Some(meta) = self.meta {
            // Without it no checksum would be found, and nobody would know.
            fs::read_dir(meta).map_err(|source| unseen(meta, source))?;
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(self.from).map_err(failed)? {
            files.extend(entry.map_err(failed)?.file_name().into_string());
        }
        let files = || files.iter().map(String::as_str);
        let names: Vec<String> = veloc::names(files()).into_iter().collect();
        let path = || self.from.to_owned();
        let name = match (self.name, names.as_slice()) {
            (Some(name), _) if names.iter().any(|known| known == name) => name,
            (None, [name]) => name,
            (_, []) => return Err(ArchiveError::NoVeloc { path: path() }),
            _ => return Err(ArchiveError::Name { path: path(), known: names.join(", ") }),
        };
        let Some(found) = Versions::among(files(), name, self.ranks) else {
            return Err(ArchiveError::Ranks { path: path() });
        };
        let directory = Directory::open(self.to)?;
        let held = directory.names()?;
        if highest_version(held.iter().map(String::as_str)).is_some() {
            return Err(ArchiveError::Holds { path: directory.path().to_owned() });
        }
        let (mut versions, mut parent, mut imported) = (Vec::new(), None, 0);
        for (version, whole) in found.versions {
            let done = match whole {
                Err(refusal) => Err(refusal.to_string()),
                Ok(()) => self
                    .version(&directory, name, found.ranks, (version, parent), tell)
                    .map_err(|signal| {
                        let path = directory.path().to_owned();
                        ArchiveError::Stopped { signal, path, imported }
                    })?,
            };
            if done.is_ok() {
                (parent, imported) = (Some(version), imported + 1);
            }
            versions.push((version, done));
        }
        Ok(Imported { name: name.to_owned(), ranks: found.ranks, versions })
    }

    /// Imports a version; gives the bytes of its data, or why it is not imported. Fails with the signal
    /// that ended it.
    fn version(
        &self,
        directory: &Directory,
        name: &str,
        n: u32,
        (version, parent): (Version, Option<Version>),
        tell: &mut Tell<'_>,
    ) -> Result<Result<u64, String>, i32> {
        let sources = Rank::all(n).map(|rank| self.source(&veloc_name(name, rank, version)));
        let sources = match sources.collect::<Result<Vec<_>, _>>() {
            Ok(sources) => sources,
            Err(why) => return Ok(Err(why)),
        };
        let regions: Vec<_> = sources.iter().map(|source| source.regions.clone()).collect();
        let fields = match Mapping::fields(self.mappings, name, &regions) {
            Ok(fields) => fields,
            Err(why) => return Ok(Err(why.to_string())),
        };
        let entry = RankEntry {
            file_epoch: Epoch(1),
            sent: vec![0; n as usize],
            delivered: vec![0; n as usize],
            ..RankEntry::default()
        };
        let mut manifest = Manifest {
            identity: identity(name),
            epoch: Epoch(1),
            version,
            step: Step(version.0),
            parent,
            ranks: vec![entry; n as usize],
            nodes: None,
        };
        let (mut commit, mut carrier) =
            (Commit::new(Files::of(&manifest)), Carrier::new(directory));
        let (mut ended, mut uncopied) = (Ok(()), None);
        while let Some(next) = commit.next() {
            let outcome = match next {
                Next::Do(Op::Ask) => Outcome::Done,
                Next::Do(Op::Write(file, Content::Part(i))) => carrier.fill(&file, |file| {
                    let header = Header::of(rank(i), n, Epoch(1), Incarnation(0));
                    let header = header.at(version, Step(version.0));
                    let part = sources[i].copy(&fields[i], header, file, tell);
                    let (bytes, crc) = part.map_err(|why| match why {
                        Uncopied::Target(error) => error,
                        other => {
                            uncopied = Some(other);
                            io::ErrorKind::Other.into()
                        }
                    })?;
                    (manifest.ranks[i].image_bytes, manifest.ranks[i].table_crc) = (bytes, crc);
                    Ok(())
                }),
                Next::Do(Op::Write(file, Content::Manifest)) => {
                    let bytes = manifest.encode();
                    match bytes.len() <= MANIFEST_BYTES_MAX {
                        true => carrier.fill(&file, |file| file.write_all(&bytes)),
                        false => Outcome::Failed(Fault::Other),
                    }
                }
                Next::Do(op) => carrier.carry_out(&op),
                Next::Published => continue,
                Next::Failed(Failure { .. }) => {
                    let error = carrier.take_error().map(|error| error.to_string());
                    ended = Err(error.unwrap_or_else(|| "it cannot be written".to_owned()));
                    continue;
                }
            };
            commit.done(outcome);
        }
        match uncopied {
            Some(Uncopied::Signal(signal)) => return Err(signal),
            Some(Uncopied::Refused(why)) => return Ok(Err(why)),
            Some(Uncopied::Target(_)) | None => {}
        }
        Ok(ended.map(|()| regions.iter().flatten().map(|region| region.bytes).sum()))
    }

    /// Opens a rank's file and reads its header.
    fn source(&self, name: &str) -> Result<Source, String> {
        let path = self.from.join(name);
        let sums = self.meta.unwrap_or(self.from).join(format!("{name}.chksum"));
        let open = || -> io::Result<Source> {
            let (mut file, data) = regular(&path)?;
            let bytes = data.len();
            let mut header = vec![0; veloc::COUNT_BYTES.min(bytes as usize)];
            file.read_exact(&mut header)?;
            if let Some(start) = header.first_chunk() {
                let needed = veloc::header_bytes(*start).map_err(io::Error::other)? as u64;
                header.resize(needed.min(bytes) as usize, 0);
                file.read_exact(&mut header[veloc::COUNT_BYTES..])?;
            }
            let regions = veloc::regions(&header, bytes).map_err(io::Error::other)?;
            let sha256 = match regular(&sums) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(io::Error::other(format!("its .chksum file: {error}"))),
                Ok((file, _)) => {
                    let mut sum = Vec::new();
                    file.take(33).read_to_end(&mut sum)?;
                    Some(sum)
                }
            };
            Ok(Source { path: path.clone(), was: state(&data), header, regions, sha256 })
        };
        open().map_err(|why| format!("{name}: {why}"))
    }
}

impl Source {
    /// Writes the file's data as an image; gives its bytes and the checksum of its table.
    fn copy(
        &self,
        specs: &[FieldSpec],
        header: Header,
        file: &mut File,
        tell: &mut Tell<'_>,
    ) -> Result<(u64, u32), Uncopied> {
        let refused = |why: &dyn std::fmt::Display| {
            Uncopied::Refused(format!("{}: {why}", self.path.display()))
        };
        let unread = |error: io::Error| refused(&error);
        let plan = Plan::new(specs).map_err(|error| refused(&error))?;
        let n = header.n as usize;
        let (sent, delivered) = (vec![0; n], vec![0; n]);
        let cut = Cut { sent, delivered, ..Cut::default() };
        let mut table = Table { fields: Vec::with_capacity(specs.len()), cut };
        let (mut sum, mut buffer) = (Sha256::new(), vec![0; CRC_CHUNK_BYTES]);
        sum.update(&self.header);
        let (mut from, _) = regular(&self.path).map_err(unread)?;
        from.seek(SeekFrom::Start(self.header.len() as u64)).map_err(unread)?;
        for (i, spec) in specs.iter().enumerate() {
            let (mut at, mut left) = (plan.at(i), plan.field_bytes(i));
            let mut crcs = Vec::new();
            while left > 0 {
                let count = left.min(CRC_CHUNK_BYTES as u64);
                let chunk = &mut buffer[..count as usize];
                from.read_exact(chunk).map_err(unread)?;
                sum.update(&*chunk);
                crcs.push(crc32c(chunk));
                file.write_all_at(chunk, at).map_err(Uncopied::Target)?;
                (at, left) = (at + count, left - count);
                if let ControlFlow::Break(signal) = tell(count) {
                    return Err(Uncopied::Signal(signal));
                }
            }
            table.fields.push(FieldEntry { spec: spec.clone(), at: plan.at(i), crcs });
        }
        if state(&from.metadata().map_err(unread)?) != self.was {
            return Err(refused(&"it changed while it was read; wait for the end of its job"));
        }
        if self.sha256.as_ref().is_some_and(|stored| stored[..] != sum.finalize()[..]) {
            return Err(refused(&"its bytes do not have the SHA-256 of its .chksum file"));
        }
        let bytes = table.encode();
        let (table_at, table_crc) = (plan.table_at(), crc32c(&bytes));
        file.write_all_at(&bytes, table_at).map_err(Uncopied::Target)?;
        let table_bytes = bytes.len() as u64;
        let header = Header { table_at, table_bytes, table_crc, ..header };
        file.write_all_at(&header.encode(), 0).map_err(Uncopied::Target)?;
        Ok((table_at + table_bytes, table_crc))
    }
}

/// Opens a file that reading cannot wait for.
fn regular(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let data = file.metadata()?;
    match data.is_file() {
        true => Ok((file, data)),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

fn state(data: &Metadata) -> State {
    let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
    (data.dev(), data.ino(), data.len(), times)
}

fn rank(i: usize) -> Rank {
    Rank(u32::try_from(i).unwrap_or(u32::MAX))
}

/// Who has written the versions: nobody whom a resume could take for a program.
fn identity(name: &str) -> Identity {
    let sum = Sha256::new().chain_update("veloc ").chain_update(name).finalize();
    let mut job = [0; 16];
    job.copy_from_slice(&sum[..16]);
    let program = Program { path: format!("veloc:{name}"), sha256: [0; 32] };
    let (args, inputs) = (Vec::new(), Vec::new());
    Identity { job: JobId(job), launch: 1, program, seed: 0, args, inputs }
}
