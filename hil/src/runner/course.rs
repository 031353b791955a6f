//! The course of a run: who watches, what happens when, and what is written down of it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::mpsc;

use super::acts::{Act, Acts, timetable};
use crate::{
    board::Board,
    lab::{Lab, build::own},
    record::{Artefact, LineSample, Seen, Step, ms},
    scenario::{
        disturbs,
        plan::{self, PathKind, Plan, SideName, ViewerPlan},
    },
    servers::Servers,
    viewer::{self, Event, Viewer, ViewerError, Watch},
};

/// Events of viewers that wait to be written down; then the viewers' tasks wait.
const QUEUE: usize = 1024;
/// How often the lines are counted: fine enough to see a burst in the report's plot.
const SAMPLING: Duration = Duration::from_millis(250);
/// What a viewer gets beyond its time, to start (a small machine starts Chromium in 15 s) and to end. Nobody waits for it
/// where viewers end by themselves.
const GRACE: Duration = Duration::from_secs(45);

/// What takes part.
pub struct Cast<'a> {
    pub lab: &'a Lab,
    pub servers: &'a mut Servers,
    pub board: &'a mut dyn Board,
    /// The device's name on the hub.
    pub device: &'a str,
    /// The program of headless viewers.
    pub program: &'a Path,
    /// Where viewers write their logs.
    pub folder: &'a Path,
    /// Ends the course when every viewer has had its first picture for so long, where nothing else is to come.
    pub settle: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub steps: Vec<Step>,
    pub seen: Vec<Seen>,
    pub lines: Vec<LineSample>,
    pub files: Vec<Artefact>,
    /// A viewer or an act of the rig's own failed: no word about the device.
    pub rig_faults: Vec<String>,
    /// The board could not do what the scenario asks, or its agent did not come back.
    pub board_faults: Vec<String>,
    /// Why this board cannot run this scenario, where only the board itself knew: nothing is judged.
    pub unable: Option<String>,
}

type Watching<'a> = BoxFuture<'a, Result<Vec<Artefact>, ViewerError>>;

/// Runs it to its end.
pub async fn run(plan: &Plan, cast: Cast<'_>) -> Outcome {
    let Cast { lab, servers, board, device, program, folder, settle } = cast;
    let started = Instant::now();
    let (tell, mut told) = mpsc::channel::<(usize, Event)>(QUEUE);
    let mut outcome = Outcome::default();
    let mut watching: FuturesUnordered<Watching<'_>> = FuturesUnordered::new();
    for (n, viewer) in plan.viewers.iter().enumerate() {
        outcome.seen.push(Seen {
            viewer: viewer.name.clone(),
            kind: viewer.kind.to_string(),
            offset_ms: ms(viewer.at),
            events: Vec::new(),
        });
        let watch = Watch {
            hub: servers.hub_for_viewers(&plan.viewer),
            device: device.into(),
            token: servers.viewer_token().into(),
            relay_only: viewer.relay_only,
            address: viewer.line.map(|_| own(n)),
            turn_ca: servers.turn_ca().map(str::to_owned),
            time: plan.time.saturating_sub(viewer.at),
            folder: folder.into(),
            name: viewer.name.clone(),
            retry: !plan.events.is_empty(),
        };
        watching.push(Box::pin(watch_from(viewer, n, watch, program, lab, tell.clone())));
    }
    drop(tell);

    let mut acts = timetable(&plan.events).into_iter().peekable();
    let mut anchor = None::<Instant>;
    // A viewer's times count from its request to connect, which is when its program is ready for it.
    let mut requests = vec![None::<Instant>; plan.viewers.len()];
    let mut first_pictures = vec![None::<Instant>; plan.viewers.len()];
    let mut sampling = tokio::time::interval(SAMPLING);
    let mut sampler = Sampler::new(lab);
    let end = tokio::time::sleep(plan.time + GRACE);
    tokio::pin!(end);
    loop {
        let act_due = anchor.zip(acts.peek()).map(|(anchor, (at, _))| anchor + *at);
        let settled = settle.filter(|_| acts.peek().is_none()).and_then(|settle| {
            let last = first_pictures.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()?;
            Some(last + settle)
        });
        tokio::select! {
            biased;
            () = &mut end => {
                if !watching.is_empty() {
                    outcome.rig_faults.push(format!(
                        "{} viewers did not end within {GRACE:?} after their time: the machine is too busy, or they are stuck",
                        watching.len()
                    ));
                }
                break;
            }
            () = until(settled), if settled.is_some() => break,
            Some((n, event)) = told.recv() => {
                let now = Instant::now();
                let request = *requests[n].get_or_insert_with(|| back(now, event.ms()).max(started));
                if matches!(event, Event::FirstPicture { .. }) {
                    first_pictures[n].get_or_insert(now);
                    anchor.get_or_insert(now);
                }
                if plan.expect.path == Some(PathKind::None) {
                    // There is no picture to wait for.
                    anchor.get_or_insert(request);
                }
                outcome.seen[n].events.push(event);
            }
            () = until(act_due), if act_due.is_some() => {
                let Some((_, act)) = acts.next() else { continue };
                let step = outcome.steps.len();
                outcome.steps.push(Step {
                    ms: ms(started.elapsed()),
                    what: act.words(),
                    disturbs: disturbs(plan, act.event()),
                    until_ms: None,
                });
                let mut rig = Acts { lab, servers, board };
                match rig.perform(act).await {
                    Ok(()) => {}
                    Err(super::acts::Failed::Rig(what)) => outcome.rig_faults.push(what),
                    Err(super::acts::Failed::Board(what)) => outcome.board_faults.push(what),
                    Err(super::acts::Failed::Unable(what)) => {
                        outcome.unable = Some(what);
                        break;
                    }
                }
                finish(&mut outcome.steps, step, act, ms(started.elapsed()));
            }
            _ = sampling.tick() => outcome.lines.extend(sampler.sample(ms(started.elapsed()))),
            Some(ended) = watching.next() => match ended {
                Ok(files) => outcome.files.extend(files),
                Err(error) => outcome.rig_faults.push(error.to_string()),
            },
            else => break,
        }
        // All have ended, and all that they told was heard.
        if watching.is_empty() && told.is_empty() {
            break;
        }
    }
    while let Ok((n, event)) = told.try_recv() {
        outcome.seen[n].events.push(event);
    }
    let mut rig = Acts { lab, servers, board };
    for act in left_over(&acts.map(|(_, act)| act).collect::<Vec<_>>()) {
        // What is back then is for the rig's look back; the board is stopped anyway.
        if let Err(super::acts::Failed::Rig(what)) = rig.perform(act).await {
            outcome.rig_faults.push(what);
        }
    }
    outcome.count_from_first_request(started, &requests);
    outcome
}

