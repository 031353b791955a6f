//! The viewers of the benchmark: receives what a sender sends, the same way whoever it is.
//!
//! Each viewer has a socket of its own, as viewers on different machines have. Transport-wide feedback goes out every
//! 100 ms, with NACK, receiver reports and requests for key frames. Nothing is decoded.
//!
//! Standard input, one JSON object a line: `{"open": ID}` is answered with `{"id": ID, "offer": SDP}`; `{"answer": SDP,
//! "id": ID}`; `{"candidate": LINE, "id": ID}`; `{"close": ID}`; `{"report": true}` is answered with the counts of all viewers since the last one.
//! `{"sink": ID}` makes a viewer for a sender without ICE and DTLS, and is answered with `{"id": ID, "sink": ADDRESS}`.
//! Besides, `{"id": ID, "event": NAME, "ms": TIME}` tells what happened first when, counted from the offer.

mod assembler;
mod figures;
mod picture;
mod session;
mod sink;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bench_common::lines;
use clap::Parser;
use mio::{Events, Interest, Poll, Token, Waker};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    figures::Report,
    picture::Codec,
    session::{Milestone, Session},
    sink::Sink,
};

const LINES: Token = Token(0);
/// Viewers at once.
const MOST: usize = 128;
/// Lines of the driver that wait.
const MOST_LINES: usize = 256;

#[derive(Parser)]
struct Args {
    /// Address that the viewers receive at.
    #[arg(long)]
    address: IpAddr,
    /// What they can decode.
    #[arg(long, value_enum, default_value = "h264")]
    codec: Codec,
}

/// From the driver.
#[derive(Deserialize)]
#[serde(untagged)]
enum Request {
    Open { open: String },
    Answer { id: String, answer: String },
    Candidate { id: String, candidate: String },
    Close { close: String },
    Report { report: bool },
    Sink { sink: String },
}

/// Counts of one viewer.
#[derive(Serialize)]
struct Counts {
    #[serde(flatten)]
    report: Report,
    asked: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), LINES)?;
    let (send, requests) = mpsc::sync_channel::<Option<Request>>(MOST_LINES);
    std::thread::spawn(move || {
        let read = lines::read(|request| {
            if send.send(Some(request)).is_ok() {
                let _ = waker.wake();
            }
        });
        if let Err(error) = read {
            eprintln!("bench-receiver: {error:#}");
        }
        let _ = send.send(None);
        let _ = waker.wake();
    });

    let mut sessions: BTreeMap<usize, (String, Session)> = BTreeMap::new();
    let mut sinks: BTreeMap<usize, (String, Sink)> = BTreeMap::new();
    let mut tokens: HashMap<String, usize> = HashMap::new();
    let mut free = 1;
    let mut events = Events::with_capacity(MOST);
    let mut buffer = vec![0; 65536];
    let mut since = Instant::now();
    loop {
        let now = Instant::now();
        let due = sessions.values().map(|(_, session)| session.due).min();
        let wait = due.map(|due| due.saturating_duration_since(now).max(Duration::from_millis(1)));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            done => done?,
        }
        for event in &events {
            if let Some((id, session)) = sessions.get_mut(&event.token().0) {
                session.receive(&mut buffer).with_context(|| format!("viewer {id}"))?;
            } else if let Some((id, sink)) = sinks.get_mut(&event.token().0) {
                let milestones = sink.receive(&mut buffer).with_context(|| format!("viewer {id}"))?;
                let opened = sink.opened;
                milestones.iter().try_for_each(|milestone| tell(id, *milestone, opened))?;
            }
        }
        let now = Instant::now();
        for (id, session) in sessions.values_mut() {
            if session.due <= now {
                session.drive(now).with_context(|| format!("viewer {id}"))?;
            }
        }
        while let Ok(request) = requests.try_recv() {
            match request {
                None => return Ok(()),
                Some(Request::Open { open }) => {
                    anyhow::ensure!(sessions.len() + sinks.len() < MOST, "more than {MOST} viewers");
                    let (mut session, offer) = Session::open(args.address, args.codec)?;
                    poll.registry().register(&mut session.socket, Token(free), Interest::READABLE)?;
                    lines::write(&json!({ "id": &open, "offer": offer }))?;
                    session.opened = Instant::now();
                    tokens.insert(open.clone(), free);
                    sessions.insert(free, (open, session));
                    free += 1;
                }
                Some(Request::Sink { sink: id }) => {
                    anyhow::ensure!(sessions.len() + sinks.len() < MOST, "more than {MOST} viewers");
                    let (mut sink, address) = Sink::open(args.address)?;
                    poll.registry().register(&mut sink.socket, Token(free), Interest::READABLE)?;
                    lines::write(&json!({ "id": &id, "sink": address }))?;
                    sinks.insert(free, (id, sink));
                    free += 1;
                }
                Some(Request::Answer { id, answer }) => {
                    let session = tokens.get(&id).and_then(|token| sessions.get_mut(token));
                    let (_, session) = session.with_context(|| format!("there is no viewer {id}"))?;
                    session.answer(&answer).with_context(|| format!("viewer {id}"))?;
                }
                Some(Request::Candidate { id, candidate }) => {
                    // One that comes after the viewer is gone is of no use.
                    if let Some((_, session)) = tokens.get(&id).and_then(|token| sessions.get_mut(token)) {
                        session.candidate(&candidate).with_context(|| format!("viewer {id}"))?;
                    }
                }
                Some(Request::Close { close }) => {
                    if let Some((_, mut session)) =
                        tokens.remove(&close).and_then(|token| sessions.remove(&token))
                    {
                        session.close();
                        poll.registry().deregister(&mut session.socket)?;
                    }
                }
                Some(Request::Report { report: false }) => {}
                Some(Request::Report { report: true }) => {
                    let now = Instant::now();
                    let counts: BTreeMap<&str, Counts> = sessions
                        .values_mut()
                        .map(|(id, session)| {
                            let report = session.figures.report(now);
                            (id.as_str(), Counts { report, asked: session.asked })
                        })
                        .chain(sinks.values_mut().map(|(id, sink)| {
                            (id.as_str(), Counts { report: sink.figures.report(now), asked: 0 })
                        }))
                        .collect();
                    let ms = now.duration_since(since).as_secs_f64() * 1e3;
                    lines::write(&json!({ "report": counts, "ms": ms }))?;
                    since = now;
                }
            }
        }
        for (id, session) in sessions.values_mut() {
            for milestone in session.milestones() {
                tell(id, milestone, session.opened)?;
            }
        }
    }
}

/// Something happened for the first time.
fn tell(id: &str, milestone: Milestone, opened: Instant) -> anyhow::Result<()> {
    let name = match milestone {
        Milestone::Connected => "connected",
        Milestone::Packet => "packet",
        Milestone::Picture => "picture",
        Milestone::Closed => "closed",
    };
    let ms = opened.elapsed().as_secs_f64() * 1e3;
    lines::write(&json!({ "id": id, "event": name, "ms": ms }))
}
