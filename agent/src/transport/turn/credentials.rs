//! What a TURN user name tells of its life: credentials of the REST form end at a time that is written in them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A new allocation with new credentials is made when so much of the old ones' life is over, in percent.
const RENEW_AT: u32 = 80;
/// Lives beyond this are no lives: this machine's clock, or the number, means something else.
const MAX_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// When credentials of the form `<unix time of expiry>[:<name>]` end (draft-uberti-behave-turn-rest-00 section 2.2).
/// `None`: the user name is of another form.
pub fn expiry(username: &str) -> Option<SystemTime> {
    let digits = username.split(':').next()?;
    // Times since 2001 have ten digits; a shorter number is a customer's.
    if digits.len() < 10 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    UNIX_EPOCH.checked_add(Duration::from_secs(digits.parse().ok()?))
}

/// How long credentials are used from `wall` on, the time of this machine, before newer ones are to take their place.
/// `None`: until the server refuses them, since nothing is known, or this machine's clock is wrong.
pub(super) fn use_for(username: &str, wall: SystemTime) -> Option<Duration> {
    let life = expiry(username)?.duration_since(wall).ok()?;
    (life <= MAX_LIFE).then(|| life / 100 * RENEW_AT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_rest_form_says_when_it_ends() {
        assert_eq!(expiry("1764000000:01JD3Z8Q7M"), Some(at(1_764_000_000)));
        assert_eq!(expiry("1764000000"), Some(at(1_764_000_000)));
        for other in ["alice", "", ":1764000000", "17640:alice", "+1764000000:a", "99999999999999999999999:a"]
        {
            assert_eq!(expiry(other), None, "{other}");
        }
    }

    #[test]
    fn credentials_are_replaced_with_a_fifth_of_their_life_left() {
        let name = "1764000600:s";
        assert_eq!(use_for(name, at(1_764_000_000)), Some(Duration::from_secs(480)));
        assert_eq!(use_for(name, at(1_764_000_601)), None, "already over: the server decides");
        assert_eq!(use_for(name, at(1_000)), None, "a board that thinks it is 1970");
    }

    proptest! {
        #[test]
        fn no_user_name_makes_it_panic(name in "[0-9]{0,25}:?\\PC{0,10}", now in 0..5_000_000_000_u64) {
            if let Some(life) = use_for(&name, at(now)) {
                prop_assert!(life <= MAX_LIFE);
            }
        }
    }
}
