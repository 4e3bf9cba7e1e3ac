#![no_main]

libfuzzer_sys::fuzz_target!(
    init: kigumi_fuzz::seeds::plant("plan"),
    |data: &[u8]| kigumi_fuzz::targets::plan(data)
);
