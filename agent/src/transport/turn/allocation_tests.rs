//! An allocation under a virtual clock, against a server that follows a script.

use std::sync::Arc;

use proptest::prelude::*;
use rtc::{
    crypto::RTCCryptoProvider,
    stun::{
        addr::AlternateServer,
        attributes::{
            ATTR_ALTERNATE_DOMAIN, ATTR_ALTERNATE_SERVER, ATTR_DATA, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM,
            ATTR_XOR_PEER_ADDRESS, ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS,
        },
        error_code::{ErrorCode, ErrorCodeAttribute},
        integrity::MessageIntegrity,
        message::{
            CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, METHOD_ALLOCATE,
            METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_DATA, METHOD_REFRESH,
            METHOD_SEND, MessageType, Method, Setter, TransactionId,
        },
        textattrs::TextAttribute,
        xoraddr::XorMappedAddress,
    },
};

use super::*;
use crate::transport::turn::types::{Alternate, Doubt, Failure};

#[path = "allocation_refusal_tests.rs"]
mod refusals;

const PASSWORD: &str = "secret";

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("a test's own address")
}

fn relayed() -> SocketAddr {
    addr("198.51.100.1:50000")
}

fn peer() -> SocketAddr {
    addr("203.0.113.9:40000")
}

/// The allocation, the clock, and what a server knows.
struct Bench {
    now: Instant,
    start: Instant,
    allocation: Allocation,
    nonce: &'static str,
    realm: &'static str,
    /// What the server refuses although the signature is right.
    refuses: Vec<(Method, u16)>,
    /// Named in its refusals.
    alternate: Option<SocketAddr>,
    /// Answers nothing while it is set.
    dead: bool,
    requests: Vec<(Method, Message)>,
}

impl Bench {
    fn new(password: &str, reliable: bool) -> Self {
        Self::remembering(password, reliable, None)
    }

    fn remembering(password: &str, reliable: bool, challenge: Option<Challenge>) -> Self {
        let mut next = 0_u32;
        let ids = Box::new(move || {
            next += 1;
            let mut id = [0; 12];
            id[..4].copy_from_slice(&next.to_be_bytes());
            id
        });
        let crypto = rtc::crypto::default_provider().expect("the stack's own cryptography");
        let (username, password) = ("user".into(), password.into());
        let config = Config { username, password, challenge, reliable, crypto, ids };
        let now = Instant::now();
        let allocation = Allocation::new(now, config);
        Self {
            now,
            start: now,
            allocation,
            nonce: "one",
            realm: "realm",
            refuses: Vec::new(),
            alternate: None,
            dead: false,
            requests: Vec::new(),
        }
    }

    fn opened() -> Self {
        let mut bench = Self::new(PASSWORD, false);
        bench.exchange();
        let mapped = Some(addr("192.0.2.4:4000"));
        let opened = AllocationEvent::Opened { relayed: relayed(), mapped, round_trip: Duration::ZERO };
        assert_eq!(bench.allocation.poll_event(), Some(opened));
        bench.requests.clear();
        bench
    }

    fn crypto() -> Arc<dyn RTCCryptoProvider> {
        rtc::crypto::default_provider().expect("the stack's own cryptography")
    }

    /// Lets messages go to and fro until nobody has more to say. Returns the ChannelData that came to the server.
    fn exchange(&mut self) -> Vec<Vec<u8>> {
        let mut channel_data = Vec::new();
        while let Some(bytes) = self.allocation.poll_transmit() {
            let mut request = Message::new();
            if request.unmarshal_binary(&bytes).is_err() {
                channel_data.push(bytes);
                continue;
            }
            let method = request.typ.method;
            let answer =
                (!self.dead && request.typ.class == CLASS_REQUEST).then(|| self.answer(&mut request));
            self.requests.push((method, request));
            if let Some(answer) = answer {
                self.allocation.handle_input(self.now, BytesMut::from(&answer.raw[..]));
            }
        }
        channel_data
    }

