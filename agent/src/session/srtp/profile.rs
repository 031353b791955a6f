//! The protection profiles of DTLS-SRTP that we can do.

use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;

/// How packets are encrypted and authenticated (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// SRTP_AEAD_AES_128_GCM.
    AeadAes128Gcm,
    /// SRTP_AEAD_AES_256_GCM.
    AeadAes256Gcm,
    /// SRTP_AES128_CM_HMAC_SHA1_80, which every browser knows.
    Aes128CmHmacSha1,
}

impl Profile {
    /// All, the best first: with AES in hardware the shortest key of GCM costs least, and HMAC-SHA1 is a second pass.
    pub const ALL: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmHmacSha1];

    /// Bytes of the master key and of the session key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt and of the session salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1 => 14,
        }
    }

    /// Bytes of the authentication tag, of SRTP and of SRTCP.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmHmacSha1 => 10,
        }
    }

    /// As the stack calls it.
    pub const fn in_dtls(self) -> SrtpProtectionProfile {
        match self {
            Self::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            Self::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
            Self::Aes128CmHmacSha1 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        }
    }
}
