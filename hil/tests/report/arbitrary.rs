//! Any record at all, likely or not.

use std::path::PathBuf;

use p2pcam_hil::{
    lab::nat::Kind,
    record::{Artefact, Cell, Check, LineSample, Measured, Outcome, Record, Seen, Step, Verdict},
    viewer::Event,
};
use proptest::{collection::vec, option, prelude::*};

/// To a microsecond, which JSON holds exactly.
fn figure() -> impl Strategy<Value = f64> {
    (-1_000_000_000_000i64..1_000_000_000_000).prop_map(|thousandths| thousandths as f64 / 1e3)
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,12}",
        ".{0,24}",
        Just("</script><script>".to_owned()),
        Just("]]>&\"'<!--\0".to_owned())
    ]
}

fn kind() -> impl Strategy<Value = String> {
    prop_oneof![4 => (0..8usize).prop_map(|kind| Kind::ALL[kind].to_string()), 1 => words()]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![Just("direct".to_owned()), Just("relayed".to_owned()), Just("none".to_owned()), words()]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (figure(), words()).prop_map(|(ms, id)| Event::Session { ms, id }),
        (figure(), any::<bool>(), words()).prop_map(|(ms, remote, candidate)| Event::Candidate {
            ms,
            remote,
            candidate
        }),
        figure().prop_map(|ms| Event::Answer { ms }),
        (figure(), prop_oneof![Just("connected".to_owned()), words()])
            .prop_map(|(ms, state)| Event::State { ms, state }),
        (figure(), figure()).prop_map(|(ms, lasted_ms)| Event::Freeze { ms, lasted_ms }),
        (figure(), any::<u32>(), any::<u32>()).prop_map(|(ms, width, height)| Event::FirstPicture {
            ms,
            width,
            height
        }),
        (figure(), words(), words(), option::of(figure()))
            .prop_map(|(ms, local, remote, rtt_ms)| Event::Path { ms, local, remote, rtt_ms }),
        (figure(), any::<u32>(), figure(), any::<u64>(), option::of(figure())).prop_map(
            |(ms, pictures, kbps, numbers_missing, av_ms)| Event::Second {
                ms,
                pictures,
                kbps,
                longest_gap_ms: kbps,
                sound_packets: pictures,
                numbers_missing,
                av_ms,
                glass_ms: av_ms,
                wire_kbps: None,
                freeze_count: None,
                frozen_ms: None,
            }
        ),
        (figure(), words(), words()).prop_map(|(ms, code, message)| Event::Error { ms, code, message }),
        (figure(), words()).prop_map(|(ms, reason)| Event::End { ms, reason }),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let outcome = prop_oneof![
        Just(Outcome::Passed),
        Just(Outcome::DeviceFault),
        Just(Outcome::RigFault),
        Just(Outcome::Skipped)
    ];
    let measured =
        (option::of(path()), option::of(words()), vec(option::of(figure()), 6), option::of(words()))
            .prop_map(|(path, pair, figures, error)| Measured {
                path,
                pair,
                answer_ms: figures[0],
                first_picture_ms: figures[1],
                longest_freeze_ms: figures[2],
                recovery_ms: figures[3],
                kbps: figures[4],
                av_sync_ms: figures[5],
                error,
                windows: Vec::new(),
            });
    (outcome, measured, vec(words(), 0..3)).prop_map(|(outcome, measured, reasons)| Verdict {
        outcome,
        measured,
        reasons,
    })
}

pub fn record() -> impl Strategy<Value = Record> {
    let cell = (kind(), kind(), any::<bool>(), path()).prop_map(|(device, viewer, turn, truth)| Cell {
        device,
        viewer,
        turn,
        truth,
    });
    let check = (words(), words(), words(), any::<bool>()).prop_map(|(what, wanted, found, ok)| Check {
        what,
        wanted,
        found,
        ok,
    });
    let step = (figure(), words(), any::<bool>(), option::of(figure()))
        .prop_map(|(ms, what, disturbs, until_ms)| Step { ms, what, disturbs, until_ms });
    let seen = (words(), words(), figure(), vec(event(), 0..20))
        .prop_map(|(viewer, kind, offset_ms, events)| Seen { viewer, kind, offset_ms, events });
    let line =
        (figure(), prop_oneof![Just("device".to_owned()), words()], words(), any::<u64>(), any::<u64>())
            .prop_map(|(ms, side, direction, passed, lost)| LineSample { ms, side, direction, passed, lost });
    let file = (words(), words()).prop_map(|(what, path)| Artefact { what, path: PathBuf::from(path) });
    let named = (words(), words(), option::of(cell), prop_oneof![Just("local".to_owned()), words()]);
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        figure(),
        (1_000..10_000_u32).prop_map(|thousandths| f64::from(thousandths) / 1e3),
    );
    let content =
        (vec(check, 0..3), vec(step, 0..4), vec(seen, 0..3), vec(line, 0..8), vec(file, 0..3), verdict());
    (named, numbers, content).prop_map(
        |(
            (scenario, about, cell, board),
            (seed, began, took_ms, slower),
            (checks, steps, viewers, lines, files, verdict),
        )| {
            Record {
                scenario,
                about,
                cell,
                board,
                slower,
                seed,
                began,
                took_ms,
                checks,
                steps,
                viewers,
                lines,
                files,
                verdict,
            }
        },
    )
}
