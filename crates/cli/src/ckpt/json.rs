//! Objects that several commands have; `docs/formats/ckpt-json.md` describes them.
//!
//! Invariant: a key that a document names is there, `null` if there is no value.

use mainstay_ckpt::catalogue::{Entry, Reason};
use mainstay_ckpt::pack::lossy::Bound;
use mainstay_ckpt::{FieldEntry, Manifest, Place};
use mainstay_types::wire::node::Redundancy;
use serde_json::{Value, json};

/// What is known of a version at a look.
pub(super) fn version(entry: &Entry, resumed: bool) -> Value {
    let manifest = entry.manifest();
    let reasons = entry.reasons();
    json!({
        "version": entry.version.0,
        "standing": entry.standing.name(),
        "step": manifest.map(|m| m.step.0),
        "job": manifest.map(|m| m.identity.job.to_string()),
        "launch": manifest.map(|m| m.identity.launch),
        "ranks": manifest.map(Manifest::n),
        "bytes": entry.bytes(),
        "archived": entry.is_archived(),
        "recoverable": reasons.is_empty(),
        "repairable": entry.may_be_repaired(),
        "resumed": resumed,
        "reasons": reasons.iter().map(reason).collect::<Vec<_>>(),
        "unnamed": entry.unnamed().collect::<Vec<_>>(),
    })
}

/// Why a version cannot be recovered.
pub(super) fn reason(reason: &Reason) -> Value {
    json!({
        "code": reason.code(),
        "rank": reason.rank().map(|rank| rank.0),
        "file": reason.file(),
        "text": reason.to_string(),
    })
}

/// A field of a rank.
pub(super) fn field(field: &FieldEntry, extent: Option<&[u64]>) -> Value {
    let spec = &field.spec;
    json!({
        "state": spec.state,
        "name": spec.name,
        "kind": spec.kind.name(),
        "element_bytes": spec.element_bytes,
        "count": spec.count,
        "bytes": spec.bytes(),
        "at": field.at,
        "chunks": field.crcs.len(),
        "global_shape": spec.place.as_ref().and_then(Place::shape),
        "global_offset": spec.place.as_ref().and_then(Place::offset),
        "replicated": spec.place == Some(Place::Replicated),
        "shape": extent,
        "bound": spec.bound.map(Bound::value),
    })
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How nodes guard each other, as the option of that name has it.
pub(super) fn redundancy(redundancy: Redundancy) -> String {
    match redundancy {
        Redundancy::None => "none".to_owned(),
        Redundancy::Partner => "partner".to_owned(),
        Redundancy::Parity(parity) => format!("parity:{parity}"),
    }
}
