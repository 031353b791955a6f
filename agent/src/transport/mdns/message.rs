//! Messages of multicast DNS (RFC 6762, RFC 1035 section 4) as far as hidden names go. Pure; fuzzed as `mdns`.
//!
//! All other names and types are passed over. Own code, as what there is does not fit: `rtc-mdns` 0.21 knows IPv4 alone,
//! logs an error for each packet that it does not understand and keeps questions without a bound; a general DNS library is
//! twenty times this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::name::{HiddenName, UUID};

/// Longest message (RFC 6762 section 17).
pub const MAX_MESSAGE: usize = 9000;
/// Questions and records looked at, of each; a message within 1500 bytes has hardly more.
const MAX_ENTRIES: usize = 128;
/// Compression pointers followed in one name (RFC 1035 section 4.1.4). Each leads backwards.
const MAX_JUMPS: usize = 16;
/// Labels of one name: those of 255 bytes.
const MAX_LABELS: usize = 128;
/// How long our records hold (RFC 6762 section 10, for host names), in seconds.
pub const TTL: u32 = 120;
/// The same for those who know nothing of multicast DNS (section 6.7), in seconds.
const LEGACY_TTL: u32 = 10;

const HEADER: usize = 12;
const LOCAL: &[u8] = b"local";
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const TYPE_NSEC: u16 = 47;
const TYPE_ANY: u16 = 255;
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;
/// In a question: an answer to the asker alone will do (section 5.4). In a record: it is the only one (section 10.2).
const TOP_BIT: u16 = 0x8000;
/// "Response", of 16 bits of flags.
const RESPONSE: u16 = 0x8000;
/// "Response", "authoritative" (section 18.4).
const ANSWER: u16 = 0x8400;
/// Opcode and response code, which are zero (sections 18.3 and 18.11).
const OPCODE_RCODE: u16 = 0x780f;
/// Points to the first name of a message (RFC 1035 section 4.1.4).
const FIRST_NAME: [u8; 2] = [0xc0, 12];

/// What is asked of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its IPv4 address.
    A,
    /// Its IPv6 address.
    Aaaa,
    /// All that there is.
    Any,
}

impl Wanted {
    fn number(self) -> u16 {
        match self {
            Self::A => TYPE_A,
            Self::Aaaa => TYPE_AAAA,
            Self::Any => TYPE_ANY,
        }
    }

    /// Whether `address` is such a one.
    pub fn is(self, address: IpAddr) -> bool {
        match self {
            Self::A => address.is_ipv4(),
            Self::Aaaa => address.is_ipv6(),
            Self::Any => true,
        }
    }
}

/// A question for a hidden name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which.
    pub name: HiddenName,
    /// What of it.
    pub wanted: Wanted,
    /// An answer to the asker alone will do.
    pub unicast: bool,
}

/// An address of a hidden name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub name: HiddenName,
    /// Which.
    pub address: IpAddr,
    /// For how many seconds; 0: not any more.
    pub ttl: u32,
}

/// What a message says of hidden names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks.
    Query {
        /// To be repeated in an answer to who knows nothing of multicast DNS.
        id: u16,
        /// For what.
        questions: Vec<Question>,
        /// What the asker knows already (RFC 6762 section 7.1).
        known: Vec<Record>,
    },
    /// Somebody answers, or tells without being asked.
    Response(Vec<Record>),
}

