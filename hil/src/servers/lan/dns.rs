//! As much of DNS (RFC 1035) as it takes to see that a server answers.

/// Header of a message, in bytes (section 4.1.1).
const HEADER: usize = 12;
/// Class IN.
const INTERNET: u16 = 1;
/// Type A.
const ADDRESS: u16 = 1;

/// "What is this name's IPv4 address?" Names of the rig have short labels.
pub(super) fn question(id: u16, name: &str) -> Vec<u8> {
    // One question, recursion desired.
    let mut message = [id, 0x0100, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend([ADDRESS, INTERNET].map(u16::to_be_bytes).concat());
    message
}

/// How many records answer the question, if this is a success that answers it.
pub(super) fn answers(id: u16, message: &[u8]) -> Option<u16> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let (flags, count) = (word(2)?, word(6)?);
    // A response without an error code.
    (message.len() >= HEADER && word(0)? == id && flags & 0x8000 != 0 && flags & 0x000f == 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_number_and_its_success() {
        let asked = question(7, "hub.p2pcam.test");
        assert_eq!(&asked[12..], b"\x03hub\x06p2pcam\x04test\0\0\x01\0\x01");
        assert_eq!(answers(7, &asked), None, "the question itself");
        let mut told = asked.clone();
        told[2] |= 0x80;
        told[7] = 1;
        assert_eq!(answers(7, &told), Some(1));
        assert_eq!(answers(8, &told), None);
        told[3] |= 3;
        assert_eq!(answers(7, &told), None, "no such name");
    }

    proptest::proptest! {
        #[test]
        fn no_message_makes_the_reader_panic(message in proptest::collection::vec(0u8.., 0..32)) {
            let _ = answers(0, &message);
        }
    }
}
