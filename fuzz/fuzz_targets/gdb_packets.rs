#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnet_fuzz_harness::gdb_packets(data));
