//! What lies in a checkpoint directory when a job starts, and whether it may be gone on from.
//!
//! Invariants: versions and epochs of this launch are above all that lie in the directory; published
//! versions of other jobs are left alone; a mismatch is refused by name, and no version is touched
//! then. Without a name the newest job is meant that this command line can go on
//! with. Deliberately absent: the choice among versions; the ledger makes it.

mod mend;
mod others;
mod shards;
mod strays;

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mainstay_ckpt::format::MANIFEST_BYTES_MAX;
use mainstay_ckpt::{
    FileName, Identity, Manifest, Program, catalogue, highest_version, parse_name,
};
use mainstay_types::{Epoch, JobId, Rank, Version, exit};

use self::shards::bad_shards;
use super::config::{Plan, Refusal, Resume};
use super::drain::digest_of;
use crate::directory::{Directory, DirectoryError};

/// A version beyond this was not written by a job, and numbers could run out behind it.
const HIGHEST: Version = Version(u64::MAX / 2);
/// The same for epochs, and for the launches of a job.
const HIGHEST_EPOCH: Epoch = Epoch(u32::MAX / 2);

/// The state of a directory at the start of a launch.
pub(crate) struct Found {
    pub(crate) directory: Option<Directory>,
    pub(crate) identity: Identity,
    /// The job that is resumed.
    pub(crate) resumed: Option<Identity>,
    /// Its manifests.
    pub(crate) manifests: Vec<Manifest>,
    /// Shards that are missing or cut short.
    pub(crate) bad: Vec<(Version, Rank, String)>,
    /// Versions of another number of ranks that cannot be put together for this one.
    pub(crate) unfit: Vec<Version>,
    /// Whether there is any manifest, of whatever job and state.
    pub(crate) any_manifest: bool,
    /// Versions that are marked as kept for good, of whatever job.
    pub(crate) archived: Vec<Version>,
    pub(crate) highest: Version,
    pub(crate) epoch: Epoch,
    pub(crate) notes: Vec<String>,
    /// Whether what nodes have lost was got back as far as it could be.
    mended: bool,
}

/// Whether a plan's directory could be opened, and gone on from if it is resumed.
pub(crate) fn check(plan: &Plan) -> Result<(), Refusal> {
    let Some(path) = &plan.directory else {
        return Ok(());
    };
    there_if_resumed(plan, path)?;
    if let Some(directory) = Directory::look(path).map_err(|error| unusable(&error))? {
        Found::none(plan).look(plan, &directory)?;
    }
    Ok(())
}

fn there_if_resumed(plan: &Plan, path: &Path) -> Result<(), Refusal> {
    if plan.config.resume.is_some() && !path.exists() {
        let why = format!("nothing to resume: there is no directory {}", path.display());
        return Err(Refusal { code: exit::DATA, why });
    }
    Ok(())
}

fn unusable(error: &DirectoryError) -> Refusal {
    Refusal { code: exit::DIRECTORY, why: error.to_string() }
}

impl Found {
    /// Opens the directory, finds what is in it, and removes what nobody can want.
    pub(crate) fn open(plan: &Plan) -> Result<Self, Refusal> {
        let mut found = Self::none(plan);
        if let Some(path) = &plan.directory {
            there_if_resumed(plan, path)?;
            let directory = Directory::open(path).map_err(|error| unusable(&error))?;
            if let Some(resume) = plan.config.resume {
                found.notes.extend(mend::mend(&directory, resume));
                found.mended = true;
            }
            let names = found.look(plan, &directory)?;
            found.notes.extend(strays::remove(&directory, &names));
            found.directory = Some(directory);
        }
        Ok(found)
    }

    /// Nothing, as in a run without a directory.
    fn none(plan: &Plan) -> Self {
        Self {
            directory: None,
            identity: identity(plan, plan.job, 1),
            resumed: None,
            manifests: Vec::new(),
            bad: Vec::new(),
            unfit: Vec::new(),
            any_manifest: false,
            archived: Vec::new(),
            highest: Version(0),
            epoch: Epoch(0),
            notes: Vec::new(),
            mended: false,
        }
    }

    /// Finds what is in a directory; gives its names. Changes nothing.
    fn look(&mut self, plan: &Plan, directory: &Directory) -> Result<Vec<String>, Refusal> {
        let names = directory.names().map_err(|error| unusable(&error))?;
        self.highest = highest_version(names.iter().map(String::as_str)).unwrap_or_default();
        if self.highest > HIGHEST {
            let why = format!(
                "{} holds a file of version {}, which no job reaches: remove it or give another \
                 --ckpt-dir",
                directory.path().display(),
                self.highest
            );
            return Err(Refusal { code: exit::DIRECTORY, why });
        }
        let all = self.manifests(directory, &names);
        let launch = all.iter().map(|manifest| manifest.identity.launch).max().unwrap_or(0);
        if self.epoch > HIGHEST_EPOCH || launch > HIGHEST_EPOCH.0 {
            let why = format!(
                "{} holds a file of epoch {} and launch {launch}, which no job reaches: remove it \
                 or give another --ckpt-dir",
                directory.path().display(),
                self.epoch
            );
            return Err(Refusal { code: exit::DIRECTORY, why });
        }
        match plan.config.resume {
            None => self.leave_alone(&all),
            Some(resume) => self.resume(plan, resume, &all, directory)?,
        }
        Ok(names)
    }

