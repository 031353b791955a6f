//! Session keys from master keys (RFC 3711 section 4.3.3, RFC 6188 section 3.1, RFC 7714 section 11).

use aes::{
    Aes128, Aes256, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use rtc::crypto::SecretVec;

use super::Master;

/// Bytes of a block of AES.
pub(super) const BLOCK: usize = 16;
/// Where the label meets the salt (RFC 3711 section 4.3.1: the salt's 112 bits end with the label and a 48 bit index).
pub(super) const LABEL_AT: usize = 7;

/// What a session key is for (RFC 3711 section 4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The session key of `length` bytes for `label`. Keys are never derived again (key derivation rate 0, RFC 5764
/// section 4.1.2).
pub(super) fn session_key(master: &Master, label: Label, length: usize) -> SecretVec {
    let mut key = vec![0; length];
    let mut input = [0; BLOCK];
    let salt = master.salt.as_ref();
    // A salt of 96 bits stands in front of 16 bits of zero (RFC 7714 section 11).
    input[..salt.len()].copy_from_slice(salt);
    input[LABEL_AT] ^= label as u8;
    for (counter, part) in (0u16..).zip(key.chunks_mut(BLOCK)) {
        input[BLOCK - 2..].copy_from_slice(&counter.to_be_bytes());
        let mut block = Block::from(input);
        encrypt(master.key.as_ref(), &mut block);
        part.copy_from_slice(&block[..part.len()]);
    }
    SecretVec::new(key)
}

fn encrypt(key: &[u8], block: &mut Block) {
    if let Ok(aes) = Aes256::new_from_slice(key) {
        aes.encrypt_block(block);
    } else {
        // The lengths of master keys are checked when those are made.
        Aes128::new_from_slice(key).expect("a key of 16 bytes").encrypt_block(block);
    }
}
