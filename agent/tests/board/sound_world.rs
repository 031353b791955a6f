//! The far ends of the board's loopback sound card: a room that makes known sounds, ears that hear what is played, and
//! hands that pull the card out.
//!
//! The agent's microphone is device 0 of the card, which gives what is played on device 1; its speaker is device 0 too,
//! and is heard on device 1. The far end is opened first and so decides on rate, channels and format.

use std::{
    ffi::CString,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use alsa::{
    Direction, ValueOr,
    ctl::{Ctl, ElemId, ElemIface, ElemType, ElemValue},
    pcm::{Access, Format, HwParams, PCM, State, TstampType},
};
use p2pcam_agent::media::video::source::monotonic::{instant_of, kernel_now};

use super::support::{PATIENCE, eventually};

/// The agent's end, as a technician would write it.
pub const AGENT: &str = "hw:CARD=Loopback,DEV=0";
/// The far end.
const WORLD: &str = "hw:CARD=Loopback,DEV=1";
/// The tone of the room, in hertz.
pub const HZ: f64 = 700.0;
/// The driver of the card.
const DRIVER: &str = "/sys/bus/platform/drivers/snd_aloop";
/// There is one card: its tests take turns.
static CARD: Mutex<()> = Mutex::new(());

/// Takes the card for one test, plugged in and at its own pace.
pub fn card() -> MutexGuard<'static, ()> {
    let turn = CARD.lock().unwrap_or_else(PoisonError::into_inner);
    plug();
    at_rest();
    turn
}

/// Waits until nobody has the card open: both ends take its first free substream, and belong together only if that is
/// the same one.
fn at_rest() {
    let closed = |path: PathBuf| fs::read_to_string(path).is_ok_and(|status| status.trim() == "closed");
    eventually("nobody has the card open", PATIENCE, || {
        let pcms = fs::read_dir("/proc/asound/Loopback").ok()?.flatten();
        let pcms = pcms.filter(|entry| entry.file_name().to_string_lossy().starts_with("pcm"));
        let mut streams = pcms.flat_map(|pcm| fs::read_dir(pcm.path()).into_iter().flatten().flatten());
        streams.all(|stream| !stream.path().is_dir() || closed(stream.path().join("status"))).then_some(())
    });
}

/// What the far end is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub rate: u32,
    pub channels: usize,
    pub format: Format,
}

pub const PLAIN: Shape = Shape { rate: 48_000, channels: 1, format: Format::S16LE };

impl Shape {
    fn bytes(self, sample: i16) -> Vec<u8> {
        let wide = (i32::from(sample) << 16).to_le_bytes();
        let one = match self.format {
            Format::S32LE => wide.to_vec(),
            Format::S243LE => wide[1..].to_vec(),
            Format::FloatLE => (f32::from(sample) / 32_768.0).to_le_bytes().to_vec(),
            _ => sample.to_le_bytes().to_vec(),
        };
        one.repeat(self.channels)
    }

    /// The first channel of a frame.
    fn sample(self, frame: &[u8]) -> i16 {
        let width = frame.len() / self.channels;
        if self.format == Format::FloatLE {
            return (f32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) * 32_768.0) as i16;
        }
        i16::from_le_bytes([frame[width - 2], frame[width - 1]])
    }
}

fn open(direction: Direction, shape: Shape) -> PCM {
    let pcm = PCM::new(WORLD, direction, false).expect("the far end opens");
    {
        let params = HwParams::any(&pcm).expect("parameters");
        params.set_access(Access::RWInterleaved).expect("interleaved");
        params.set_rate(shape.rate, ValueOr::Nearest).expect("its rate");
        params.set_channels(shape.channels as u32).expect("its channels");
        params.set_format(shape.format).expect("its format");
        params.set_period_time_near(10_000, ValueOr::Nearest).expect("periods");
        params.set_buffer_time_near(200_000, ValueOr::Nearest).expect("a ring");
        pcm.hw_params(&params).expect("the far end takes this shape");
        let software = pcm.sw_params_current().expect("parameters");
        software.set_tstamp_mode(true).expect("stamps");
        software.set_tstamp_type(TstampType::Monotonic).expect("monotonic stamps");
        // A capture starts with its first read.
        let ring = if direction == Direction::Capture { 1 } else { shape.rate as i64 / 20 };
        software.set_start_threshold(ring).expect("a start");
        pcm.sw_params(&software).expect("the far end takes these");
    }
    pcm
}

/// Plays until it is dropped: a tone, or a click each half second whose time is known.
pub struct Room {
    stop: Arc<AtomicBool>,
    clicks: Arc<Mutex<Vec<Instant>>>,
    player: Option<JoinHandle<()>>,
}

impl Room {
    pub fn with_tone(shape: Shape) -> Self {
        let step = HZ * std::f64::consts::TAU / f64::from(shape.rate);
        Self::start(shape, move |n| (8000.0 * (f64::from(n) * step).sin()) as i16)
    }

    pub fn with_clicks(shape: Shape) -> Self {
        Self::start(shape, move |n| if n % (shape.rate / 2) < shape.rate / 500 { 20_000 } else { 0 })
    }

