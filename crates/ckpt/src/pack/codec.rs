//! How a block is stored.
//!
//! Invariants: an encoder that does not make a block smaller leaves it as it is; a decoder fills
//! exactly the memory it is given, or fails. Deliberately absent: which codec is worth its time; see
//! [`choose`](mod@super::choose).

use super::BLOCK_BYTES;
use super::lossy::Bound;
use super::{lossy, numbers};
use crate::format::kind::Kind;

/// The level of zstd: the fastest of its ordinary ones.
const ZSTD_LEVEL: i32 = 1;

/// How a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// As it is.
    Plain,
    /// By zstd.
    Zstd,
    /// By LZ4, without its frame.
    Lz4,
    /// By pco, for numbers of 2, 4 or 8 bytes.
    Pco,
    /// Rounded to multiples of a step; see [`lossy`].
    Rounded,
}

impl Codec {
    /// Every codec, by its byte.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Zstd, Self::Lz4, Self::Pco, Self::Rounded];

    /// The byte in a map.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The codec of a byte in a map.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The name in reports and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Pco => "pco",
            Self::Rounded => "rounded",
        }
    }

    /// Whether it can store elements of this kind at all.
    #[must_use]
    pub fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Plain | Self::Zstd | Self::Lz4 => true,
            Self::Pco => numbers::takes(kind),
            Self::Rounded => matches!(kind, Kind::F32 | Kind::F64),
        }
    }
}

/// Encodes and decodes, with memory that serves one block after another.
#[derive(Default)]
pub struct Coder {
    deflate: Option<zstd::bulk::Compressor<'static>>,
    inflate: Option<zstd::bulk::Decompressor<'static>>,
    aside: Vec<u8>,
}

impl Coder {
    /// One without memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `block` to `out`, if that takes fewer bytes than the block has; otherwise `out` stays
    /// as it is, and the block is to be stored plain.
    #[must_use]
    pub fn encode(&mut self, codec: Codec, kind: Kind, block: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let fine = match codec {
            Codec::Plain | Codec::Rounded => false,
            Codec::Zstd => self.zstd(block, out),
            Codec::Lz4 => {
                self.aside.resize(lz4_flex::block::get_maximum_output_size(block.len()), 0);
                let made = lz4_flex::block::compress_into(block, &mut self.aside);
                made.map(|bytes| out.extend_from_slice(&self.aside[..bytes])).is_ok()
            }
            Codec::Pco => numbers::compress(kind, block, out),
        };
        let smaller = fine && out.len() - start < block.len();
        if !smaller {
            out.truncate(start);
        }
        smaller
    }

    /// Appends `block` rounded within `bound` to `out`, if every element stays within it and it takes
    /// fewer bytes; what it decodes to is then in `decoded`.
    #[must_use]
    pub fn round(
        &mut self,
        kind: Kind,
        bound: Bound,
        block: &[u8],
        (out, decoded): (&mut Vec<u8>, &mut Vec<u8>),
    ) -> bool {
        let start = out.len();
        decoded.resize(block.len(), 0);
        // What was rounded is decoded again: the bound is judged by what a reader will get.
        let fine = lossy::compress(kind, bound, block, out)
            && out.len() - start < block.len()
            && lossy::decompress(kind, &out[start..], decoded).is_ok()
            && lossy::within(kind, bound, block, decoded);
        if !fine {
            out.truncate(start);
        }
        fine
    }

    fn zstd(&mut self, block: &[u8], out: &mut Vec<u8>) -> bool {
        if self.deflate.is_none() {
            self.deflate = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        // One byte less than the block: what does not fit is not worth storing.
        self.aside.resize(block.len().saturating_sub(1), 0);
        let Some(deflate) = &mut self.deflate else { return false };
        match deflate.compress_to_buffer(block, &mut self.aside[..]) {
            Ok(bytes) => {
                out.extend_from_slice(&self.aside[..bytes]);
                true
            }
            Err(_too_long) => false,
        }
    }

    /// Fills `into` with what was stored.
    ///
    /// # Errors
    /// What is wrong with the stored bytes, in words.
    pub fn decode(
        &mut self,
        codec: Codec,
        kind: Kind,
        stored: &[u8],
        into: &mut [u8],
    ) -> Result<(), String> {
        debug_assert!(into.len() <= BLOCK_BYTES, "blocks are bounded by their map");
        let wanted = into.len();
        let short = |bytes: usize| format!("it holds {bytes} bytes where {wanted} belong");
        match codec {
            Codec::Plain if stored.len() == wanted => into.copy_from_slice(stored),
            Codec::Plain => return Err(short(stored.len())),
            Codec::Zstd => {
                if self.inflate.is_none() {
                    let made = zstd::bulk::Decompressor::new();
                    self.inflate = Some(made.map_err(|error| error.to_string())?);
                }
                let Some(inflate) = &mut self.inflate else { return Err(short(0)) };
                let bytes = inflate.decompress_to_buffer(stored, into);
                let bytes = bytes.map_err(|error| error.to_string())?;
                if bytes != wanted {
                    return Err(short(bytes));
                }
            }
            Codec::Lz4 => {
                let bytes = lz4_flex::block::decompress_into(stored, into);
                let bytes = bytes.map_err(|error| error.to_string())?;
                if bytes != wanted {
                    return Err(short(bytes));
                }
            }
            Codec::Pco => numbers::decompress(kind, stored, into)?,
            Codec::Rounded => lossy::decompress(kind, stored, into)?,
        }
        Ok(())
    }
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coder").finish_non_exhaustive()
    }
}