    fn answer(&self, request: &mut Message) -> Message {
        let crypto = Self::crypto();
        let key = message::key(crypto.crypto(), "user", self.realm, PASSWORD).expect("MD5 is there");
        let nonce = TextAttribute::get_from_as(request, ATTR_NONCE).ok().map(|n| n.text);
        let code = match nonce.as_deref() {
            None => 401,
            Some(_) if !message::is_signed(crypto.crypto(), request, &key) => 401,
            Some(nonce) if nonce != self.nonce => 438,
            Some(_) => {
                let method = request.typ.method;
                self.refuses.iter().find(|(m, _)| *m == method).map_or(0, |(_, code)| *code)
            }
        };
        let mut answer = Message::new();
        answer.transaction_id = TransactionId(request.transaction_id.0);
        let class = if code == 0 { CLASS_SUCCESS_RESPONSE } else { CLASS_ERROR_RESPONSE };
        answer.typ = MessageType::new(request.typ.method, class);
        answer.write_header();
        if code != 0 {
            let error = ErrorCodeAttribute { code: ErrorCode(code), reason: b"no".to_vec() };
            error.add_to(&mut answer).expect("it fits");
            answer.add(ATTR_REALM, self.realm.as_bytes());
            answer.add(ATTR_NONCE, self.nonce.as_bytes());
            if let Some(to) = self.alternate {
                let address = AlternateServer { ip: to.ip(), port: to.port() };
                address.add_to_as(&mut answer, ATTR_ALTERNATE_SERVER).expect("it fits");
                answer.add(ATTR_ALTERNATE_DOMAIN, b"relay2.example");
            }
            return answer;
        }
        let lifetime = message::lifetime(request).unwrap_or(600);
        if request.typ.method == METHOD_ALLOCATE {
            for (attribute, at) in
                [(ATTR_XOR_RELAYED_ADDRESS, relayed()), (ATTR_XORMAPPED_ADDRESS, addr("192.0.2.4:4000"))]
            {
                let address = XorMappedAddress { ip: at.ip(), port: at.port() };
                address.add_to_as(&mut answer, attribute).expect("it fits");
            }
        }
        answer.add(ATTR_LIFETIME, &lifetime.to_be_bytes());
        MessageIntegrity::new_raw_integrity_with_provider(key, crypto.crypto())
            .add_to(&mut answer)
            .expect("it fits");
        answer
    }

    /// Moves the clock to the allocation's next timer, not beyond `limit` from the start, and serves it.
    fn tick(&mut self, limit: Duration) -> bool {
        match self.allocation.poll_timeout() {
            Some(due) if due <= self.start + limit => {
                assert!(due > self.now, "a timer that is due was not served");
                self.now = due;
                self.allocation.handle_timeout(due);
                self.exchange();
                true
            }
            _ => false,
        }
    }

    fn run_until(&mut self, limit: Duration) {
        while self.tick(limit) {}
    }

    fn count(&self, method: Method) -> usize {
        self.requests.iter().filter(|(m, _)| *m == method).count()
    }

    /// Sends media and lets permission and channel come to be.
    fn open_channel(&mut self) {
        self.allocation.send(self.now, peer(), &[22, 1]);
        self.exchange();
        assert_eq!(self.count(METHOD_CHANNEL_BIND), 1);
    }

    fn receive(&mut self, bytes: &[u8]) -> Option<AllocationEvent> {
        self.allocation.handle_input(self.now, BytesMut::from(bytes));
        self.allocation.poll_event()
    }
}

#[test]
fn an_allocation_signs_with_what_the_server_asks_for() {
    let bench = Bench::opened();
    assert!(!bench.allocation.is_over());
}

#[test]
fn a_wrong_password_is_told_in_words() {
    let mut bench = Bench::new("wrong", false);
    bench.exchange();
    let Some(AllocationEvent::Failed(why)) = bench.allocation.poll_event() else { panic!("it must fail") };
    assert!(why.words.contains("401") && why.words.contains("password is wrong"), "{why:?}");
    assert_eq!(why.kind, FailureKind::Refused);
    assert!(bench.allocation.is_over());
    assert_eq!(bench.count(METHOD_ALLOCATE), 2, "the wrong password is not tried for ever");
}

#[test]
fn a_dead_server_is_given_up_after_five_seconds() {
    let mut bench = Bench::new(PASSWORD, false);
    bench.dead = true;
    bench.exchange();
    bench.run_until(Duration::from_secs(60));
    assert_eq!(bench.now - bench.start, GIVE_UP);
    assert_eq!(bench.count(METHOD_ALLOCATE), 6);
    assert!(
        matches!(bench.allocation.poll_event(), Some(AllocationEvent::Failed(r)) if r.words.contains("not answer"))
    );
}

