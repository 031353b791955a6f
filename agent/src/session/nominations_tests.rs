//! Which pair is used, by the datagrams alone; and a session that moves from a relay to a direct path.
#![allow(clippy::unwrap_used)]

use super::*;

const DEVICE: &str = "192.0.2.1:5000";
/// The viewer's relay and its mapped address.
const RELAY: &str = "203.0.113.9:7000";
const DIRECT: &str = "198.51.100.1:6000";

fn pair(remote: &str) -> Path {
    Path::udp(DEVICE.parse().unwrap(), remote.parse().unwrap())
}

fn message(kind: u16, id: u8, attributes: &[u8]) -> Vec<u8> {
    let mut message = kind.to_be_bytes().to_vec();
    message.extend_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    message.extend_from_slice(&[id; 12]);
    message.extend_from_slice(attributes);
    message
}

fn request(id: u8) -> Vec<u8> {
    message(0x0001, id, &[])
}

fn success(id: u8) -> Vec<u8> {
    message(0x0101, id, &[])
}

const MEDIA: [u8; 12] = [0x80; 12];

/// What a browser makes of it, with the stack on the relay.
struct Course {
    nominations: Nominations,
    now: Instant,
    id: u8,
}

impl Course {
    fn on_the_relay() -> Self {
        let mut nominations = Nominations::default();
        nominations.told_local("candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host");
        nominations
            .told_remote("candidate:2 1 udp 50340351 203.0.113.9 7000 typ relay raddr 0.0.0.0 rport 0");
        nominations
            .told_remote("candidate:3 1 udp 1677729535 198.51.100.1 6000 typ srflx raddr 0.0.0.0 rport 0");
        let mut course = Self { nominations, now: Instant::now(), id: 0 };
        course.nominate(RELAY);
        assert_eq!(course.media(), pair(RELAY));
        assert!(!course.nominations.take_move(), "the first pair is no other one");
        course
    }

    /// A check that nominates, and the stack's answer.
    fn nominate(&mut self, remote: &str) {
        self.id += 1;
        let check = message(0x0001, self.id, &[0, 0x25, 0, 0]);
        assert_eq!(self.nominations.incoming(self.now, pair(remote), &check), pair(remote));
        let answer = success(self.id);
        assert_eq!(self.nominations.outgoing(self.now, pair(remote), &answer), pair(remote));
    }

    /// Where media goes that the stack sends by the relay.
    fn media(&mut self) -> Path {
        self.nominations.outgoing(self.now, pair(RELAY), &MEDIA)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn a_better_pair_that_is_nominated_later_is_used() {
    let mut course = Course::on_the_relay();
    course.nominate(DIRECT);
    assert_eq!(course.media(), pair(DIRECT));
    assert!(course.nominations.take_move() && !course.nominations.take_move());
    assert_eq!(course.nominations.elsewhere().unwrap(), format!("host {DEVICE} to srflx {DIRECT}"));
}

#[test]
fn a_nomination_that_the_stack_does_not_answer_counts_for_nothing() {
    let mut course = Course::on_the_relay();
    let check = message(0x0001, 9, &[0, 0x25, 0, 0]);
    course.nominations.incoming(course.now, pair(DIRECT), &check);
    assert_eq!(course.media(), pair(RELAY));
    // An error, an answer to somebody else, and an answer to another check.
    course.nominations.outgoing(course.now, pair(DIRECT), &message(0x0111, 9, &[]));
    course.nominations.outgoing(course.now, pair(RELAY), &success(9));
    course.nominations.outgoing(course.now, pair(DIRECT), &success(8));
    assert_eq!(course.media(), pair(RELAY));
}

#[test]
fn a_check_that_nominates_nothing_moves_nothing() {
    let mut course = Course::on_the_relay();
    course.nominations.incoming(course.now, pair(DIRECT), &request(9));
    course.nominations.outgoing(course.now, pair(DIRECT), &success(9));
    assert_eq!(course.media(), pair(RELAY));
}

#[test]
fn a_worse_pair_is_taken_only_when_the_one_in_use_is_silent() {
    let mut course = Course::on_the_relay();
    course.nominate(DIRECT);
    course.wait(SILENCE - Duration::from_millis(1));
    course.nominate(RELAY);
    assert_eq!(course.media(), pair(DIRECT));
    course.nominations.incoming(course.now, pair(DIRECT), &MEDIA);
    course.wait(SILENCE - Duration::from_millis(1));
    course.nominate(RELAY);
    assert_eq!(course.media(), pair(DIRECT));
    course.wait(Duration::from_millis(1));
    course.nominate(RELAY);
    assert_eq!(course.media(), pair(RELAY));
    assert_eq!(course.nominations.elsewhere(), None);
}

#[test]
fn a_viewer_that_was_not_told_of_has_the_priority_that_its_check_brings() {
    let mut course = Course::on_the_relay();
    let unknown = "198.51.100.7:6007";
    for (id, priority, wanted) in [(101, [0, 0, 0, 1], RELAY), (102, [0x6e, 0, 0x1e, 0xff], unknown)] {
        let attributes = [&[0, 0x25, 0, 0, 0, 0x24, 0, 4][..], &priority].concat();
        course.nominations.incoming(course.now, pair(unknown), &message(0x0001, id, &attributes));
        course.nominations.outgoing(course.now, pair(unknown), &success(id));
        assert_eq!(course.media(), pair(wanted));
    }
    assert_eq!(course.nominations.elsewhere().unwrap(), format!("host {DEVICE} to prflx {unknown}"));
}

#[test]
fn consent_is_asked_for_on_the_pair_in_use() {
    let mut course = Course::on_the_relay();
    course.nominate(DIRECT);
    let (now, all) = (course.now, &mut course.nominations);
    assert_eq!(all.outgoing(now, pair(RELAY), &request(50)), pair(DIRECT));
    assert_eq!(all.incoming(now, pair(DIRECT), &success(50)), pair(RELAY), "the stack asked the relay");
    assert_eq!(all.incoming(now, pair(DIRECT), &success(50)), pair(DIRECT), "once");
    // Checks of another pair, and answers to the viewer's, go where they are meant to go.
    assert_eq!(all.outgoing(now, pair(DIRECT), &request(51)), pair(DIRECT));
    assert_eq!(all.incoming(now, pair(DIRECT), &success(51)), pair(DIRECT));
    assert_eq!(all.outgoing(now, pair(RELAY), &success(52)), pair(RELAY));
}

#[test]
fn a_flood_of_nominations_is_forgotten() {
    let mut course = Course::on_the_relay();
    for id in 10..200 {
        course.nominations.incoming(course.now, pair(DIRECT), &message(0x0001, id, &[0, 0x25, 0, 0]));
        course.nominations.told_remote("candidate:3 1 udp 1 198.51.100.1 6000 typ srflx");
    }
    assert_eq!((course.nominations.asked.len(), course.nominations.remote.len()), (MAX_PENDING, MAX_TOLD));
}
