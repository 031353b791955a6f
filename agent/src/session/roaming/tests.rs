//! Tests of what a session asks for, and when.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A session with a path, and a viewer that was heard every 100 ms for 30 s until now.
fn watched() -> (Instant, Roaming) {
    let start = Instant::now();
    let mut roaming = Roaming::new(start);
    roaming.connected(start);
    for n in 1..=300 {
        roaming.heard(start + n * 100 * MS);
    }
    (start + 30_000 * MS, roaming)
}

/// What is wished from `from` to `to`, with the milliseconds since `start`.
fn wishes(roaming: &mut Roaming, start: Instant, from: u32, to: u32) -> Vec<(u128, &'static str)> {
    let mut all = Vec::new();
    let mut now = start + from * MS;
    loop {
        while let Some(wish) = roaming.poll(now) {
            let word = if wish == Wish::Doubt { "doubt" } else { "restart" };
            all.push(((now - start).as_millis(), word));
        }
        match roaming.due() {
            Some(due) if due <= start + to * MS => now = now.max(due),
            _ => return all,
        }
    }
}

fn restarts(all: &[(u128, &'static str)]) -> Vec<u128> {
    all.iter().filter(|(_, word)| *word == "restart").map(|(at, _)| *at).collect()
}

#[test]
fn a_silent_viewer_is_a_doubt_first_and_asked_before_a_second_is_over() {
    let (now, mut roaming) = watched();
    let all = wishes(&mut roaming, now, 0, 1000);
    assert!(matches!(all[..], [(300..400, "doubt"), (600..800, "restart")]), "{all:?}");
}

#[test]
fn a_viewer_without_a_path_yet_is_asked_nothing() {
    let now = Instant::now();
    let mut roaming = Roaming::new(now);
    roaming.leave("gone");
    assert_eq!((roaming.due(), roaming.poll(now + 60_000 * MS)), (None, None));
}

#[test]
fn it_is_asked_again_more_and_more_slowly_while_nothing_is_heard() {
    let (now, mut roaming) = watched();
    let asked = restarts(&wishes(&mut roaming, now, 0, 30_000));
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000]);
}

#[test]
fn a_link_that_is_down_carries_nothing_and_one_that_is_back_carries_it_at_once() {
    let (now, mut roaming) = watched();
    roaming.link(now + 100 * MS, false);
    let meanwhile = wishes(&mut roaming, now, 100, 9000);
    assert!(meanwhile.len() > 5 && meanwhile.iter().all(|(_, word)| *word == "doubt"), "{meanwhile:?}");
    roaming.link(now + 9000 * MS, true);
    assert_eq!(restarts(&wishes(&mut roaming, now, 9000, 9900)), [9000]);
    // Again a new connection: the first may have carried nothing.
    roaming.link(now + 9900 * MS, true);
    assert_eq!(restarts(&wishes(&mut roaming, now, 9900, 9950)), [9900]);
}

#[test]
fn a_link_that_is_back_means_nothing_where_the_viewer_is_heard() {
    let (now, mut roaming) = watched();
    roaming.link(now, false);
    roaming.link(now + 50 * MS, true);
    assert_eq!(wishes(&mut roaming, now, 50, 100), []);
}

#[test]
fn a_link_that_broke_with_a_viewer_that_is_a_doubt_needs_no_longer_silence() {
    let (now, mut roaming) = watched();
    let all = wishes(&mut roaming, now, 0, 400);
    assert!(matches!(all[..], [(_, "doubt")]), "{all:?}");
    roaming.link(now + 410 * MS, false);
    roaming.link(now + 450 * MS, true);
    assert_eq!(restarts(&wishes(&mut roaming, now, 450, 460)), [450]);
}

#[test]
fn an_address_that_is_gone_is_not_waited_for() {
    let (now, mut roaming) = watched();
    roaming.leave("its address is gone");
    assert_eq!(roaming.poll(now), Some(Wish::Restart("its address is gone".into())));
    assert_eq!(roaming.poll(now), None);
    // Silence is asked about as ever.
    assert_eq!(restarts(&wishes(&mut roaming, now, 0, 1500)), [1000]);
}

#[test]
fn an_offer_gets_time_for_its_checks() {
    let (now, mut roaming) = watched();
    assert_eq!(restarts(&wishes(&mut roaming, now, 0, 800)).len(), 1);
    roaming.restarted(now + 800 * MS);
    assert_eq!(restarts(&wishes(&mut roaming, now, 800, 3900)), [3800]);
}

#[test]
fn a_viewer_that_comes_and_goes_is_not_asked_each_time() {
    let (now, mut roaming) = watched();
    let mut all = Vec::new();
    for second in 0..40 {
        all.extend(wishes(&mut roaming, now, second * 1500, second * 1500 + 1400));
        roaming.heard(now + (second * 1500 + 1400) * MS);
    }
    let asked = restarts(&all).len();
    assert!(asked <= 60 / 4 + 2, "{asked} times in a minute");
}
