//! Which pictures each viewer of a group gets, and the rate that follows from it.

use super::{Rendition, Seat, Share};

/// Percent of a stream's bits that are left when every second picture is left out: the pictures that remain are
/// the larger ones. Measured with two temporal layers, see `docs/adaptation.md`.
pub(super) const THINNED_PERCENT: u64 = 65;
/// A viewer with less than this percentage of what the next faster one can have is not waited for.
const BEHIND_PERCENT: u64 = 50;
/// A viewer gets a better seat when it could have had this percentage of the rate for a while.
const RISE_PERCENT: u64 = 115;

/// What a viewer can have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) id: u64,
    /// Its seat up to now.
    pub(super) previous: Option<Seat>,
    /// Bits a second, the reserve already taken off.
    pub(super) rate: u64,
    /// The same as it has lasted.
    pub(super) steady: u64,
    /// The most of the last second: more than `rate` in a dip.
    pub(super) lasting: u64,
    /// The most of the last four seconds.
    pub(super) long: u64,
}

impl Claim {
    /// The rate that encoders follow for a viewer with this seat: for a better one than before, what has lasted, less
    /// a margin.
    pub(super) fn towards(&self, seat: Seat) -> u64 {
        match self.previous {
            Some(previous) if previous > seat => self.rate.min(self.steady * 100 / RISE_PERCENT),
            _ => self.rate,
        }
    }

    /// The rate that counts when it is asked whether this seat can be had: who has it keeps it through a dip.
    pub(super) fn standing(&self, seat: Seat) -> u64 {
        if self.previous == Some(seat) { self.lasting } else { self.towards(seat) }
    }
}

/// How many at the beginning of ascending rates are so far behind the next that nobody waits for them.
pub(super) fn behind(ascending: &[u64]) -> usize {
    let far = |k: &usize| ascending[k - 1] * 100 < ascending[*k] * BEHIND_PERCENT;
    (1..ascending.len()).rev().find(far).unwrap_or(0)
}

/// The rate of a group that shares a rendition: that of its slowest viewer. Where pictures can be left out, those
/// far behind only count for what they get then; and with `bounded` they do not count at all if the others would
/// lose more than half by it.
pub(super) fn group_rate(claims: &[Claim], rendition: Rendition, layers: bool, bounded: bool) -> Option<u64> {
    let whole = Seat { rendition, share: Share::Whole };
    let mut rates: Vec<u64> = claims.iter().map(|claim| claim.towards(whole)).collect();
    rates.sort_unstable();
    let behind = if layers || bounded { behind(&rates) } else { 0 };
    let (slow, rest) = rates.split_at(behind);
    let least = *rest.first()?;
    if !layers {
        return Some(least);
    }
    let waited_for = |wish: &u64| !bounded || wish * 100 >= least * BEHIND_PERCENT;
    let wishes = slow.iter().map(|rate| rate * 100 / THINNED_PERCENT).filter(waited_for);
    Some(wishes.fold(least, u64::min))
}

/// What a viewer gets of a rendition of this rate. From moving pictures to key frames only it goes when they could not be
/// had for long.
pub(super) fn seat(claim: &Claim, rendition: Rendition, rate: u64, layers: bool) -> Seat {
    let of = |share| Seat { rendition, share };
    let thinned = rate * THINNED_PERCENT / 100;
    let has_more =
        claim.previous.is_some_and(|seat| seat.rendition == rendition && seat.share != Share::Keyframes);
    if claim.standing(of(Share::Whole)) >= rate {
        of(Share::Whole)
    } else if layers && (claim.standing(of(Share::Thinned)) >= thinned || (has_more && claim.long >= thinned))
    {
        of(Share::Thinned)
    } else {
        of(Share::Keyframes)
    }
}

/// Of those who share the main rendition, who in a dip cannot have it for the moment, and is not waited for: the first
/// of them in ascending order of rates, and how many.
pub(super) fn dipping(claims: &mut [Claim]) -> usize {
    claims.sort_by_key(|claim| claim.towards(Seat::BEST));
    behind(&claims.iter().map(|claim| claim.towards(Seat::BEST)).collect::<Vec<_>>())
}

/// What a viewer in a dip gets of the main rendition: what can be left out is left out for it, but nothing is done that
/// it could only come back from with a key frame.
pub(super) fn dipped(claim: &Claim, layers: bool) -> Seat {
    let share = match claim.previous {
        Some(Seat { rendition: Rendition::Main, share: Share::Keyframes }) => Share::Keyframes,
        _ if layers => Share::Thinned,
        _ => Share::Whole,
    };
    Seat { rendition: Rendition::Main, share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_behind_are_split_off_at_the_highest_gap_of_more_than_half() {
        for (rates, slow) in [
            (&[100, 2000][..], 1),
            (&[1000, 2000], 0),
            (&[999, 2000], 1),
            (&[100, 500, 2000], 2),
            (&[100, 500, 900], 1),
            (&[7], 0),
            (&[], 0),
        ] {
            assert_eq!(behind(rates), slow, "{rates:?}");
        }
    }

    #[test]
    fn a_group_gives_way_by_half_at_most_where_it_is_bounded() {
        let claims = |rates: &[u64]| -> Vec<_> {
            rates
                .iter()
                .map(|&rate| Claim { id: 0, previous: None, rate, steady: rate, lasting: rate, long: rate })
                .collect()
        };
        let main = |rates: &[u64]| group_rate(&claims(rates), Rendition::Main, true, true);
        assert_eq!(main(&[800, 2000, 2500]), Some(1230), "thinned, it carries 800");
        assert_eq!(main(&[200, 2000, 2500]), Some(2000), "too far behind");
        let sub = |layers| group_rate(&claims(&[200, 2000]), Rendition::Sub, layers, false);
        assert_eq!((sub(true), sub(false)), (Some(307), Some(200)));
        assert_eq!(main(&[]), None);
    }
}
