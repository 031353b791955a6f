//! What a run comes to: what was expected against what was seen.
//!
//! A fault of the rig is looked for first: only where there is none is anything said about the device.

mod stills;
mod watched;
mod windows;

use std::time::Duration;

use super::plan::{Event, Expect, PathKind, Plan, ServerName};
use crate::record::{Check, Measured, Outcome, Seen, Step, Verdict, ms};
use watched::{Watched, error, words};

/// Time for recovery where the scenario does not say: what the project promises for a change of network.
const RECOVERY: Duration = Duration::from_secs(3);
/// A viewer may end so much before its time: programs take theirs to start and to stop.
const EARLY_MS: f64 = 1000.0;
/// How a viewer's last words begin if it is itself what went wrong.
const OWN_FAULTS: [&str; 3] = ["the viewer broke off", "the browser broke off", "the viewer cannot"];

/// Whether viewers may feel an event: what they lose then is recovery, else a freeze. Nobody who watches needs the hub or
/// the wall clock, nor STUN and TURN on a direct path; and on a line that gets worse pictures must go on.
pub fn disturbs(plan: &Plan, event: &Event) -> bool {
    match event {
        Event::KillServer { server: ServerName::Hub, .. }
        | Event::StepClock { .. }
        | Event::SetLine { .. } => false,
        Event::KillServer { server: ServerName::Turn, .. } => plan.expect.path != Some(PathKind::Direct),
        Event::RebootRouter { .. }
        | Event::ChangeWanAddress { .. }
        | Event::SwitchUplink { .. }
        | Event::CutUplink { .. }
        | Event::KillAgent
        | Event::UnplugCamera { .. } => true,
    }
}

/// Judges a run. `checks_before` and `checks_after` are what the rig measured of itself, `steps` what it did, `seen` what
/// each viewer saw.
pub fn judge(
    plan: &Plan,
    checks_before: &[Check],
    checks_after: &[Check],
    steps: &[Step],
    seen: &[Seen],
) -> Verdict {
    let allowed = ms(plan.expect.recovered_within.unwrap_or(RECOVERY));
    let mut watched: Vec<_> = seen.iter().map(|seen| Watched::new(seen, steps, allowed)).collect();
    let firsts =
        watched.iter().zip(seen).filter_map(|(viewer, seen)| Some(viewer.first_picture? + seen.offset_ms));
    let anchor = firsts.fold(f64::INFINITY, f64::min);
    for (viewer, seen) in watched.iter_mut().zip(seen) {
        viewer.anchor = anchor - seen.offset_ms;
    }
    let measured = measured(plan, &watched);

    let mut reasons: Vec<_> = checks_before.iter().chain(checks_after).filter_map(broken).collect();
    reasons.extend(not_done(plan, steps, &watched));
    reasons.extend(
        plan.viewers
            .iter()
            .filter(|viewer| !seen.iter().any(|seen| seen.viewer == viewer.name))
            .map(|viewer| format!("nothing is known of the viewer {}: it did not start", viewer.name)),
    );
    reasons.extend(each(&watched, |viewer| unfit(&plan.expect, viewer)));
    if !reasons.is_empty() {
        return Verdict { outcome: Outcome::RigFault, measured, reasons };
    }

    let reasons = each(&watched, |viewer| {
        let mut reasons = if plan.expect.path == Some(PathKind::None) {
            without_path(viewer)
        } else {
            with_path(plan, viewer)
        };
        if viewer.first_picture.is_some() {
            let windows = windows::of(plan, viewer);
            reasons.extend(windows.iter().flat_map(|(window, found)| windows::reasons(window, found)));
        }
        reasons.extend(errors(&plan.expect, viewer));
        reasons
    });
    let outcome = if reasons.is_empty() { Outcome::Passed } else { Outcome::DeviceFault };
    Verdict { outcome, measured, reasons }
}

/// Judges a run that nobody watched, as the agent did not start: the rig's fault if its checks say so, else the device's.
pub fn judge_checks(checks_before: &[Check], checks_after: &[Check]) -> Verdict {
    let reasons: Vec<_> = checks_before.iter().chain(checks_after).filter_map(broken).collect();
    let outcome = if reasons.is_empty() { Outcome::DeviceFault } else { Outcome::RigFault };
    Verdict { outcome, measured: Measured::default(), reasons }
}

/// Reasons of all viewers, with their names if there are several.
fn each(watched: &[Watched<'_>], reasons: impl Fn(&Watched<'_>) -> Vec<String>) -> Vec<String> {
    let named = |viewer: &Watched<'_>, reason: String| match watched.len() {
        1 => reason,
        _ => format!("{}: {reason}", viewer.name),
    };
    watched
        .iter()
        .flat_map(|viewer| {
            reasons(viewer).into_iter().map(|reason| named(viewer, reason)).collect::<Vec<_>>()
        })
        .collect()
}

