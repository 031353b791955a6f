//! Properties of the judge: whatever viewers tell, in whatever order.

use proptest::prelude::*;

use super::*;

fn moment() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![-100.0..12_000.0, Just(f64::NAN), Just(f64::INFINITY), -1e300..1e300]
}

fn sane() -> impl Strategy<Value = f64> + Clone {
    0.0..12_000.0
}

fn event(time: impl Strategy<Value = f64> + Clone) -> impl Strategy<Value = Event> {
    let words = "no-path|device-offline|no-picture|relay|host|\\PC{0,8}";
    prop_oneof![
        time.clone().prop_map(|ms| Event::Session { ms, id: "s".into() }),
        (time.clone(), any::<bool>(), "\\PC{0,40}").prop_map(|(ms, remote, candidate)| Event::Candidate {
            ms,
            remote,
            candidate
        }),
        time.clone().prop_map(|ms| Event::Answer { ms }),
        (time.clone(), words).prop_map(|(ms, state)| Event::State { ms, state }),
        (time.clone(), time.clone())
            .prop_map(|(ms, lasted_ms)| Event::Freeze { ms, lasted_ms: lasted_ms / 4.0 }),
        time.clone().prop_map(|ms| Event::FirstPicture { ms, width: 1, height: 1 }),
        (time.clone(), words, words).prop_map(|(ms, local, remote)| Event::Path {
            ms,
            local,
            remote,
            rtt_ms: None
        }),
        (time.clone(), 0_u32..3, time.clone(), proptest::option::of(-200.0..200.0)).prop_map(
            |(ms, pictures, gap, av_ms)| Event::Second {
                ms,
                pictures,
                kbps: gap / 6.0,
                longest_gap_ms: gap / 5.0,
                sound_packets: pictures,
                numbers_missing: 0,
                av_ms,
                glass_ms: None,
                wire_kbps: None,
                freeze_count: None,
                frozen_ms: None,
            }
        ),
        (time.clone(), words, "\\PC{0,8}").prop_map(|(ms, code, message)| Event::Error { ms, code, message }),
        time.prop_map(|ms| Event::End { ms, reason: String::new() }),
    ]
}

fn steps(time: impl Strategy<Value = f64> + Clone) -> impl Strategy<Value = Vec<Step>> {
    let step = (time.clone(), any::<bool>(), proptest::option::of(time));
    let step = step.prop_map(|(ms, disturbs, until_ms)| Step { ms, what: "x".into(), disturbs, until_ms });
    proptest::collection::vec(step, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_that_viewers_tell_panics(
        events in proptest::collection::vec(event(moment()), 0..40),
        steps in steps(moment()),
        offset_ms in moment(),
    ) {
        for plan in [plan(DIRECT), plan("[servers]\nturn = []\n[expect]\npath = \"none\""), plan("")] {
            let seen = Seen { offset_ms, ..seen(events.clone()) };
            let verdict = judge(&plan, &[], &[], &steps, &[seen]);
            prop_assert_eq!(verdict.outcome == Outcome::Passed, verdict.reasons.is_empty());
        }
    }

    /// What was good enough stays good enough.
    #[test]
    fn a_run_that_passes_passes_with_more_allowed(
        events in proptest::collection::vec(event(sane()), 0..6),
        freezes in proptest::collection::vec((100.0..9000.0, 0.0..2500.0), 0..4),
        steps in steps(sane()),
        more_ms in proptest::array::uniform4(0_u64..4000),
        wider in 0.0..500.0,
    ) {
        let mut plan = plan(&format!("{REBOOT}{DIRECT}recovered-within = \"2s\""));
        plan.expect.longest_freeze = Some(Duration::from_millis(1500));
        plan.events.clear();
        let harmless = events.into_iter().filter(|event| matches!(event, Event::Second { .. } | Event::Error { .. }));
        let freezes = freezes.into_iter().map(|(ms, lasted_ms)| Event::Freeze { ms, lasted_ms });
        let seen = [seen(good().into_iter().chain(harmless).chain(freezes).collect())];
        let before = judge(&plan, &[], &[], &steps, &seen);
        prop_assume!(before.outcome == Outcome::Passed);
        let more = |limit: &mut Option<Duration>, by: u64| *limit = limit.map(|limit| limit + Duration::from_millis(by));
        more(&mut plan.expect.first_picture, more_ms[0]);
        more(&mut plan.expect.longest_freeze, more_ms[1]);
        more(&mut plan.expect.recovered_within, more_ms[2]);
        more(&mut plan.expect.av_sync, more_ms[3]);
        plan.expect.kbps = plan.expect.kbps.map(|(least, most)| (least - wider, most + wider));
        let after = judge(&plan, &[], &[], &steps, &seen);
        prop_assert_eq!(after.outcome, Outcome::Passed, "{:?}", after.reasons);
    }
}
