//! Arithmetic modulo the CRC-32C polynomial: the constants of the kernels, at compile time, and how a
//! sum changes when a part of what it is of does.
//!
//! A polynomial of degree below 32 is kept reflected: bit i is the coefficient of x^(31−i), as a
//! CRC register holds it. Invariant: no constant of a kernel is written by hand.

/// The polynomial without its highest term, reflected.
const POLY: u32 = 0x82F6_3B78;

/// x^n modulo the polynomial.
pub(super) const fn x_to(n: usize) -> u32 {
    let mut power = 1 << 31;
    let mut i = 0;
    while i < n {
        power = times_x(power);
        i += 1;
    }
    power
}

/// The factor that folds a 64-bit word `bits` bits forward: carry-less multiplication of two
/// reflected words multiplies by x once more, and the remainder stands in the upper half.
#[cfg(target_arch = "x86_64")]
pub(super) const fn fold_factor(bits: usize) -> i64 {
    ((x_to(bits - 1) as u64) << 32) as i64
}

/// For each byte of a register, what it becomes when `bytes` zero bytes follow.
#[cfg(target_arch = "x86_64")]
pub(super) const fn shift_table(bytes: usize) -> [[u32; 256]; 4] {
    let factor = x_to(8 * bytes);
    let mut table = [[0; 256]; 4];
    let mut k = 0;
    while k < 4 {
        let mut byte = 0;
        while byte < 256 {
            table[k][byte] = times((byte as u32) << (8 * k), factor);
            byte += 1;
        }
        k += 1;
    }
    table
}

/// A register after so many zero bytes as the table was made for.
#[cfg(target_arch = "x86_64")]
pub(super) fn shift(table: &[[u32; 256]; 4], register: u32) -> u32 {
    let byte = |k: u32| (register >> (8 * k) & 0xFF) as usize;
    table[0][byte(0)] ^ table[1][byte(1)] ^ table[2][byte(2)] ^ table[3][byte(3)]
}

/// x^(2^k) for each k.
static SQUARES: [u32; usize::BITS as usize] = {
    let mut squares = [times_x(1 << 31); usize::BITS as usize];
    let mut k = 1;
    while k < squares.len() {
        squares[k] = times(squares[k - 1], squares[k - 1]);
        k += 1;
    }
    squares
};

/// Bytes of a stride, and how many of them have a power of their own.
const STRIDE_BYTES: usize = 4096;
const STRIDES: usize = 256;
/// x^(8 · STRIDE_BYTES · k) for each k.
static BY_STRIDES: [u32; STRIDES] = {
    let stride = x_to(8 * STRIDE_BYTES);
    let mut powers = [1 << 31; STRIDES];
    let mut k = 1;
    while k < STRIDES {
        powers[k] = times(powers[k - 1], stride);
        k += 1;
    }
    powers
};

/// A register after so many zero bytes.
pub(super) fn followed(register: u32, bytes: usize) -> u32 {
    let strides = bytes / STRIDE_BYTES % STRIDES;
    let rest = bytes - strides * STRIDE_BYTES;
    // A byte is eight bits: the powers begin at the third.
    let powers = SQUARES.iter().skip(3).enumerate();
    let set = powers.take_while(|(k, _)| rest >> k > 0).filter(|(k, _)| rest >> k & 1 == 1);
    let register = set.fold(register, |register, (_, power)| times(register, *power));
    if strides == 0 { register } else { times(register, BY_STRIDES[strides]) }
}

const fn times_x(a: u32) -> u32 {
    (a >> 1) ^ (if a & 1 == 1 { POLY } else { 0 })
}

const fn times(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        b = times_x(b);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_and_shifts_agree_with_the_checksum() {
        // The register of a single one bit followed by zeros is a power of x.
        let register = |bytes: &[u8]| !mainstay_types::crc32c_append(!0, bytes);
        let mut bytes = [0; 100];
        assert_eq!(register(&bytes), 0);
        bytes[0] = 0x80;
        for len in 1..100 {
            assert_eq!(register(&bytes[..len]), x_to(8 * (len - 1) + 32), "{len}");
        }
        let table = shift_table(77);
        for start in [1, 0xDEAD_BEEF, u32::MAX] {
            let zeros = !mainstay_types::crc32c_append(!start, &[0; 77]);
            assert_eq!(shift(&table, start), zeros);
        }
        assert_eq!(times(x_to(20), x_to(50)), x_to(70));
        for bytes in [0, 1, 2, 77, 4095, 4096, 100_000, 1 << 20, (1 << 20) + 4097] {
            let zeros = !mainstay_types::crc32c_append(!0xDEAD_BEEF, &vec![0; bytes]);
            assert_eq!(followed(0xDEAD_BEEF, bytes), zeros);
        }
    }
}
