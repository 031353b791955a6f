//! A peer whose viewer moves to another path, as browsers do it, on the real stack.

use rtc::{
    crypto::default_provider,
    stun::{
        attributes::{
            ATTR_ICE_CONTROLLED, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType, RawAttribute,
        },
        fingerprint::FINGERPRINT,
        integrity::MessageIntegrity,
        message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId},
        textattrs::TextAttribute,
    },
};

use super::*;

/// Where the viewer is, too; its priority is above that of the first.
const ELSEWHERE: &str = "198.51.100.1:6001";

/// The stack's patience before a path is lost, and more.
const LONG: Duration = Duration::from_secs(40);

fn secret(sdp: &str, name: &str) -> String {
    sdp.lines().find_map(|line| line.strip_prefix(name)).expect("it is in the SDP").trim().to_owned()
}

/// Username and password of the device and of the viewer.
struct Secrets {
    device: (String, String),
    viewer: (String, String),
}

impl Secrets {
    fn of(net: &Net) -> Self {
        let both = |sdp: &str| (secret(sdp, "a=ice-ufrag:"), secret(sdp, "a=ice-pwd:"));
        let (offer, answer) = (net.viewer.pc.local_description(), net.viewer.pc.remote_description());
        Self { device: both(&answer.expect("an answer").sdp), viewer: both(&offer.expect("an offer").sdp) }
    }

    fn signed(&self, parts: &[Box<dyn Setter>], password: &str) -> BytesMut {
        let crypto = default_provider().expect("cryptography");
        let password = password.to_owned();
        let mut message = Message::new();
        message.build(parts).expect("it fits");
        MessageIntegrity::new_short_term_integrity_with_provider(password, crypto.crypto())
            .add_to(&mut message)
            .expect("it fits");
        FINGERPRINT.add_to(&mut message).expect("it fits");
        BytesMut::from(&message.raw[..])
    }

    /// The viewer's check that nominates the pair.
    fn nominating(&self) -> BytesMut {
        self.check(&self.device.1, None)
    }

    /// The same, signed with `password`, that claims to have the device's role too (RFC 8445 section 7.1.2).
    fn conflicting(&self, password: &str) -> BytesMut {
        self.check(password, Some(ATTR_ICE_CONTROLLED))
    }

    fn check(&self, password: &str, role: Option<AttrType>) -> BytesMut {
        let username = format!("{}:{}", self.device.0, self.viewer.0);
        let raw = |typ, value: &[u8]| {
            Box::new(RawAttribute { typ, length: 0, value: value.to_vec() }) as Box<dyn Setter>
        };
        let mut parts = vec![
            Box::new(BINDING_REQUEST) as Box<dyn Setter>,
            Box::new(TransactionId::new()),
            Box::new(TextAttribute::new(ATTR_USERNAME, username)),
            raw(ATTR_PRIORITY, &[0x7f, 0xff, 0xff, 0xff]),
            raw(ATTR_USE_CANDIDATE, &[]),
        ];
        parts.extend(role.map(|role| raw(role, &[0; 8])));
        self.signed(&parts, password)
    }

    /// The viewer's answer to a check of the device, if it is one.
    fn answer(&self, check: &[u8]) -> Option<BytesMut> {
        let Packet::StunRequest { id, .. } = classify(check) else { return None };
        let parts = [Box::new(BINDING_SUCCESS) as Box<dyn Setter>, Box::new(TransactionId(id))];
        Some(self.signed(&parts, &self.viewer.1))
    }
}

