//! The watch on a real derivation, and on orders that are not the known one.

use proptest::prelude::*;
use rtc::{
    crypto::{RTCCryptoProvider, default_provider},
    srtp::{context::Context, protection_profile::ProtectionProfile},
};

use super::*;
use crate::session::srtp::KeyTap;

const KEY: [u8; 32] = [0x5a; 32];
const OTHER: [u8; 32] = [0xc3; 32];
const SALT: [u8; 14] = [0x17; 14];

fn in_stack(profile: Profile) -> ProtectionProfile {
    match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmHmacSha1 => ProtectionProfile::Aes128CmHmacSha1_80,
    }
}

fn derive(provider: &dyn RTCCryptoProvider, profile: Profile, key: &[u8]) -> Context {
    let (key, salt) = (&key[..profile.key_len()], &SALT[..profile.salt_len()]);
    Context::new(key, salt, in_stack(profile), None, None, provider.crypto()).expect("a context")
}

/// A call as the stack made it.
#[derive(Debug, Clone)]
enum Call {
    Block(BlockCipherAlgorithm, Vec<u8>, Vec<u8>, Vec<u8>),
    Keyed(Wanted, Vec<u8>),
}

/// The known order of both directions, made by hand.
fn calls(profile: Profile) -> Vec<Call> {
    let mut calls = Vec::new();
    for key in [&KEY[..profile.key_len()], &OTHER[..profile.key_len()]] {
        let algorithm =
            if key.len() == 32 { BlockCipherAlgorithm::Aes256 } else { BlockCipherAlgorithm::Aes128 };
        let mut session = [Vec::new(), Vec::new()];
        for step in order(profile) {
            calls.push(match step {
                Step::Block(label, number) => {
                    let mut input = [0; BLOCK];
                    input[..profile.salt_len()].copy_from_slice(&SALT[..profile.salt_len()]);
                    let input = labelled(&input, *label, *number);
                    let mut output = input.clone();
                    let provider = default_provider().expect("a provider");
                    provider.crypto().block_encrypt(algorithm, key, &mut output).expect("a block");
                    match label {
                        Label::RtpEncryption => session[0].extend_from_slice(&output),
                        Label::RtcpEncryption => session[1].extend_from_slice(&output),
                        _ => {}
                    }
                    Call::Block(algorithm, key.to_vec(), input, output)
                }
                Step::Keyed(label) => {
                    Call::Keyed(wants(profile), session[usize::from(*label == Label::RtcpEncryption)].clone())
                }
            });
        }
    }
    calls
}

fn watch(calls: &[Call]) -> Watch {
    let mut watch = Watch::default();
    for call in calls {
        match call {
            Call::Block(algorithm, key, input, output) => watch.block(*algorithm, key, input, output),
            Call::Keyed(wanted, key) => {
                watch.keyed(*wanted, key);
            }
        }
    }
    watch
}

#[test]
fn the_stack_derives_in_the_known_order_ours_first() {
    for profile in Profile::ALL {
        let (provider, tap) = KeyTap::new(default_provider().expect("a provider"));
        derive(&*provider, profile, &KEY);
        assert!(tap.keys().is_none(), "half of the keys");
        derive(&*provider, profile, &OTHER);
        let keys = tap.keys().expect("both directions");
        assert_eq!(keys.profile, profile);
        for (master, key) in [(&keys.local, KEY), (&keys.remote, OTHER)] {
            assert_eq!(master.key.as_ref(), &key[..profile.key_len()]);
            assert_eq!(master.salt.as_ref(), &SALT[..profile.salt_len()]);
        }
        assert!(watch(&calls(profile)).keys().is_some(), "the order of these tests");
    }
}

