//! Chromium as the viewer: the hub's real page in a real browser.
//!
//! A script in the page writes down what happens there; the rig fetches it. What the page does by itself (new candidates,
//! new sessions), it does here too; what takes a click is clicked only for a viewer that retries.

mod browser;
mod connector;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use self::browser::{Browser, Start};
use super::{Event, Viewer, ViewerError, Watch};
use crate::{
    lab::{Lab, namespace::Namespace},
    record::{Artefact, ms},
    scenario::plan::ViewerKind,
};

/// What is in the page besides its own.
const SCRIPT: &str = include_str!("page.js");
/// How often events are fetched.
const FETCH: Duration = Duration::from_millis(250);
/// A person takes so long to press the button.
const CLICK: Duration = Duration::from_secs(1);
/// A browser that does not answer so often in a row is dead.
const MAX_SILENT: u32 = 8;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChromiumViewer;

/// What the page's script gives.
#[derive(Debug, Deserialize)]
struct Taken {
    events: Vec<Value>,
    r#final: bool,
    state: String,
    ms: f64,
    seen: bool,
}

impl ChromiumViewer {
    /// The same as [`Viewer::watch`], in any namespace or, without one, in the rig's own.
    ///
    /// # Errors
    /// Chromium or chromedriver is missing or does not start.
    pub async fn watch_in(
        &self,
        namespace: Option<&Namespace>,
        watch: &Watch,
        events: mpsc::Sender<Event>,
    ) -> Result<Vec<Artefact>, ViewerError> {
        let failed = |what: String| ViewerError { name: watch.name.clone(), what };
        let log = format!("{}-chromedriver.log", watch.name);
        let start = Start {
            namespace,
            folder: &watch.folder,
            log: &log,
            any_certificate: watch.turn_ca.is_some(),
            before: SCRIPT,
        };
        let browser = Browser::start(start).await.map_err(failed)?;
        let (at, reason) = follow(&browser, watch, &events).await;
        browser.stop().await;
        let _ = events.send(Event::End { ms: at, reason }).await;
        Ok(vec![Artefact {
            what: format!("words of the browser of viewer {}", watch.name),
            path: log.into(),
        }])
    }
}

#[async_trait::async_trait]
impl Viewer for ChromiumViewer {
    fn kind(&self) -> ViewerKind {
        ViewerKind::Chromium
    }

    async fn watch(
        &mut self,
        lab: &Lab,
        watch: &Watch,
        events: mpsc::Sender<Event>,
    ) -> Result<Vec<Artefact>, ViewerError> {
        self.watch_in(Some(lab.viewer()), watch, events).await
    }
}

/// Watches until the end; when, on the page's clock, and why.
async fn follow(browser: &Browser, watch: &Watch, events: &mpsc::Sender<Event>) -> (f64, String) {
    let started = Instant::now();
    let deadline = started + watch.time;
    let elapsed = || ms(started.elapsed());
    if let Err(error) = browser.open(&address(watch)).await {
        let message = format!("the hub's page does not load: {}", first_line(&error));
        let _ = events.send(Event::Error { ms: elapsed(), code: "hub-unreachable".into(), message }).await;
        return (elapsed(), "the hub's page does not load".into());
    }
    let (mut silent, mut click, mut last_ms) = (0, None::<Instant>, 0.0);
    loop {
        let over = Instant::now() >= deadline;
        let expression = if over { "window.p2pcamRig.end()" } else { "window.p2pcamRig.take()" };
        let taken = browser.value(expression).await.and_then(|value| {
            serde_json::from_value::<Taken>(value).map_err(|error| format!("the page's script: {error}"))
        });
        match taken {
            Ok(taken) => {
                silent = 0;
                last_ms = taken.ms;
                if !relay(taken.events, events).await {
                    return (last_ms, "nobody listens any more".into());
                }
                if taken.r#final && !over {
                    if !(watch.retry && taken.seen) {
                        return (last_ms, format!("the page has given up (state {})", taken.state));
                    }
                    let due = *click.get_or_insert_with(|| Instant::now() + CLICK);
                    if Instant::now() >= due {
                        click = None;
                        let _ = browser.value("window.p2pcamRig.again()").await;
                    }
                } else {
                    click = None;
                }
            }
            Err(error) => {
                silent += 1;
                if silent >= MAX_SILENT || over {
                    return (elapsed(), format!("the browser broke off: {}", first_line(&error)));
                }
            }
        }
        if over {
            return (last_ms, "the time is over".into());
        }
        sleep(FETCH.min(deadline.saturating_duration_since(Instant::now()))).await;
    }
}

/// Hands on what the page told; false if nobody listens.
async fn relay(told: Vec<Value>, events: &mpsc::Sender<Event>) -> bool {
    for value in told {
        match serde_json::from_value(value) {
            Ok(event) => {
                if events.send(event).await.is_err() {
                    return false;
                }
            }
            Err(error) => eprintln!("the page told what is no event: {error}"),
        }
    }
    true
}

/// The page's address, as the hub prints it for people.
fn address(watch: &Watch) -> String {
    let relay = if watch.relay_only { "&relay=1" } else { "" };
    format!("http://{}/#device={}&token={}{relay}", watch.hub, watch.device, watch.token)
}

/// WebDriver's errors go on with a stack trace.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_opened_as_a_person_opens_it() {
        let mut watch = Watch {
            hub: "192.0.2.1:8080".into(),
            device: "cam".into(),
            token: "secret".into(),
            relay_only: false,
            address: None,
            turn_ca: None,
            retry: true,
            time: Duration::from_secs(10),
            folder: "/nonexistent".into(),
            name: "v".into(),
        };
        assert_eq!(address(&watch), "http://192.0.2.1:8080/#device=cam&token=secret");
        watch.relay_only = true;
        assert!(address(&watch).ends_with("&token=secret&relay=1"));
    }
}