/// Reads a message. `None`: it is broken, or not of multicast DNS.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader { bytes, at: 0 };
    let id = reader.u16()?;
    let flags = reader.u16()?;
    if bytes.len() > MAX_MESSAGE || flags & OPCODE_RCODE != 0 {
        return None;
    }
    let [questions_in, answers, authorities, additional] =
        [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?].map(usize::from);
    // Behind questions that are not read, nothing can be.
    if questions_in > MAX_ENTRIES {
        return None;
    }
    let mut questions = Vec::new();
    for _ in 0..questions_in {
        questions.extend(reader.question()?);
    }
    let is_query = flags & RESPONSE == 0;
    // What a query has behind its answers is what the asker would like to have itself (section 8.2).
    let wanted = if is_query { answers } else { answers + authorities + additional };
    let mut records = Vec::new();
    for _ in 0..wanted.min(MAX_ENTRIES) {
        records.extend(reader.record()?);
    }
    Some(match is_query {
        true => Message::Query { id, questions, known: records },
        false => Message::Response(records),
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The outer `None`: broken. The inner one: not for us.
    fn question(&mut self) -> Option<Option<Question>> {
        let name = self.name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        let wanted = match kind {
            TYPE_A => Some(Wanted::A),
            TYPE_AAAA => Some(Wanted::Aaaa),
            TYPE_ANY => Some(Wanted::Any),
            _ => None,
        };
        let in_class = matches!(class & !TOP_BIT, CLASS_IN | CLASS_ANY);
        let unicast = class & TOP_BIT != 0;
        let question = name.zip(wanted).filter(|_| in_class);
        Some(question.map(|(name, wanted)| Question { name, wanted, unicast }))
    }

    /// As [`Self::question`].
    fn record(&mut self) -> Option<Option<Record>> {
        let name = self.name()?;
        let (kind, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = self.u16()?;
        let data = self.take(length.into())?;
        let address = match kind {
            TYPE_A => <[u8; 4]>::try_from(data).ok().map(|octets| IpAddr::V4(octets.into())),
            TYPE_AAAA => <[u8; 16]>::try_from(data).ok().map(|octets| IpAddr::V6(octets.into())),
            _ => None,
        };
        let record = name.zip(address).filter(|_| class & !TOP_BIT == CLASS_IN);
        Some(record.map(|(name, address)| Record { name, address, ttl }))
    }

    /// As [`Self::question`].
    fn name(&mut self) -> Option<Option<HiddenName>> {
        let (mut at, mut end, mut jumps) = (self.at, None, 0);
        let mut labels: [&[u8]; 2] = [&[]; 2];
        for n in 0..MAX_LABELS {
            // A pointer is no label; a chain of them ends as each leads backwards.
            let length = loop {
                let length = usize::from(*self.bytes.get(at)?);
                if length < 0xc0 {
                    break length;
                }
                let target = (length & 0x3f) << 8 | usize::from(*self.bytes.get(at + 1)?);
                jumps += 1;
                if target >= at || jumps > MAX_JUMPS {
                    return None;
                }
                end.get_or_insert(at + 2);
                at = target;
            };
            if length > 63 {
                return None;
            }
            if length == 0 {
                self.at = end.unwrap_or(at + 1);
                let hidden = n == 2 && labels[1].eq_ignore_ascii_case(LOCAL);
                return Some(hidden.then(|| HiddenName::of_uuid(labels[0])).flatten());
            }
            let label = self.bytes.get(at + 1..at + 1 + length)?;
            if let Some(place) = labels.get_mut(n) {
                *place = label;
            }
            at += 1 + length;
        }
        None
    }
}

/// A question to all. One a message: Chromium reads no second one.
pub fn query(name: HiddenName, wanted: Wanted) -> Vec<u8> {
    let mut out = header(0, 0, [1, 0, 0]);
    put_name(&mut out, name);
    put(&mut out, &[wanted.number(), CLASS_IN]);
    out
}

/// The answer to `wanted`: the address, and that there is no other (RFC 6762 section 6.1); an asker for an address of the
/// other IP version is told so at once and need not wait.
pub fn answer(name: HiddenName, address: IpAddr, wanted: Wanted) -> Vec<u8> {
    let mut out = header(0, ANSWER, [0, 1, 1]);
    put_name(&mut out, name);
    if wanted.is(address) {
        put_address(&mut out, address, TTL, CLASS_IN | TOP_BIT);
        out.extend(FIRST_NAME);
        put_only(&mut out, address);
    } else {
        put_only(&mut out, address);
        out.extend(FIRST_NAME);
        put_address(&mut out, address, TTL, CLASS_IN | TOP_BIT);
    }
    out
}

/// The answer to one who asks from another port than 5353, as ordinary DNS has it (RFC 6762 section 6.7).
pub fn legacy_answer(id: u16, name: HiddenName, address: IpAddr, wanted: Wanted) -> Vec<u8> {
    let mut out = header(id, ANSWER, [1, 1, 0]);
    put_name(&mut out, name);
    put(&mut out, &[wanted.number(), CLASS_IN]);
    out.extend(FIRST_NAME);
    put_address(&mut out, address, LEGACY_TTL, CLASS_IN);
    out
}

/// The name is not used any more (RFC 6762 section 10.1).
pub fn goodbye(name: HiddenName, address: IpAddr) -> Vec<u8> {
    let mut out = header(0, ANSWER, [0, 1, 0]);
    put_name(&mut out, name);
    put_address(&mut out, address, 0, CLASS_IN | TOP_BIT);
    out
}

fn header(id: u16, flags: u16, [questions, answers, additional]: [u16; 3]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + 128);
    put(&mut out, &[id, flags, questions, answers, 0, additional]);
    out
}

fn put(out: &mut Vec<u8>, numbers: &[u16]) {
    out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
}

fn put_name(out: &mut Vec<u8>, name: HiddenName) {
    for label in [name.uuid().as_bytes(), LOCAL] {
        // 36 and 5.
        out.push(u8::try_from(label.len()).unwrap_or_default());
        out.extend(label);
    }
    out.push(0);
}

fn put_ttl(out: &mut Vec<u8>, ttl: u32) {
    out.extend(ttl.to_be_bytes());
}

fn put_address(out: &mut Vec<u8>, address: IpAddr, ttl: u32, class: u16) {
    match address {
        IpAddr::V4(address) => {
            put(out, &[TYPE_A, class]);
            put_ttl(out, ttl);
            put(out, &[4]);
            out.extend(Ipv4Addr::octets(&address));
        }
        IpAddr::V6(address) => {
            put(out, &[TYPE_AAAA, class]);
            put_ttl(out, ttl);
            put(out, &[16]);
            out.extend(Ipv6Addr::octets(&address));
        }
    }
}

/// That the name has addresses of this IP version and nothing else: a bit map of types (RFC 4034 section 4.1.2).
fn put_only(out: &mut Vec<u8>, address: IpAddr) {
    put(out, &[TYPE_NSEC, CLASS_IN | TOP_BIT]);
    put_ttl(out, TTL);
    let types: &[u8] = match address {
        IpAddr::V4(_) => &[0x40],
        IpAddr::V6(_) => &[0, 0, 0, 0x08],
    };
    let length = u16::try_from(types.len()).unwrap_or_default();
    put(out, &[2 + 2 + length]);
    out.extend(FIRST_NAME);
    // Window 0, and how many bytes follow.
    put(out, &[length]);
    out.extend(types);
}

const _: () = assert!(UUID < 64, "a label has 63 bytes at most");

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