#[test]
fn over_a_stream_nothing_is_repeated() {
    let mut bench = Bench::new(PASSWORD, true);
    bench.dead = true;
    bench.exchange();
    bench.run_until(Duration::from_secs(60));
    assert_eq!(bench.count(METHOD_ALLOCATE), 1);
    assert!(bench.allocation.is_over());
}

#[test]
fn the_first_packets_wait_for_the_permission() {
    let mut bench = Bench::opened();
    bench.allocation.send(bench.now, peer(), &[0, 1]);
    bench.allocation.send(bench.now, peer(), &[0, 2]);
    bench.exchange();
    assert_eq!(bench.count(METHOD_CREATE_PERMISSION), 1);
    let sent: Vec<_> = bench
        .requests
        .iter()
        .filter(|(m, _)| *m == METHOD_SEND)
        .filter_map(|(_, m)| m.get(ATTR_DATA).ok())
        .collect();
    assert_eq!(sent, [vec![0, 1], vec![0, 2]]);
    assert_eq!(bench.count(METHOD_CHANNEL_BIND), 0, "checks alone get no channel");
    assert_eq!(bench.allocation.take_dropped(), 0);
}

#[test]
fn packets_that_waited_too_long_or_are_too_many_are_dropped_and_counted() {
    let mut bench = Bench::opened();
    bench.dead = true;
    for n in 0..20 {
        bench.allocation.send(bench.now, peer(), &[0, n]);
    }
    assert_eq!(bench.allocation.take_dropped(), 4, "16 may wait");
    bench.run_until(Duration::from_secs(6));
    assert_eq!(bench.allocation.take_dropped(), 16);
    assert_eq!(bench.allocation.poll_event(), Some(AllocationEvent::Doubtful(Doubt::Silent)));
    assert!(
        matches!(bench.allocation.poll_event(), Some(AllocationEvent::PeerRefused(ip, _)) if ip == peer().ip())
    );
}

#[test]
fn media_goes_over_a_channel_once_it_is_bound() {
    let mut bench = Bench::opened();
    bench.open_channel();
    bench.allocation.send(bench.now, peer(), &[0x80, 1, 2, 3, 4]);
    assert_eq!(bench.exchange(), [vec![0x40, 0, 0, 5, 0x80, 1, 2, 3, 4, 0, 0, 0]]);
    let data = bench.receive(&[0x40, 0, 0, 3, 7, 8, 9, 0]);
    assert_eq!(data, Some(AllocationEvent::Data { peer: peer(), data: BytesMut::from(&[7, 8, 9][..]) }));
    assert_eq!(bench.receive(&[0x40, 1, 0, 1, 7, 0, 0, 0]), None, "a channel that was never bound");
}

#[test]
fn data_without_a_channel_comes_with_its_sender() {
    let mut bench = Bench::opened();
    let mut indication = Message::new();
    indication.typ = MessageType::new(METHOD_DATA, CLASS_INDICATION);
    indication.write_header();
    let address = XorMappedAddress { ip: peer().ip(), port: peer().port() };
    address.add_to_as(&mut indication, ATTR_XOR_PEER_ADDRESS).expect("it fits");
    indication.add(ATTR_DATA, &[1, 2, 3]);
    let data = bench.receive(&indication.raw.clone());
    assert_eq!(data, Some(AllocationEvent::Data { peer: peer(), data: BytesMut::from(&[1, 2, 3][..]) }));
}

#[test]
fn a_session_of_hours_keeps_allocation_permission_and_channel_through_changes_of_nonce() {
    let mut bench = Bench::opened();
    bench.open_channel();
    let nonces = ["two", "three", "four", "five", "six", "seven"];
    for hundred in 1..=72 {
        bench.run_until(Duration::from_secs(hundred * 100));
        bench.now = bench.start + Duration::from_secs(hundred * 100);
        bench.nonce = nonces[(hundred as usize / 6) % nonces.len()];
        bench.allocation.send(bench.now, peer(), &[0x80, 1, 2, 3]);
        assert_eq!(bench.exchange(), [vec![0x40, 0, 0, 4, 0x80, 1, 2, 3]], "at {hundred}00 s");
    }
    assert_eq!(bench.allocation.poll_event(), None);
    assert!(bench.count(METHOD_REFRESH) >= 7200 / 300);
    assert!(bench.count(METHOD_CREATE_PERMISSION) >= 7200 / 300);
    assert!(bench.count(METHOD_CHANNEL_BIND) >= 7200 / 600);
}

