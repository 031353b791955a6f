//! Reads the master keys of SRTP out of the order in which session keys are derived from them.
//!
//! The stack derives the session keys of one direction after the other, by AES of a block that is the salt with a label
//! in it (RFC 3711 section 4.3.1), and keys ciphers with the results. The first label is 0, so the first block is the
//! salt. What is seen has to be the whole known order to the last block, and the ciphers keyed with what these blocks
//! give: else there are no keys, rather than wrong ones.

use rtc::crypto::{AeadAlgorithm, BlockCipherAlgorithm, SecretVec, StreamCipherAlgorithm};

use super::{
    Keys, Master, Profile,
    derivation::{BLOCK, LABEL_AT, Label},
};

/// A call that the stack makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Block of this number for a label.
    Block(Label, u8),
    /// A cipher keyed with what a label gave.
    Keyed(Label),
}

/// A cipher that the stack asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Aead(AeadAlgorithm),
    Stream(StreamCipherAlgorithm),
}

/// Whose packets a cipher is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// What we send.
    Ours,
    /// What the peer sends.
    Theirs,
    /// Not of SRTP.
    Nobodys,
}

/// The whole of what has been seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Ours, then theirs.
    whole: Vec<(Profile, Master)>,
    running: Option<Running>,
    /// Something else than the known order came.
    strayed: bool,
}

/// A direction whose keys are being derived.
#[derive(Debug)]
struct Running {
    possible: Vec<Profile>,
    /// Steps taken.
    taken: usize,
    key: SecretVec,
    /// The first block: salt and zeros.
    first: SecretVec,
    /// What the labels of encryption gave: of SRTP, of SRTCP.
    session: [SecretVec; 2],
}

/// What the stack does for a profile (rtc-srtp 0.21, `Context::new`).
fn order(profile: Profile) -> &'static [Step] {
    use Label::{RtcpAuthentication, RtcpEncryption, RtcpSalt, RtpAuthentication, RtpEncryption, RtpSalt};
    use Step::{Block, Keyed};
    match profile {
        Profile::AeadAes128Gcm => &[
            Block(RtpEncryption, 0),
            Keyed(RtpEncryption),
            Block(RtcpEncryption, 0),
            Keyed(RtcpEncryption),
            Block(RtpSalt, 0),
            Block(RtcpSalt, 0),
        ],
        Profile::AeadAes256Gcm => &[
            Block(RtpEncryption, 0),
            Block(RtpEncryption, 1),
            Keyed(RtpEncryption),
            Block(RtcpEncryption, 0),
            Block(RtcpEncryption, 1),
            Keyed(RtcpEncryption),
            Block(RtpSalt, 0),
            Block(RtcpSalt, 0),
        ],
        Profile::Aes128CmHmacSha1 => &[
            Block(RtpEncryption, 0),
            Block(RtcpEncryption, 0),
            Keyed(RtpEncryption),
            Keyed(RtcpEncryption),
            Block(RtpSalt, 0),
            Block(RtcpSalt, 0),
            Block(RtpAuthentication, 0),
            Block(RtpAuthentication, 1),
            Block(RtcpAuthentication, 0),
            Block(RtcpAuthentication, 1),
        ],
    }
}

fn fits(profile: Profile, algorithm: BlockCipherAlgorithm) -> bool {
    match profile {
        Profile::AeadAes128Gcm | Profile::Aes128CmHmacSha1 => algorithm == BlockCipherAlgorithm::Aes128,
        Profile::AeadAes256Gcm => algorithm == BlockCipherAlgorithm::Aes256,
    }
}

fn wants(profile: Profile) -> Wanted {
    match profile {
        Profile::AeadAes128Gcm => Wanted::Aead(AeadAlgorithm::Aes128Gcm),
        Profile::AeadAes256Gcm => Wanted::Aead(AeadAlgorithm::Aes256Gcm),
        Profile::Aes128CmHmacSha1 => Wanted::Stream(StreamCipherAlgorithm::Aes128Ctr),
    }
}

