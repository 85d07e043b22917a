//! The few letters that a picture needs, of 5 by 7 dots; two rows more hang below the line.
//!
//! Invariant: every character of a number and of the words in pictures has a form here; any other
//! leaves a gap. Deliberately absent: the rest of the alphabet.

/// The side of a dot, pixels.
pub(super) const DOT: usize = 2;
/// From one letter to the next.
pub(super) const ADVANCE: usize = 6 * DOT;
/// From the top of a letter to the line.
pub(super) const HEIGHT: usize = 7 * DOT;
/// From the top of a letter to its middle.
pub(super) const MIDDLE: usize = HEIGHT / 2;

/// The width of a text, pixels.
pub(super) fn width(text: &str) -> usize {
    text.chars().count() * ADVANCE
}

/// Where the dots of a letter lie: pixels from its left and its top.
pub(super) fn dots(letter: char) -> impl Iterator<Item = (usize, usize)> {
    let found = FORMS.iter().find(|(form, _)| *form == letter);
    let rows = found.map_or([0; 9], |(_, rows)| *rows);
    let is_set = move |(row, column): &(usize, usize)| rows[*row] >> (4 - column) & 1 == 1;
    let all = (0..9).flat_map(|row| (0..5).map(move |column| (row, column)));
    all.filter(is_set).map(|(row, column)| (column * DOT, row * DOT))
}

/// Each row from the left, a bit a dot.
#[rustfmt::skip]
const FORMS: [(char, [u8; 9]); 22] = [
    ('0', [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('1', [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110, 0b00000, 0b00000]),
    ('2', [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111, 0b00000, 0b00000]),
    ('3', [0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('4', [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010, 0b00000, 0b00000]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('6', [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00100, 0b00100, 0b01000, 0b01000, 0b00000, 0b00000]),
    ('8', [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('9', [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100, 0b00000, 0b00000]),
    ('-', [0b00000, 0b00000, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('.', [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100, 0b00000, 0b00000]),
    ('a', [0b00000, 0b00000, 0b01110, 0b00001, 0b01111, 0b10001, 0b01111, 0b00000, 0b00000]),
    ('e', [0b00000, 0b00000, 0b01110, 0b10001, 0b11111, 0b10000, 0b01110, 0b00000, 0b00000]),
    ('g', [0b00000, 0b00000, 0b01111, 0b10001, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('i', [0b00100, 0b00000, 0b01100, 0b00100, 0b00100, 0b00100, 0b01110, 0b00000, 0b00000]),
    ('m', [0b00000, 0b00000, 0b11010, 0b10101, 0b10101, 0b10101, 0b10101, 0b00000, 0b00000]),
    ('n', [0b00000, 0b00000, 0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b00000, 0b00000]),
    ('p', [0b00000, 0b00000, 0b11110, 0b10001, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000]),
    ('s', [0b00000, 0b00000, 0b01111, 0b10000, 0b01110, 0b00001, 0b11110, 0b00000, 0b00000]),
    ('t', [0b01000, 0b01000, 0b11100, 0b01000, 0b01000, 0b01001, 0b00110, 0b00000, 0b00000]),
    ('x', [0b00000, 0b00000, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b00000, 0b00000]),
];
