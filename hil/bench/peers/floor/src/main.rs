//! The least that any sender does for a viewer: RTP header, SRTP, and the kernel call. No ICE, no DTLS, no RTCP, no
//! estimate, nothing received; keys are made up, and the viewers' sockets are told by the driver.
//!
//! All pictures leave at once for one viewer after the other, from one thread that sleeps in between.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bench_common::{
    clip::Clip,
    lines::{self, Request},
    payload::payloads,
};
use clap::Parser;
use quinn_udp::{Transmit, UdpSocketState};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};

/// The agent's, so that there are as many packets.
const MOST_PAYLOAD: usize = 1140;
/// Fixed header; one-byte extensions for transport-wide number and absolute send time, filled up to words.
const HEADER: usize = 12 + 4 + 8;
/// Of the kernel's queue, for key frames to all viewers.
const BUFFER: usize = 4 << 20;
/// UDP_MAX_SEGMENTS of older kernels.
const MOST_SEGMENTS: usize = 44;
/// RTP clock of video.
const CLOCK: u64 = 90_000;
/// Lines of the driver that wait.
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
    /// A call for each picture (UDP_SEGMENT) instead of one for each packet.
    #[arg(long)]
    trains: bool,
}

struct Viewer {
    id: String,
    to: SocketAddr,
    key: LessSafeKey,
    salt: [u8; 12],
    ssrc: u32,
    /// Rollover counter and sequence number (RFC 3711 section 3.3.1).
    index: u64,
}

impl Viewer {
    fn new(id: String, to: SocketAddr, number: usize) -> anyhow::Result<Self> {
        let key = UnboundKey::new(&AES_128_GCM, &[number as u8; 16]).ok().context("a key of 16 bytes")?;
        let salt = [!(number as u8); 12];
        Ok(Self { id, to, key: LessSafeKey::new(key), salt, ssrc: number as u32 + 1, index: 1 })
    }

    /// A packet more at the end of the train; RFC 7714 section 8.
    fn pack(&mut self, payload: &[u8], last: bool, time: u32, train: &mut Vec<u8>) -> anyhow::Result<()> {
        let start = train.len();
        let sequence = (self.index as u16).to_be_bytes();
        train.extend_from_slice(&[0x90, if last { 0x80 | 96 } else { 96 }, sequence[0], sequence[1]]);
        train.extend_from_slice(&time.to_be_bytes());
        train.extend_from_slice(&self.ssrc.to_be_bytes());
        train.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x11, sequence[0], sequence[1], 0x22, 0, 0, 0, 0]);
        train.extend_from_slice(payload);
        let mut nonce = self.salt;
        let counted = u64::from(self.ssrc).to_be_bytes();
        nonce[2..6].iter_mut().zip(&counted[4..]).for_each(|(byte, with)| *byte ^= with);
        nonce[6..].iter_mut().zip(&self.index.to_be_bytes()[2..]).for_each(|(byte, with)| *byte ^= with);
        let (header, content) = train[start..].split_at_mut(HEADER);
        let sealed = self.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&*header),
            content,
        );
        train.extend_from_slice(sealed.ok().context("sealing")?.as_ref());
        self.index += 1;
        Ok(())
    }
}

struct Wire {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Wire {
    fn bind(address: IpAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
        socket2::SockRef::from(&socket).set_send_buffer_size(BUFFER)?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, state })
    }

    fn send(&self, destination: SocketAddr, contents: &[u8], segment_size: Option<usize>) {
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        // What the kernel cannot take is lost, as on a line; the driver sees missing pictures.
        let _ = self.state.try_send((&self.socket).into(), &transmit);
    }
}

/// Packets of the same length, but the last of each train, which may be shorter (udp(7), UDP_SEGMENT).
fn trains(mut packets: &[Vec<u8>]) -> Vec<&[Vec<u8>]> {
    let mut trains = Vec::new();
    while let Some(first) = packets.first() {
        let alike =
            packets.iter().take(MOST_SEGMENTS).take_while(|packet| packet.len() == first.len()).count();
        let shorter =
            packets.get(alike).is_some_and(|next| alike < MOST_SEGMENTS && next.len() < first.len());
        let (train, rest) = packets.split_at(alike + usize::from(shorter));
        trains.push(train);
        packets = rest;
    }
    trains
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let clip = Clip::read(&args.clip)?;
    let pictures: Vec<Vec<Vec<u8>>> =
        clip.pictures.iter().map(|picture| payloads(picture, MOST_PAYLOAD)).collect();
    let wire = Wire::bind(args.address).context("the socket")?;
    let (send, requests) = mpsc::sync_channel::<Option<Request>>(MOST_LINES);
    std::thread::spawn(move || {
        let read = lines::read(|request| drop(send.send(Some(request))));
        if let Err(error) = read {
            eprintln!("bench-peer-floor: {error:#}");
        }
        drop(send.send(None));
    });

    let mut viewers: Vec<Viewer> = Vec::new();
    let mut train = Vec::with_capacity(1 << 16);
    let interval = Duration::from_nanos(1_000_000_000 / args.fps);
    let mut due = Instant::now();
    for (number, picture) in (0u64..).zip(pictures.iter().cycle()) {
        while let Ok(request) = requests.try_recv() {
            let Some(request) = request else { return Ok(()) };
            if let Some(to) = request.sink {
                viewers.push(Viewer::new(request.id, to.parse().context("an address")?, viewers.len())?);
            } else if request.bye {
                viewers.retain(|viewer| viewer.id != request.id);
            }
        }
        let time = (number * CLOCK / args.fps) as u32;
        for viewer in &mut viewers {
            let mut left = picture.len();
            for alike in trains(picture) {
                train.clear();
                for payload in alike {
                    left -= 1;
                    viewer.pack(payload, left == 0, time, &mut train)?;
                }
                let segment = HEADER + alike[0].len() + MAX_TAG_LEN;
                if args.trains {
                    wire.send(viewer.to, &train, (alike.len() > 1).then_some(segment));
                } else {
                    train.chunks(segment).for_each(|packet| wire.send(viewer.to, packet, None));
                }
            }
        }
        due += interval;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_ends_with_its_first_packet_of_another_length() {
        let packets: Vec<Vec<u8>> = [30, 800, 800, 790, 790, 900].map(|length| vec![0; length]).into();
        let lengths: Vec<Vec<usize>> =
            trains(&packets).iter().map(|train| train.iter().map(Vec::len).collect()).collect();
        assert_eq!(lengths, [vec![30], vec![800, 800, 790], vec![790], vec![900]]);
        assert_eq!(trains(&vec![vec![0; 9]; 2 * MOST_SEGMENTS]).len(), 2);
    }
}
