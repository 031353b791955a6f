//! Protects the RTP packets that are sent, in place.

use super::{
    Keys,
    cipher::{Cipher, GCM_TAG, HMAC_TAG, Use},
};

/// Bytes of the fixed RTP header; its last four are the SSRC (RFC 3550 section 5.1).
const FIXED_HEADER: usize = 12;

/// The sending half of an SRTP session; all streams share it, as it keeps nothing of them.
pub struct Outbound {
    cipher: Cipher,
}

impl Outbound {
    /// Protects with our own keys of these.
    pub fn new(keys: &Keys) -> Self {
        Self { cipher: Cipher::local(keys, Use::Rtp) }
    }

    /// With session keys, as test vectors have them.
    #[cfg(test)]
    pub(super) fn with(cipher: Cipher) -> Self {
        Self { cipher }
    }

    /// What each packet grows by, in bytes: 16 for GCM, 10 for AES_CM_128_HMAC_SHA1_80.
    pub fn overhead(&self) -> usize {
        match self.cipher {
            Cipher::Gcm(_) => GCM_TAG,
            Cipher::Cm(_) => HMAC_TAG,
        }
    }

    /// Protects `packet` in place: an RTP header of `header` bytes with its CSRCs and extensions, the payload, and
    /// [`overhead`](Self::overhead) bytes at the end whose content does not matter.
    ///
    /// `index` is the packet index of RFC 3711 section 3.3.1: rollover counter << 16 | sequence number. No two packets
    /// of an SSRC may have the same one: with GCM it would give the keys away (RFC 7714 section 15.1).
    ///
    /// # Panics
    ///
    /// If the packet is shorter than its parts.
    pub fn protect(&mut self, packet: &mut [u8], header: usize, index: u64) {
        debug_assert_eq!(
            u16::from_be_bytes([packet[2], packet[3]]),
            index as u16,
            "the index of another packet"
        );
        debug_assert!(header >= FIXED_HEADER && index >> 48 == 0);
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        let end = packet.len() - self.overhead();
        let (content, tag) = packet.split_at_mut(end);
        match &self.cipher {
            Cipher::Gcm(gcm) => {
                let (header, payload) = content.split_at_mut(header);
                tag.copy_from_slice(&gcm.seal(ssrc, index, header, payload));
            }
            Cipher::Cm(cm) => {
                cm.apply(ssrc, index, &mut content[header..]);
                // The rollover counter is authenticated, though not sent (RFC 3711 section 4.2).
                let rollover = ((index >> 16) as u32).to_be_bytes();
                tag.copy_from_slice(&cm.tag(content, &rollover));
            }
        }
    }
}
