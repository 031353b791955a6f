//! H.264 in RTP: RFC 6184, packetization mode 1.

use crate::clip::Picture;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Payloads of a picture, each at most `most` bytes: parameter sets together, what fits alone, the rest in equal parts.
pub fn payloads(picture: &Picture, most: usize) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut together = vec![0x60 | STAP_A];
    for nal in picture.parameter_sets() {
        together.extend_from_slice(&(nal.len() as u16).to_be_bytes());
        together.extend_from_slice(nal);
    }
    if together.len() > 1 {
        out.push(together);
    }
    for nal in picture.nals().filter(|nal| !matches!(nal[0] & 0x1f, 7 | 8)) {
        if nal.len() <= most {
            out.push(nal.to_vec());
            continue;
        }
        let body = &nal[1..];
        let count = body.len().div_ceil(most - 2);
        let size = body.len().div_ceil(count);
        for (index, part) in body.chunks(size).enumerate() {
            let start = if index == 0 { 0x80 } else { 0 };
            let end = if index + 1 == count { 0x40 } else { 0 };
            let mut payload = Vec::with_capacity(part.len() + 2);
            payload.push((nal[0] & 0x60) | FU_A);
            payload.push(start | end | (nal[0] & 0x1f));
            payload.extend_from_slice(part);
            out.push(payload);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_slice_is_cut_into_equal_parts() {
        let slice = [vec![0x65u8], vec![7; 2500]].concat();
        let picture = Picture::new([&[0x67u8, 1, 2][..], &[0x68, 3], &slice]);
        let payloads = payloads(&picture, 1200);
        let lengths: Vec<_> = payloads.iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, 836, 836, 834]);
        assert_eq!(payloads[1][1] & 0xc0, 0x80);
        assert_eq!(payloads[3][1] & 0xc0, 0x40);
    }
}
