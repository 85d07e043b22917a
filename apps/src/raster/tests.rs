//! Rasters in every form, and what is wrong with those that are none.

use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{gzip, scratch, terrain};

const HEADER: &str = "ncols 3\nnrows 2\nxllcorner 0\nyllcorner 0\ncellsize 10\n";

fn read(name: &str, bytes: impl AsRef<[u8]>) -> Result<Raster, InputError> {
    Raster::read(&scratch(name, bytes.as_ref()))
}

/// What is said of a file, behind its name.
fn said(bytes: impl AsRef<[u8]>) -> String {
    let file = scratch("bad", bytes.as_ref());
    let error = Raster::read(&file).unwrap_err().to_string();
    let name = format!("{}:", file.display());
    error.strip_prefix(&name).unwrap_or_else(|| panic!("no file in: {error}")).to_owned()
}

fn present(raster: &Raster) -> Vec<Option<f64>> {
    raster.cells().iter().map(|value| (!value.is_nan()).then_some(*value)).collect()
}

fn grey_png(
    (width, height): (u32, u32),
    colour: ::png::ColorType,
    depth: BitDepth,
    data: &[u8],
    further: impl Fn(&mut ::png::Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    further(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

use ::png::{BitDepth, ColorType};

#[test]
fn a_grid_is_read_in_any_order_of_its_header_and_any_case() {
    let text = format!("{HEADER}NODATA_value -1\n1 2 3\n4 -1 6.5e0\n");
    let raster = read("grid.asc", &text).unwrap();
    assert_eq!((raster.rows(), raster.columns()), (2, 3));
    let cells = [Some(1.0), Some(2.0), Some(3.0), Some(4.0), None, Some(6.5)];
    assert_eq!(present(&raster), cells);
    assert!(raster.is_present(0, 0) && !raster.is_present(1, 1) && !raster.is_present(2, 0));
    let place = Place { x: 0.0, y: 0.0, centred: (false, false), cell: 10.0 };
    assert_eq!(raster.place(), Some(place));
    let other = "NROWS 2\r\nCellSize 10 nodata_VALUE -1 YLLCORNER 0\nXLLCORNER 0\nNCOLS 3\r\n\
                 1 2\n3 4\n\n-1\n6.5";
    assert_eq!(read("other.txt", other).unwrap(), raster);
    assert_eq!(read("packed.png", gzip(text.as_bytes())).unwrap(), raster);
    let middle = HEADER.replace("xllcorner", "xllcenter");
    let raster = read("middle.asc", format!("{middle}1 2 3 4 -9999 nan")).unwrap_err();
    assert_eq!((raster.line(), raster.column()), (Some(6), Some(15)));
    let nan = format!("{HEADER}NODATA_value nan\n1 2 3 4 nan NaN");
    assert_eq!(present(&read("nan.asc", nan).unwrap())[4..], [None, None]);
    let default = format!("{HEADER}1 2 3 4 -9999 6");
    assert_eq!(present(&read("default.asc", default).unwrap())[4], None);
}

#[test]
fn the_real_terrain_is_the_published_one() {
    let packed = std::fs::read(terrain()).unwrap();
    let digest: String = Sha256::digest(&packed).iter().map(|b| format!("{b:02x}")).collect();
    let readme = include_str!("../../../data/README.md");
    assert!(readme.contains(&digest), "data/README.md must name {digest}");
    let raster = Raster::read(&terrain()).unwrap();
    assert_eq!((raster.rows(), raster.columns()), (344, 403));
    assert_eq!((raster.row(0)[0], raster.row(343)[402]), (483.0, 272.0));
    assert!(raster.cells().iter().all(|value| !value.is_nan()));
}

#[test]
fn what_is_written_reads_back_the_same() {
    let cells = vec![0.1, -1e-300, f64::NAN, 1.0 / 3.0, 5e299, -9999.0, 1e15, -0.0];
    let place = Place { x: -84.41, y: 36.4, centred: (true, false), cell: 1.0 / 1200.0 };
    for place in [None, Some(place)] {
        let raster = Raster::new((4, 2), place, cells.clone()).unwrap();
        let nodata = nodata_beside(-9999.0, 5e299);
        let mut text = header_text((4, 2), place, nodata);
        for row in 0..4 {
            row_text(&mut text, raster.row(row), nodata);
        }
        let again = read("again.asc", &text).unwrap();
        assert_eq!(again.place().is_some_and(|place| place.cell == 1.0), place.is_none());
        assert_eq!(present(&again), present(&raster), "{text}");
    }
    for (min, max) in [(0.0, 1.0), (-1e4, -1.0), (-9999.0, -9999.0), (-1e300, 1e300)] {
        assert!(!(min..=max).contains(&nodata_beside(min, max)), "{min} {max}");
    }
}

#[test]
fn a_grid_that_is_none_is_told_with_line_and_column() {
    let with = |from: &str, to: &str| HEADER.replace(from, to) + "1 2 3 4 5 6\n";
    for (text, says) in [
        (with("ncols 3", "ncols 0"), "2:7: the raster has no columns"),
        (with("nrows 2", "nrows 0"), "2:7: the raster has no rows"),
        (with("ncols 3", "ncols 3.5"), "1:7: `3.5` is no value for `ncols`; give a whole number"),
        (with("ncols 3", "ncols -3"), "1:7: `-3` is no value for `ncols`"),
        (with("ncols 3\n", ""), "5:1: the header lacks `ncols`; add a line like `ncols 403`"),
        (with("nrows 2\n", ""), "5:1: the header lacks `nrows`"),
        (with("xllcorner 0\n", ""), "5:1: the header lacks `xllcorner`"),
        (with("yllcorner 0\n", ""), "5:1: the header lacks `yllcorner`"),
        (with("cellsize 10\n", ""), "5:1: the header lacks `cellsize`"),
        (with("cellsize 10", "cellsize 0"), "5:10: `0` is no value for `cellsize`"),
        (with("cellsize 10", "cellsize 1e999"), "5:10: `1e999` is no value"),
        (with("xllcorner 0", "xllcorner nan"), "3:11: `nan` is no value for `xllcorner`"),
        (with("cellsize 10", "dx 10\ndy 10"), "5:1: `dx` is neither a number nor a word"),
        (with("nrows 2", "nrows 2\nncols 3"), "3:1: `ncols` is given a second time"),
        (with("xllcorner", "xllcenter 1 xllcorner"), "3:13: `xllcorner` is given a second"),
        (
            with("ncols 3\nnrows 2", "ncols 1000000000\nnrows 1000000000"),
            "2:7: 1000000000 columns by 1000000000 rows are more than 67108864 cells, the limit",
        ),
        (
            with("ncols 3", "ncols 18446744073709551615"),
            "2:7: 18446744073709551615 columns by 2 rows are more than",
        ),
        (
            with("ncols 3", "ncols 300"),
            "2:7: the header claims 300 columns by 2 rows, and the file",
        ),
        (HEADER.to_owned(), "6:1: the file ends in its header"),
        ("ncols".to_owned(), "1:6: the file ends in its header"),
        (format!("{HEADER}1 2 3\n4 5\n"), "8:1: the file ends after 5 of 6 cells"),
        (format!("{HEADER}1 2 3\n4 5 6 7\n"), "7:7: there is more behind the 6 cells"),
        (format!("{HEADER}1 2 3\n4 5 6\nend"), "8:1: there is more behind the 6 cells"),
        (format!("{HEADER}1 2 3\n4 5,5 6\n"), "7:3: `5,5` is not a number; write it like"),
        (format!("{HEADER}1 2 3\n4 inf 6\n"), "7:3: `inf` is not a number of at most 1e300"),
        (format!("{HEADER}1 2 3\n4 nan 6\n"), "7:3: `nan` is not a number of at most 1e300"),
        (format!("{HEADER}1 2 3\n4 -2e300 6\n"), "7:3: `-2e300` is not a number of at most"),
        (format!("{HEADER}1 2 3\n4 1e99999999999 6\n"), "7:3: `1e99999999999` is not a number"),
        (format!("{HEADER}1 2 3\n4 \u{1b}[2J 6\n"), "7:3: `\\u{1b}[2J` is not a number"),
        (format!("{HEADER}{}", "-9999 ".repeat(6)), " every cell is missing"),
        (format!("{HEADER}{}", "9".repeat(500)), "6:1: a word is longer than 400 bytes"),
        ("12 3 4\n".to_owned(), "1:1: the file begins with `12 3 4\\n`, like no raster"),
        ("  \n \n".to_owned(), "3:1: the file is empty"),
        (String::new(), " the file is empty; give an ESRI ASCII grid"),
        ("\u{feff}ncols 3".to_owned(), "1:1: the file begins with"),
    ] {
        let error = said(&text);
        assert!(error.starts_with(says), "{text}: `{error}`, not `{says}`");
        assert!(error.contains(';'), "the mend: {error}");
    }
    let mut bytes = format!("{HEADER}1 2 3\n4 ").into_bytes();
    bytes.extend([0xff, 0xfe]);
    assert!(said(bytes).starts_with("7:3: the line is not text"));
    let packed = gzip(format!("{HEADER}1 2 3 4 5 6").as_bytes());
    assert!(said(&packed[..packed.len() / 2]).contains("the gzip data is cut short or damaged"));
}

#[test]
fn pgm_is_read_as_text_and_as_bytes() {
    let text = "P2 # made by hand\n#\n3 # wide\n2 200\n0 1 2\n3 4 200\n";
    let raster = read("text.pgm", text).unwrap();
    assert_eq!((raster.rows(), raster.columns(), raster.place()), (2, 3, None));
    assert_eq!(raster.cells(), [0.0, 1.0, 2.0, 3.0, 4.0, 200.0]);
    assert_eq!(read("8.pgm", b"P5 3 2 200\n\x00\x01\x02\x03\x04\xc8").unwrap(), raster);
    let wide = b"P5\n3 2\n65535\n\x00\x00\x00\x01\x00\x02\x00\x03\x00\x04\x00\xc8";
    assert_eq!(read("16.pgm", wide).unwrap(), raster);
    assert_eq!(read("16.gz", gzip(wide)).unwrap(), raster);
    // A byte that looks like white space or a comment is a cell all the same.
    assert_eq!(read("odd.pgm", b"P5 2 1 255 #\n").unwrap().cells(), [35.0, 10.0]);
    assert_eq!(read("strip.pgm", "P2 1 3 9 7 8 9").unwrap().rows(), 3);
}

#[test]
fn a_pgm_that_is_none_is_told_with_its_place() {
    for (bytes, says) in [
        (&b"P6 1 1 255\n\x00\x00\x00"[..], "1:1: `P6` is not supported; convert it to PGM"),
        (b"P1 1 1 1", "1:1: `P1` is not supported"),
        (b"P2", "1:3: the file ends in its header"),
        (b"P2 3", "1:5: the file ends in its header"),
        (b"P2 0 2 255 1", "1:4: `0` is no value for `the width`; give a whole number from 1"),
        (b"P2 2 x 255 1", "1:6: `x` is no value for `the height`"),
        (b"P2 1 1 65536 1", "1:8: `65536` is no value for `the maximum`; give a whole number from"),
        (b"P2 1 1 0 0", "1:8: `0` is no value for `the maximum`"),
        (b"P2 2000 1 9 1", "1:11: the header claims 2000 columns by 1 rows, and the file can"),
        (b"P2 2 1 9 1", "1:11: the file ends after 1 of 2 cells"),
        (b"P2 2 1 9 1   \n", "2:1: the file ends after 1 of 2 cells"),
        (b"P2 1 1 9 1 2", "1:12: there is more behind the 1 cells"),
        (b"P2 1 1 9 10", "1:10: `10` is not a whole number up to 9"),
        (b"P2 1 1 9 -1", "1:10: `-1` is not a whole number up to 9"),
        (b"P2 1 1 9 nan", "1:10: `nan` is not a whole number up to 9"),
        (b"P5 1000000000 1000000000 255\n", "1:26: 1000000000 columns by 1000000000 rows are"),
        (b"P5 300 2 9\n\x01\x02", "1:10: the header claims 300 columns by 2 rows, and the file"),
        (b"P5 12 1 9\n\x01\x02", " the file ends after 2 of 12 cells; copy it again"),
        (b"P5 2 1 9\n\x01\x0a", " `10 (byte 10)` is not a whole number up to 9"),
        (b"P5 2 1 300\n\x00\x01\x02\x00", " `512 (byte 13)` is not a whole number up to 300"),
        (b"P5 1 1 9\n\x01\x02", " there is more behind the raster, from byte 10 on; remove it"),
        (b"P5 1 1 9", "1:8: the file ends in its header"),
    ] {
        let error = said(bytes);
        assert!(error.starts_with(says), "{}: `{error}`", bytes.escape_ascii());
    }
}

#[test]
fn grey_png_is_read_and_transparent_pixels_are_missing() {
    let plain = |_: &mut ::png::Encoder<'_, &mut Vec<u8>>| {};
    let bytes =
        grey_png((3, 2), ColorType::Grayscale, BitDepth::Eight, &[0, 1, 2, 3, 4, 255], plain);
    let raster = read("8.png", &bytes).unwrap();
    assert_eq!((raster.rows(), raster.columns()), (2, 3));
    assert_eq!(raster.cells(), [0.0, 1.0, 2.0, 3.0, 4.0, 255.0]);
    assert_eq!(read("8.asc", gzip(&bytes)).unwrap(), raster);
    let data = [0, 0, 1, 0, 255, 255];
    let bytes = grey_png((3, 1), ColorType::Grayscale, BitDepth::Sixteen, &data, plain);
    assert_eq!(read("16.png", bytes).unwrap().cells(), [0.0, 256.0, 65_535.0]);
    let alpha = [7, 255, 8, 0, 9, 1];
    let bytes = grey_png((3, 1), ColorType::GrayscaleAlpha, BitDepth::Eight, &alpha, plain);
    let raster = read("alpha.png", bytes).unwrap();
    assert_eq!(present(&raster), [Some(7.0), None, Some(9.0)]);
    let shade = |encoder: &mut ::png::Encoder<'_, &mut Vec<u8>>| encoder.set_trns(vec![0, 8]);
    let bytes = grey_png((3, 1), ColorType::Grayscale, BitDepth::Eight, &[7, 8, 9], shade);
    assert_eq!(read("shade.png", bytes).unwrap(), raster);
    let bytes = grey_png((3, 1), ColorType::Grayscale, BitDepth::One, &[0b0100_0000], plain);
    assert_eq!(read("1.png", bytes).unwrap().cells(), [0.0, 255.0, 0.0]);
}

#[test]
fn a_png_of_colour_or_damaged_anywhere_is_refused() {
    let plain = |_: &mut ::png::Encoder<'_, &mut Vec<u8>>| {};
    let colour = grey_png((1, 1), ColorType::Rgb, BitDepth::Eight, &[1, 2, 3], plain);
    assert!(said(colour).starts_with(" the PNG has colour pixels, and a colour is no number"));
    let palette = |encoder: &mut ::png::Encoder<'_, &mut Vec<u8>>| encoder.set_palette(vec![1; 6]);
    let indexed = grey_png((1, 1), ColorType::Indexed, BitDepth::Eight, &[1], palette);
    assert!(said(indexed).starts_with(" the PNG has palette pixels"));
    let whole = grey_png((3, 2), ColorType::Grayscale, BitDepth::Eight, &[9; 6], plain);
    for cut in png::MAGIC.len()..whole.len() {
        assert!(said(&whole[..cut]).contains("is cut short or damaged near byte"), "{cut}");
    }
    for byte in png::MAGIC.len()..whole.len() {
        let mut wrong = whole.clone();
        wrong[byte] ^= 1;
        assert!(Raster::read(&scratch("flipped", &wrong)).is_err(), "byte {byte}");
    }
    let more = [&whole[..], b"more"].concat();
    let says = format!(" there is more behind the raster, from byte {} on", whole.len());
    assert!(said(more).starts_with(&says));
    let transparent = grey_png((1, 1), ColorType::GrayscaleAlpha, BitDepth::Eight, &[5, 0], plain);
    assert!(said(transparent).starts_with(" every cell is missing"));
    // A size that the bytes cannot hold, in a header whose checksum is right.
    let mut huge = grey_png((1, 1), ColorType::Grayscale, BitDepth::Eight, &[9], plain);
    for (side, says) in [(8000_u32, "the header claims 8000"), (1 << 30, "1073741824 columns by")] {
        let bytes = side.to_be_bytes();
        huge[16..24].copy_from_slice(&[bytes, bytes].concat());
        let crc = flate2::Crc::new();
        let sum = {
            let mut crc = crc;
            crc.update(&huge[12..29]);
            crc.sum()
        };
        huge[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(said(&huge).trim_start().starts_with(says), "{}", said(&huge));
    }
}

#[test]
fn a_raster_has_as_many_cells_as_it_claims_and_one_that_is_not_missing() {
    let new = |size, cells| Raster::new(size, None, cells);
    assert!(matches!(new((2, 2), vec![1.0]), Err(RasterFault::TooFew { found: 1, claimed: 4 })));
    assert_eq!(new((1, 1), vec![f64::NAN]), Err(RasterFault::AllMissing));
    assert_eq!(new((0, 5), vec![]), Err(RasterFault::AllMissing));
    assert!(matches!(new((1, 1), vec![f64::INFINITY]), Err(RasterFault::Range { .. })));
}
