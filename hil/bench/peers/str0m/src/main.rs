//! The bare str0m crate as a sender in its fastest form: RTP mode, one thread and one socket for all viewers, a picture
//! cut into packets once, bandwidth estimation and pacing on.

mod socket;
mod viewer;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bench_common::{
    clip::Clip,
    fake::FakeEncoder,
    lines::{self, Reply, Request},
    payload::payloads,
};
use clap::Parser;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::{
    socket::Endpoint,
    viewer::{Payloads, Viewer},
};

const LINES: Token = Token(0);
const SOCKET: Token = Token(1);
const MOST_LINES: usize = 256;
/// What is left of 1200 bytes (RFC 8831 and browsers' packets) after RTP header, extensions and SRTP's tag.
const MOST_PAYLOAD: usize = 1150;
/// RTP clock of video.
const CLOCK: u64 = 90_000;

#[derive(Parser)]
struct Args {
    /// Address to send from.
    #[arg(long)]
    address: IpAddr,
    /// The clip, H.264 in Annex B form.
    #[arg(long)]
    clip: PathBuf,
    /// Its pictures a second.
    #[arg(long, default_value_t = 30)]
    fps: u64,
    /// Leave out the clip and make pictures that fill the first viewer's estimate, up to this rate in bits a second.
    #[arg(long)]
    fill: Option<u64>,
    /// Where the estimate begins, in bits a second.
    #[arg(long, default_value_t = 3_000_000)]
    start: u64,
}

/// The viewers and the stream that all of them get.
struct Peer {
    args: Args,
    out: Endpoint,
    viewers: Vec<(String, Viewer)>,
    /// Who an address is.
    known: HashMap<SocketAddr, String>,
    packets: Vec<(Payloads, bool)>,
    fake: FakeEncoder,
    /// Picture number and when it is due; none while nobody watches.
    stream: Option<(u64, Instant)>,
    time: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let clip = Clip::read(&args.clip)?;
    let cut = |picture: &_| payloads(picture, MOST_PAYLOAD).into_iter().map(Into::into).collect();
    let packets = clip.pictures.iter().map(|picture| (cut(picture), picture.key)).collect();
    let out = Endpoint::bind(args.address).context("the socket")?;
    let fake = FakeEncoder::new(&clip);
    let mut peer =
        Peer { args, out, viewers: Vec::new(), known: HashMap::new(), packets, fake, stream: None, time: 0 };

    let mut poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), LINES)?;
    poll.registry().register(&mut peer.out.socket, SOCKET, Interest::READABLE)?;
    let (send, requests) = mpsc::sync_channel::<Option<Request>>(MOST_LINES);
    std::thread::spawn(move || {
        let read = lines::read(|request| {
            if send.send(Some(request)).is_ok() {
                let _ = waker.wake();
            }
        });
        if let Err(error) = read {
            eprintln!("bench-peer-str0m: {error:#}");
        }
        let _ = send.send(None);
        let _ = waker.wake();
    });
    let mut events = Events::with_capacity(16);
    loop {
        match poll.poll(&mut events, peer.wait(Instant::now())) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            done => done?,
        }
        if events.iter().any(|event| event.token() == SOCKET) {
            peer.receive()?;
        }
        while let Ok(request) = requests.try_recv() {
            let Some(request) = request else { return Ok(()) };
            peer.handle(request)?;
        }
        peer.drive(Instant::now());
    }
}

impl Peer {
    fn wait(&self, now: Instant) -> Option<Duration> {
        let viewers = self.viewers.iter().map(|(_, viewer)| viewer.due);
        let due = viewers.chain(self.stream.map(|(_, due)| due)).min()?;
        // Timers of the kernel's poll count whole milliseconds.
        Some(due.saturating_duration_since(now).max(Duration::from_millis(1)))
    }

    fn handle(&mut self, request: Request) -> anyhow::Result<()> {
        if let Some(offer) = request.offer {
            // A clip is as large as it is: probing has nothing to find beyond where it begins. Pictures that fill a path want
            // more of it than they have bytes, for headers and repetitions.
            let (start, desired) =
                (self.args.start, self.args.fill.map_or(self.args.start, |most| most * 5 / 4));
            let (viewer, answer) = Viewer::accept(&offer, self.out.local, start, desired)?;
            self.viewers.push((request.id.clone(), viewer));
            lines::write(&Reply { id: request.id, answer })?;
        } else if request.bye {
            if let Some((_, viewer)) = self.viewers.iter_mut().find(|(id, _)| *id == request.id) {
                viewer.close(&mut self.out);
            }
            self.forget();
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.viewers.retain(|(_, viewer)| !viewer.over);
        let viewers = &self.viewers;
        self.known.retain(|_, id| viewers.iter().any(|(other, _)| other == id));
        if self.viewers.is_empty() {
            self.stream = None;
        }
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        let mut datagrams = Vec::new();
        self.out.receive(|source, datagram| datagrams.push((source, datagram.to_vec())))?;
        let now = Instant::now();
        for (source, datagram) in datagrams {
            let local = self.out.local;
            let known = self.known.get(&source);
            let found = self.viewers.iter_mut().find(|(id, viewer)| match known {
                Some(known) => id == known,
                None => viewer.accepts(source, local, &datagram),
            });
            if let Some((id, viewer)) = found {
                if known.is_none() {
                    self.known.insert(source, id.clone());
                }
                viewer.receive(source, &datagram, now, &mut self.out);
            }
        }
        Ok(())
    }

    fn drive(&mut self, now: Instant) {
        if self.stream.is_none() && self.viewers.iter().any(|(_, viewer)| viewer.connected()) {
            self.stream = Some((0, now));
        }
        if let Some((index, due)) = self.stream.filter(|(_, due)| *due <= now) {
            self.picture(index, now);
            let interval = Duration::from_nanos(1_000_000_000 / self.args.fps);
            self.stream = Some((index + 1, due + interval));
        }
        for (_, viewer) in &mut self.viewers {
            if viewer.due <= now {
                viewer.drive(now, &mut self.out);
            }
        }
        if self.viewers.iter().any(|(_, viewer)| viewer.over) {
            self.forget();
        }
    }

    fn picture(&mut self, index: u64, now: Instant) {
        self.time += CLOCK / self.args.fps;
        let time = self.time as u32;
        if let Some(most) = self.args.fill {
            let Some((_, viewer)) = self.viewers.first_mut() else { return };
            let rate = viewer.estimate;
            let key = std::mem::take(&mut viewer.wants_key);
            let picture = self.fake.encode(rate, most, self.args.fps, key);
            let packets = payloads(&picture, MOST_PAYLOAD).into_iter().map(Into::into).collect();
            viewer.write(&packets, picture.key, time, now, &mut self.out);
            return;
        }
        let (packets, key) = &self.packets[index as usize % self.packets.len()];
        for (_, viewer) in &mut self.viewers {
            viewer.write(packets, *key, time, now, &mut self.out);
        }
    }
}
