//! The page of a trace: whole, alone, and not to be broken out of.

use std::io::Read;

use mainstay_observe::Page;
use serde_json::Value;

use crate::run::killed;

fn html(json: &str) -> String {
    let mut html = String::new();
    let page = Page::read(json.as_bytes()).unwrap();
    let taken: Result<(), std::convert::Infallible> = page.html(&mut |piece| {
        html.push_str(piece);
        Ok(())
    });
    taken.unwrap();
    html
}

/// What stands in a page: the head of its columns, and how many bytes follow it.
fn unpacked(html: &str) -> (Value, usize) {
    let from = html.split_once("id=\"data\">").unwrap().1;
    let text = from.split_once("</script>").unwrap().0;
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut packed = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let place = |b: &u8| letters.iter().position(|letter| letter == b).unwrap_or(0) as u32;
        let bits = four.iter().fold(0, |bits, b| bits << 6 | place(b));
        let padded = four.iter().filter(|b| **b == b'=').count();
        packed.extend_from_slice(&bits.to_be_bytes()[1..4 - padded]);
    }
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    let about = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[4..4 + about]).unwrap(), bytes.len() - 4 - about)
}

#[test]
fn a_page_holds_every_event_of_its_trace() {
    let json = killed().text();
    let (about, rest) = unpacked(&html(&json));
    let trace: Value = serde_json::from_str(&json).unwrap();
    let count = |phases: &[&str]| {
        let events = trace["traceEvents"].as_array().unwrap().iter();
        events.filter(|event| phases.iter().any(|phase| event["ph"] == *phase)).count() as u64
    };
    let (events, arrows) = (count(&["X", "i"]), count(&["f"]));
    assert_eq!((about["events"].as_u64(), about["arrows"].as_u64()), (Some(events), Some(arrows)));
    assert_eq!(about["about"], trace["otherData"]);
    let values = about["values"].as_u64().unwrap();
    let bytes = events * (8 + 8 + 4 + 3 * 2) + values * 8 + arrows * (2 * 8 + 2 * 2);
    assert_eq!(rest as u64, bytes);
    let has = |list: &str, text: &str| about[list].to_string().contains(text);
    assert!(has("lanes", "\"rank 1\"") && has("lanes", "\"versions\""));
    assert!(has("names", "[\"recovery\",\"redo\"]") && has("names", "[\"send\",\"send\"]"));
    assert!(has("texts", "rank 1 died"));
}

#[test]
fn a_page_asks_the_network_for_nothing_and_no_text_gets_out() {
    let json = killed().text();
    assert!(json.contains("</script>"), "a rank's own words stand in the trace");
    let html = html(&json);
    assert!(!html.contains("<b>\\\"it"), "and not in the page");
    for outside in
        ["http:", "https:", "src=", "href=", "url(", "@import", "fetch(", "innerHTML", "eval("]
    {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("default-src 'none'"));
    assert_eq!(html.matches("</script>").count(), 2);
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
}

#[test]
fn events_may_come_in_any_order_and_unknown_ones_are_passed_over() {
    let head = "{\"otherData\":{\"format\":\"mainstay trace\",\"v\":1},\"x\":[1],\"traceEvents\":[";
    let events = [
        "{\"ph\":\"f\",\"id\":1,\"pid\":2,\"tid\":2,\"ts\":5}",
        "{\"ph\":\"C\",\"pid\":2,\"name\":\"counter\",\"args\":{\"a\":[1,{}],\"b\":null}}",
        "{\"ph\":\"s\",\"id\":1,\"pid\":1,\"tid\":2,\"ts\":4}",
        "{\"ph\":\"X\",\"pid\":2,\"tid\":2,\"ts\":1,\"dur\":2,\"name\":\"n\",\"args\":{\"a\":[1]}}",
    ];
    let (about, _) = unpacked(&html(&format!("{head}{}]}}", events.join(","))));
    assert_eq!((&about["events"], &about["arrows"]), (&1.into(), &1.into()));
    assert_eq!(about["texts"], serde_json::json!(["[1]"]));
}

#[test]
fn every_cut_and_every_flipped_byte_is_read_or_refused() {
    let json = killed().text();
    let end = json.len();
    for end in (0..end).step_by(11).chain(end - 3..end) {
        // The line end behind the last brace is no part of it.
        let whole = end >= json.trim_end().len();
        assert_eq!(Page::read(&json.as_bytes()[..end]).is_ok(), whole, "cut at {end}");
    }
    let mut read = 0;
    for at in (0..json.len()).step_by(7) {
        let mut bytes = json.clone().into_bytes();
        bytes[at] ^= 1 << (at % 7);
        read += usize::from(Page::read(&bytes).is_ok());
    }
    assert!(read > 50, "{read}");
}
