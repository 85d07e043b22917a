//! `mainstay ckpt extract`: a field as a file of its own.

use std::ops::ControlFlow;

use mainstay_ckpt::npy;
use mainstay_host::archive::{self, Archive, ArchiveError, Request};
use mainstay_host::supervisor::Watch;
use mainstay_types::exit;
use serde_json::json;

use super::progress::Progress;
use super::show::shape;
use super::table::bytes;
use super::{Done, args, line, object};

pub(super) fn run(options: &args::Extract) -> Done {
    let archive = Archive::open(&options.dir)?;
    let catalogue = archive.look()?;
    let entry = archive.find(&catalogue, Some(options.version))?;
    let mut fields = archive.fields(entry)?;
    let request = Request {
        field: &options.field,
        rank: options.rank,
        raw: options.raw,
        force: options.force,
        file: &options.out,
    };
    // A signal ends it with nothing left behind.
    let mut watch = Watch::new().map_err(|source| {
        let path = options.out.clone();
        ArchiveError::Output { path, source }
    })?;
    let mut progress = Progress::new("extracted", entry.bytes());
    let extracted = archive::extract(&mut fields, &request, &mut |count| {
        progress.more(count);
        watch.asked().map_or(ControlFlow::Continue(()), ControlFlow::Break)
    })?;
    drop(progress);
    let dtype = npy::descr(extracted.kind, extracted.element_bytes);
    if options.json {
        let body = json!({
            "version": options.version.0,
            "field": extracted.field,
            "rank": options.rank.map(|rank| rank.0),
            "file": options.out.to_string_lossy(),
            "raw": options.raw,
            "dtype": dtype,
            "shape": extracted.shape,
            "bytes": extracted.bytes,
        });
        object("extracted", body);
    } else {
        line(&format!(
            "{}: {} of version {}, {} × {dtype}, {}",
            options.out.display(),
            extracted.field,
            options.version,
            shape(&extracted.shape),
            bytes(extracted.bytes)
        ));
    }
    Ok(exit::OK)
}
