//! `mainstay ckpt show`: one version in full.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use mainstay_ckpt::catalogue::{Catalogue, Entry, Fault, Whole};
use mainstay_ckpt::{FieldEntry, FieldSpec, Image, Manifest, RankEntry};
use mainstay_host::archive::Archive;
use mainstay_types::Rank;
use serde_json::{Value, json};

use super::table::{Table, bytes};
use super::{Done, args, code, json as objects, line, ls, object, say};
use crate::quote;

type Images = [Result<Image, Fault>];

pub(super) fn run(options: &args::Show) -> Done {
    let archive = Archive::open(&options.dir)?;
    let catalogue = archive.look()?;
    let entry = archive.find(&catalogue, options.version)?;
    let images = entry.manifest().map_or_else(Vec::new, |manifest| archive.images(manifest));
    if options.json {
        object("version", body(&catalogue, entry, &images));
        return Ok(code(entry.manifest().is_some()));
    }
    line(&format!("version {} ({})", entry.version, entry.standing.name()));
    let recoverable = match is_resumed(&catalogue, entry) {
        true => "yes; it is what --resume takes".to_owned(),
        false => ls::recoverable(entry),
    };
    fact("recoverable", &recoverable);
    let Some(manifest) = entry.manifest() else {
        let mut table = Table::new(&["file", ">bytes"]);
        for file in &entry.files {
            let size = file.bytes.map_or_else(|| "-".to_owned(), bytes);
            table.row(&[file.name.clone(), size]);
        }
        say(&table.text());
        return Ok(code(false));
    };
    facts(manifest);
    say(&ranks(entry, manifest, &images));
    say(&fields(&images));
    Ok(code(true))
}

fn is_resumed(catalogue: &Catalogue, entry: &Entry) -> bool {
    catalogue.resumed().is_some_and(|resumed| resumed.version == entry.version)
}

fn fact(key: &str, value: &str) {
    line(&format!("  {key:<12} {value}"));
}

fn facts(manifest: &Manifest) {
    let identity = &manifest.identity;
    fact("step", &manifest.step.to_string());
    fact("epoch", &manifest.epoch.to_string());
    let parent = manifest.parent.map_or_else(|| "none".to_owned(), |parent| parent.to_string());
    fact("parent", &parent);
    let refers_to: Vec<_> = manifest.refers_to().iter().map(ToString::to_string).collect();
    if !refers_to.is_empty() {
        fact("refers to", &refers_to.join(", "));
    }
    if let Some(layout) = &manifest.nodes {
        let (nodes, guard) = (layout.ring.nodes(), objects::redundancy(layout.ring.redundancy()));
        fact("nodes", &format!("{nodes}, with redundancy {guard}"));
    }
    fact("job", &format!("{}, launch {}", identity.job, identity.launch));
    let sha256 = objects::hex(&identity.program.sha256);
    fact("program", &format!("{} (SHA-256 {sha256})", identity.program.path));
    let args: Vec<_> = identity.args.iter().cloned().map(OsString::from_vec).collect();
    fact("arguments", &if args.is_empty() { "none".to_owned() } else { quote::line(&args) });
    fact("seed", &identity.seed.to_string());
    for input in &identity.inputs {
        let (size, sha256) = (bytes(input.bytes), objects::hex(&input.sha256));
        fact("input", &format!("{}, {size} (SHA-256 {sha256})", input.name));
    }
}

fn ranks(entry: &Entry, manifest: &Manifest, images: &Images) -> String {
    let heads = [">rank", "shard", ">bytes", ">late", ">early", ">unreceived", "state"];
    let mut table = Table::new(&heads);
    for ((copy, rank), image) in entry.copies.iter().zip(&manifest.ranks).zip(images) {
        let unreceived = image
            .as_ref()
            .map_or_else(|_| "-".to_owned(), |image| image.table.cut.unexpected.len().to_string());
        table.row(&[
            copy.rank.to_string(),
            copy.name.clone(),
            bytes(rank.file_bytes()),
            bytes(rank.late_bytes),
            rank.early.len().to_string(),
            unreceived,
            copy.state.as_ref().map_or_else(ToString::to_string, |()| "looks whole".to_owned()),
        ]);
    }
    table.text()
}

fn fields(images: &Images) -> String {
    let heads =
        [">rank", "field", "kind", ">elements", ">bytes", ">chunks", "block", "of", "begins at"];
    let (mut table, wholes) = (Table::new(&heads), wholes(images));
    for (rank, image) in (0..).map(Rank).zip(images) {
        for field in image.iter().flat_map(|image| &image.table.fields) {
            let spec = &field.spec;
            let (of, offset) = placed(spec);
            let extent = extent(&wholes, rank, spec);
            table.row(&[
                rank.to_string(),
                spec.full_name(),
                kind(spec),
                spec.count.to_string(),
                bytes(spec.bytes().unwrap_or(0)),
                field.crcs.len().to_string(),
                extent.map_or_else(|| "-".to_owned(), shape),
                of,
                offset,
            ]);
        }
    }
    table.text()
}

