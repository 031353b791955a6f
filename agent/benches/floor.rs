//! The least that a viewer can cost: header, SRTP and sending of the packets of a 2 Mbit/s stream, without anything else.
//!
//! `cargo bench --bench floor -- --profile gcm128 --seconds 10 --viewers 1,8,16,32` prints a Markdown table. Each viewer
//! gets the same payloads with headers, sequence numbers and keys of its own, in one reused buffer, from one socket.
//!
//! The viewers' sockets are on the loopback interface, in this process, as small as the kernel allows and never read:
//! so no reader's wake-ups and copies are in the figures. What is in them besides sending is the kernel's receive path
//! as far as the full buffer where it drops, and with it the cutting of trains, which for a network card without
//! UDP segmentation takes place before the driver; softirqs of loopback run on the sender's account
//! (without CONFIG_IRQ_TIME_ACCOUNTING). What is not in them: a driver, checksums, the runtime, RTCP.
//!
//! The time is that of the only thread on a processor, user and system (/proc/self/schedstat, in nanoseconds).

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use p2pcam_agent::session::srtp::{Keys, Master, Outbound, Profile};
use quinn_udp::{Transmit, UdpSocketState};

const FPS: u32 = 30;
/// A key frame every two seconds.
const GROUP: usize = 60;
const KEY_FRAME: usize = 40_000;
/// Makes 2 Mbit/s of a group: 500 kB in two seconds.
const OTHER_FRAMES: usize = (500_000 - KEY_FRAME) / (GROUP - 1);
/// Other frames are within this share of their mean.
const SPREAD_PERCENT: usize = 40;
/// Fixed header, and extensions for transport-wide sequence number, absolute send time and MID.
const HEADER: usize = 12 + 4 + 12;
/// As the agent sends: fits every path with its outer headers.
const MAX_PAYLOAD: usize = 1_150;
/// What one call sends at most, in bytes.
const MAX_TRAIN: usize = 65_487;
/// The least that the kernel takes for a receive buffer is more; it takes its least then.
const RECEIVE_BUFFER: usize = 1;
/// Packets to each viewer before anything is measured, so that its buffer is full: nothing is stored then.
const FILL: usize = 64;

