//! How far two arrays of one kind are apart.
//!
//! Invariants: what counts as different is bits, so that -0 differs from 0 and one NaN from another; a
//! distance is taken where both numbers are finite, and where not that is counted; integers are
//! subtracted exactly. Elements may come in any order and any pieces. Deliberately absent: tolerance;
//! whoever asks has the numbers.

use crate::format::kind::Kind;

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    kind: Kind,
    element_bytes: u32,
    /// Elements compared.
    pub elements: u64,
    /// Elements whose bits differ.
    pub differing: u64,
    /// Bytes that differ.
    pub differing_bytes: u64,
    /// The first element that differs, as it was numbered.
    pub first: Option<u64>,
    /// The largest distance of two finite numbers.
    pub largest: f64,
    /// The largest distance in relation to the larger of the two.
    pub largest_relative: f64,
    /// The root of the sum of the squares of all distances.
    pub l2: f64,
    /// Elements that differ and have no distance, as one of the two is no finite number.
    pub without_distance: u64,
}

impl Comparison {
    /// Nothing compared so far.
    #[must_use]
    pub fn new(kind: Kind, element_bytes: u32) -> Self {
        Self {
            kind,
            element_bytes,
            elements: 0,
            differing: 0,
            differing_bytes: 0,
            first: None,
            largest: 0.0,
            largest_relative: 0.0,
            l2: 0.0,
            without_distance: 0,
        }
    }

    /// What its elements are.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes of an element.
    #[must_use]
    pub fn element_bytes(&self) -> u32 {
        self.element_bytes
    }

    /// Whether its elements are numbers, so that they have distances.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        self.kind != Kind::Opaque
    }

    /// Takes in elements, the first of them with this number.
    ///
    /// # Panics
    /// When the two have different lengths.
    pub fn add(&mut self, first: u64, a: &[u8], b: &[u8]) {
        assert_eq!(a.len(), b.len(), "elements are compared with as many");
        let element_bytes = self.element_bytes as usize;
        self.elements += (a.len() / element_bytes) as u64;
        if a == b {
            return;
        }
        let pairs = a.chunks_exact(element_bytes).zip(b.chunks_exact(element_bytes));
        for (i, (a, b)) in (first..).zip(pairs).filter(|(_, (a, b))| a != b) {
            self.differing += 1;
            self.differing_bytes += a.iter().zip(b).filter(|(a, b)| a != b).count() as u64;
            self.first = Some(self.first.map_or(i, |first| first.min(i)));
            if self.is_numeric() {
                self.distance(a, b);
            }
        }
    }

    fn distance(&mut self, a: &[u8], b: &[u8]) {
        let (distance, larger) = match (float(self.kind, a), float(self.kind, b)) {
            (Some(a), Some(b)) => ((a - b).abs(), a.abs().max(b.abs())),
            _ => {
                let (a, b) = (integer(self.kind, a), integer(self.kind, b));
                (a.abs_diff(b) as f64, a.unsigned_abs().max(b.unsigned_abs()) as f64)
            }
        };
        // The distance of two large numbers may overflow; that of NaN or infinity is none.
        if !distance.is_finite() {
            self.without_distance += 1;
            return;
        }
        self.largest = self.largest.max(distance);
        if larger > 0.0 {
            self.largest_relative = self.largest_relative.max(distance / larger);
        }
        self.l2 = self.l2.hypot(distance);
    }
}

/// The number in an element, if that is a float.
fn float(kind: Kind, bytes: &[u8]) -> Option<f64> {
    match kind {
        Kind::F32 => Some(f32::from_le_bytes(*bytes.first_chunk()?).into()),
        Kind::F64 => Some(f64::from_le_bytes(*bytes.first_chunk()?)),
        _ => None,
    }
}

/// The number in an element that is an integer.
fn integer(kind: Kind, bytes: &[u8]) -> i128 {
    let negative = matches!(kind, Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64)
        && bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = if negative { [0xFF; 16] } else { [0; 16] };
    wide[..bytes.len()].copy_from_slice(bytes);
    i128::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubles(a: &[f64], b: &[f64]) -> Comparison {
        let bytes =
            |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let mut comparison = Comparison::new(Kind::F64, 8);
        comparison.add(10, &bytes(a), &bytes(b));
        comparison
    }

    #[test]
    fn doubles_differ_by_bits_and_have_distances_where_they_are_finite() {
        let same = [1.0, f64::NAN, f64::INFINITY, -0.0];
        assert_eq!(doubles(&same, &same).differing, 0);
        let c = doubles(&[1.0, 2.0, -3.0, 0.0], &[1.0, 5.0, 1.0, -0.0]);
        assert_eq!((c.elements, c.differing, c.first), (4, 3, Some(11)));
        assert_eq!((c.largest, c.largest_relative, c.l2), (4.0, 4.0 / 3.0, 5.0));
        let inf = f64::INFINITY;
        let c = doubles(&[f64::NAN, inf, 1.0, 1e308], &[1.0, -inf, inf, -1e308]);
        assert_eq!((c.differing, c.without_distance, c.l2), (4, 4, 0.0));
        assert_eq!(doubles(&[1e200, 1e200], &[0.0, 0.0]).l2, 1e200_f64.hypot(1e200));
    }

    #[test]
    fn integers_are_subtracted_exactly() {
        for (kind, a, b, distance) in [
            (Kind::U8, &[255_u8][..], &[0_u8][..], 255.0),
            (Kind::I8, &[255], &[1], 2.0),
            (Kind::I16, &[0, 0x80], &[0xFF, 0x7F], 65535.0),
            (Kind::U64, &[0xFF; 8], &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 1.0),
            (Kind::I64, &[0xFF; 8], &[0; 8], 1.0),
        ] {
            let mut c = Comparison::new(kind, a.len() as u32);
            c.add(0, a, b);
            assert_eq!((c.differing, c.largest), (1, distance), "{}", kind.name());
        }
    }

    #[test]
    fn opaque_elements_count_bytes_and_pieces_come_in_any_order() {
        let mut c = Comparison::new(Kind::Opaque, 3);
        c.add(7, b"abcdef", b"abXdef");
        c.add(2, b"abcdef", b"abcXYf");
        assert_eq!((c.elements, c.differing, c.differing_bytes, c.first), (4, 2, 3, Some(3)));
        assert!(!c.is_numeric() && c.largest == 0.0);
    }
}