fn broken(check: &Check) -> Option<String> {
    (!check.ok).then(|| format!("{}: it should be {}, and is {}", check.what, check.wanted, check.found))
}

/// Events that the rig did not get to, though it could.
fn not_done(plan: &Plan, steps: &[Step], watched: &[Watched<'_>]) -> Option<String> {
    // Events count from the first viewer's first picture: without one they have no time.
    let begun = plan.expect.path == Some(PathKind::None)
        || watched.first().is_some_and(|viewer| viewer.first_picture.is_some());
    // Nor is there a point when nobody watches any more.
    let left = watched.iter().any(|viewer| ended_early(plan, viewer).is_some());
    let (planned, done) = (plan.events.len(), steps.iter().filter(|step| step.ms >= 0.0).count());
    (begun && !left && done < planned)
        .then(|| format!("the rig did {done} of {planned} events: allow more `time`, or see its log"))
}

/// Why nothing can be said from what this viewer told.
fn unfit(expect: &Expect, viewer: &Watched<'_>) -> Vec<String> {
    let own = |why: &&str| OWN_FAULTS.iter().any(|begin| why.starts_with(begin));
    if let Some(why) = viewer.end.map(|(_, why)| why).filter(own) {
        return vec![words(why)];
    }
    // The rig may stop a viewer that has seen enough: then it has no last words.
    let end = viewer.ended();
    if !viewer.session && viewer.told.is_empty() {
        return vec![match viewer.own.first() {
            Some((code, message)) => format!("the viewer did not reach the hub ({})", error(code, message)),
            None => format!("the viewer did not reach the hub in {end:.0} ms"),
        }];
    }
    let mut reasons = Vec::new();
    if let Some(first) = viewer.first_picture {
        let expects_path = matches!(expect.path, Some(PathKind::Direct | PathKind::Relayed));
        if expects_path && viewer.path.is_none() {
            reasons.push(format!(
                "a picture came after {first:.0} ms, but the viewer did not tell by what path"
            ));
        }
        if expect.av_sync.is_some() && !viewer.av_told && viewer.sounds > 0 {
            reasons.push("the viewer could not tell how far sound and picture are apart".into());
        }
    }
    reasons
}

fn without_path(viewer: &Watched<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(first) = viewer.first_picture {
        let path = viewer.path.as_ref().map(|(_, pair)| format!(" ({pair})")).unwrap_or_default();
        reasons.push(format!("expected no path, got a picture after {first:.0} ms{path}"));
    } else if viewer.told.is_empty() {
        let summary = viewer.summary();
        reasons.push(format!("no picture came, as expected, but nobody told the viewer why: {summary}"));
    } else if viewer.told.iter().all(|(_, _, message)| message.trim().is_empty()) {
        let code = viewer.told.first().map(|(_, code, _)| *code).unwrap_or_default();
        reasons.push(format!("expected an error in words, got {} without any", words(code)));
    }
    reasons
}

fn with_path(plan: &Plan, viewer: &Watched<'_>) -> Vec<String> {
    let expect = &plan.expect;
    let mut reasons = Vec::new();
    let Some(first) = viewer.first_picture else {
        let wanted = expect.path.map_or("a picture".into(), |path| format!("a {path} path"));
        let (end, summary) = (viewer.ended(), viewer.summary());
        return vec![format!("expected {wanted}, got no picture in {end:.0} ms: {summary}")];
    };
    if let (Some(wanted), Some((found, pair))) = (expect.path, &viewer.path)
        && wanted != *found
    {
        reasons.push(format!("expected a {wanted} path, got {found} ({pair})"));
    }
    let mut limit = |limit: Option<Duration>, found: Option<f64>, words: &dyn Fn(f64, f64) -> String| {
        if let (Some(limit), Some(found)) = (limit.map(ms), found)
            && found > limit
        {
            reasons.push(words(found, limit));
        }
    };
    limit(expect.first_picture, Some(first), &|found, limit| {
        format!("the first picture came after {found:.0} ms, at most {limit:.0} ms were allowed")
    });
    limit(expect.longest_freeze, viewer.longest_freeze, &|found, limit| {
        format!("pictures stood still for {found:.0} ms, at most {limit:.0} ms were allowed")
    });
    for recovery in &viewer.recoveries {
        limit(expect.recovered_within, Some(recovery.took), &|found, limit| {
            let what = words(&recovery.step.what);
            format!("pictures moved again {found:.0} ms after \"{what}\", at most {limit:.0} ms were allowed")
        });
    }
    limit(expect.av_sync, viewer.av, &|found, limit| {
        format!("sound and picture were {found:.0} ms apart, at most {limit:.0} ms were allowed")
    });
    if expect.av_sync.is_some() && viewer.sounds == 0 {
        reasons.push("expected sound with the picture, got none".into());
    }
    if let Some((least, most)) = expect.kbps {
        match viewer.kbps {
            Some(kbps) if (least..=most).contains(&kbps) => {}
            Some(kbps) => reasons.push(format!(
                "pictures came with {kbps:.0} kbit/s, {least:.0} to {most:.0} kbit/s were allowed"
            )),
            None => reasons.push(format!(
                "expected {least:.0} to {most:.0} kbit/s, but pictures came too late or too short to tell"
            )),
        }
    }
    if let Some(from) = viewer.stopped_for_good {
        reasons.push(format!("pictures stood still from {from:.0} ms to the end"));
    }
    if let Some((end, why)) = ended_early(plan, viewer) {
        let time = time_of(plan, viewer);
        reasons.push(format!("the session ended after {end:.0} of {time:.0} ms: {}", words(why)));
    }
    reasons
}

/// How long a viewer is to watch, in milliseconds.
fn time_of(plan: &Plan, viewer: &Watched<'_>) -> f64 {
    let at = plan.viewers.iter().find(|planned| planned.name == viewer.name).map(|planned| planned.at);
    ms(plan.time.saturating_sub(at.unwrap_or_default()))
}

/// When and why a viewer's watching ended before its time, if it did.
fn ended_early<'a>(plan: &Plan, viewer: &Watched<'a>) -> Option<(f64, &'a str)> {
    viewer.end.filter(|(end, _)| *end < time_of(plan, viewer) - EARLY_MS)
}