#[derive(Debug, Parser)]
struct Arguments {
    /// How packets are protected.
    #[arg(long, value_enum, default_value = "gcm128")]
    profile: Protection,
    /// Length of each run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Numbers of viewers.
    #[arg(long, value_delimiter = ',', default_value = "1,8,16,32")]
    viewers: Vec<usize>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Protection {
    Gcm128,
    Gcm256,
    Cm80,
}

impl Protection {
    fn profile(self) -> Profile {
        match self {
            Self::Gcm128 => Profile::AeadAes128Gcm,
            Self::Gcm256 => Profile::AeadAes256Gcm,
            Self::Cm80 => Profile::Aes128CmHmacSha1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Sending {
    /// Header and SRTP only.
    Nothing,
    /// A call for each packet.
    Packets,
    /// A call for each frame.
    Trains,
}

#[derive(Debug, Clone, Copy)]
enum Pace {
    /// 30 frames a second, with the wake-ups.
    Real,
    /// As fast as it goes.
    FlatOut,
}

/// What a viewer has of its own.
struct Viewer {
    outbound: Outbound,
    address: SocketAddr,
    ssrc: u32,
    /// Of the next packet: rollover counter and sequence number.
    index: u64,
}

struct Wire {
    socket: UdpSocket,
    state: UdpSocketState,
    calls: u64,
    packets: u64,
    refused: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let profile = arguments.profile.profile();
    let length = Duration::from_secs(arguments.seconds);
    let frames = frames();
    let bits = frames.iter().sum::<usize>() * 8 / (GROUP / FPS as usize);
    println!(
        "{profile:?}, {:.2} Mbit/s at {FPS} fps, {} packets a second, {} s a run, loopback\n",
        bits as f64 / 1e6,
        frames.iter().map(|size| size.div_ceil(MAX_PAYLOAD)).sum::<usize>() / (GROUP / FPS as usize),
        arguments.seconds,
    );
    println!(
        "| sending | pace | viewers | CPU ms a viewer-second | viewers that a core carries | packets a call | refused |"
    );
    println!("|---|---|---|---|---|---|---|");
    for sending in [Sending::Nothing, Sending::Packets, Sending::Trains] {
        for pace in [Pace::Real, Pace::FlatOut] {
            for viewers in &arguments.viewers {
                run(profile, sending, pace, *viewers, length, &frames)?;
            }
        }
    }
    Ok(())
}

/// Sizes of a group's frames in bytes, the same in every run.
fn frames() -> Vec<usize> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut others = || {
        // Xorshift: any spread will do, if it is always the same.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let percent = 100 - SPREAD_PERCENT + (state % (2 * SPREAD_PERCENT as u64 + 1)) as usize;
        OTHER_FRAMES * percent / 100
    };
    std::iter::once(KEY_FRAME).chain(std::iter::repeat_with(&mut others).take(GROUP - 1)).collect()
}

fn run(
    profile: Profile,
    sending: Sending,
    pace: Pace,
    viewers: usize,
    length: Duration,
    frames: &[usize],
) -> Result<()> {
    let mut wire = Wire::new()?;
    // They are dropped at the end of the run, not before.
    let (receivers, mut viewers) = audience(profile, viewers)?;
    if !matches!(sending, Sending::Nothing) {
        wire.fill(&viewers)?;
    }
    let unit: Vec<u8> = (0..KEY_FRAME).map(|byte| byte as u8).collect();
    let mut train = Vec::with_capacity(MAX_TRAIN);
    let before = cpu()?;
    let start = Instant::now();
    let mut shown = 0u32;
    for (size, number) in frames.iter().cycle().zip(1u32..) {
        for viewer in &mut viewers {
            let segment = viewer.pack(&unit[..*size], &mut train);
            match sending {
                Sending::Nothing => {
                    std::hint::black_box(&train);
                }
                Sending::Packets => {
                    for packet in train.chunks(segment) {
                        wire.send(viewer.address, packet, None)?;
                    }
                }
                Sending::Trains => wire.send(viewer.address, &train, Some(segment))?,
            }
        }
        shown = number;
        let elapsed = start.elapsed();
        if elapsed >= length {
            break;
        }
        if let Pace::Real = pace {
            thread::sleep((Duration::from_secs(1) * number / FPS).saturating_sub(elapsed));
        }
    }
    let spent = cpu()? - before;
    let viewer_seconds = f64::from(shown) / f64::from(FPS) * viewers.len() as f64;
    let each = spent.as_secs_f64() * 1e3 / viewer_seconds;
    println!(
        "| {} | {} | {} | {each:.3} | {:.0} | {} | {} |",
        match sending {
            Sending::Nothing => "header and SRTP only",
            Sending::Packets => "a call a packet",
            Sending::Trains => "a call a frame (UDP_SEGMENT)",
        },
        match pace {
            Pace::Real => "30 fps",
            Pace::FlatOut => "flat out",
        },
        viewers.len(),
        1e3 / each,
        if wire.calls == 0 {
            "-".to_owned()
        } else {
            format!("{:.1}", wire.packets as f64 / wire.calls as f64)
        },
        wire.refused,
    );
    drop(receivers);
    Ok(())
}

/// Sockets that are never read, and who is behind them.
fn audience(profile: Profile, count: usize) -> Result<(Vec<UdpSocket>, Vec<Viewer>)> {
    let mut receivers = Vec::new();
    let mut viewers = Vec::new();
    for number in 0..count {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        let byte = number as u8;
        let master = |byte: u8| {
            Master::new(profile, &[byte; 32][..profile.key_len()], &[byte; 14][..profile.salt_len()])
        };
        viewers.push(Viewer {
            outbound: Outbound::new(&Keys::new(profile, master(byte)?, master(!byte)?)?),
            address: socket.local_addr()?,
            ssrc: number as u32 + 1,
            index: 0,
        });
        receivers.push(socket);
    }
    Ok((receivers, viewers))
}

impl Viewer {
    /// Packets of a frame, protected, one after the other; gives the length of all but the last.
    fn pack(&mut self, unit: &[u8], train: &mut Vec<u8>) -> usize {
        train.clear();
        let payload = unit.len().div_ceil(unit.len().div_ceil(MAX_PAYLOAD));
        let overhead = self.outbound.overhead();
        let last = unit.len().div_ceil(payload) - 1;
        for (number, part) in unit.chunks(payload).enumerate() {
            let start = train.len();
            let mut header = [0; HEADER];
            header[0] = 0x90;
            header[1] = if number == last { 0x80 | 96 } else { 96 };
            header[2..4].copy_from_slice(&(self.index as u16).to_be_bytes());
            header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
            header[12..16].copy_from_slice(&[0xbe, 0xde, 0, 3]);
            train.extend_from_slice(&header);
            train.extend_from_slice(part);
            train.resize(train.len() + overhead, 0);
            self.outbound.protect(&mut train[start..], HEADER, self.index);
            self.index += 1;
        }
        HEADER + payload + overhead
    }
}

impl Wire {
    fn new() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let state = UdpSocketState::new((&socket).into())?;
        state.set_send_buffer_size((&socket).into(), 1024 * 1024)?;
        ensure!(state.max_gso_segments() > 1, "this kernel has no UDP_SEGMENT (Linux 4.18)");
        Ok(Self { socket, state, calls: 0, packets: 0, refused: 0 })
    }

    fn send(&mut self, destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> Result<()> {
        let transmit = Transmit { destination, ecn: None, contents, segment_size: segment, src_ip: None };
        self.calls += 1;
        self.packets += segment.map_or(1, |segment| contents.len().div_ceil(segment)) as u64;
        match self.state.try_send((&self.socket).into(), &transmit) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.refused += 1,
            other => other.context("sending on the loopback interface")?,
        }
        Ok(())
    }

    fn fill(&mut self, viewers: &[Viewer]) -> Result<()> {
        for viewer in viewers {
            for _ in 0..FILL {
                self.send(viewer.address, &[0; MAX_PAYLOAD], None)?;
            }
        }
        (self.calls, self.packets, self.refused) = (0, 0, 0);
        Ok(())
    }
}

/// On a processor so far, user and system (kernel doc: scheduler/sched-stats).
fn cpu() -> Result<Duration> {
    // The kernel brings its account up to date when a thread goes to sleep.
    thread::sleep(Duration::from_millis(1));
    let line = fs::read_to_string("/proc/self/schedstat").context("the kernel lacks CONFIG_SCHED_INFO")?;
    let nanoseconds = line.split_whitespace().next().context("an empty schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
