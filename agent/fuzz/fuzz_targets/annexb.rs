//! Any bytes as H.264: NAL units, avcC, sequence parameter sets and access units, taken apart without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::media::video::{
    annexb::{Assembler, is_discardable, length_prefixed, nal_type, nal_units, parse_avcc},
    sps::{parameter_set_id, parse_sps},
};

fuzz_target!(|data: &[u8]| {
    let mut assembler = Assembler::default();
    for nal in nal_units(data) {
        let _ = (nal_type(nal), parse_sps(nal), parameter_set_id(nal));
    }
    let _ = assembler.assemble(nal_units(data));
    let _ = (parse_avcc(data), is_discardable(data));
    for size in 1..=4 {
        let _ = length_prefixed(data, size);
    }
});
