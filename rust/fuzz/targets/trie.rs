#![no_main]

mod own_trie;

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data.split_first() {
    Some((kind, data)) if kind % 7 == 6 => own_trie::trie(data),
    _ => engine::decoders::trie(data),
});
