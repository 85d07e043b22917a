//! Spans of one lane, put so that each lies inside the one around it or beside it.
//!
//! A viewer stacks the spans of a lane by their times alone. What one thread did nests by itself,
//! but for the nanoseconds between two readings of a clock and for records that were lost.
//! Invariant: after [`nest`], of two spans of a lane one contains the other or they do not overlap.
//! Deliberately absent: what the spans are.

/// A stretch of time and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span<T> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) what: T,
}

impl<T> Span<T> {
    /// A span; one that would end before it begins is empty.
    pub(crate) fn new(start: u64, end: u64, what: T) -> Self {
        Self { start, end: end.max(start), what }
    }
}

/// Sorts spans by their beginning, the longer first, and cuts off what reaches beyond the span
/// around it.
pub(crate) fn nest<T>(spans: &mut [Span<T>]) {
    spans.sort_by_key(|span| (span.start, u64::MAX - span.end));
    let mut around: Vec<u64> = Vec::new();
    for span in spans {
        while around.last().is_some_and(|end| *end <= span.start) {
            around.pop();
        }
        if let Some(end) = around.last() {
            span.end = span.end.min(*end);
        }
        around.push(span.end);
    }
}

/// Gives each span the first row in which nothing overlaps it; spans are sorted by their beginning.
pub(crate) fn rows<T>(spans: &[Span<T>]) -> Vec<usize> {
    let mut ends: Vec<u64> = Vec::new();
    let place = |span: &Span<T>| {
        let free = ends.iter().position(|end| *end <= span.start);
        let row = free.unwrap_or_else(|| {
            ends.push(0);
            ends.len() - 1
        });
        ends[row] = span.end;
        row
    };
    spans.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(times: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut spans: Vec<_> = times.iter().map(|(a, b)| Span::new(*a, *b, ())).collect();
        nest(&mut spans);
        spans.iter().map(|span| (span.start, span.end)).collect()
    }

    #[test]
    fn a_span_ends_with_the_one_around_it_at_the_latest() {
        assert_eq!(nested(&[(2, 9), (0, 5), (5, 8)]), [(0, 5), (2, 5), (5, 8)]);
        assert_eq!(nested(&[(0, 4), (0, 9), (4, 12)]), [(0, 9), (0, 4), (4, 9)]);
        assert_eq!(nested(&[(3, 1)]), [(3, 3)]);
    }

    #[test]
    fn whatever_the_times_no_two_spans_cross() {
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for _ in 0..300 {
            let times: Vec<_> = (0..12).map(|_| (next(20), next(25))).collect();
            let spans = nested(&times);
            for (i, a) in spans.iter().enumerate() {
                for b in &spans[i + 1..] {
                    let (inside, beside) = (b.0 >= a.0 && b.1 <= a.1, b.0 >= a.1);
                    assert!(inside || beside, "{a:?} {b:?} of {times:?}");
                }
            }
        }
    }

    #[test]
    fn spans_that_overlap_get_rows_of_their_own() {
        let spans = [(0, 5), (1, 2), (2, 6), (5, 9)].map(|(a, b)| Span::new(a, b, ()));
        assert_eq!(rows(&spans), [0, 1, 1, 0]);
    }
}
