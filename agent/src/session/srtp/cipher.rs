//! The two ways of protection, keyed once for a direction of SRTP or SRTCP, without allocation for a packet.

use aes::{
    Aes128,
    cipher::{InnerIvInit, KeyInit, StreamCipherCore},
};
use ctr::{CtrCore, flavors::Ctr128BE};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::{
    Keys, Master, Profile,
    derivation::{Label, session_key},
};

/// Bytes of the authentication key of HMAC-SHA1 (RFC 3711 section 8.2).
const AUTHENTICATION_KEY: usize = 20;
/// Bytes of a nonce of GCM (RFC 7714 section 8.1).
const NONCE: usize = 12;
/// Bytes of a session salt of AES-CM.
const CM_SALT: usize = 14;
/// Bytes of a tag of GCM.
pub(super) const GCM_TAG: usize = 16;
/// Bytes of a tag of HMAC_SHA1_80.
pub(super) const HMAC_TAG: usize = 10;

/// Not from the peer, or changed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unauthentic;

/// What the session keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Rtp,
    Rtcp,
}

/// A keyed cipher.
pub(super) enum Cipher {
    Gcm(Box<Gcm>),
    Cm(Box<Cm>),
}

/// AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; NONCE],
}

/// AES_CM_128 with HMAC_SHA1_80 (RFC 3711 sections 4.1.1 and 4.2.1).
pub(super) struct Cm {
    aes: Aes128,
    salt: [u8; CM_SALT],
    /// Both keyed blocks of the HMAC are in it: a packet begins with a copy.
    mac: Hmac<Sha1>,
}

impl Cipher {
    /// For what we send.
    pub(super) fn local(keys: &Keys, for_use: Use) -> Self {
        Self::derived(keys.profile, &keys.local, for_use)
    }

    /// For what the peer sends.
    pub(super) fn remote(keys: &Keys, for_use: Use) -> Self {
        Self::derived(keys.profile, &keys.remote, for_use)
    }

    fn derived(profile: Profile, master: &Master, for_use: Use) -> Self {
        let (encryption, authentication, salt) = match for_use {
            Use::Rtp => (Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt),
            Use::Rtcp => (Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt),
        };
        let key = session_key(master, encryption, profile.key_len());
        let salt = session_key(master, salt, profile.salt_len());
        match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                Self::Gcm(Box::new(Gcm::new(key.as_ref(), salt.as_ref())))
            }
            Profile::Aes128CmHmacSha1 => {
                let authentication = session_key(master, authentication, AUTHENTICATION_KEY);
                Self::Cm(Box::new(Cm::new(key.as_ref(), salt.as_ref(), authentication.as_ref())))
            }
        }
    }
}

impl Gcm {
    /// With session keys of the right lengths.
    pub(super) fn new(key: &[u8], salt: &[u8]) -> Self {
        let algorithm = if key.len() == AES_256_GCM.key_len() { &AES_256_GCM } else { &AES_128_GCM };
        let key = UnboundKey::new(algorithm, key).expect("a key of the algorithm's length");
        Self { key: LessSafeKey::new(key), salt: salt.try_into().expect("a salt of 12 bytes") }
    }

    /// RFC 7714 sections 8.1 and 9.1: two zero bytes, SSRC and 48 bits of index, over the salt.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = self.salt;
        place(&mut nonce[2..], ssrc, index);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts in place; gives the tag.
    pub(super) fn seal(&self, ssrc: u32, index: u64, aad: &[u8], data: &mut [u8]) -> [u8; GCM_TAG] {
        let sealed = self.key.seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(aad), data);
        let tag = sealed.expect("a packet is far below the 64 GB of GCM");
        tag.as_ref().try_into().expect("a tag of 16 bytes")
    }

    /// Decrypts in place.
    pub(super) fn open(
        &self,
        ssrc: u32,
        index: u64,
        aad: &[u8],
        data: &mut [u8],
        tag: [u8; GCM_TAG],
    ) -> Result<(), Unauthentic> {
        let nonce = self.nonce(ssrc, index);
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(tag), data, 0..)
            .map(|_| ())
            .map_err(|_| Unauthentic)
    }
}

impl Cm {
    /// With session keys of the right lengths.
    pub(super) fn new(key: &[u8], salt: &[u8], authentication: &[u8]) -> Self {
        Self {
            aes: Aes128::new_from_slice(key).expect("a key of 16 bytes"),
            salt: salt.try_into().expect("a salt of 14 bytes"),
            mac: Hmac::new_from_slice(authentication).expect("HMAC takes any key"),
        }
    }

    /// Encrypts or decrypts in place: counter mode from the block that salt, SSRC and index give.
    pub(super) fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut counter = [0; 16];
        counter[..CM_SALT].copy_from_slice(&self.salt);
        place(&mut counter[4..], ssrc, index);
        let keystream = CtrCore::<&Aes128, Ctr128BE>::inner_iv_init(&self.aes, &counter.into());
        keystream.apply_keystream_partial(data.into());
    }

    /// The tag over both parts.
    pub(super) fn tag(&self, message: &[u8], end: &[u8]) -> [u8; HMAC_TAG] {
        let full = self.mac.clone().chain_update(message).chain_update(end).finalize().into_bytes();
        let mut tag = [0; HMAC_TAG];
        tag.copy_from_slice(&full[..HMAC_TAG]);
        tag
    }

    /// Whether that is the tag of `message`; takes the same time whatever differs.
    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> Result<(), Unauthentic> {
        if self.tag(message, &[]).ct_eq(tag).into() { Ok(()) } else { Err(Unauthentic) }
    }
}

/// SSRC and 48 bits of index over what stands in the first ten bytes.
fn place(over: &mut [u8], ssrc: u32, index: u64) {
    let index = index.to_be_bytes();
    for (byte, value) in over.iter_mut().zip(ssrc.to_be_bytes().into_iter().chain(index[2..].iter().copied()))
    {
        *byte ^= value;
    }
}
