//! V4L2's four-character codes.

use std::fmt;

/// The code of a pixel format (`v4l2_fourcc`), its first character first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FourCc(pub [u8; 4]);

/// For people: without its blanks, and with the top bit as what it stands for, big-endian.
impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let big_endian = if self.0[3] & 0x80 != 0 { "-BE" } else { "" };
        let plain = self.0.map(|byte| byte & 0x7f);
        write!(f, "{}{big_endian}", String::from_utf8_lossy(&plain).trim_end().escape_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_printed_without_blanks_and_control_characters() {
        let words = |code| FourCc(code).to_string();
        assert_eq!(words(*b"UYVY"), "UYVY");
        assert_eq!(words(*b"Y10 "), "Y10");
        assert_eq!(words([b'Y', b'1', b'6', b' ' | 0x80]), "Y16-BE");
        assert_eq!(words([1, b'a', b'b', b'c']), "\\u{1}abc");
    }
}