fn errors(expect: &Expect, viewer: &Watched<'_>) -> Vec<String> {
    let told: Vec<_> = viewer.told.iter().map(|(_, code, message)| error(code, message)).collect();
    let told = if told.is_empty() { "none".into() } else { told.join("; ") };
    let wanted = match (&expect.error, &expect.error_text) {
        (None, None) if expect.path == Some(PathKind::None) => return Vec::new(),
        (None, None) => {
            // While it recovers, a viewer may be told that the device is away: nobody shall call that a fault.
            let outside = viewer.told.iter().filter(|(ms, ..)| !viewer.in_window(*ms));
            return outside
                .map(|(ms, code, message)| {
                    format!("expected no error, got one after {ms:.0} ms ({})", error(code, message))
                })
                .collect();
        }
        (Some(code), None) => format!("the error {code}"),
        (Some(code), Some(text)) => format!("the error {code} with the words \"{text}\""),
        (None, Some(text)) => format!("an error with the words \"{text}\""),
    };
    let fits = |code: &str, message: &str| {
        let text = expect.error_text.as_deref().unwrap_or_default().to_lowercase();
        expect.error.as_deref().is_none_or(|wanted| wanted == code) && message.to_lowercase().contains(&text)
    };
    if viewer.told.iter().any(|(_, code, message)| fits(code, message)) {
        return Vec::new();
    }
    vec![format!("expected {wanted}, got {told}")]
}

/// Figures of the worst viewer.
fn measured(plan: &Plan, watched: &[Watched<'_>]) -> Measured {
    let expect = &plan.expect;
    let most = |figure: &dyn Fn(&Watched<'_>) -> Option<f64>| {
        watched.iter().filter_map(figure).max_by(|a, b| a.total_cmp(b))
    };
    let worst = watched.iter().filter(|viewer| viewer.path_kind().is_some()).max_by_key(|viewer| {
        let kind = viewer.path_kind();
        (expect.path.is_some() && kind != expect.path, kind)
    });
    // The farthest outside of the band, or the least.
    let off = |kbps: f64| expect.kbps.map_or(-kbps, |(least, most)| (least - kbps).max(kbps - most));
    let told = watched.iter().flat_map(|viewer| &viewer.told);
    Measured {
        path: worst.and_then(|viewer| viewer.path_kind()).map(|kind| kind.to_string()),
        pair: worst.and_then(|viewer| viewer.path.as_ref()).map(|(_, pair)| pair.clone()),
        answer_ms: most(&|viewer| viewer.answer),
        first_picture_ms: most(&|viewer| viewer.first_picture),
        longest_freeze_ms: most(&|viewer| viewer.longest_freeze),
        recovery_ms: most(&|viewer| {
            viewer.recoveries.iter().map(|recovery| recovery.took).max_by(|a, b| a.total_cmp(b))
        }),
        kbps: watched.iter().filter_map(|viewer| viewer.kbps).max_by(|a, b| off(*a).total_cmp(&off(*b))),
        av_sync_ms: most(&|viewer| viewer.av),
        windows: watched
            .iter()
            .flat_map(|viewer| windows::of(plan, viewer))
            .map(|(_, found)| found)
            .collect(),
        error: told.map(|(_, code, message)| error(code, message)).next(),
    }
}

#[cfg(test)]
#[path = "../judge_tests.rs"]
mod tests;