/// Of acts that were not come to, the ends of what had begun.
fn left_over<'a>(acts: &[Act<'a>]) -> Vec<Act<'a>> {
    let begins = |event: &'a plan::Event| acts.contains(&Act::Begin(event));
    acts.iter().copied().filter(|act| matches!(act, Act::End(event) if !begins(event))).collect()
}

/// So many milliseconds before.
fn back(now: Instant, ms: f64) -> Instant {
    let time = Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
    now.checked_sub(time).unwrap_or(now)
}

impl Outcome {
    /// All times are to be those since the first viewer's request.
    fn count_from_first_request(&mut self, started: Instant, requests: &[Option<Instant>]) {
        let Some(first) = requests.iter().flatten().min() else { return };
        let later = ms(first.saturating_duration_since(started));
        for (seen, request) in self.seen.iter_mut().zip(requests) {
            if let Some(request) = request {
                seen.offset_ms = ms(request.saturating_duration_since(*first));
            }
        }
        for step in &mut self.steps {
            step.ms -= later;
            step.until_ms = step.until_ms.map(|until| until - later);
        }
        for line in &mut self.lines {
            line.ms -= later;
        }
    }
}

/// What lasts gets its end: the step that began it is over, and the one that ended it is not told twice.
fn finish(steps: &mut Vec<Step>, index: usize, act: Act<'_>, now: f64) {
    match act {
        Act::Begin(event) if super::acts::lasts(event).is_none() => steps[index].until_ms = Some(now),
        Act::Begin(_) => {}
        Act::End(_) => {
            let words = act.words();
            steps.remove(index);
            if let Some(begun) = steps.iter_mut().rev().find(|step| step.what == words) {
                begun.until_ms = Some(now);
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn watch_from(
    plan: &ViewerPlan,
    n: usize,
    watch: Watch,
    program: &Path,
    lab: &Lab,
    tell: mpsc::Sender<(usize, Event)>,
) -> Result<Vec<Artefact>, ViewerError> {
    tokio::time::sleep(plan.at).await;
    let (events, mut heard) = mpsc::channel(QUEUE);
    let mut viewer: Box<dyn Viewer> = viewer::open(plan.kind, program);
    let relay = async {
        while let Some(event) = heard.recv().await {
            if tell.send((n, event)).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(viewer.watch(lab, &watch, events), relay).0
}

/// Counts of the lines since the last time.
struct Sampler<'a> {
    lab: &'a Lab,
    last: [(u64, u64); 4],
}

impl<'a> Sampler<'a> {
    fn new(lab: &'a Lab) -> Self {
        let mut sampler = Self { lab, last: [(0, 0); 4] };
        sampler.sample(0.0);
        sampler
    }

    fn sample(&mut self, ms: f64) -> Vec<LineSample> {
        let mut samples = Vec::new();
        let sides = [(SideName::Device, "device"), (SideName::Viewer, "viewer")];
        for (s, (side, name)) in sides.into_iter().enumerate() {
            let (up, down) = self.lab.counts(side);
            for (d, (count, direction)) in [(up, "up"), (down, "down")].into_iter().enumerate() {
                let now = (count.passed, count.lost + count.queue_full + count.too_long);
                let last = std::mem::replace(&mut self.last[2 * s + d], now);
                // A line that was exchanged counts from 0 again.
                let since = |now: u64, last: u64| if now >= last { now - last } else { now };
                samples.push(LineSample {
                    ms,
                    side: name.into(),
                    direction: direction.into(),
                    passed: since(now.0, last.0),
                    lost: since(now.1, last.1),
                });
            }
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_had_begun_is_ended_when_a_run_is_over() {
        let cut = |side| plan::Event::CutUplink { side, lasts: Duration::from_secs(9) };
        let (begun, to_come) = (cut(SideName::Device), cut(SideName::Viewer));
        let left = [Act::Begin(&to_come), Act::End(&begun), Act::End(&to_come)];
        assert_eq!(left_over(&left), [Act::End(&begun)]);
        assert_eq!(left_over(&[]), []);
    }
}
