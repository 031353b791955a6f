//! The bare webrtc crate as a sender: NACK, reports, transport-wide feedback, congestion control and its pacer, as the
//! crate's own functions set them up; a picture is cut into packets once.

mod estimator;
mod keyframes;
mod viewer;

use std::{net::IpAddr, path::PathBuf, time::Duration};

use bench_common::{
    clip::Clip,
    fake::FakeEncoder,
    lines::{self, Reply, Request},
    payload::payloads,
};
use bytes::Bytes;
use clap::Parser;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use crate::viewer::Viewer;

/// What is left of 1200 bytes after RTP header, extensions and SRTP's tag.
const MOST_PAYLOAD: usize = 1150;
/// RTP clock of video.
const CLOCK: u64 = 90_000;
const MOST_LINES: usize = 256;

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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let clip = Clip::read(&args.clip)?;
    let cut =
        |picture: &_| -> Vec<Bytes> { payloads(picture, MOST_PAYLOAD).into_iter().map(Into::into).collect() };
    let packets: Vec<_> = clip.pictures.iter().map(|picture| (cut(picture), picture.key)).collect();
    let mut fake = FakeEncoder::new(&clip);
    let (send, mut requests) = mpsc::channel::<Request>(MOST_LINES);
    std::thread::spawn(move || {
        if let Err(error) = lines::read(|request| drop(send.blocking_send(request))) {
            eprintln!("bench-peer-webrtc: {error:#}");
        }
    });
    let mut viewers: Vec<(String, Viewer)> = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_nanos(1_000_000_000 / args.fps));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut index, mut time, mut opened) = (0, 0, 1);
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(request) = request else { return Ok(()) };
                if let Some(offer) = request.offer {
                    let (viewer, answer) = Viewer::accept(offer, args.address, 0x1000 + opened, args.start).await?;
                    opened += 1;
                    viewers.push((request.id.clone(), viewer));
                    lines::write(&Reply { id: request.id, answer })?;
                } else if request.bye
                    && let Some(at) = viewers.iter().position(|(id, _)| *id == request.id)
                {
                    viewers.swap_remove(at).1.close().await;
                }
            }
            _ = tick.tick() => {
                if !viewers.iter().any(|(_, viewer)| viewer.connected()) {
                    index = 0;
                    continue;
                }
                time += (CLOCK / args.fps) as u32;
                if let Some(most) = args.fill {
                    let viewer = &mut viewers[0].1;
                    let key = viewer.wants_key() || index == 0;
                    let picture = fake.encode(viewer.estimate(), most, args.fps, key);
                    viewer.write(&cut(&picture), picture.key, time).await;
                } else {
                    let (packets, key) = &packets[index % packets.len()];
                    for (_, viewer) in &mut viewers {
                        viewer.write(packets, *key, time).await;
                    }
                }
                index += 1;
            }
        }
    }
}
