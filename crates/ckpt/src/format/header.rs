//! The first 64 bytes of an image.
//!
//! Invariants: one encoding; a header whose checksum, magic, format or layout is wrong is an
//! error. Deliberately absent: whether it is the image that was asked for; see
//! [`Expected`](super::image::Expected).

use mainstay_types::limits::RANKS_MAX;
use mainstay_types::{
    DecodeError, Epoch, Incarnation, Rank, Reader, Step, Version, Writer, crc32c,
};

use super::error::FormatError;
use super::{FORMAT, PAGE_BYTES, TABLE_BYTES_MAX};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 64;
/// The first eight bytes of an image.
pub const MAGIC: [u8; 8] = *b"MSIMAGE1";

/// Whose image it is, of which version, and where its table lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The rank that captured it.
    pub rank: Rank,
    /// Number of ranks of the job.
    pub n: u32,
    /// The epoch of the capture.
    pub epoch: Epoch,
    /// The version it is part of.
    pub version: Version,
    /// The step at which it was captured.
    pub step: Step,
    /// Offset of the table.
    pub table_at: u64,
    /// Bytes of the table.
    pub table_bytes: u64,
    /// CRC-32C of the table.
    pub table_crc: u32,
    /// The incarnation that captured it.
    pub incarnation: Incarnation,
}

/// Bytes of the image that a header begins; `None` if they overflow.
#[must_use]
pub fn image_bytes_of(header: &Header) -> Option<u64> {
    header.table_at.checked_add(header.table_bytes)
}

impl Header {
    /// The header as bytes, with its checksum.
    ///
    /// # Panics
    /// When the table is longer than a format allows, which writers exclude.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let table_bytes = u32::try_from(self.table_bytes).expect("tables are below 2^30 bytes");
        let mut w = Writer::new();
        w.raw(&MAGIC).u32(FORMAT).u32(self.rank.0).u32(self.n);
        w.u32(self.epoch.0).u64(self.version.0).u64(self.step.0);
        w.u64(self.table_at).u32(table_bytes).u32(self.table_crc);
        w.u32(self.incarnation.0);
        w.u32(crc32c(w.as_slice()));
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(w.as_slice());
        bytes
    }

    /// Reads and checks a header.
    ///
    /// # Errors
    /// A wrong checksum, magic or format, or numbers that contradict each other.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let magic = r.raw(8, "image magic")?;
        let format = r.u32("image format")?;
        let header = Self {
            rank: Rank(r.u32("image rank")?),
            n: r.u32("number of ranks")?,
            epoch: Epoch(r.u32("image epoch")?),
            version: Version(r.u64("image version")?),
            step: Step(r.u64("image step")?),
            table_at: r.u64("table offset")?,
            table_bytes: r.u32("table length")?.into(),
            table_crc: r.u32("table checksum")?,
            incarnation: Incarnation(r.u32("image incarnation")?),
        };
        let stored = r.u32("header checksum")?;
        let found = crc32c(&bytes[..HEADER_BYTES - 4]);
        if found != stored {
            let what = "image header";
            return Err(DecodeError::Checksum { what, found, stored }.into());
        }
        if magic != MAGIC {
            return Err(unknown("image magic", 0, 0).into());
        }
        if format != FORMAT {
            return Err(unknown("image format", format.into(), 8).into());
        }
        header.check()
    }

    fn check(self) -> Result<Self, FormatError> {
        let too_long = |what, claimed, limit, at| {
            Err(DecodeError::TooLong { what, claimed, limit, at }.into())
        };
        if self.n == 0 || self.n > RANKS_MAX {
            return too_long("number of ranks", self.n.into(), RANKS_MAX.into(), 16);
        }
        if self.rank.0 >= self.n {
            let most = u64::from(self.n - 1);
            return too_long("image rank", self.rank.0.into(), most, 12);
        }
        if self.table_bytes > TABLE_BYTES_MAX {
            return too_long("table length", self.table_bytes, TABLE_BYTES_MAX, 48);
        }
        let expected = super::align(self.table_at).unwrap_or(0).max(PAGE_BYTES);
        if self.table_at != expected || image_bytes_of(&self).is_none() {
            return Err(FormatError::Layout {
                what: "table offset",
                found: self.table_at,
                expected,
            });
        }
        Ok(self)
    }
}

fn unknown(what: &'static str, value: u64, at: usize) -> DecodeError {
    DecodeError::Unknown { what, value, at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            rank: Rank(1),
            n: 4,
            epoch: Epoch(2),
            version: Version(3),
            step: Step(4),
            table_at: 8192,
            table_bytes: 100,
            table_crc: 5,
            incarnation: Incarnation(6),
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = sample().encode();
        assert_eq!(Header::decode(&bytes), Ok(sample()));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bad).is_err(), "bit {bit}");
        }
        assert!(Header::decode(&[0; HEADER_BYTES]).is_err());
    }

    #[test]
    fn contradictions_are_refused_though_the_checksum_is_right() {
        for bad in [
            Header { n: 0, ..sample() },
            Header { n: 1025, ..sample() },
            Header { rank: Rank(4), ..sample() },
            Header { table_bytes: TABLE_BYTES_MAX + 1, ..sample() },
            Header { table_at: 0, ..sample() },
            Header { table_at: 8193, ..sample() },
            Header { table_at: u64::MAX, ..sample() },
        ] {
            assert!(Header::decode(&bad.encode()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn another_format_is_named() {
        let mut bytes = sample().encode();
        bytes[8] = 2;
        let crc = crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        let error = Header::decode(&bytes).unwrap_err();
        assert!(error.to_string().contains("image format"), "{error}");
    }
}
