//! Learns the SRTP keys of a connection, which the stack does not give out, from its use of the crypto provider.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rtc::{
    crypto::{
        ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher,
        CryptoAlgorithm, CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey,
        RTCCrypto, RTCCryptoProvider, RTCRandom, SecretVec, SignatureScheme, SigningKey, StreamCipher,
        StreamCipherAlgorithm,
    },
    peer_connection::configuration::setting_engine::SettingEngineBuilder,
};

use super::{
    Keys, Profile,
    watch::{Wanted, Watch, Whose},
};

/// Where the keys of one connection turn up.
///
/// The connection cannot send RTP or RTCP of its own any more: two that count for themselves under the same keys would
/// use nonces twice, which gives the keys of GCM away (RFC 7714 section 15.1). It goes on to unprotect what comes in.
#[derive(Clone)]
pub struct KeyTap {
    watch: Arc<Mutex<Watch>>,
}

impl KeyTap {
    /// A provider for one connection, which does all as `inner` does, and the tap on it.
    ///
    /// The connection must not offer profiles besides [`Profile::ALL`]: see [`install`](Self::install).
    pub fn new(inner: Arc<dyn RTCCryptoProvider>) -> (Arc<dyn RTCCryptoProvider>, Self) {
        let tap = Self { watch: Arc::default() };
        (Arc::new(Tapped { inner, tap: tap.clone() }), tap)
    }

    /// Settings of one connection with a tap on the stack's own provider, and the profiles that we can do: the stack's
    /// default ones include SRTP_AES128_CM_HMAC_SHA1_32, whose keys look the same.
    ///
    /// # Errors
    ///
    /// The stack was built without a provider.
    pub fn install(settings: SettingEngineBuilder) -> Result<(SettingEngineBuilder, Self), CryptoError> {
        let (provider, tap) = Self::new(rtc::crypto::default_provider()?);
        let profiles = Profile::ALL.map(Profile::in_dtls).to_vec();
        Ok((settings.with_crypto_provider(provider).with_srtp_protection_profiles(profiles), tap))
    }

    /// The keys once the handshake is done. `None` before it, and for good where the stack derived them in another way
    /// than is known here, or a second time.
    pub fn keys(&self) -> Option<Keys> {
        self.watch().keys()
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTap").field("known", &self.keys().is_some()).finish_non_exhaustive()
    }
}

/// The provider that the stack sees.
struct Tapped {
    inner: Arc<dyn RTCCryptoProvider>,
    tap: KeyTap,
}

/// A cipher for what the stack would send.
struct Shut;

impl Shut {
    fn error() -> CryptoError {
        CryptoError::Provider("media and reports of this connection are sent past its stack".to_owned())
    }
}

impl StreamCipher for Shut {
    fn apply_keystream(&mut self, _: &[u8], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(Self::error())
    }
}

impl AeadCipher for Shut {
    fn tag_len(&self) -> usize {
        Profile::AeadAes128Gcm.tag_len()
    }

    fn seal_in_place(&mut self, _: &[u8], _: &[u8], _: &mut [u8], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(Self::error())
    }

    fn open_in_place(&mut self, _: &[u8], _: &[u8], _: &mut [u8], _: &[u8]) -> Result<(), CryptoError> {
        Err(Self::error())
    }
}

impl RTCCryptoProvider for Tapped {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }

    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

impl RTCCrypto for Tapped {
    fn block_encrypt(
        &self,
        algorithm: BlockCipherAlgorithm,
        key: &[u8],
        block: &mut [u8],
    ) -> Result<(), CryptoError> {
        let input = SecretVec::new(block.to_vec());
        let result = self.inner.crypto().block_encrypt(algorithm, key, block);
        match result {
            Ok(()) => self.tap.watch().block(algorithm, key, input.as_ref(), block),
            Err(_) => self.tap.watch().stray(),
        }
        result
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        match self.tap.watch().keyed(Wanted::Stream(algorithm), key) {
            Whose::Ours => Ok(Box::new(Shut)),
            Whose::Theirs | Whose::Nobodys => self.inner.crypto().new_stream_cipher(algorithm, key),
        }
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        match self.tap.watch().keyed(Wanted::Aead(algorithm), key) {
            Whose::Ours => Ok(Box::new(Shut)),
            Whose::Theirs | Whose::Nobodys => self.inner.crypto().new_aead(algorithm, key),
        }
    }

    // From here on all is passed on as it is.

    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        self.inner.crypto().supports(algorithm)
    }

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }

    fn new_cbc(&self, algorithm: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        self.inner.crypto().new_cbc(algorithm, key)
    }

    fn start_key_exchange(
        &self,
        algorithm: KeyExchangeAlgorithm,
    ) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(
        &self,
        scheme: SignatureScheme,
        pkcs8_der: &[u8],
    ) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, pkcs8_der)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        public_key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().verify_signature(scheme, public_key, message, signature)
    }
}
