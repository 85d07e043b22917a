//! What users write and directories list: injections, durations, file names, jobs.

use std::time::Duration;

use mainstay_ckpt::{highest_version, parse_name};
use mainstay_types::inject::{self, Injection};
use mainstay_types::limits::INJECTIONS_MAX;
use mainstay_types::{JobId, Reader, Writer, duration};

use crate::wire::within;

/// `--inject`, durations, and injections as bytes: an injection is the same after it was printed
/// and read, and after it was sent to a rank; a duration the same, within what is printed of it.
///
/// # Panics
/// When that does not hold.
pub fn inject(data: &[u8]) -> bool {
    let mut reader = Reader::new(data);
    let sent = Injection::decode(&mut reader);
    match &sent {
        Ok(injection) => assert_eq!(bytes_of(injection), &data[..reader.at()]),
        Err(error) => within(error, data.len()),
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return sent.is_ok();
    };
    let written = inject::parse(text);
    match &written {
        Ok(list) => {
            assert!((1..=INJECTIONS_MAX).contains(&list.len()));
            let printed: Vec<String> = list.iter().map(ToString::to_string).collect();
            assert_eq!(inject::parse(&printed.join(",")).as_ref(), Ok(list));
            for injection in list {
                let bytes = bytes_of(injection);
                assert_eq!(Injection::decode(&mut Reader::new(&bytes)), Ok(*injection));
            }
        }
        Err(why) => assert!(why.contains('`') || why.contains("at most"), "{why}"),
    }
    let timed = duration::parse(text);
    match &timed {
        Ok(time) => same_time(*time),
        Err(why) => assert!(why.contains(text) && why.contains("24h"), "{why}"),
    }
    sent.is_ok() || written.is_ok() || timed.is_ok()
}

fn bytes_of(injection: &Injection) -> Vec<u8> {
    let mut writer = Writer::new();
    injection.encode(&mut writer);
    writer.into_bytes()
}

/// What is printed of a duration is read back; its least exact digit is worth five percent.
fn same_time(time: Duration) {
    let printed = duration::format(time);
    let read = duration::parse(&printed).unwrap_or_else(|why| panic!("{time:?}: {why}"));
    let most = time / 20 + Duration::from_nanos(501);
    assert!(read.abs_diff(time) <= most, "{time:?} was printed as {printed}");
}

/// Names of files and jobs: what is taken for ours has this spelling and no other.
///
/// # Panics
/// When that does not hold.
pub fn names(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let name = parse_name(text);
    if let Some(name) = &name {
        assert_eq!(name.to_string(), text);
        assert_eq!(highest_version([text]), Some(name.version()));
        // A new version is numbered above it.
        let _next = name.version().next();
    }
    let job = text.parse::<JobId>();
    if let Ok(job) = &job {
        assert_eq!(job.to_string(), text.to_ascii_lowercase());
    }
    name.is_some() || job.is_ok()
}
