//! What was seen of a run, as a Chrome trace and as a page that draws it.
//!
//! [`mod@chrome`] turns the records of ranks and the events of a launcher into the text of a trace;
//! [`page`] turns that text into one HTML file. Invariants: the same records and events give the
//! same bytes; whatever a rank wrote, a span lies inside the span around it, and whatever the text
//! of a trace holds, a page is made or an error is returned. Deliberately absent: files, clocks,
//! and the ranks' memory; text goes out in pieces to whoever takes them.

pub mod chrome;
pub mod page;

mod flows;
mod nest;

pub use chrome::{Run, chrome};
pub use page::{Page, PageError};
