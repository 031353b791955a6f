//! A name that hides an address: a version 4 UUID and `.local` (draft-ietf-mmusic-mdns-ice-candidates-03, section 3.1.1).

use std::{fmt, str::FromStr};

/// Length of a UUID's text.
pub(super) const UUID: usize = 36;
/// Where its dashes stand (RFC 9562 section 4).
const DASHES: [usize; 4] = [8, 13, 18, 23];
/// What follows it.
const SUFFIX: &str = ".local";
/// The bits that say "version 4" and "variant of RFC 9562", and where they are.
const VERSION: (u128, u128) = (0x4 << 76 | 0b10 << 62, 0xf << 76 | 0b11 << 62);

/// See the module. No other names are asked for or told: whoever hides an address makes one of these, and a viewer must
/// not be able to make the device ask its network for names of its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HiddenName(u128);

/// Why a text is no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version 4 UUID and `.local`: other names are not looked up; send the address itself")]
pub struct NotHidden(String);

impl HiddenName {
    /// A name of 122 random bits, which nobody else has.
    pub fn of(random: [u8; 16]) -> Self {
        let (bits, mask) = VERSION;
        Self(u128::from_be_bytes(random) & !mask | bits)
    }

    /// From the UUID's 36 characters, in upper or lower case.
    pub(super) fn of_uuid(text: &[u8]) -> Option<Self> {
        if text.len() != UUID {
            return None;
        }
        let mut value = 0;
        for (at, &byte) in text.iter().enumerate() {
            if DASHES.contains(&at) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            value = value << 4 | u128::from(char::from(byte).to_digit(16)?);
        }
        let (bits, mask) = VERSION;
        (value & mask == bits).then_some(Self(value))
    }

    /// The UUID alone, in lower case.
    pub(super) fn uuid(self) -> String {
        let hex = format!("{:032x}", self.0);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl FromStr for HiddenName {
    type Err = NotHidden;

    fn from_str(text: &str) -> Result<Self, NotHidden> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let split = name.split_at_checked(UUID).filter(|(_, rest)| rest.eq_ignore_ascii_case(SUFFIX));
        let read = split.and_then(|(uuid, _)| Self::of_uuid(uuid.as_bytes()));
        read.ok_or_else(|| NotHidden(text.chars().take(80).collect()))
    }
}

impl fmt::Display for HiddenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", self.uuid())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_uuids_of_version_4_are_names() {
        let name = "1F4712DB-EA17-4bcf-a596-105139dfd8bf.local";
        assert_eq!(name.parse::<HiddenName>().unwrap().to_string(), name.to_lowercase());
        for other in [
            "camera.local",
            "1f4712db-ea17-1bcf-a596-105139dfd8bf.local",
            "1f4712db-ea17-4bcf-0596-105139dfd8bf.local",
            "1f4712db-ea17-4bcf-a596-105139dfd8bf.local.evil.example",
            "1f4712db-ea17-4bcf-a596-105139dfd8bf.localx",
            "1f4712db-ea17-4bcf-a596-105139dfd8bf",
            "1f4712dbea174bcfa596105139dfd8bf.local",
            "1f4712db+ea17-4bcf-a596-105139dfd8bf.local",
            "ä1f4712db-ea17-4bcf-a596-105139dfd8b.local",
            "",
        ] {
            let error = other.parse::<HiddenName>().unwrap_err().to_string();
            assert!(error.contains("version 4 UUID"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn each_name_is_read_as_it_is_written(random: [u8; 16]) {
            let name = HiddenName::of(random);
            prop_assert_eq!(name.to_string().parse(), Ok(name));
            prop_assert_eq!(format!("{name}.").to_uppercase().parse(), Ok(name));
        }

        #[test]
        fn any_text_is_read(text in "\\PC*") {
            let _ = text.parse::<HiddenName>();
        }
    }
}
