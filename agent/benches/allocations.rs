//! Allocations and memory of the path from a picture to each viewer's packets: none per packet once it runs.
//! Run: `cargo bench --bench allocations`. Fails if there is one.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use counting::{ALLOCATIONS, HELD};
use p2pcam_agent::{
    media::{
        audio::{AudioCodec, AudioFrame},
        video::{AccessUnit, VideoCodec},
    },
    session::send::{ExtensionIds, Outlet, Seal, Sender, SoundStream, VideoStream},
};

const VIEWERS: usize = 8;
/// As many as are counted.
const PICTURES: u32 = 1000;
/// As many before that: the second that histories keep, and a key frame.
const WARM_UP: u32 = 200;
const FPS: u32 = 30;
/// 2 Mbit/s, and key frames ten times as large as others.
const PICTURE: usize = 8_000;
const KEYFRAME: usize = 80_000;
const KEYFRAME_INTERVAL: u32 = 100;
/// What pacing lets go at once.
const BUDGET: usize = 10_000;

/// Counts what the program takes from its allocator.
#[allow(unsafe_code)]
mod counting {
    use std::{
        alloc::{GlobalAlloc, Layout, System},
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    /// Calls that took memory so far.
    pub static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
    /// Bytes held now.
    pub static HELD: AtomicUsize = AtomicUsize::new(0);

    struct Counting;

    // SAFETY: all is handed on as it came; counting touches no memory that is given out.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            ALLOCATIONS.fetch_add(1, Relaxed);
            HELD.fetch_add(layout.size(), Relaxed);
            // SAFETY: the caller's promise.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            HELD.fetch_sub(layout.size(), Relaxed);
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(pointer, layout) }
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            ALLOCATIONS.fetch_add(1, Relaxed);
            HELD.fetch_add(size, Relaxed);
            HELD.fetch_sub(layout.size(), Relaxed);
            // SAFETY: the caller's promise.
            unsafe { System.realloc(pointer, layout, size) }
        }
    }

    #[global_allocator]
    static COUNTING: Counting = Counting;
}

/// Takes the place of encryption, whose own bench is another.
struct Tag;

impl Seal for Tag {
    fn overhead(&self) -> usize {
        16
    }

    fn seal(&mut self, packet: &mut [u8], _header: usize, index: u64) {
        let end = packet.len() - 8;
        packet[end..].copy_from_slice(&index.to_be_bytes());
    }
}

struct Viewer {
    sender: Sender,
    packets: u64,
    trains: u64,
    /// The last sequence number of the pictures.
    newest: u16,
}

impl Viewer {
    fn new(epoch: Instant, number: u32) -> Self {
        let extensions =
            ExtensionIds { mid: 1, transport_cc: 2, playout_delay: 3, audio_level: 4, ..Default::default() };
        let video = VideoStream {
            ssrc: number * 4 + 1,
            payload_type: 96,
            rtx: Some((number * 4 + 2, 97)),
            repair: None,
            mid: "0".into(),
            extensions,
            random: 0,
        };
        let sound = SoundStream {
            ssrc: number * 4 + 3,
            payload_type: 111,
            clock_rate: 48_000,
            mid: "1".into(),
            extensions,
            random: 0,
        };
        Self { sender: Sender::new(epoch, Some(&video), Some(&sound)), packets: 0, trains: 0, newest: 0 }
    }

    /// A picture with sound; the viewer has missed some packets of the last one, and every second there is a probe.
    fn picture(&mut self, now: Instant, number: u32, unit: &Arc<AccessUnit>, frame: &Arc<AudioFrame>) {
        assert!(self.sender.push(now, unit.clone()), "the picture before has left");
        self.sender.push_sound(frame.clone());
        let missing = [self.newest, self.newest.wrapping_sub(1)];
        self.sender.nack(now, Duration::from_millis(20), &missing);
        if number.is_multiple_of(FPS) {
            self.sender.probe(30_000, number);
        }
        let mut bytes = 0;
        while let Some(train) = self.sender.next_train(
            now,
            BUDGET,
            Outlet { seal: &mut Tag, repair: None, sent: &mut |packet| bytes += packet.bytes },
        ) {
            self.packets += train.count as u64;
            self.trains += 1;
            for packet in train.data.chunks(train.segment).filter(|packet| packet[1] & 0x7f == 96) {
                self.newest = u16::from_be_bytes([packet[2], packet[3]]);
            }
        }
        assert!(bytes > PICTURE && self.sender.take_finished().is_some());
    }
}

/// An H.264 unit; a key frame has parameter sets.
fn unit(number: u32, captured: Instant) -> Arc<AccessUnit> {
    let keyframe = number.is_multiple_of(KEYFRAME_INTERVAL);
    let mut data = Vec::new();
    if keyframe {
        data.extend_from_slice(&[
            0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80,
        ]);
    }
    data.extend_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }]);
    data.resize(data.len() + if keyframe { KEYFRAME } else { PICTURE }, 7);
    let unit = AccessUnit::passed(VideoCodec::H264, data.into(), keyframe, (1280, 720), (captured, captured));
    Arc::new(unit)
}

fn allocations() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}

fn main() {
    let start = Instant::now();
    let before = HELD.load(Ordering::Relaxed);
    let mut viewers: Vec<Viewer> = (0..VIEWERS as u32).map(|number| Viewer::new(start, number)).collect();
    let (mut per_viewer, mut per_cut, mut time) = (0, 0, Duration::ZERO);
    let mut held = Vec::new();
    for number in 0..WARM_UP + PICTURES {
        let now = start + Duration::from_secs(1) * number / FPS;
        let unit = unit(number, now);
        let data = vec![7; 80].into();
        let frame = Arc::new(AudioFrame { codec: AudioCodec::Opus, data, level: 30, captured: now });
        if number == WARM_UP {
            viewers.iter_mut().for_each(|viewer| (viewer.packets, viewer.trains) = (0, 0));
        }
        let counts = number >= WARM_UP;
        let at = allocations();
        assert!(unit.payloads().len() > 5);
        per_cut += if counts { allocations() - at } else { 0 };
        let (at, begin) = (allocations(), Instant::now());
        for viewer in &mut viewers {
            viewer.picture(now, number, &unit, &frame);
        }
        if counts {
            per_viewer += allocations() - at;
            time += begin.elapsed();
            held.push(HELD.load(Ordering::Relaxed) - before);
        }
    }
    let packets: u64 = viewers.iter().map(|viewer| viewer.packets).sum();
    let trains: u64 = viewers.iter().map(|viewer| viewer.trains).sum();
    let again: u64 = viewers.iter_mut().map(|viewer| viewer.sender.take_counts().retransmitted).sum();
    assert!(again > 0, "packets were sent again");
    let most = held.iter().max().copied().unwrap_or_default();
    viewers.drain(1..);
    let one = HELD.load(Ordering::Relaxed) - before;
    println!(
        "{VIEWERS} viewers, {PICTURES} pictures of {PICTURE} bytes, sound, losses, probes; encryption left out"
    );
    println!("allocations per picture, to cut it once for all: {:.1}", per_cut as f64 / f64::from(PICTURES));
    println!("allocations per packet and viewer: {} of {packets} packets ({again} sent again)", per_viewer);
    println!("packets per train: {:.1}", packets as f64 / trains as f64);
    println!("nanoseconds per packet, copying included: {:.0}", time.as_nanos() as f64 / packets as f64);
    println!(
        "bytes held at most, pictures of the last second included: {most}; with one viewer at the end: {one}"
    );
    assert_eq!(per_viewer, 0, "a packet costs an allocation");
}
