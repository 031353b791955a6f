//! The test vectors of the RFCs, and the stack's own SRTP as the other side.

use bytes::BytesMut;
use proptest::prelude::*;
use rtc::{
    crypto::default_provider,
    srtp::{context::Context, option::srtcp_replay_protection, protection_profile::ProtectionProfile},
};

use super::{
    Keys, Master, Outbound, Profile, Srtcp, SrtcpError,
    cipher::{Cipher, Cm, Gcm},
    derivation::{Label, session_key},
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

/// RFC 3711 appendix B.3.
#[test]
fn session_keys_are_derived_as_in_rfc_3711() {
    let (key, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
    let master = Master::new(Profile::Aes128CmHmacSha1, &key, &salt).expect("a master key");
    for (label, expected) in [
        (Label::RtpEncryption, "C61E7A93744F39EE10734AFE3FF7A087"),
        (Label::RtpSalt, "30CBBC08863D8C85D49DB34A9AE1"),
        (
            Label::RtpAuthentication,
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE
             E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25
             6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
        ),
    ] {
        let expected = hex(expected);
        assert_eq!(session_key(&master, label, expected.len()).as_ref(), expected, "{label:?}");
    }
}

/// RFC 3711 appendix B.2.
#[test]
fn counter_mode_gives_the_key_stream_of_rfc_3711() {
    let (key, salt) = (hex("2B7E151628AED2A6ABF7158809CF4F3C"), hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
    let cm = Cm::new(&key, &salt, &[0; 20]);
    let mut stream = vec![0; 0xff03 * 16];
    cm.apply(0, 0, &mut stream);
    let first = hex(
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0",
    );
    assert_eq!(stream[..48], first);
    let last = hex(
        "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44",
    );
    assert_eq!(stream[0xfeff * 16..0xff02 * 16], last);
}

const RTP_HEADER: &str = "8040f17b 8041f8d3 5501a0b2";
const RTP_PAYLOAD: &str =
    "47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573";

fn protected_rtp(key: &[u8]) -> Vec<u8> {
    let cipher = Cipher::Gcm(Box::new(Gcm::new(key, &hex("517569642070726f2071756f"))));
    let header = hex(RTP_HEADER);
    let mut packet = [header.clone(), hex(RTP_PAYLOAD), vec![0xee; 16]].concat();
    Outbound::with(cipher).protect(&mut packet, header.len(), 0xf17b);
    packet
}

/// RFC 7714 section 16.1.
#[test]
fn packets_are_protected_as_in_rfc_7714_with_128_bits() {
    let expected = hex("8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
         0d294e6f 42a5f47a 51c7d19b 36de3adf 8833 899d7f27 beb16a91 52cf765e e4390cce");
    assert_eq!(protected_rtp(&(0..16).collect::<Vec<u8>>()), expected);
}

/// RFC 7714 section 16.2.
#[test]
fn packets_are_protected_as_in_rfc_7714_with_256_bits() {
    let expected = hex("8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
         9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b 7aa3db36 dfffd6b0 f9bb7878 d7a76c13");
    assert_eq!(protected_rtp(&(0..32).collect::<Vec<u8>>()), expected);
}

/// RFC 7714 section 17.1.
#[test]
fn reports_are_protected_as_in_rfc_7714() {
    let gcm =
        || Cipher::Gcm(Box::new(Gcm::new(&(0..16).collect::<Vec<u8>>(), &hex("517569642070726f2071756f"))));
    let plain = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
         deadbeef deadbeef deadbeef deadbeef deadbeef");
    let expected = hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
         c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4");
    let mut srtcp = Srtcp::with(gcm(), gcm(), 0x5d4);
    assert_eq!(srtcp.protect(&plain).expect("protected"), expected);
    assert_eq!(srtcp.unprotect(&expected).expect("authentic"), plain);
}

fn in_stack(profile: Profile) -> ProtectionProfile {
    match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmHmacSha1 => ProtectionProfile::Aes128CmHmacSha1_80,
    }
}

/// Our keys, and the stack's two contexts of the other side: what it hears and what it says.
fn both(profile: Profile, local: [u8; 46], remote: [u8; 46]) -> (Keys, Context, Context) {
    let split = |bytes: &[u8; 46]| {
        let (key, salt) = bytes.split_at(32);
        (key[..profile.key_len()].to_vec(), salt[..profile.salt_len()].to_vec())
    };
    let master = |(key, salt): (Vec<u8>, Vec<u8>)| Master::new(profile, &key, &salt).expect("its lengths");
    let context = |(key, salt): (Vec<u8>, Vec<u8>)| {
        let provider = default_provider().expect("a provider");
        let replay = Some(srtcp_replay_protection(64));
        Context::new(&key, &salt, in_stack(profile), None, replay, provider.crypto()).expect("a context")
    };
    let keys = Keys::new(profile, master(split(&local)), master(split(&remote))).expect("keys");
    (keys, context(split(&local)), context(split(&remote)))
}

fn any_profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(Profile::ALL.to_vec())
}

/// Keys, as a strategy of bytes that is larger than any.
fn secret() -> impl Strategy<Value = [u8; 46]> {
    (any::<[u8; 32]>(), any::<[u8; 14]>()).prop_map(|(key, salt)| {
        let mut all = [0; 46];
        all[..32].copy_from_slice(&key);
        all[32..].copy_from_slice(&salt);
        all
    })
}

/// A compound of one packet: header, SSRC and whole words.
fn report(ssrc: u32, content: &[u8]) -> Vec<u8> {
    let words = content.len() / 4;
    let header = [0x80, 201, 0, words as u8 + 1];
    [&header[..], &ssrc.to_be_bytes(), &content[..words * 4]].concat()
}

proptest! {
    #[test]
    fn the_stack_reads_our_packets_over_the_end_of_the_sequence_numbers(
        profile in any_profile(),
        secrets in (secret(), secret()),
        ssrc: u32,
        marker: bool,
        csrcs in 0u8..4,
        extension in prop::option::of(0u8..5),
        first in 65_000u64..65_600,
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1300), 1..5),
    ) {
        let (keys, mut hears, _) = both(profile, secrets.0, secrets.1);
        let mut outbound = Outbound::new(&keys);
        prop_assert_eq!(outbound.overhead(), profile.tag_len());
        // So the stack knows the rollover counter from the start.
        let mut before = vec![0x80, 96, 0xff, 0xf0, 0, 0, 0, 0];
        before.extend_from_slice(&ssrc.to_be_bytes());
        let mut start = [before.clone(), vec![0; outbound.overhead()]].concat();
        outbound.protect(&mut start, before.len(), 0xfff0);
        let started = hears.decrypt_rtp(&start).expect("ours");
        prop_assert_eq!(&started[..], &before[..]);
        for (index, payload) in (first.max(0xfff1)..).zip(payloads) {
            let mut packet = vec![0x80 | csrcs | u8::from(extension.is_some()) << 4, u8::from(marker) << 7 | 96];
            packet.extend_from_slice(&(index as u16).to_be_bytes());
            packet.extend_from_slice(&[1, 2, 3, 4]);
            packet.extend_from_slice(&ssrc.to_be_bytes());
            packet.extend((0..csrcs * 4).map(|_| 7));
            if let Some(words) = extension {
                packet.extend_from_slice(&[0xbe, 0xde, 0, words]);
                packet.extend((0..words * 4).map(|_| 0x10));
            }
            let header = packet.len();
            packet.extend_from_slice(&payload);
            let plain = packet.clone();
            packet.extend((0..outbound.overhead()).map(|_| 0xee));
            outbound.protect(&mut packet, header, index);
            prop_assert_eq!(&packet[..header], &plain[..header], "the header stays readable");
            prop_assert!(payload.len() < 8 || packet[header..plain.len()] != plain[header..]);
            let read = hears.decrypt_rtp(&packet).expect("authentic");
            prop_assert_eq!(&read[..], &plain[..]);
            packet[header - 1] ^= 1;
            prop_assert!(hears.decrypt_rtp(&packet).is_err(), "the header is authenticated");
        }
    }

    #[test]
    fn reports_pass_both_ways_between_us_and_the_stack(
        profile in any_profile(),
        secrets in (secret(), secret()),
        ssrcs in prop::collection::vec(any::<u32>(), 1..5),
        content in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (keys, mut hears, mut says) = both(profile, secrets.0, secrets.1);
        let mut srtcp = Srtcp::new(&keys);
        for ssrc in ssrcs {
            let plain = report(ssrc, &content);
            let sent = srtcp.protect(&plain).expect("a report");
            let read = hears.decrypt_rtcp(&sent).expect("authentic");
            prop_assert_eq!(&read[..], &plain[..]);
            let came = says.encrypt_rtcp(&plain).expect("a report");
            let read = srtcp.unprotect(&came).expect("authentic");
            prop_assert_eq!(&read[..], &plain[..]);
            prop_assert_eq!(srtcp.unprotect(&came), Err(SrtcpError::Replayed));
            prop_assert!(srtcp.unprotect(&sent).is_err(), "our own reports are not the peer's");
        }
    }

    #[test]
    fn no_changed_report_is_taken(
        profile in any_profile(),
        secrets in (secret(), secret()),
        content in prop::collection::vec(any::<u8>(), 0..80),
        at: prop::sample::Index,
        flip in 1u8..,
        cut in 0usize..40,
    ) {
        let (keys, _, mut says) = both(profile, secrets.0, secrets.1);
        let mut srtcp = Srtcp::new(&keys);
        let came = says.encrypt_rtcp(&report(7, &content)).expect("a report");
        let mut changed = came.to_vec();
        let byte = at.index(changed.len());
        changed[byte] ^= flip;
        prop_assert!(srtcp.unprotect(&changed).is_err());
        prop_assert!(srtcp.unprotect(&came[..came.len() - cut.clamp(1, came.len())]).is_err());
        prop_assert!(srtcp.unprotect(&came).is_ok(), "what was forged before does not stand in its way");
    }

    #[test]
    fn any_bytes_are_refused_without_a_trace(
        profile in any_profile(),
        secrets in (secret(), secret()),
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..60),
    ) {
        let (keys, _, mut says) = both(profile, secrets.0, secrets.1);
        let mut srtcp = Srtcp::new(&keys);
        for mut datagram in datagrams {
            prop_assert!(srtcp.unprotect(&datagram).is_err());
            if let Some(first) = datagram.first_mut() {
                *first = 0x80 | *first & 0x3f;
            }
            if let Some(word) = datagram.len().checked_sub(14) {
                datagram[word] |= 0x80;
            }
            prop_assert!(srtcp.unprotect(&datagram).is_err());
        }
        prop_assert_eq!(srtcp.sources(), 0);
        let came: BytesMut = says.encrypt_rtcp(&report(7, &[])).expect("a report");
        prop_assert!(srtcp.unprotect(&came).is_ok());
        prop_assert_eq!(srtcp.sources(), 1);
    }
}

#[test]
fn a_report_that_is_not_encrypted_is_refused_though_its_form_is_right() {
    let (keys, ..) = both(Profile::Aes128CmHmacSha1, [1; 46], [2; 46]);
    let plain = [report(7, &[]), vec![0, 0, 0, 1], vec![0; 10]].concat();
    assert_eq!(Srtcp::new(&keys).unprotect(&plain), Err(SrtcpError::NotEncrypted));
}

#[test]
fn the_last_index_is_the_last_report() {
    let gcm = || Cipher::Gcm(Box::new(Gcm::new(&[1; 16], &[2; 12])));
    let mut srtcp = Srtcp::with(gcm(), gcm(), (1 << 31) - 1);
    assert!(srtcp.protect(&report(7, &[])).is_ok());
    assert_eq!(srtcp.protect(&report(7, &[])), Err(SrtcpError::Exhausted));
    assert_eq!(srtcp.protect(&[0x80, 200, 0, 0]), Err(SrtcpError::TooShort(4)));
}
