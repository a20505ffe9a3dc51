#![no_main]
//! A target with a fault, to see that faults are found.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    engine::decoders::rlp(data);
    if let Some(word) = data.first_chunk::<4>() {
        assert_ne!(u32::from_be_bytes(*word), 0x626f_6f6d, "the planted fault");
    }
});
