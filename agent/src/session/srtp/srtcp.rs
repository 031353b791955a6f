//! Both directions of SRTCP (RFC 3711 section 3.4, RFC 7714 section 9).
//!
//! Own code, because what reads datagrams of strangers in rtc-srtp 0.21 believes too early: with AES-CM it takes a report
//! whose encryption flag is cleared without a look at its tag, and it keeps a replay window for each SSRC that anybody
//! names, before anything is authenticated.

use bytes::{BufMut, BytesMut};

use super::{
    Keys,
    cipher::{Cipher, GCM_TAG, HMAC_TAG, Use},
    replay::{Refused, Windows},
};

/// Header and SSRC of the first packet of a compound: they stay readable.
const CLEAR: usize = 8;
/// The word of encryption flag and index.
const TRAILER: usize = 4;
/// The encryption flag in that word.
const ENCRYPTED: u32 = 1 << 31;
/// The version of RTP, in the first two bits (RFC 3550 section 6.4.1).
const VERSION: u8 = 2;

/// Why a compound could not be protected, or a datagram not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtcpError {
    /// Shorter than header, tag and index.
    #[error("an SRTCP packet of {0} bytes is too short")]
    TooShort(usize),
    /// Not version 2.
    #[error("not an RTCP packet")]
    NotRtcp,
    /// Every profile of DTLS-SRTP that we agree on encrypts RTCP (RFC 5764 section 4.1.2).
    #[error("an SRTCP packet that is not encrypted")]
    NotEncrypted,
    /// Not from the peer, or changed on its way.
    #[error("an SRTCP packet that is not authentic")]
    Unauthentic,
    /// It came already, or far too late.
    #[error("an SRTCP packet came again")]
    Replayed,
    /// A peer that reports from more sources than anybody needs.
    #[error("SRTCP of too many sources")]
    TooManySources,
    /// After 2^31 compounds the keys are worn out (RFC 3711 section 9.2).
    #[error("no SRTCP index is left; the viewer has to connect anew")]
    Exhausted,
}

impl From<Refused> for SrtcpError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Replayed => Self::Replayed,
            Refused::TooManySources => Self::TooManySources,
        }
    }
}

/// The SRTCP session of one peer.
pub struct Srtcp {
    local: Cipher,
    remote: Cipher,
    /// Of the next compound. One count for all our sources: those of each grow, and none comes twice.
    next: u32,
    windows: Windows,
}

/// A datagram taken apart, before anything in it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts<'a> {
    ssrc: u32,
    index: u32,
    clear: &'a [u8],
    encrypted: &'a [u8],
    /// Flag and index as they came.
    word: [u8; TRAILER],
    tag: &'a [u8],
}

impl Srtcp {
    /// Protects with our own keys of these, and takes what the peer's protect.
    pub fn new(keys: &Keys) -> Self {
        Self {
            local: Cipher::local(keys, Use::Rtcp),
            remote: Cipher::remote(keys, Use::Rtcp),
            next: 0,
            windows: Windows::default(),
        }
    }

    /// With session keys, as test vectors have them.
    #[cfg(test)]
    pub(super) fn with(local: Cipher, remote: Cipher, next: u32) -> Self {
        Self { local, remote, next, windows: Windows::default() }
    }