    /// `sound` gives the samples of a second, which is repeated.
    fn start(shape: Shape, sound: impl Fn(u32) -> i16) -> Self {
        let pcm = open(Direction::Playback, shape);
        let second: Vec<u8> = (0..shape.rate).flat_map(|n| shape.bytes(sound(n))).collect();
        let (stop, clicks) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let (ended, noted) = (stop.clone(), clicks.clone());
        let player = std::thread::spawn(move || {
            let (mut written, period) = (0_u64, shape.rate as usize / 100);
            let half_second = u64::from(shape.rate) / 2;
            let (mut next_click, frame) = (half_second, second.len() / shape.rate as usize);
            while !ended.load(Ordering::Relaxed) {
                let from = written as usize % shape.rate as usize;
                let to = (from + period).min(shape.rate as usize);
                match pcm.io_bytes().writei(&second[from * frame..to * frame]) {
                    Ok(frames) => written += frames as u64,
                    Err(error) => {
                        // An underrun of a busy machine goes by; a card that was pulled out is the test's doing.
                        if pcm.try_recover(error, true).is_err() {
                            return;
                        }
                        // When the clicks among what was played before the silence sounded is not known any more.
                        next_click = (written / half_second + 1) * half_second;
                    }
                }
                let Ok(status) = pcm.status() else { return };
                if status.get_state() != State::Running {
                    continue;
                }
                // The stamp is of the driver's last look at its counter; its delay is counted from there.
                let stamp = status.get_htstamp();
                let stamp = Duration::new(stamp.tv_sec as u64, stamp.tv_nsec as u32);
                let at = instant_of(stamp, kernel_now(), Instant::now());
                let played = written.saturating_sub(status.get_delay().max(0) as u64);
                if played >= next_click {
                    let ago = (played - next_click) as f64 / f64::from(shape.rate);
                    noted.lock().unwrap().push(at - Duration::from_secs_f64(ago));
                    next_click += half_second;
                }
            }
        });
        Self { stop, clicks, player: Some(player) }
    }

    /// When the clicks sounded, so far; each within a timer tick of the driver (4 ms).
    pub fn clicks(&self) -> Vec<Instant> {
        self.clicks.lock().unwrap().clone()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.player.take().map(JoinHandle::join);
    }
}

/// Hears what the agent plays until it is dropped.
pub struct Ears {
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<i16>>>,
    recorder: Option<JoinHandle<()>>,
    rate: u32,
}

impl Ears {
    pub fn open(shape: Shape) -> Self {
        let pcm = open(Direction::Capture, shape);
        let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let (ended, ears) = (stop.clone(), heard.clone());
        let recorder = std::thread::spawn(move || {
            let frame = shape.bytes(0).len();
            let mut bytes = vec![0; frame * shape.rate as usize / 100];
            while !ended.load(Ordering::Relaxed) {
                match pcm.io_bytes().readi(&mut bytes) {
                    Ok(frames) => {
                        let samples = bytes[..frames * frame].chunks_exact(frame).map(|f| shape.sample(f));
                        ears.lock().unwrap().extend(samples);
                    }
                    Err(error) => {
                        if pcm.try_recover(error, true).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { stop, heard, recorder: Some(recorder), rate: shape.rate }
    }

    /// The pitch of the last so many milliseconds, in hertz; 0 for silence.
    pub fn pitch(&self, milliseconds: usize) -> f64 {
        let heard = self.heard.lock().unwrap();
        let wanted = self.rate as usize * milliseconds / 1000;
        pitch(&heard[heard.len().saturating_sub(wanted)..], self.rate)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.recorder.take().map(JoinHandle::join);
    }
}

/// The frequency of a clean tone in hertz, from how often it passes zero upwards; 0 for silence.
pub fn pitch(samples: &[i16], rate: u32) -> f64 {
    let loud = samples.iter().filter(|s| s.unsigned_abs() > 500).count() * 2 > samples.len();
    let ups: Vec<usize> =
        samples.windows(2).enumerate().filter(|(_, w)| w[0] < 0 && w[1] >= 0).map(|(n, _)| n).collect();
    match (loud, ups.first(), ups.last()) {
        (true, Some(first), Some(last)) if last > first => {
            (ups.len() - 1) as f64 * f64::from(rate) / (last - first) as f64
        }
        _ => 0.0,
    }
}

/// Pulls the card out. The kernel waits until everybody has closed it, so that its far end must be closed before.
pub fn unplug() {
    fs::write(format!("{DRIVER}/unbind"), "snd_aloop.0").expect("the card can be pulled out");
}

/// Plugs it in, if it is not.
pub fn plug() {
    if !fs::exists("/proc/asound/Loopback").unwrap_or(false) {
        fs::write(format!("{DRIVER}/bind"), "snd_aloop.0").expect("the card can be plugged in");
    }
}

/// Lets the card run at another pace until it is dropped: its "PCM Rate Shift 100000" divides the rate.
pub struct Pace {
    device: u32,
}

impl Pace {
    /// Of the microphone (device 0 captures) or of the speaker (device 1 hears it); gives the drift in ppm.
    pub fn set(device: u32, shift: i32) -> (Self, f64) {
        at_rest();
        write_shift(device, shift);
        (Self { device }, (100_000.0 / f64::from(shift) - 1.0) * 1e6)
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        write_shift(self.device, 100_000);
    }
}

fn write_shift(device: u32, shift: i32) {
    let control = Ctl::new("hw:CARD=Loopback", false).expect("the card's controls");
    let mut id = ElemId::new(ElemIface::PCM);
    id.set_device(device);
    id.set_subdevice(0);
    id.set_name(&CString::new("PCM Rate Shift 100000").expect("no NUL"));
    let mut value = ElemValue::new(ElemType::Integer).expect("a value");
    value.set_id(&id);
    value.set_integer(0, shift).expect("an integer");
    control.elem_write(&value).expect("the rate shift can be set");
}