    /// Reads every manifest; those that are damaged are named in notes.
    fn manifests(&mut self, directory: &Directory, names: &[String]) -> Vec<Manifest> {
        let mut all = Vec::new();
        for name in names {
            match parse_name(name) {
                Some(FileName::Shard { epoch, .. } | FileName::Guard { epoch, .. }) => {
                    self.epoch = self.epoch.max(epoch);
                }
                Some(FileName::Manifest { version }) => {
                    self.any_manifest = true;
                    let read = directory
                        .read(name, MANIFEST_BYTES_MAX as u64)
                        .map_err(|error| error.to_string())
                        .and_then(|bytes| {
                            catalogue::read_manifest(version, &bytes).map_err(|e| e.to_string())
                        });
                    match read {
                        Ok(manifest) => {
                            self.epoch = self.epoch.max(manifest.epoch);
                            all.push(manifest);
                        }
                        Err(why) => {
                            self.notes
                                .push(format!("version {version} is unusable: {name}: {why}"));
                        }
                    }
                }
                Some(FileName::Archive { version }) => self.archived.push(version),
                Some(FileName::Aside { .. } | FileName::Copy { .. }) | None => {}
            }
        }
        if !self.mended {
            // What a repair would put back.
            let lost = mend::lost_manifests(directory);
            self.any_manifest |= !lost.is_empty();
            all.extend(lost);
        }
        all
    }

    fn leave_alone(&mut self, all: &[Manifest]) {
        if let Some(last) = all.iter().max_by_key(|manifest| manifest.version) {
            self.notes.push(format!(
                "the directory holds {} versions, the newest of job {}; they are left alone, and \
                 --resume would go on from them",
                all.len(),
                last.identity.job
            ));
        }
    }

    fn resume(
        &mut self,
        plan: &Plan,
        resume: Resume,
        all: &[Manifest],
        directory: &Directory,
    ) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal { code: exit::DATA, why });
        let path = directory.path().display();
        let wanted = |job: JobId| resume == Resume::Latest || resume == Resume::Job(job);
        let mut passed = Vec::new();
        let jobs = catalogue::newest_first(all.iter().map(|m| (m.version, m.identity.job)));
        for job in jobs.into_iter().filter(|job| wanted(*job)) {
            let of_job: Vec<_> = all.iter().filter(|m| m.identity.job == job).cloned().collect();
            match Candidate::judge(plan, of_job, directory, self.mended) {
                Ok(candidate) if candidate.has_whole() => {
                    let passed = passed.into_iter().map(|(job, why)| {
                        format!("job {job} in the directory is passed over: {why}")
                    });
                    self.notes.extend(passed);
                    self.take(candidate);
                    return Ok(());
                }
                Ok(candidate) => passed.push((job, candidate.damage(plan.config.n))),
                Err(why) => passed.push((job, why)),
            }
        }
        let mut others = passed.into_iter();
        let Some((job, why)) = others.next() else {
            let damaged = if self.notes.is_empty() {
                String::new()
            } else {
                format!(" ({})", self.notes.join("; "))
            };
            let whose = match resume {
                Resume::Job(job) => format!(" of job {job}"),
                Resume::Latest => String::new(),
            };
            return refuse(format!(
                "nothing to resume: {path} holds no usable version{whose}{damaged}; start without \
                 --resume"
            ));
        };
        let others: Vec<_> = others.map(|(job, why)| format!("; job {job}: {why}")).collect();
        refuse(format!("job {job} in {path} cannot be resumed: {why}{}", others.concat()))
    }

    fn take(&mut self, candidate: Candidate) {
        for (version, rank, why) in &candidate.bad {
            self.notes.push(format!("version {version} of rank {rank} on disk is unusable: {why}"));
        }
        for (version, why) in &candidate.unfit {
            self.notes.push(format!("version {version} is passed over: {why}"));
        }
        self.unfit = candidate.unfit.iter().map(|(version, _)| *version).collect();
        self.identity = candidate.now;
        self.resumed = Some(candidate.was);
        self.manifests = candidate.manifests;
        self.bad = candidate.bad;
    }
}

/// A job that could be gone on with.
struct Candidate {
    was: Identity,
    now: Identity,
    manifests: Vec<Manifest>,
    bad: Vec<(Version, Rank, String)>,
    /// Versions of another number of ranks that cannot be put together, and why not.
    unfit: Vec<(Version, String)>,
}

