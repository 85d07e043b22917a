//! The layout: nothing overlaps, everything is aligned and inside, bad numbers are refused.

use mainstay_comm::board::{AREA_BYTES, BOARDS};
use mainstay_comm::layout::{
    Control, Counter, LINE_BYTES, Layout, LayoutError, PAGE_BYTES, RING_BYTES_MAX, Status,
};
use mainstay_types::limits::{INJECTIONS_MAX, RANKS_MAX, RING_BYTES_MIN};
use mainstay_types::{Point, Rank};

/// Every part of a segment as (start, length).
fn parts(l: &Layout) -> Vec<(usize, usize)> {
    let mut parts = vec![];
    parts.extend(Control::ALL.map(|word| (l.control(word), 8)));
    for rank in Rank::all(l.n()) {
        parts.push((l.order(rank), 8));
        parts.push((l.bell(rank), 4));
        parts.push((l.waiting(rank), 4));
        parts.extend(Status::ALL.map(|word| (l.status(rank, word), 8)));
        parts.extend(Counter::ALL.map(|counter| (l.counter(rank, counter), 8)));
        parts.extend(Point::ALL.iter().map(|point| (l.point(rank, *point), 8)));
        for i in 0..INJECTIONS_MAX {
            let (count, stamp) = l.receipt(rank, i);
            parts.extend([(count, 8), (stamp, 8)]);
        }
        for peer in Rank::all(l.n()) {
            parts.push((l.tail(rank, peer), LINE_BYTES));
            parts.push((l.head(rank, peer), LINE_BYTES));
            parts.push((l.cap_sent(rank, peer), 8));
            parts.push((l.ring(rank, peer), l.ring_bytes()));
        }
        for board in 0..BOARDS {
            parts.push((l.board(rank, board), LINE_BYTES));
            parts.extend([0, 1].map(|round| (l.area(rank, board, round), AREA_BYTES)));
        }
    }
    parts
}

#[test]
fn nothing_overlaps_and_all_is_aligned_and_inside() {
    for n in [1, 2, 3, 7, 33] {
        let layout = Layout::new(n, RING_BYTES_MIN).unwrap();
        let mut parts = parts(&layout);
        parts.sort_unstable();
        for pair in parts.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "n={n}: {pair:?}");
        }
        for (at, bytes) in &parts {
            assert!(at.is_multiple_of((*bytes).min(LINE_BYTES)), "n={n}: {at}+{bytes}");
        }
        let (at, bytes) = parts.last().unwrap();
        assert_eq!(at + bytes, layout.total_bytes());
    }
}

#[test]
fn what_a_rank_writes_is_its_lane_and_its_lane_is_whole_pages() {
    let layout = Layout::new(5, RING_BYTES_MIN).unwrap();
    let (bells, bytes) = layout.bells();
    assert!(bells.is_multiple_of(PAGE_BYTES) && bytes.is_multiple_of(PAGE_BYTES));
    assert_eq!(layout.lane(Rank(0)).0, bells + bytes);
    for rank in Rank::all(5) {
        let (at, bytes) = layout.lane(rank);
        assert!(at.is_multiple_of(PAGE_BYTES) && bytes.is_multiple_of(PAGE_BYTES));
        assert!(layout.ring(rank, Rank(0)).is_multiple_of(PAGE_BYTES));
        let own = [
            layout.status(rank, Status::Step),
            layout.tail(rank, Rank(4)),
            layout.head(rank, Rank(4)),
            layout.ring(rank, Rank(4)) + layout.ring_bytes() - 1,
        ];
        assert!(own.iter().all(|word| (at..at + bytes).contains(word)));
    }
}

#[test]
fn the_largest_job_has_a_layout() {
    let layout = Layout::new(RANKS_MAX, RING_BYTES_MIN).unwrap();
    let last = Rank(RANKS_MAX - 1);
    assert_eq!(layout.area(last, BOARDS - 1, 1) + AREA_BYTES, layout.total_bytes());
}

#[test]
fn numbers_out_of_range_are_refused() {
    for n in [0, RANKS_MAX + 1] {
        assert_eq!(Layout::new(n, RING_BYTES_MIN), Err(LayoutError::Ranks(n)));
    }
    for bytes in [0, RING_BYTES_MIN / 2, RING_BYTES_MIN + 64, RING_BYTES_MAX * 2] {
        let error = Layout::new(1, bytes).unwrap_err();
        assert_eq!(error, LayoutError::RingBytes(bytes));
        assert!(error.to_string().contains(&bytes.to_string()));
    }
}
