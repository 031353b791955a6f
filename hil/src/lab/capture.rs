//! Writes packets as a capture file that any tool reads: pcap with times in nanoseconds and bare IP packets
//! (draft-ietf-opsawg-pcap; LINKTYPE_RAW).

use std::{
    io::{self, Write},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::fabric::Captured;

/// Says the byte order, and that times are in nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
/// 2.4, the only one in use.
const VERSION: [u16; 2] = [2, 4];
/// No packet of the lab is longer.
const LONGEST: u32 = 65_535;
/// Packets begin with an IPv4 or IPv6 header.
const LINKTYPE_RAW: u32 = 101;

/// Writes a capture. Times of the monotonic clock become those of the wall clock as they are related now.
pub fn write(out: &mut impl Write, packets: &[Captured]) -> io::Result<()> {
    let (now, wall) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let packets = packets
        .iter()
        .map(|(when, _, bytes)| (wall.saturating_sub(now.saturating_duration_since(*when)), bytes.as_ref()));
    write_file(out, packets)
}

fn write_file<'a>(
    out: &mut impl Write,
    packets: impl Iterator<Item = (Duration, &'a [u8])>,
) -> io::Result<()> {
    let mut header = Vec::from(MAGIC.to_le_bytes());
    header.extend(VERSION.iter().flat_map(|part| part.to_le_bytes()));
    // Time zone and accuracy, which nobody uses.
    header.extend([0; 8]);
    header.extend(LONGEST.to_le_bytes());
    header.extend(LINKTYPE_RAW.to_le_bytes());
    out.write_all(&header)?;
    for (time, packet) in packets {
        let length = packet.len().min(LONGEST as usize) as u32;
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        for word in [seconds, time.subsec_nanos(), length, packet.len() as u32] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&packet[..length as usize])?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_each_packet_with_its_time_and_length() {
        let mut file = Vec::new();
        let time = Duration::new(1_700_000_000, 123_456_789);
        write_file(&mut file, [(time, &b"\x45abc"[..]), (time, &b""[..])].into_iter()).expect("written");
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((word(0), word(4), word(16), word(20)), (0xa1b2_3c4d, 0x0004_0002, 65_535, 101));
        assert_eq!([24, 28, 32, 36].map(word), [1_700_000_000, 123_456_789, 4, 4]);
        assert_eq!(&file[40..44], b"\x45abc");
        assert_eq!((word(52), file.len()), (0, 60));
    }
}
