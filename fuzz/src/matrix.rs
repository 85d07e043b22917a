//! Matrix Market files and vectors, compressed or not.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use mainstay_apps::InputError;
use mainstay_apps::mtx::{self, Coordinates, Symmetry};
use mainstay_apps::sparse::Csr;
use mainstay_apps::vector;
use rustix::fs::MemfdFlags;

use crate::source::Source;

/// More rows than this are read and not stored as a matrix.
const ROWS_MAX: u32 = 1 << 16;

/// A file in memory, for parsers that take a path.
pub(crate) struct Scratch(std::fs::File);

impl Scratch {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let fd = rustix::fs::memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a memfd");
        let mut file = std::fs::File::from(fd);
        file.write_all(bytes).expect("memory takes it");
        Self(file)
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A file that may be a matrix: what is accepted keeps to its own size line, reads back when it is
/// written again, and is the same compressed; what is not is refused with a line of the file.
///
/// # Panics
/// When that does not hold.
pub fn matrix(data: &[u8]) -> bool {
    let plain = Scratch::new(data);
    let read = mtx::read(&plain.path());
    match &read {
        Ok(coordinates) => check(data, coordinates),
        Err(error) => named(error, data, &plain),
    }
    let packed = gzip(data);
    let unpacked = mtx::read(&Scratch::new(&packed).path());
    if !data.starts_with(&[0x1f, 0x8b]) {
        match (&read, &unpacked) {
            (Ok(plain), Ok(packed)) => assert_eq!(plain, packed),
            (Ok(_), Err(error)) => panic!("the same file compressed: {error}"),
            (Err(_), Ok(_)) => panic!("only the compressed file is accepted"),
            (Err(_), Err(_)) => {}
        }
    }
    read.is_ok()
}

fn check(data: &[u8], read: &Coordinates) {
    for entry in &read.entries {
        assert!(entry.row < read.rows && entry.column < read.columns && entry.value.is_finite());
    }
    let compressed = data.starts_with(&[0x1f, 0x8b]);
    assert!(compressed || read.entries.len() * 4 <= data.len() + 1, "entries out of nothing");
    let symmetry = match read.symmetry {
        Symmetry::General => "general",
        Symmetry::Symmetric => "symmetric",
    };
    let mut text = format!(
        "%%MatrixMarket matrix coordinate real {symmetry}\n{} {} {}\n",
        read.rows,
        read.columns,
        read.entries.len()
    );
    for entry in &read.entries {
        // Writing to a string cannot fail.
        let (row, column) = (entry.row + 1, entry.column + 1);
        let _written = writeln!(text, "{row} {column} {:e}", entry.value);
    }
    let again = mtx::read(&Scratch::new(text.as_bytes()).path());
    assert_eq!(again.as_ref().ok(), Some(read), "{:?}", again.as_ref().err());
    if read.rows <= ROWS_MAX
        && let Ok(matrix) = Csr::new(read)
    {
        check_stored(&matrix, read);
    }
}

fn check_stored(matrix: &Csr, read: &Coordinates) {
    assert_eq!(matrix.order(), read.rows as usize);
    for entry in &read.entries {
        let (row, column) = (entry.row as usize, entry.column as usize);
        if read.symmetry == Symmetry::Symmetric {
            let (value, mirror) = (matrix.at(row, column), matrix.at(column, row));
            assert_eq!(value.to_bits(), mirror.to_bits());
        }
    }
    for ranks in [1, 3] {
        let parts: Vec<_> = (0..ranks).map(|rank| matrix.rows_of(rank, ranks)).collect();
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((parts[0].start, parts[ranks - 1].end), (0, matrix.order()));
    }
    if let Err(fault) = matrix.check_definite() {
        assert!(!fault.to_string().is_empty());
    }
    let sums = matrix.row_sums(0..matrix.order());
    let mut product = vec![0.0; matrix.order()];
    matrix.multiply(0..matrix.order(), &vec![1.0; matrix.order()], &mut product);
    let bits = |list: &[f64]| list.iter().map(|x| x.is_finite().then(|| x.to_bits())).collect();
    let (sums, product): (Vec<_>, Vec<_>) = (bits(&sums), bits(&product));
    assert_eq!(sums, product);
}

/// A refusal names the file, and a line that the file has, or the one after its last.
pub(crate) fn named(error: &InputError, data: &[u8], scratch: &Scratch) {
    let message = error.to_string();
    assert!(message.starts_with(&format!("{}:", scratch.path().display())), "{message}");
    let lines = data.split(|byte| *byte == b'\n').count() as u64;
    if let Some(line) = error.line()
        && !data.starts_with(&[0x1f, 0x8b])
    {
        assert!((1..=lines + 1).contains(&line), "{message}: the file has {lines} lines");
    }
}

/// A file that may be a vector of as many numbers as its first byte says: what is accepted is so
/// long, finite, and the same when it is written as numbers and read again.
///
/// # Panics
/// When that does not hold.
pub fn vector(data: &[u8]) -> bool {
    let mut source = Source::new(data);
    let length = usize::from(source.u8());
    let data = source.bytes(usize::MAX);
    let plain = Scratch::new(data);
    let read = match vector::read(&plain.path(), length) {
        Ok(read) => read,
        Err(error) => {
            named(&error, data, &plain);
            return false;
        }
    };
    assert_eq!(read.len(), length);
    assert!(read.iter().all(|value| value.is_finite()));
    let text: String = read.iter().map(|value| format!("{value:e}\n")).collect();
    let again = vector::read(&Scratch::new(text.as_bytes()).path(), length);
    assert_eq!(again.as_ref().ok(), Some(&read), "{:?}", again.as_ref().err());
    true
}