    /// Sources whose packets are remembered.
    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        self.windows.len()
    }

    /// The datagram for a compound.
    ///
    /// # Errors
    ///
    /// A compound without header and SSRC; or one after 2^31 others.
    pub fn protect(&mut self, compound: &[u8]) -> Result<BytesMut, SrtcpError> {
        let ssrc = sender(compound)?;
        let index = self.next;
        if index >= ENCRYPTED {
            return Err(SrtcpError::Exhausted);
        }
        self.next += 1;
        let word = (ENCRYPTED | index).to_be_bytes();
        let mut out = BytesMut::with_capacity(compound.len() + GCM_TAG + TRAILER);
        out.put_slice(compound);
        match &self.local {
            Cipher::Gcm(gcm) => {
                let aad = associated(compound, word);
                let tag = gcm.seal(ssrc, index.into(), &aad, &mut out[CLEAR..]);
                out.put_slice(&tag);
                out.put_slice(&word);
            }
            Cipher::Cm(cm) => {
                cm.apply(ssrc, index.into(), &mut out[CLEAR..]);
                out.put_slice(&word);
                let tag = cm.tag(&out, &[]);
                out.put_slice(&tag);
            }
        }
        Ok(out)
    }

    /// The compound in a datagram, if that is authentic and new. Nothing is kept of one that is not.
    ///
    /// # Errors
    ///
    /// Whatever the sender of a datagram can do wrong.
    pub fn unprotect(&mut self, datagram: &[u8]) -> Result<BytesMut, SrtcpError> {
        let parts = match self.remote {
            Cipher::Gcm(_) => split_gcm(datagram)?,
            Cipher::Cm(_) => split_cm(datagram)?,
        };
        let Parts { ssrc, index, .. } = parts;
        self.windows.check(ssrc, index)?;
        let mut out = BytesMut::with_capacity(CLEAR + parts.encrypted.len());
        out.put_slice(parts.clear);
        out.put_slice(parts.encrypted);
        match &self.remote {
            Cipher::Gcm(gcm) => {
                let aad = associated(parts.clear, parts.word);
                let tag = parts.tag.try_into().map_err(|_| SrtcpError::Unauthentic)?;
                gcm.open(ssrc, index.into(), &aad, &mut out[CLEAR..], tag)
                    .map_err(|_| SrtcpError::Unauthentic)?;
            }
            Cipher::Cm(cm) => {
                let message = &datagram[..datagram.len() - HMAC_TAG];
                cm.verify(message, parts.tag).map_err(|_| SrtcpError::Unauthentic)?;
                cm.apply(ssrc, index.into(), &mut out[CLEAR..]);
            }
        }
        self.windows.accept(ssrc, index);
        Ok(out)
    }
}

/// What GCM authenticates without encrypting it (RFC 7714 section 9.2).
fn associated(packet: &[u8], word: [u8; TRAILER]) -> [u8; CLEAR + TRAILER] {
    let mut aad = [0; CLEAR + TRAILER];
    aad[..CLEAR].copy_from_slice(&packet[..CLEAR]);
    aad[CLEAR..].copy_from_slice(&word);
    aad
}

/// The SSRC that a compound begins with.
fn sender(packet: &[u8]) -> Result<u32, SrtcpError> {
    let Some(&[first, _, _, _, a, b, c, d]) = packet.first_chunk::<CLEAR>() else {
        return Err(SrtcpError::TooShort(packet.len()));
    };
    if first >> 6 != VERSION {
        return Err(SrtcpError::NotRtcp);
    }
    Ok(u32::from_be_bytes([a, b, c, d]))
}

/// RFC 7714 section 9.2: header, what is encrypted, tag, flag and index.
fn split_gcm(datagram: &[u8]) -> Result<Parts<'_>, SrtcpError> {
    let too_short = SrtcpError::TooShort(datagram.len());
    let (rest, word) = datagram.split_last_chunk::<TRAILER>().ok_or(too_short)?;
    let (rest, tag) = rest.split_last_chunk::<GCM_TAG>().ok_or(too_short)?;
    parts(rest, word, tag)
}

/// RFC 3711 section 3.4: header, what is encrypted, flag and index, tag.
fn split_cm(datagram: &[u8]) -> Result<Parts<'_>, SrtcpError> {
    let too_short = SrtcpError::TooShort(datagram.len());
    let (rest, tag) = datagram.split_last_chunk::<HMAC_TAG>().ok_or(too_short)?;
    let (rest, word) = rest.split_last_chunk::<TRAILER>().ok_or(too_short)?;
    parts(rest, word, tag)
}

fn parts<'a>(rest: &'a [u8], word: &[u8; TRAILER], tag: &'a [u8]) -> Result<Parts<'a>, SrtcpError> {
    let ssrc = sender(rest)?;
    let trailer = u32::from_be_bytes(*word);
    if trailer & ENCRYPTED == 0 {
        return Err(SrtcpError::NotEncrypted);
    }
    let (clear, encrypted) = rest.split_at(CLEAR);
    Ok(Parts { ssrc, index: trailer & !ENCRYPTED, clear, encrypted, word: *word, tag })
}
