//! Runs `fuzz::veloc`; what it asserts is written there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz::veloc(data);
});