#[test]
fn ciphers_of_dtls_before_and_after_are_not_mistaken() {
    let (provider, tap) = KeyTap::new(default_provider().expect("a provider"));
    let dtls = || provider.crypto().new_aead(AeadAlgorithm::Aes128Gcm, &[1; 16]).expect("a cipher");
    let sealed = |data: &mut [u8]| dtls().seal_in_place(&[0; 12], &[], data, &mut [0; 16]);
    assert!(sealed(&mut [0; 5]).is_ok());
    derive(&*provider, Profile::AeadAes128Gcm, &KEY);
    assert!(sealed(&mut [0; 5]).is_ok(), "between the two directions it is one of DTLS still");
    derive(&*provider, Profile::AeadAes128Gcm, &OTHER);
    assert!(sealed(&mut [0; 5]).is_ok());
    assert!(tap.keys().is_some());
}

#[test]
fn the_stack_itself_can_not_send_under_these_keys() {
    for profile in Profile::ALL {
        let (provider, _tap) = KeyTap::new(default_provider().expect("a provider"));
        let mut ours = derive(&*provider, profile, &KEY);
        let mut theirs = derive(&*provider, profile, &OTHER);
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        assert!(ours.encrypt_rtcp(&report).is_err());
        assert!(theirs.encrypt_rtcp(&report).is_ok(), "only our own direction is shut");
    }
}

#[test]
fn a_second_handshake_leaves_no_keys() {
    let mut watch = watch(&calls(Profile::AeadAes128Gcm));
    assert!(watch.keys().is_some());
    watch.block(BlockCipherAlgorithm::Aes128, &KEY[..16], &[0; 16], &[0; 16]);
    assert!(watch.keys().is_none());
}

#[test]
fn directions_of_two_profiles_give_no_keys() {
    for (one, two) in [(0, 1), (0, 2), (2, 0)].map(|(a, b)| (calls(Profile::ALL[a]), calls(Profile::ALL[b])))
    {
        let mixed = [&one[..one.len() / 2], &two[two.len() / 2..]].concat();
        assert!(watch(&mixed).keys().is_none());
    }
}

fn any_profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(Profile::ALL.to_vec())
}

proptest! {
    #[test]
    fn a_call_too_few_or_too_many_gives_no_keys(profile in any_profile(), at: prop::sample::Index, drop: bool) {
        let mut calls = calls(profile);
        let at = at.index(calls.len());
        if drop {
            calls.remove(at);
        } else {
            // A key that no block gave; outside of a derivation it is one of DTLS.
            prop_assume!(at % (calls.len() / 2) != 0);
            calls.insert(at, Call::Keyed(wants(profile), vec![9; profile.key_len()]));
        }
        prop_assert!(watch(&calls).keys().is_none());
    }

    #[test]
    fn calls_in_another_order_give_no_keys(profile in any_profile(), a: prop::sample::Index, b: prop::sample::Index) {
        let mut calls = calls(profile);
        let (a, b) = (a.index(calls.len()), b.index(calls.len()));
        let half = calls.len() / 2;
        // The same step of the two directions may be the same call but for the key.
        prop_assume!(a != b && a / half == b / half);
        calls.swap(a, b);
        prop_assert!(watch(&calls).keys().is_none());
    }

    #[test]
    fn a_changed_byte_gives_no_keys(
        profile in any_profile(),
        at: prop::sample::Index,
        byte: prop::sample::Index,
        flip in 1u8..,
        which in 0..3,
    ) {
        let mut calls = calls(profile);
        let at = at.index(calls.len());
        match &mut calls[at] {
            Call::Block(_, key, input, output) => {
                let part = match which { 0 => key, 1 => input, _ => output };
                let byte = byte.index(part.len());
                part[byte] ^= flip;
            }
            Call::Keyed(_, key) => {
                let byte = byte.index(key.len());
                key[byte] ^= flip;
            }
        }
        let harmless = matches!(order(profile)[at % (calls.len() / 2)],
            Step::Block(Label::RtpSalt | Label::RtcpSalt | Label::RtpAuthentication | Label::RtcpAuthentication, _)
            if which == 2);
        prop_assert_eq!(watch(&calls).keys().is_some(), harmless, "only what becomes no cipher is not compared");
    }
}
