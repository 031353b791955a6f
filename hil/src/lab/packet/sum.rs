//! The Internet checksum (RFC 1071) and how it follows a change (RFC 1624).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::u16_at;

/// The ones' complement sum of bytes, not folded; an odd last byte is padded with zero.
pub fn add(bytes: &[u8]) -> u32 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()])));
    // A packet has at most 32768 words: no overflow.
    words.sum()
}

/// Folds a sum to sixteen bits.
pub fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of bytes.
pub fn checksum(bytes: &[u8]) -> u16 {
    !fold(add(bytes))
}

/// The sum of IPv4's pseudo-header (RFC 9293 section 3.1); `length` of what comes after the IP header, in bytes.
pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> u32 {
    add(&source.octets()) + add(&destination.octets()) + u32::from(protocol) + u32::from(length)
}

/// The sum of IPv6's pseudo-header (RFC 8200 section 8.1).
pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u16) -> u32 {
    add(&source.octets()) + add(&destination.octets()) + u32::from(protocol) + u32::from(length)
}

/// A checksum after what it covers changed from `old` to `new` (RFC 1624 equation 3).
pub fn changed(checksum: u16, old: u32, new: u32) -> u16 {
    !fold(u32::from(!checksum) + u32::from(!fold(old)) + u32::from(fold(new)))
}

/// Writes a 16-bit word and brings the checksums at `sums` up to date.
pub fn write_word(packet: &mut [u8], at: usize, word: u16, sums: &[usize]) {
    let Some(old) = u16_at(packet, at) else { return };
    packet[at..at + 2].copy_from_slice(&word.to_be_bytes());
    for &sum_at in sums {
        let Some(sum) = u16_at(packet, sum_at) else { continue };
        let sum = changed(sum, u32::from(old), u32::from(word));
        packet[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}
