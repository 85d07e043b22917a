//! Measures the copies with checksum beside a plain memcpy, in memory and in cache.
//!
//! `cargo run --release --package mainstay-ckpt --example copy_speed`. Each figure is the median
//! of several passes over buffers that were touched before. Deliberately absent: a verdict; what
//! the figures should be depends on the machine.
#![allow(clippy::print_stdout, reason = "an example talks to a person")]
#![allow(clippy::disallowed_types, reason = "a measurement reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use mainstay_ckpt::Residency;
use mainstay_ckpt::kernel::Kernel;

const PASSES: usize = 15;

fn main() {
    for (bytes, repeat, chunk) in [
        (256 << 20, 1, 1 << 20),
        (4 << 20, 64, 1 << 20),
        (32 << 10, 8192, 32 << 10),
        (1 << 10, 65536, 1 << 10),
        (64, 1 << 20, 64),
    ] {
        let src: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
        let mut dst = vec![1; bytes];
        println!("{bytes} bytes, {chunk} a call, GB/s");
        let mut measure = |name: &str, copy: &mut dyn FnMut(&mut [u8], &[u8])| {
            let mut rates: Vec<f64> = (0..PASSES)
                .map(|_| {
                    let start = Instant::now();
                    for _ in 0..repeat {
                        for (to, from) in dst.chunks_mut(chunk).zip(src.chunks(chunk)) {
                            copy(black_box(to), black_box(from));
                        }
                    }
                    (bytes * repeat) as f64 / start.elapsed().as_secs_f64() / 1e9
                })
                .collect();
            rates.sort_by(f64::total_cmp);
            println!("  {name:24} {:6.2}", rates[PASSES / 2]);
        };
        measure("memcpy", &mut |to, from| to.copy_from_slice(from));
        measure("memcpy, then crc32c", &mut |to, from| {
            to.copy_from_slice(from);
            black_box(mainstay_types::crc32c(to));
        });
        for kernel in Kernel::available() {
            for hint in [Residency::Cached, Residency::Streaming] {
                let name = format!("{} {hint:?}", kernel.name());
                measure(&name, &mut |to, from| {
                    black_box(kernel.copy_crc(to, from, 0, hint));
                });
            }
        }
    }
}