/// Runs the device alone for `time`, with a viewer that is `answering` on the other path; gives what is sent there and
/// what is sent to the first.
fn run_moved(
    net: &mut Net,
    secrets: &Secrets,
    time: Duration,
    answering: bool,
) -> (Vec<BytesMut>, Vec<BytesMut>) {
    let until = net.now + time;
    let (mut there, mut first) = (Vec::new(), Vec::new());
    let (local, from) = (DEVICE.parse().expect("address"), ELSEWHERE.parse().expect("address"));
    loop {
        while let Some(event) = net.peer.poll_event(net.now) {
            net.events.push(event);
        }
        for out in net.peer.all_out(net.now) {
            assert_eq!(out.path.local, local);
            if out.path.remote != from {
                first.push(out.data);
                continue;
            }
            if let Some(answer) = secrets.answer(&out.data).filter(|_| answering) {
                net.peer.handle_datagram(net.now, Path::udp(local, from), answer);
            }
            there.push(out.data);
        }
        if net.now >= until {
            return (there, first);
        }
        net.now = net.peer.poll_timeout(net.now).map_or(until, |due| due.clamp(net.now, until));
        net.peer.handle_timeout(net.now);
    }
}

/// Connected by the first path, then moved to the other.
fn moved() -> (Net, Secrets) {
    let mut net = Net::new(Duration::from_millis(10));
    net.connect();
    let secrets = Secrets::of(&net);
    // The first makes the device check the pair itself, the second finds it to work.
    for _ in 0..2 {
        let (local, from) = (DEVICE.parse().expect("address"), ELSEWHERE.parse().expect("address"));
        net.peer.handle_datagram(net.now, Path::udp(local, from), secrets.nominating());
        run_moved(&mut net, &secrets, Duration::from_millis(50), true);
    }
    (net, secrets)
}

fn media(datagrams: &[BytesMut]) -> usize {
    datagrams.iter().filter(|datagram| matches!(classify(datagram), Packet::Media)).count()
}

#[test]
fn pictures_go_by_the_pair_that_the_viewer_nominates_later() {
    let (mut net, secrets) = moved();
    assert!(net.events.iter().any(|e| matches!(e, PeerEvent::Moved)), "{:?}", net.events);
    assert_eq!(net.peer.path(), format!("host {DEVICE} to prflx {ELSEWHERE}"));
    net.push_picture(5_000);
    let (there, first) = run_moved(&mut net, &secrets, Duration::from_millis(100), true);
    assert!(media(&there) >= 4 && media(&first) == 0, "{} there, {} by the first", there.len(), first.len());
}

#[test]
fn the_path_that_was_moved_to_keeps_the_session_alive_alone() {
    let (mut net, secrets) = moved();
    net.events.clear();
    run_moved(&mut net, &secrets, LONG, true);
    assert!(net.events.is_empty(), "{:?}", net.events);
    run_moved(&mut net, &secrets, LONG, false);
    assert!(matches!(net.events[..], [PeerEvent::Disconnected, PeerEvent::Failed]), "{:?}", net.events);
}

/// Error responses among `datagrams`.
fn errors(datagrams: &[BytesMut]) -> usize {
    datagrams.iter().filter(|datagram| datagram.starts_with(&[0x01, 0x11])).count()
}

#[test]
fn a_check_that_is_not_signed_for_the_session_gets_no_answer_and_turns_no_roles() {
    let (mut net, secrets) = moved();
    let (local, from) = (DEVICE.parse().expect("address"), ELSEWHERE.parse().expect("address"));
    let long = Duration::from_millis(50);
    run_moved(&mut net, &secrets, long, true);
    for _ in 0..10 {
        let forged = secrets.conflicting("not the password that is in the answer");
        net.peer.handle_datagram(net.now, Path::udp(local, from), forged);
    }
    let (there, first) = run_moved(&mut net, &secrets, Duration::ZERO, true);
    assert_eq!((there.len(), first.len()), (0, 0));
    // The stack does answer one that is signed.
    net.peer.handle_datagram(net.now, Path::udp(local, from), secrets.conflicting(&secrets.device.1));
    let (there, first) = run_moved(&mut net, &secrets, long, true);
    assert_eq!(errors(&there) + errors(&first), 1);
}
