//! Pictures of small fields, their sizes, their colours and the numbers beside the scale.

use super::*;

/// A picture decoded again: its size and the colours of its pixels.
fn decoded(bytes: &[u8]) -> ((usize, usize), Vec<[u8; 3]>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut buffer).unwrap();
    let pixels = buffer.chunks_exact(3).map(|rgb| [rgb[0], rgb[1], rgb[2]]).collect();
    ((info.width as usize, info.height as usize), pixels)
}

#[test]
fn cells_have_the_colours_of_their_numbers_and_missing_ones_are_hatched() {
    let picture = Picture::new((2, 2));
    let shades = picture.shades(&[0.0, 5.0, f64::NAN, 10.0], (0.0, 10.0));
    assert_eq!(shades, [0, 118, MISSING, SHADES - 1]);
    let bytes = picture.paint(&shades, (0.0, 10.0), "3 steps").unwrap();
    let ((width, _), pixels) = decoded(&bytes);
    let at = |x: usize, y: usize| pixels[(MARGIN + y) * width + MARGIN + x];
    assert_eq!((at(0, 0), at(449, 449)), (colour::of(0), colour::of(0)));
    assert_eq!((at(450, 449), at(450, 450)), (colour::of(118), colour::of(SHADES - 1)));
    let hole: std::collections::BTreeSet<_> = (0..16).map(|x| at(x, 600)).collect();
    assert_eq!(hole.len(), 2, "a hatching has two colours");
    assert!(hole.iter().all(|[red, _, blue]| red.abs_diff(*blue) < 10), "and they are grey");
    assert_eq!(bytes, picture.paint(&shades, (0.0, 10.0), "3 steps").unwrap());
    assert_ne!(bytes, picture.paint(&shades, (0.0, 10.0), "4 steps").unwrap());
}

#[test]
fn every_size_fits_and_rows_that_make_one_pixel_stay_together() {
    for size in [(1, 1), (1, 5000), (5000, 1), (1800, 3), (1801, 2), (344, 403), (8192, 8192)] {
        let picture = Picture::new(size);
        let (width, height) = (picture.width * picture.across, picture.height * picture.down);
        assert!(width.max(height) <= LONG_MAX && width.min(height) >= SHORT_MIN, "{picture:?}");
        assert_eq!(picture.height, size.0.div_ceil(picture.rows_together()));
    }
    assert_eq!(Picture::new((344, 403)).across, 2);
    let picture = Picture::new((3, 4000));
    assert_eq!((picture.rows_together(), picture.height, picture.width), (3, 1, 1334));
    let picture = Picture::new((4000, 5));
    let cells: Vec<f64> = (0..4000 * 5).map(f64::from).collect();
    let whole = picture.shades(&cells, (0.0, 20_000.0));
    let cut = 5 * 3 * 100;
    let two = [&cells[..cut], &cells[cut..]].map(|cells| picture.shades(cells, (0.0, 20_000.0)));
    assert_eq!(two.concat(), whole);
    assert_eq!(whole.len(), 1334 * 2);
    picture.paint(&whole, (0.0, 20_000.0), "1 step").unwrap();
    let holes = picture.shades(&[f64::NAN, 1.0, f64::NAN, f64::NAN, f64::NAN], (0.0, 1.0));
    assert_eq!(holes, [SHADES - 1, MISSING], "a pixel is the mean of what is there");
}

#[test]
fn lightness_rises_evenly_and_no_two_colours_are_alike() {
    // Relative luminance by the weights of Rec. 709.
    let light = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let colours: Vec<_> = (0..SHADES).map(colour::of).collect();
    let luminance =
        |[r, g, b]: &[u8; 3]| 0.2126 * light(*r) + 0.7152 * light(*g) + 0.0722 * light(*b);
    // Ten shades on, whatever rounding to bytes does to neighbours.
    for pair in colours.windows(11) {
        assert!(luminance(&pair[10]) > luminance(&pair[0]), "{pair:?}");
    }
    for pair in colours.windows(2) {
        let apart: Vec<_> = (0..3).map(|i| pair[0][i].abs_diff(pair[1][i])).collect();
        assert!((1..=8).contains(apart.iter().max().unwrap()), "{pair:?}");
    }
}

#[test]
fn ticks_are_round_numbers_within_the_scale() {
    let labels = |min, max, count| -> Vec<String> {
        scale::ticks(min, max, count).into_iter().map(|(_, label)| label).collect()
    };
    assert_eq!(labels(297.0, 819.4, 6), ["300", "400", "500", "600", "700", "800"]);
    assert_eq!(labels(-0.3, 0.31, 4), ["-0.2", "0.0", "0.2"]);
    assert_eq!(labels(0.0, 1e8, 4), ["0", "5e7", "1.0e8"]);
    assert_eq!(labels(1e-9, 3e-9, 2), ["1e-9", "2e-9", "3e-9"]);
    assert!(labels(5.0, 5.0, 4).is_empty());
    assert!(labels(-1e300, 1e300, 4).len() > 2);
    for (min, max) in [(0.0, 65_535.0), (1e5, 1e5 + 1.0), (-1e-5, 3.0), (-7e200, 1e-200)] {
        let ticks = scale::ticks(min, max, 8);
        assert!((2..=9).contains(&ticks.len()), "{ticks:?}");
        assert!(ticks.iter().all(|(value, _)| (min..=max).contains(value)), "{ticks:?}");
        assert!(ticks.windows(2).all(|pair| pair[0].1 != pair[1].1), "{ticks:?}");
    }
    let ends = |min, max| scale::ends(min, max, &scale::ticks(min, max, 6));
    assert_eq!(ends(296.52, 819.45), ("297".to_owned(), "819".to_owned()));
    assert_eq!(ends(5.0, 5.0).0, "5.0000");
    assert_eq!(ends(0.0, 0.0).1, "0");
    assert_eq!(ends(-1e-9, 1.0).0, "0.00");
}

#[test]
fn a_field_of_one_number_or_of_the_greatest_can_be_drawn() {
    let picture = Picture::new((1, 2));
    for (min, max) in [(5.0, 5.0), (0.0, 0.0), (-1e300, 1e300), (f64::MIN_POSITIVE, 1e-300)] {
        let shades = picture.shades(&[min, max], (min, max));
        if min == max {
            assert_eq!(shades, [118, 118]);
        } else {
            assert_eq!(shades, [0, SHADES - 1]);
        }
        decoded(&picture.paint(&shades, (min, max), "0 steps").unwrap());
    }
}

#[test]
fn the_font_has_all_that_is_written() {
    for letter in "0123456789-.e max min steps missing".chars().filter(|letter| *letter != ' ') {
        assert!(font::dots(letter).count() > 1, "`{letter}`");
        assert!(font::dots(letter).all(|(x, y)| x < font::ADVANCE && y < 9 * font::DOT));
    }
    assert_eq!(font::dots('€').count(), 0);
}