impl Candidate {
    /// Looks at a job's manifests, of which there is one at least; gives the reason why it is not
    /// meant.
    fn judge(
        plan: &Plan,
        all: Vec<Manifest>,
        directory: &Directory,
        mended: bool,
    ) -> Result<Self, String> {
        let newest = all.iter().max_by_key(|manifest| manifest.version);
        let newest = newest.ok_or("it has no version")?;
        let was = newest.identity.clone();
        let launch = all.iter().map(|manifest| manifest.identity.launch).max().unwrap_or(0) + 1;
        let mut now = identity(plan, was.job, launch);
        now.program.sha256 = was.program.sha256;
        now.inputs.clone_from(&was.inputs);
        if let Some(difference) = was.differences(&now).first() {
            let told = told(&was, &now);
            return Err(format!(
                "it is another one: {difference}{told}; give the same program, arguments and \
                 --seed, or start without --resume"
            ));
        }
        // Before anything is locked nothing is mended: what may come back is not held against a version.
        let may_come_back = |manifest: &&Manifest| !mended && mend::may_help(directory, manifest);
        let judged: Vec<_> = all.iter().filter(|manifest| !may_come_back(manifest)).collect();
        let mut bad: Vec<_> =
            judged.iter().flat_map(|manifest| bad_shards(directory, manifest)).collect();
        let mut unfit = Vec::new();
        for manifest in judged.into_iter().filter(|manifest| manifest.n() != plan.config.n) {
            if bad.iter().any(|(version, ..)| *version == manifest.version) {
                continue;
            }
            match others::look(directory, manifest) {
                Ok(()) => {}
                Err(others::Unfit::Bad(rank, why)) => bad.push((manifest.version, rank, why)),
                Err(others::Unfit::Contradiction(why)) => {
                    let (was, now) = (manifest.n(), plan.config.n);
                    let why =
                        format!("it is of {was} ranks and cannot be put together for {now}: {why}");
                    unfit.push((manifest.version, why));
                }
            }
        }
        Ok(Self { was, now, manifests: all, bad, unfit })
    }

    /// Whether there is a version of which no shard is known to be bad, and that the ranks can be
    /// given.
    fn has_whole(&self) -> bool {
        let is_bad = |version| self.bad.iter().any(|(bad, ..)| *bad == version);
        let is_unfit = |version| self.unfit.iter().any(|(unfit, _)| *unfit == version);
        let good = |version| !is_bad(version) && !is_unfit(version);
        self.manifests.iter().any(|manifest| good(manifest.version))
    }

    /// Why it has none that `n` ranks can be given.
    fn damage(&self, n: u32) -> String {
        if let Some((newest, why)) = self.unfit.iter().max_by_key(|(version, _)| *version) {
            let of = |manifest: &&Manifest| manifest.version == *newest;
            let was = self.manifests.iter().find(of).map_or(n, Manifest::n);
            return format!("version {newest} is of no use: {why}; give -n {was}");
        }
        let bad = self.bad.iter().map(|(version, rank, why)| {
            format!("version {version} of rank {rank} on disk is unusable: {why}")
        });
        let bad: Vec<_> = bad.collect();
        format!("every one is damaged ({}); start without --resume", bad.join("; "))
    }
}

/// The first argument that differs, as it was and as it is.
fn told(was: &Identity, now: &Identity) -> String {
    let show = |arg: Option<&Vec<u8>>| {
        arg.map_or("nothing".to_owned(), |a| format!("`{}`", String::from_utf8_lossy(a)))
    };
    let most = was.args.len().max(now.args.len());
    let first = (0..most).find(|i| was.args.get(*i) != now.args.get(*i));
    first.map_or_else(String::new, |i| {
        format!(" ({} then, {} now)", show(was.args.get(i)), show(now.args.get(i)))
    })
}

fn identity(plan: &Plan, job: JobId, launch: u32) -> Identity {
    let mut words = plan.config.command.iter();
    let path = words.next().map_or_else(String::new, |word| word.to_string_lossy().into_owned());
    Identity {
        job,
        launch,
        program: Program { path, sha256: [0; 32] },
        seed: plan.config.seed,
        args: words.map(|word| word.as_bytes().to_vec()).collect(),
        inputs: Vec::new(),
    }
}

/// Compares the program that joined with the one that wrote the versions.
pub(crate) fn check_program(was: &Identity, now: Option<&File>) -> Result<(), String> {
    let digest = now.map(digest_of);
    match digest {
        Some(Ok(digest)) if digest == was.program.sha256 => Ok(()),
        Some(Ok(_)) => Err(format!(
            "the job was run by another program: the file of `{}` has other bytes than then; run \
             that build, or start without --resume",
            was.program.path
        )),
        Some(Err(error)) => Err(format!("the program cannot be compared: {error}")),
        None => Err("the program cannot be compared: its file is not readable".to_owned()),
    }
}
