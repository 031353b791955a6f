//! What a viewer saw in a part of the time, against what it should have seen there.

use super::watched::Watched;
use crate::{
    record::{MeasuredWindow, ms},
    scenario::{
        plan::{Plan, ViewerPlan},
        window::Window,
    },
    viewer::Event,
};

/// A second as a viewer tells it, and how exact that is.
const SECOND_MS: f64 = 1000.0;
const SLACK_MS: f64 = 60.0;

/// A viewer and the windows that are about it.
pub(super) fn of<'p>(plan: &'p Plan, viewer: &Watched<'_>) -> Vec<(&'p Window, MeasuredWindow)> {
    let Some(planned) = plan.viewers.iter().find(|planned| planned.name == viewer.name) else {
        return Vec::new();
    };
    let windows = plan.windows.iter().filter(|window| window.is_about(&planned.name));
    windows.map(|window| (window, measured(plan, planned, viewer, window))).collect()
}

fn measured(plan: &Plan, planned: &ViewerPlan, viewer: &Watched<'_>, window: &Window) -> MeasuredWindow {
    // Windows count from the first picture that anybody saw, this viewer's times from its own request.
    let (from, to) = (viewer.anchor + ms(window.from), viewer.anchor + ms(window.end(plan)));
    let (mut count, mut pictures, mut kbps, mut wire) = (0.0, 0.0, 0.0, 0.0);
    let (mut delay_ms, mut reached_ms) = (None::<f64>, None);
    let mut counted = Vec::new();
    for event in &viewer.seconds {
        let Event::Second {
            ms,
            pictures: shown,
            kbps: video,
            wire_kbps,
            glass_ms,
            freeze_count,
            frozen_ms,
            ..
        } = event
        else {
            continue;
        };
        if *ms < from + SECOND_MS - SLACK_MS || *ms > to + SLACK_MS {
            continue;
        }
        let all = wire_kbps.unwrap_or(*video);
        count += 1.0;
        counted.extend(freeze_count.zip(*frozen_ms));
        pictures += f64::from(*shown);
        kbps += video;
        wire += all;
        delay_ms = glass_ms.map_or(delay_ms, |glass| Some(delay_ms.unwrap_or(glass).max(glass)));
        if window.reaches_kbps.is_some_and(|wanted| all >= wanted) {
            reached_ms = reached_ms.or(Some((ms - from).max(0.0)));
        }
    }
    let mean = |sum: f64| (count > 0.0).then(|| sum / count);
    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    let line_kbps = window.line_rate(plan, planned).map(|bits| bits as f64 / 1e3);
    // The browser counts from the start of a session: what it has at the end less what it had.
    let ends = counted.first().zip(counted.last());
    let freeze = viewer.stills.as_ref().map(|stills| stills.longest_within(from, to.min(viewer.ended())));
    MeasuredWindow {
        viewer: planned.name.clone(),
        from_ms: ms(window.from),
        to_ms: ms(window.end(plan)),
        kbps: mean(kbps),
        wire_kbps: mean(wire),
        utilisation: mean(wire).zip(line_kbps).map(|(wire, line)| wire / line),
        reached_ms,
        pictures: mean(pictures),
        delay_ms,
        longest_freeze_ms: freeze,
        freeze_count: ends.map(|(first, last)| last.0.saturating_sub(first.0)),
        frozen_ms: ends.map(|(first, last)| (last.1 - first.1).max(0.0)),
    }
}

/// What of it is not as expected.
pub(super) fn reasons(window: &Window, found: &MeasuredWindow) -> Vec<String> {
    let mut reasons = Vec::new();
    let what = format!("from {:.0} to {:.0} ms after the first picture", found.from_ms, found.to_ms);
    let mut judge = |wanted: String, found: Option<(String, bool)>| match found {
        Some((_, true)) => {}
        Some((found, false)) => reasons.push(format!("{what}: {found}, {wanted}")),
        None => reasons.push(format!("{what}: no picture came that it can be told by, {wanted}")),
    };
    if let Some(least) = window.utilisation {
        let found = found.utilisation.zip(found.wire_kbps).map(|(share, kbps)| {
            (format!("{:.0} % of the line's rate was used ({kbps:.0} kbit/s)", share * 1e2), share >= least)
        });
        judge(format!("at least {:.0} % was wanted", least * 1e2), found);
    }
    if let (Some(wanted), Some(within)) = (window.reaches_kbps, window.within.map(ms)) {
        let reached = match (found.reached_ms, found.wire_kbps) {
            (Some(after), _) => {
                Some((format!("{wanted:.0} kbit/s were reached after {after:.0} ms"), after <= within))
            }
            (None, Some(mean)) => {
                Some((format!("{wanted:.0} kbit/s were never reached (mean {mean:.0} kbit/s)"), false))
            }
            (None, None) => None,
        };
        judge(format!("within {within:.0} ms was wanted"), reached);
    }
    if let Some((least, most)) = window.kbps {
        let found =
            found.kbps.map(|kbps| (format!("pictures had {kbps:.0} kbit/s"), (least..=most).contains(&kbps)));
        judge(format!("{least:.0} to {most:.0} kbit/s were wanted"), found);
    }
    if let Some(least) = window.pictures {
        let found = found.pictures.map(|rate| (format!("{rate:.1} pictures a second came"), rate >= least));
        judge(format!("at least {least:.0} were wanted"), found);
    }
    if let Some(most) = window.delay.map(ms) {
        let found = found
            .delay_ms
            .map(|delay| (format!("pictures were {delay:.0} ms old when they were decoded"), delay <= most));
        judge(format!("at most {most:.0} ms were allowed"), found);
    }
    if let Some(most) = window.longest_freeze.map(ms) {
        let found = found
            .longest_freeze_ms
            .map(|freeze| (format!("pictures stood still for {freeze:.0} ms"), freeze <= most));
        judge(format!("at most {most:.0} ms were allowed"), found);
    }
    reasons
}
