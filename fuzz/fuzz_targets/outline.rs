#![no_main]

libfuzzer_sys::fuzz_target!(
    init: kigumi_fuzz::seeds::plant("outline"),
    |data: &[u8]| kigumi_fuzz::targets::outline(data)
);
