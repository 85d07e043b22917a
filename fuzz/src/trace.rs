//! Records of a tape, the trace that is made of them, and the page that is made of a trace.

use std::convert::Infallible;
use std::time::Duration;

use mainstay_observe::{Page, Run, chrome};
use mainstay_types::crc32c;
use mainstay_types::event::Summary;
use mainstay_types::limits::TRACE_RECORD_BYTES;
use mainstay_types::trace::{Playback, Record};

use crate::wire::within;

/// A tape, as it is and with checksums and numbers made right: what is accepted has one encoding,
/// and whatever was recorded, the trace of it is whole and a page can be made of it.
///
/// # Panics
/// When that does not hold.
pub fn tape(data: &[u8]) -> bool {
    let mut records = Vec::new();
    for (number, bytes) in (0..).zip(data.as_chunks::<TRACE_RECORD_BYTES>().0) {
        let mut sealed = *bytes;
        sealed[52..56].fill(0);
        sealed[56..60].copy_from_slice(&(number as u32).to_le_bytes());
        let crc = crc32c(&sealed[..60]);
        sealed[60..].copy_from_slice(&crc.to_le_bytes());
        for bytes in [bytes, &sealed] {
            match Record::decode(bytes, number) {
                Ok(record) => {
                    assert_eq!(record.encode(number), *bytes);
                    assert!(record.end_ns() >= record.start_ns);
                    records.push(record);
                }
                Err(error) => within(&error, TRACE_RECORD_BYTES),
            }
        }
    }
    let accepted = !records.is_empty();
    let open = records.pop();
    let tapes =
        [Playback { open, ..Playback::default() }, Playback { records, ..Playback::default() }];
    let summary = Summary::default();
    let started = Duration::from_nanos(1000);
    let run = Run { started, events: &[], left_out: 0, tapes: &tapes, summary: &summary };
    let mut text = String::new();
    let Ok(()) = chrome(&run, &mut |piece| {
        text.push_str(piece);
        Ok::<(), Infallible>(())
    });
    let page = Page::read(text.as_bytes()).expect("a trace of ours");
    assert!(page.events() >= usize::from(accepted && tapes[0].open.is_some()) / 2);
    accepted
}

/// The text of a trace: read or refused, and what is read gives a page that nothing breaks out of.
///
/// # Panics
/// When that does not hold.
pub fn page(data: &[u8]) -> bool {
    let page = match Page::read(data) {
        Ok(page) => page,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let mut scripts = 0;
    let Ok(()) = page.html(&mut |piece| {
        scripts += piece.matches("</script>").count();
        Ok::<(), Infallible>(())
    });
    assert_eq!(scripts, 2);
    true
}
