//! Bounds on everything that comes from outside, in one place, and constants that prove themselves.

/// Most ranks of one job on one machine.
pub const RANKS_MAX: u32 = 1024;
/// Most nodes of one job on one machine: as many shards as a code has, and a line between any two.
pub const NODES_MAX: u32 = 64;
/// Most bytes of one control message between a rank and its supervisor.
pub const WIRE_BYTES_MAX: usize = 64 * 1024;
/// Most descriptors that travel with one control message.
pub const WIRE_FDS_MAX: usize = 4;
/// Most bytes of a name: a protected state, a field, an input.
pub const NAME_BYTES_MAX: usize = 256;
/// Most bytes of a free text that a rank sends: a panic message, an error, a report value.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Payload bytes of one frame. A longer message is a pipeline of such chunks.
pub const CHUNK_BYTES: usize = 32 * 1024;
/// Bytes of a frame header, and the alignment of frames in a ring.
pub const FRAME_HEADER_BYTES: usize = 64;
/// Most bytes of one message.
pub const MESSAGE_BYTES_MAX: u64 = 1 << 40;
/// Most communicators of one history: a frame's context has a bit for collectives, and one for the
/// prologue.
pub const COMMUNICATORS_MAX: u32 = 1 << 30;
/// Communicators whose collectives may go over boards: those of the lowest numbers.
pub const BOARD_COMMUNICATORS: usize = 4;
/// Smallest capacity of a ring, bytes.
pub const RING_BYTES_MIN: usize = 64 * 1024;
/// Bytes of protected data under one CRC.
pub const CRC_CHUNK_BYTES: usize = 1024 * 1024;
/// Most protected fields of one rank.
pub const FIELDS_MAX: usize = 4096;
/// Most dimensions of a global shape.
pub const DIMENSIONS_MAX: usize = 8;
/// Most injections of one job.
pub const INJECTIONS_MAX: usize = 64;
/// Bytes of a record of a trace: a cache line, so that no two share one.
pub const TRACE_RECORD_BYTES: usize = 64;
/// Fewest records that the tape of one rank holds.
pub const TRACE_RECORDS_MIN: u64 = 1 << 6;
/// Most records that the tape of one rank holds.
pub const TRACE_RECORDS_MAX: u64 = 1 << 24;

// A ring holds at least one whole frame, or a sender could wait for ever for room.
const _: () = assert!(RING_BYTES_MIN >= CHUNK_BYTES + FRAME_HEADER_BYTES);
// Positions in a ring are taken modulo its capacity, and frames never split their header.
const _: () = assert!(RING_BYTES_MIN.is_power_of_two());
const _: () = assert!(RING_BYTES_MIN.is_multiple_of(FRAME_HEADER_BYTES));
const _: () = assert!(CHUNK_BYTES.is_multiple_of(FRAME_HEADER_BYTES));
// The counters of all channels of a rank fit one control message.
const _: () = assert!(RANKS_MAX as usize * 16 + TEXT_BYTES_MAX < WIRE_BYTES_MAX);
