//! Files of VELOC: a header that is accepted fits its file exactly, and what becomes of its regions has
//! all of their bytes.

use mainstay_ckpt::Plan;
use mainstay_ckpt::veloc::{
    COUNT_BYTES, Mapping, REGION_BYTES, Versions, header_bytes, parse_veloc_name, regions,
    veloc_name,
};
use mainstay_types::limits::RANKS_MAX;
use mainstay_types::{Rank, Version};

/// Most regions that become a plan: one of more is only long.
const PLANNED_MAX: usize = 256;

/// A file of VELOC; names of such files, a line each; or a mapping of its regions.
///
/// # Panics
/// When what is accepted is not what it has to be.
pub fn veloc(data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).is_ok_and(names);
    file(data) || text
}

fn file(data: &[u8]) -> bool {
    let Ok(found) = regions(data, data.len() as u64) else { return false };
    let header = header_bytes(*data.first_chunk().expect("it was read")).expect("it was read");
    assert_eq!(header, COUNT_BYTES + found.len() * REGION_BYTES);
    let mut at = header as u64;
    for region in &found {
        assert_eq!(region.at, at);
        at += region.bytes;
    }
    assert_eq!(at, data.len() as u64);
    assert!(found.windows(2).all(|pair| pair[0].id < pair[1].id));
    // The file says what it is; a file of its own header alone is another.
    assert!(found.iter().all(|r| r.bytes == 0) || regions(data, header as u64).is_err());
    if found.len() > PLANNED_MAX {
        return true;
    }
    let mapping: Mapping = format!("{}=u:f32[4,2]", found[0].id).parse().expect("it is one");
    for mappings in [&[][..], std::slice::from_ref(&mapping)] {
        let ranks = [found.clone(), found.clone()];
        let Ok(fields) = Mapping::fields(mappings, "s", &ranks) else { continue };
        for fields in &fields {
            let bytes: Vec<_> = fields.iter().map(|field| field.bytes()).collect();
            assert_eq!(bytes, found.iter().map(|r| Some(r.bytes)).collect::<Vec<_>>());
            assert!(Plan::new(fields).is_ok());
        }
    }
    true
}

fn names(text: &str) -> bool {
    let parsed = text.lines().filter_map(parse_veloc_name);
    for name in parsed.filter(|name| name.rank.is_some()) {
        let rank = Rank(name.rank.expect("it has one"));
        let again = parse_veloc_name(&veloc_name(&name.name, rank, Version(name.version.into())));
        assert_eq!(again, Some(name));
    }
    let known = mainstay_ckpt::veloc::names(text.lines());
    for name in &known {
        for ranks in [None, Some(0), Some(2), Some(u32::MAX)] {
            if let Some(found) = Versions::among(text.lines(), name, ranks) {
                assert!((1..=RANKS_MAX).contains(&found.ranks) && !found.versions.is_empty());
                assert!(ranks.is_none_or(|ranks| ranks == found.ranks));
            }
        }
    }
    let mapping = text.parse::<Mapping>();
    if let Ok(mapping) = &mapping {
        assert!(!mapping.name.is_empty() && mapping.shape.as_ref().is_none_or(|s| !s.is_empty()));
    }
    !known.is_empty() || mapping.is_ok()
}
