//! The master keys of both directions.

use rtc::crypto::SecretVec;

use super::Profile;

/// Master key and master salt of one direction. Wiped when dropped, and never shown.
#[derive(Debug, Clone)]
pub struct Master {
    pub(super) key: SecretVec,
    pub(super) salt: SecretVec,
}

/// What DTLS agreed on for SRTP (RFC 5764 section 4.2). Wiped when dropped, and never shown.
#[derive(Debug, Clone)]
pub struct Keys {
    pub(super) profile: Profile,
    pub(super) local: Master,
    pub(super) remote: Master,
}

/// A master key or salt whose length is not that of its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{profile:?} takes a key of {} and a salt of {} bytes, not {key} and {salt}", profile.key_len(), profile.salt_len())]
pub struct BadKeys {
    /// Of which profile.
    pub profile: Profile,
    /// Bytes of the key.
    pub key: usize,
    /// Bytes of the salt.
    pub salt: usize,
}

impl Master {
    /// Of that profile.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, BadKeys> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(BadKeys { profile, key: key.len(), salt: salt.len() });
        }
        Ok(Self { key: SecretVec::new(key.to_vec()), salt: SecretVec::new(salt.to_vec()) })
    }
}

impl Keys {
    /// `local` protects what we send, `remote` what we receive.
    ///
    /// # Errors
    ///
    /// A length that is not the profile's.
    pub fn new(profile: Profile, local: Master, remote: Master) -> Result<Self, BadKeys> {
        for master in [&local, &remote] {
            if master.key.len() != profile.key_len() || master.salt.len() != profile.salt_len() {
                return Err(BadKeys { profile, key: master.key.len(), salt: master.salt.len() });
            }
        }
        Ok(Self { profile, local, remote })
    }

    /// How both directions are protected.
    pub fn profile(&self) -> Profile {
        self.profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(profile: Profile) -> Master {
        let (key, salt) = ([0xab; 32], [0xcd; 14]);
        Master::new(profile, &key[..profile.key_len()], &salt[..profile.salt_len()]).expect("of its lengths")
    }

    #[test]
    fn keys_are_not_shown() {
        let profile = Profile::AeadAes128Gcm;
        let shown = format!("{:?}", Keys::new(profile, master(profile), master(profile)).expect("keys"));
        assert!(shown.contains("AeadAes128Gcm") && shown.contains("REDACTED"), "{shown}");
        assert!(!shown.contains("171") && !shown.contains("ab, ab"), "{shown}");
    }

    #[test]
    fn lengths_of_another_profile_are_refused_with_what_is_right() {
        let error = Master::new(Profile::AeadAes256Gcm, &[0; 16], &[0; 12]).expect_err("too short");
        assert_eq!(
            error.to_string(),
            "AeadAes256Gcm takes a key of 32 and a salt of 12 bytes, not 16 and 12"
        );
        let (gcm, cm) = (master(Profile::AeadAes128Gcm), master(Profile::Aes128CmHmacSha1));
        assert!(Keys::new(Profile::Aes128CmHmacSha1, cm, gcm).is_err());
    }
}