#[test]
fn a_peer_that_is_not_used_is_not_renewed() {
    let mut bench = Bench::opened();
    bench.allocation.permit(bench.now, peer().ip());
    bench.exchange();
    bench.run_until(Duration::from_secs(1200));
    assert_eq!(bench.count(METHOD_CREATE_PERMISSION), 1);
}

#[test]
fn an_idle_allocation_keeps_the_nat_open() {
    let mut bench = Bench::opened();
    bench.run_until(Duration::from_secs(100));
    assert_eq!(bench.count(METHOD_BINDING), 5);
}

#[test]
fn an_allocation_that_cannot_be_refreshed_is_lost_when_it_expires_and_not_before() {
    let mut bench = Bench::opened();
    bench.dead = true;
    bench.run_until(Duration::from_secs(580));
    assert_eq!(bench.allocation.poll_event(), Some(AllocationEvent::Doubtful(Doubt::Silent)));
    assert_eq!(bench.allocation.poll_event(), None);
    assert!(bench.count(METHOD_REFRESH) > 10);
    bench.run_until(Duration::from_secs(620));
    assert!(matches!(bench.allocation.poll_event(), Some(AllocationEvent::Failed(_))));
    assert!(bench.allocation.is_over());
}

#[test]
fn an_answer_without_the_servers_signature_is_ignored() {
    let mut bench = Bench::opened();
    bench.allocation.permit(bench.now, peer().ip());
    let request = bench.allocation.poll_transmit().expect("the permission is asked for");
    let mut forged = Message::new();
    forged.unmarshal_binary(&request).expect("it is STUN");
    let mut answer = Message::new();
    answer.transaction_id = forged.transaction_id;
    answer.typ = MessageType::new(METHOD_CREATE_PERMISSION, CLASS_SUCCESS_RESPONSE);
    answer.write_header();
    bench.receive(&answer.raw);
    bench.allocation.send(bench.now, peer(), &[0, 1]);
    assert!(bench.allocation.poll_transmit().is_none(), "the packet still waits for the permission");
}

#[test]
fn closing_gives_the_allocation_back() {
    let mut bench = Bench::opened();
    bench.allocation.close(bench.now);
    bench.exchange();
    let (method, request) = bench.requests.last().expect("something was sent");
    assert_eq!((*method, message::lifetime(request)), (METHOD_REFRESH, Some(0)));
    assert!(bench.allocation.is_over());
}

#[test]
fn closing_before_it_is_there_gives_it_back_when_it_comes() {
    let mut bench = Bench::new(PASSWORD, false);
    bench.allocation.close(bench.now);
    bench.exchange();
    assert_eq!(bench.count(METHOD_REFRESH), 1);
    assert!(bench.allocation.is_over());
    assert_eq!(bench.allocation.poll_event(), None);
}

#[test]
fn closing_at_a_dead_server_takes_a_second() {
    let mut bench = Bench::opened();
    bench.dead = true;
    bench.allocation.close(bench.now);
    bench.run_until(Duration::from_secs(60));
    assert_eq!(bench.now - bench.start, RELEASE_TIME);
    assert!(bench.allocation.is_over());
}

#[test]
fn peers_of_the_other_ip_version_are_not_asked_for() {
    let mut bench = Bench::opened();
    bench.allocation.send(bench.now, addr("[2001:db8::9]:40000"), &[0, 1]);
    assert!(bench.allocation.poll_transmit().is_none());
    assert_eq!(bench.allocation.take_dropped(), 1);
}

proptest! {
    #[test]
    fn no_message_from_a_server_makes_it_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in 0..200_usize,
        channel in any::<bool>(),
    ) {
        let mut bench = Bench::opened();
        bench.open_channel();
        bench.allocation.permit(bench.now, addr("203.0.113.10:1").ip());
        let mut request = Message::new();
        let bytes = bench.allocation.poll_transmit().expect("a permission is asked for");
        request.unmarshal_binary(&bytes).expect("it is STUN");
        let mut bytes = if channel { vec![0x40, 0, 0, 100] } else { bench.answer(&mut request).raw };
        bytes.resize(bytes.len().min(length.max(4)), 0);
        for (at, value) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bench.receive(&bytes);
        prop_assert!(!bench.allocation.is_over(), "no single message ends an allocation that nobody closes");
    }
}
