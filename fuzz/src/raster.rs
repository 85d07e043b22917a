//! Rasters of every form, compressed or not, and what is done with them.

use mainstay_apps::heat::{Heat, Layout, Stencil, Totals};
use mainstay_apps::picture::Picture;
use mainstay_apps::raster::{CELLS_MAX, Raster, VALUE_MAX, header_text, nodata_beside, row_text};

use crate::matrix::{Scratch, gzip, named};

/// More cells than this are read, and not written, computed or drawn.
const CELLS_TRIED: usize = 1 << 12;

/// A file that may be a raster: what is accepted keeps to the limits, is the same compressed, reads
/// back the same when it is written as a grid, and can be computed and drawn; what is not is refused
/// with a line of the file.
///
/// # Panics
/// When that does not hold.
pub fn raster(data: &[u8]) -> bool {
    let plain = Scratch::new(data);
    let read = Raster::read(&plain.path());
    match &read {
        Ok(raster) => check(raster),
        Err(error) if error.column().is_some() => named(error, data, &plain),
        Err(error) => assert!(error.to_string().contains(';'), "no mend: {error}"),
    }
    if !data.starts_with(&[0x1f, 0x8b]) {
        // Compressed, more can be claimed; what is read is the same.
        match (&read, Raster::read(&Scratch::new(&gzip(data)).path())) {
            (Ok(plain), Ok(packed)) => assert_eq!(*plain, packed),
            (Ok(_), Err(error)) => panic!("the same file compressed: {error}"),
            (Err(_), Ok(_)) => panic!("only the compressed file is accepted"),
            (Err(_), Err(_)) => {}
        }
    }
    read.is_ok()
}

fn check(raster: &Raster) {
    let size = (raster.rows(), raster.columns());
    assert_eq!(raster.cells().len(), size.0 * size.1);
    assert!(raster.cells().len() as u64 <= CELLS_MAX);
    let present = || raster.cells().iter().copied().filter(|value| !value.is_nan());
    assert!(present().count() > 0 && present().all(|value| value.abs() <= VALUE_MAX));
    if raster.cells().len() > CELLS_TRIED {
        return;
    }
    let range = (present().fold(f64::INFINITY, f64::min), present().fold(f64::MIN, f64::max));
    written(raster, range);
    let layout = Layout::new(size, 1);
    let mut heat = Heat::new(raster, &layout, 0);
    let mut stencil = Stencil::new(raster, &layout.block(0));
    stencil.relax(&mut heat.u);
    assert!(heat.u.iter().zip(raster.cells()).all(|(new, old)| new.is_nan() == old.is_nan()));
    assert!(heat.u.iter().all(|value| !value.is_infinite()));
    assert!(Totals::of(raster).heat.is_finite());
    let picture = Picture::new(size);
    let shades = picture.shades(raster.cells(), range);
    if shades.len() < 64 {
        assert!(picture.paint(&shades, range, "0 steps").is_ok_and(|png| !png.is_empty()));
    }
}

fn written(raster: &Raster, (min, max): (f64, f64)) {
    let nodata = nodata_beside(min, max);
    let mut text = header_text((raster.rows(), raster.columns()), raster.place(), nodata);
    for row in 0..raster.rows() {
        row_text(&mut text, raster.row(row), nodata);
    }
    let again = Raster::read(&Scratch::new(text.as_bytes()).path());
    let again = again.unwrap_or_else(|error| panic!("{error} in {text}"));
    let bits = |raster: &Raster| -> Vec<_> {
        raster.cells().iter().map(|value| (!value.is_nan()).then(|| value.to_bits())).collect()
    };
    assert_eq!(bits(&again), bits(raster));
    assert!(raster.place().is_none_or(|place| again.place() == Some(place)));
}
