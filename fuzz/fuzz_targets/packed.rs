//! Runs `fuzz::packed`; what it asserts is written there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz::packed(data);
});