impl Watch {
    /// A block was encrypted. Nothing but SRTP does that.
    pub(super) fn block(&mut self, algorithm: BlockCipherAlgorithm, key: &[u8], input: &[u8], output: &[u8]) {
        if self.strayed || self.whole.len() == 2 {
            return self.stray();
        }
        let mut running =
            self.running.take().unwrap_or_else(|| Running::new(algorithm, key, input, self.profile()));
        let known = key == running.key.as_ref() && input.len() == BLOCK && output.len() == BLOCK;
        let taken = running.taken;
        running.possible.retain(|profile| {
            known
                && fits(*profile, algorithm)
                && matches!(order(*profile)[taken], Step::Block(label, number)
                    if input == labelled(running.first.as_ref(), label, number))
        });
        let label = running.possible.first().map(|profile| order(*profile)[taken]);
        if let Some(Step::Block(label @ (Label::RtpEncryption | Label::RtcpEncryption), _)) = label {
            let session = &mut running.session[usize::from(label == Label::RtcpEncryption)];
            *session = SecretVec::new([session.as_ref(), output].concat());
        }
        self.go_on(running);
    }

    /// A cipher was keyed; tells whose it is.
    pub(super) fn keyed(&mut self, wanted: Wanted, key: &[u8]) -> Whose {
        // Outside of a derivation it is one of DTLS.
        let Some(mut running) = self.running.take() else { return Whose::Nobodys };
        let whose = if self.whole.is_empty() { Whose::Ours } else { Whose::Theirs };
        let (taken, session) = (running.taken, &running.session);
        running.possible.retain(|profile| {
            wants(*profile) == wanted
                && matches!(order(*profile)[taken], Step::Keyed(label)
                    if key == session[usize::from(label == Label::RtcpEncryption)].as_ref())
        });
        self.go_on(running);
        whose
    }

    /// Both directions, if all came as known.
    pub(super) fn keys(&self) -> Option<Keys> {
        match self.whole.as_slice() {
            [(profile, local), (_, remote)] if !self.strayed => {
                Keys::new(*profile, local.clone(), remote.clone()).ok()
            }
            _ => None,
        }
    }

    /// What was seen cannot be understood any more.
    pub(super) fn stray(&mut self) {
        *self = Self { strayed: true, ..Self::default() };
    }

    /// That of our own direction, once known.
    fn profile(&self) -> Option<Profile> {
        self.whole.first().map(|(profile, _)| *profile)
    }

    fn go_on(&mut self, mut running: Running) {
        running.taken += 1;
        match running.possible.as_slice() {
            [] => self.stray(),
            [profile] if running.taken == order(*profile).len() => match running.master(*profile) {
                Some(master) => self.whole.push((*profile, master)),
                None => self.stray(),
            },
            _ => self.running = Some(running),
        }
    }
}

impl Running {
    fn new(algorithm: BlockCipherAlgorithm, key: &[u8], input: &[u8], agreed: Option<Profile>) -> Self {
        let possible = Profile::ALL
            .into_iter()
            .filter(|profile| fits(*profile, algorithm) && agreed.is_none_or(|agreed| agreed == *profile));
        Self {
            possible: possible.collect(),
            taken: 0,
            key: SecretVec::new(key.to_vec()),
            first: SecretVec::new(input.to_vec()),
            session: [SecretVec::new(Vec::new()), SecretVec::new(Vec::new())],
        }
    }

    /// If behind the salt there is nothing.
    fn master(&self, profile: Profile) -> Option<Master> {
        let (salt, rest) = self.first.as_ref().split_at_checked(profile.salt_len())?;
        let master = Master::new(profile, self.key.as_ref(), salt).ok()?;
        rest.iter().all(|byte| *byte == 0).then_some(master)
    }
}

/// The block of a label, from that of label 0 and number 0.
fn labelled(first: &[u8], label: Label, number: u8) -> Vec<u8> {
    let mut block = first.to_vec();
    if block.len() == BLOCK {
        block[LABEL_AT] ^= label as u8;
        block[BLOCK - 1] ^= number;
    }
    block
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