/// What a part is part of, and where it begins there.
fn placed(spec: &FieldSpec) -> (String, String) {
    let Some(place) = &spec.place else {
        return ("-".to_owned(), "-".to_owned());
    };
    match (place.shape(), place.offset()) {
        (None, _) => ("same on all".to_owned(), "-".to_owned()),
        (Some(of), None) => (shape(&of), "dealt out".to_owned()),
        (Some(of), Some(offset)) => (shape(&of), indices(&offset)),
    }
}

fn kind(spec: &FieldSpec) -> String {
    match spec.kind.element_bytes() {
        Some(_) => {
            let bound = spec.bound.map(|bound| format!(" within {:e}", bound.value()));
            format!("{}{}", spec.kind.name(), bound.unwrap_or_default())
        }
        None => format!("{} of {} bytes", spec.kind.name(), spec.element_bytes),
    }
}

/// Extents, as `extract` and `show` give them.
pub(super) fn shape(extents: &[u64]) -> String {
    extents.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
}

/// Indices of an element.
pub(super) fn indices(place: &[u64]) -> String {
    format!("[{}]", place.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
}

/// The arrays that ranks hold together, by state and name, if all parts can be had and make a grid.
type Wholes = BTreeMap<String, Whole>;

fn wholes(images: &Images) -> Wholes {
    let mut parts: BTreeMap<String, Vec<(Rank, &FieldSpec)>> = BTreeMap::new();
    for (rank, image) in (0..).map(Rank).zip(images) {
        for field in image.iter().flat_map(|image| &image.table.fields) {
            parts.entry(field.spec.full_name()).or_default().push((rank, &field.spec));
        }
    }
    let whole = |(name, parts): (String, Vec<_>)| Some((name, Whole::of(&parts).ok()?));
    parts.into_iter().filter_map(whole).collect()
}

/// How far a rank's block goes in each dimension.
fn extent<'a>(wholes: &'a Wholes, rank: Rank, spec: &FieldSpec) -> Option<&'a [u64]> {
    let whole = wholes.get(&spec.full_name())?;
    let block = whole.blocks().iter().find(|block| block.rank == rank);
    block.map(|block| block.extent.as_slice())
}

fn body(catalogue: &Catalogue, entry: &Entry, images: &Images) -> Value {
    let mut body = objects::version(entry, is_resumed(catalogue, entry));
    let more = match entry.manifest() {
        Some(manifest) => of_manifest(entry, manifest, images),
        None => {
            json!({"epoch": null, "parent": null, "refers_to": null, "nodes": null, "program": null,
                   "arguments": null, "seed": null, "inputs": null, "parts": null})
        }
    };
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
        let files = entry.files.iter().map(|f| json!({"file": f.name, "bytes": f.bytes}));
        body.insert("files".to_owned(), files.collect());
    }
    body
}

fn of_manifest(entry: &Entry, manifest: &Manifest, images: &Images) -> Value {
    let identity = &manifest.identity;
    let inputs = identity.inputs.iter().map(|input| {
        json!({"name": input.name, "bytes": input.bytes, "sha256": objects::hex(&input.sha256)})
    });
    let args = identity.args.iter().map(|arg| String::from_utf8_lossy(arg));
    let wholes = wholes(images);
    let parts = entry.copies.iter().zip(&manifest.ranks).zip(images);
    let parts = parts.map(|((copy, rank), image)| {
        part((copy.rank, &copy.name), copy.state.as_ref().err(), rank, (&wholes, image))
    });
    json!({
        "epoch": manifest.epoch.0,
        "parent": manifest.parent.map(|parent| parent.0),
        "refers_to": manifest.refers_to().iter().map(|version| version.0).collect::<Vec<_>>(),
        "nodes": manifest.nodes.as_ref().map(|layout| json!({
            "count": layout.ring.nodes(),
            "redundancy": objects::redundancy(layout.ring.redundancy()),
        })),
        "program": {"path": identity.program.path, "sha256": objects::hex(&identity.program.sha256)},
        "arguments": args.collect::<Vec<_>>(),
        "seed": identity.seed,
        "inputs": inputs.collect::<Vec<_>>(),
        "parts": parts.collect::<Vec<_>>(),
    })
}

fn part(
    (rank, name): (Rank, &str),
    fault: Option<&Fault>,
    entry: &RankEntry,
    (wholes, image): (&Wholes, &Result<Image, Fault>),
) -> Value {
    let cut = image.as_ref().ok().map(|image| &image.table.cut);
    let fields = image.as_ref().ok().map(|image| {
        let field = |field: &FieldEntry| objects::field(field, extent(wholes, rank, &field.spec));
        image.table.fields.iter().map(field).collect::<Vec<_>>()
    });
    json!({
        "rank": rank.0,
        "file": name,
        "incarnation": entry.incarnation.0,
        "epoch": entry.file_epoch.0,
        "bytes": entry.file_bytes(),
        "shard_bytes": entry.shard_bytes(),
        "image_bytes": entry.image_bytes,
        "late_bytes": entry.late_bytes,
        "early": entry.early.len(),
        "sent": entry.sent.iter().fold(0, |sum: u64, sent| sum.saturating_add(*sent)),
        "delivered": entry.delivered.iter().fold(0, |sum: u64, d| sum.saturating_add(*d)),
        "unreceived": cut.map(|cut| cut.unexpected.len()),
        "fault": fault.map(|f| json!({"code": f.code(), "text": f.to_string()})),
        "fields": fields,
    })
}
