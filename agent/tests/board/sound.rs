//! Sound on the board: the kernel's loopback card in every shape, at the wrong pace, pulled out, overrun, and busy.

use std::{
    thread,
    time::{Duration, Instant},
};

use alsa::{Direction, pcm::Format};
use p2pcam_agent::{
    board::{Board, Hotplug},
    config::AudioConfig,
    media::audio::{
        AudioCodec, AudioPipeline, AudioSink, AudioSource, AudioSubscription, BLOCK, PcmBlock, SAMPLE_RATE,
        TalkBack, TalkPacket, Talker,
        codec::{self, AudioDecoder, AudioEncoder},
        sink::AlsaSink,
        source::AlsaSource,
    },
    telemetry::metrics::Metrics,
};

use crate::{
    sound_world::{AGENT, Ears, HZ, PLAIN, Pace, Room, Shape, card, pitch, plug, unplug},
    support::{PATIENCE, eventually, metric, on_board, program, run, try_run},
};

/// What sound and picture may be out of step, in seconds.
const IN_SYNC: f64 = 0.020;
const BLOCK_TIME: Duration = Duration::from_millis(20);

/// What cards offer: the far end lets the agent's have nothing else.
const SHAPES: [Shape; 8] = [
    PLAIN,
    Shape { rate: 44_100, channels: 2, format: Format::S16LE },
    Shape { rate: 16_000, channels: 1, format: Format::S16LE },
    Shape { rate: 8_000, channels: 1, format: Format::S16LE },
    Shape { rate: 48_000, channels: 2, format: Format::S32LE },
    Shape { rate: 44_100, channels: 2, format: Format::S243LE },
    Shape { rate: 96_000, channels: 2, format: Format::FloatLE },
    Shape { rate: 48_000, channels: 8, format: Format::S32LE },
];

/// Blocks for so long.
fn listen(source: &mut AlsaSource, time: Duration) -> Vec<PcmBlock> {
    let until = Instant::now() + time;
    let mut blocks = Vec::new();
    while Instant::now() < until {
        blocks.push(source.next().expect("sound"));
    }
    blocks
}

/// Waits for 200 ms of the room's tone: where a dropout of a busy board falls into one piece, the next is clean.
fn hears_the_tone(source: &mut AlsaSource, what: &str) {
    eventually(what, PATIENCE, || {
        let heard: Vec<i16> = (0..10).flat_map(|_| source.next().expect("sound").samples).collect();
        ((pitch(&heard, SAMPLE_RATE) - HZ).abs() < 3.0).then_some(())
    });
}

/// Plays the tone from sample `sent` on.
fn play(sink: &mut AlsaSink, sent: &mut usize, blocks: usize) {
    for _ in 0..blocks {
        let phase = |n: usize| n as f64 * HZ * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
        let block: Vec<i16> = (*sent..*sent + BLOCK).map(|n| (8000.0 * phase(n).sin()) as i16).collect();
        sink.play(&block).expect("the speaker takes it");
        *sent += BLOCK;
    }
}

#[test]
fn a_microphone_of_any_rate_and_format_is_heard_at_the_right_pitch() {
    if !on_board() {
        return;
    }
    let _card = card();
    for shape in SHAPES {
        let _room = Room::with_tone(shape);
        let mut source = AlsaSource::open(AGENT).unwrap_or_else(|error| panic!("{shape:?}: {error:#}"));
        hears_the_tone(&mut source, &format!("the tone from {shape:?}"));
        assert_eq!(source.report().unwrap().rate, shape.rate, "{shape:?}");
    }
}

#[test]
fn a_speaker_of_any_rate_and_format_plays_at_the_right_pitch() {
    if !on_board() {
        return;
    }
    let _card = card();
    for shape in SHAPES {
        let ears = Ears::open(shape);
        let mut sink = AlsaSink::open(AGENT).unwrap_or_else(|error| panic!("{shape:?}: {error:#}"));
        let mut sent = 0;
        eventually(&format!("the tone on {shape:?}"), PATIENCE, || {
            play(&mut sink, &mut sent, 20);
            ((ears.pitch(200) - HZ).abs() < 3.0).then_some(())
        });
        assert_eq!(sink.report().unwrap().rate, shape.rate, "{shape:?}");
    }
}

#[test]
fn a_card_with_one_rate_captures_and_plays_at_once() {
    if !on_board() {
        return;
    }
    let _card = card();
    let shape = Shape { rate: 44_100, channels: 2, format: Format::S16LE };
    let (_room, ears) = (Room::with_tone(shape), Ears::open(shape));
    let mut source = AlsaSource::open(AGENT).unwrap();
    let mut sink = AlsaSink::open(AGENT).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| hears_the_tone(&mut source, "the room while the speaker plays"));
        let mut sent = 0;
        eventually("the speaker while the microphone is open", PATIENCE, || {
            play(&mut sink, &mut sent, 20);
            ((ears.pitch(200) - HZ).abs() < 3.0).then_some(())
        });
    });
    assert_eq!((source.report().unwrap().rate, sink.report().unwrap().rate), (44_100, 44_100));
}

/// Differences between the times written on captured clicks and those at which they sounded, in seconds.
fn click_errors(blocks: &[PcmBlock], sounded: &[Instant]) -> Vec<f64> {
    let mut found = Vec::new();
    let mut quiet = true;
    for block in blocks {
        for (n, sample) in block.samples.iter().enumerate() {
            let loud = *sample > 8000;
            if loud && quiet {
                found.push(block.captured + Duration::from_secs_f64(n as f64 / f64::from(SAMPLE_RATE)));
            }
            quiet = !loud;
        }
    }
    let signed = |a: Instant, b: Instant| match a.checked_duration_since(b) {
        Some(after) => after.as_secs_f64(),
        None => -b.duration_since(a).as_secs_f64(),
    };
    // A click that has no partner (at either end) is half a second from the next.
    let nearest =
        |at: &Instant| sounded.iter().map(|s| signed(*at, *s)).min_by(|a, b| a.abs().total_cmp(&b.abs()));
    found.iter().filter_map(nearest).filter(|error| error.abs() < 0.25).collect()
}

/// How long the drift test listens: 30 s, or as P2PCAM_DRIFT_SECONDS says.
fn drift_time() -> Duration {
    let seconds = std::env::var("P2PCAM_DRIFT_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

#[test]
fn sound_from_a_card_at_the_wrong_pace_stays_in_step_with_the_clock() {
    if !on_board() {
        return;
    }
    let _card = card();
    for shift in [100_500, 99_900] {
        let (_pace, ppm) = Pace::set(0, shift);
        let room = Room::with_clicks(PLAIN);
        let mut source = AlsaSource::open(AGENT).unwrap();
        let blocks = listen(&mut source, drift_time());
        let report = source.report().unwrap();
        let errors = click_errors(&blocks, &room.clicks());
        let worst = errors.iter().copied().fold(0.0, |a: f64, b| a.max(b.abs()));
        let third = errors.len() / 3;
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        // After the first third, in which the clock is learned: milliseconds in a second are thousands of ppm.
        let (middle, last) = (mean(&errors[third..2 * third]), mean(&errors[2 * third..]));
        let slope = (last - middle) / (drift_time().as_secs_f64() / 3.0) * 1e6;
        println!(
            "{ppm:.0} ppm: {} clicks in {:?}, worst {:.1} ms off, slope {slope:.0} ppm, measured {:?} ppm, {} xruns",
            errors.len(),
            drift_time(),
            worst * 1000.0,
            report.drift_ppm,
            report.xruns
        );
        assert!(errors.len() as f64 > drift_time().as_secs_f64(), "{} clicks", errors.len());
        assert!(worst < IN_SYNC, "{errors:?}");
        // Without correction it would be `ppm`.
        assert!(slope.abs() < ppm.abs() / 4.0 + 100.0, "{slope} of {ppm} ppm: {errors:?}");
        let measured = report.drift_ppm.expect("measured");
        // How near, the tests under a virtual clock say: an emulated board's stamps are only as good as its host is idle.
        assert!(measured * ppm > 0.0, "{measured} for {ppm}");
    }
}

#[test]
fn an_overrun_is_counted_and_the_times_stay_those_of_the_samples() {
    if !on_board() {
        return;
    }
    let _card = card();
    let room = Room::with_clicks(PLAIN);
    let mut source = AlsaSource::open(AGENT).unwrap();
    let mut blocks = listen(&mut source, Duration::from_secs(3));
    // Nobody reads: the ring runs over after 160 ms.
    thread::sleep(Duration::from_millis(700));
    blocks.extend(listen(&mut source, Duration::from_secs(4)));
    let report = source.report().unwrap();
    assert!(report.xruns >= 1, "{report:?}");
    assert!(blocks.windows(2).all(|pair| pair[1].captured >= pair[0].captured + BLOCK_TIME));
    assert!(blocks.iter().all(|block| block.captured <= Instant::now()));
    let errors = click_errors(&blocks, &room.clicks());
    assert!(errors.len() >= 9, "{errors:?}");
    assert!(errors.iter().all(|error| error.abs() < IN_SYNC), "{errors:?}");
}

#[test]
fn an_underrun_is_counted_and_the_sound_goes_on() {
    if !on_board() {
        return;
    }
    let _card = card();
    let ears = Ears::open(PLAIN);
    let (mut sink, mut sent) = (AlsaSink::open(AGENT).unwrap(), 0);
    play(&mut sink, &mut sent, 25);
    let before = sink.report().unwrap().xruns;
    thread::sleep(Duration::from_millis(400));
    eventually("the tone after the underrun", PATIENCE, || {
        play(&mut sink, &mut sent, 20);
        ((ears.pitch(200) - HZ).abs() < 3.0).then_some(())
    });
    let after = sink.report().unwrap();
    println!("{before} underruns before, then {after:?}");
    assert!(after.xruns >= 1);
}

/// A pipeline and one who listens to it.
struct Listening {
    _pipeline: AudioPipeline,
    metrics: Metrics,
    subscription: AudioSubscription,
    decoder: Box<dyn AudioDecoder>,
    runtime: tokio::runtime::Runtime,
}

impl Listening {
    fn to(source: &str) -> Self {
        let (metrics, board) = (Metrics::new(), Board { hotplug: Hotplug::start(), ..Board::default() });
        assert!(board.hotplug.is_some(), "the board gives no word of devices");
        let config = AudioConfig { source: source.into(), ..AudioConfig::default() };
        let pipeline = AudioPipeline::start(&config, &board, &metrics).unwrap();
        Self {
            subscription: pipeline.subscribe(AudioCodec::Opus),
            _pipeline: pipeline,
            metrics,
            decoder: codec::decoder(AudioCodec::Opus).unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    /// Waits for 200 ms of `hz` (0: silence); gives how long that took.
    fn until_heard(&mut self, hz: f64) -> Duration {
        let begin = Instant::now();
        eventually(&format!("{hz} Hz"), PATIENCE, || {
            let (mut heard, mut loudest) = (Vec::new(), 127);
            for _ in 0..10 {
                let frame = self.runtime.block_on(self.subscription.next()).expect("a frame");
                self.decoder.decode(&frame.data, &mut heard).expect("Opus");
                loudest = loudest.min(frame.level);
            }
            match hz {
                0.0 => (loudest == 127).then_some(()),
                _ => ((pitch(&heard, SAMPLE_RATE) - hz).abs() < 4.0).then_some(()),
            }
        });
        begin.elapsed()
    }
}

#[test]
fn a_card_that_is_pulled_out_gives_silence_and_comes_back_at_the_kernels_word() {
    if !on_board() {
        return;
    }
    let _card = card();
    let mut listening = Listening::to(&format!("alsa:{AGENT}"));
    let room = Room::with_tone(PLAIN);
    listening.until_heard(HZ);
    drop(room);
    unplug();
    listening.until_heard(0.0);
    // Long enough for the back-off to be waiting: tries at 0.5, 1.5 and 3.5 s, the next would be at 7.5 s.
    thread::sleep(Duration::from_secs(4));
    plug();
    let _room = Room::with_tone(PLAIN);
    let took = listening.until_heard(HZ);
    println!("heard again {took:?} after the card came back");
    let metrics = listening.metrics.encode();
    assert!(metric(&metrics, "p2pcam_audio_source_restarts_total", "") >= 1.0, "{metrics}");
}

#[test]
fn auto_plays_a_tone_until_a_card_is_plugged_in() {
    if !on_board() {
        return;
    }
    let _card = card();
    unplug();
    let mut listening = Listening::to("auto");
    eventually("the 440 Hz tone", PATIENCE, || (listening.until_heard(440.0) > Duration::ZERO).then_some(()));
    plug();
    let room = Room::with_tone(PLAIN);
    println!("the card was taken after {:?}", listening.until_heard(HZ));
    // From now on its loss is silence, and no tone.
    drop(room);
    unplug();
    listening.until_heard(0.0);
    plug();
}

/// Says a tone in real time.
struct Voice {
    talker: Talker,
    encoder: Box<dyn AudioEncoder>,
    sent: usize,
    begin: Instant,
}

impl Voice {
    /// Sends what is due until then.
    fn speak_until(&mut self, until: Instant) {
        while Instant::now() < until {
            let phase = |n: usize| n as f64 * HZ * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
            let from = self.sent * BLOCK;
            let block: Vec<i16> = (from..from + BLOCK).map(|n| (8000.0 * phase(n).sin()) as i16).collect();
            self.talker.push(TalkPacket {
                // An emulated processor has better things to do than to encode Opus.
                codec: AudioCodec::Pcmu,
                sequence: self.sent as u16,
                timestamp: (self.sent * 160) as u32,
                payload: self.encoder.encode(&block).unwrap(),
                arrival: Instant::now(),
            });
            self.sent += 1;
            let due = self.begin + BLOCK_TIME * self.sent as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}

#[test]
fn talk_back_neither_piles_up_nor_starves_on_a_card_at_the_wrong_pace() {
    if !on_board() {
        return;
    }
    let _card = card();
    for shift in [100_500, 99_500] {
        let (_pace, ppm) = Pace::set(1, shift);
        let ears = Ears::open(PLAIN);
        let metrics = Metrics::new();
        let config = AudioConfig { sink: format!("alsa:{AGENT}"), ..AudioConfig::default() };
        let talk_back = TalkBack::start(&config, &Board::default(), &metrics).unwrap();
        let mut voice = Voice {
            talker: talk_back.open("viewer").unwrap(),
            encoder: codec::encoder(AudioCodec::Pcmu, 32).unwrap(),
            sent: 0,
            begin: Instant::now(),
        };
        let value = |name: &str| metric(&metrics.encode(), name, "");
        let (mut most, begin) = (0.0_f64, voice.begin);
        for second in 1..=30 {
            voice.speak_until(begin + Duration::from_secs(second));
            most = most.max(value("p2pcam_talkback_jitter_buffer_delay_ms"));
        }
        let (made_up, drift) =
            (value("p2pcam_talkback_concealed_ms_total"), value("p2pcam_talkback_sink_drift_ppm"));
        println!(
            "{ppm:.0} ppm: at most {most:.0} ms in the buffer, {made_up} ms made up, measured {drift:.0} ppm, \
             {} underruns, {} dropped, {} Hz",
            value("p2pcam_talkback_sink_xruns_total"),
            value("p2pcam_talkback_packets_dropped_total"),
            ears.pitch(200)
        );
        // 30 s at half a percent are 150 ms.
        assert!(most < 300.0, "{most} ms in the buffer");
        assert!(made_up < 1500.0, "{made_up} ms made up");
        assert!((drift - ppm).abs() < 400.0, "{drift} for {ppm}");
    }
}

#[test]
fn what_does_not_open_says_what_to_do() {
    if !on_board() {
        return;
    }
    let _card = card();
    let words = |device: &str| format!("{:#}", AlsaSource::open(device).err().expect("it does not open"));
    let missing = words("hw:CARD=Microphone");
    assert!(missing.contains("p2pcam-agent devices"), "{missing}");
    let _held = AlsaSource::open("hw:CARD=Loopback,DEV=0,SUBDEV=0").unwrap();
    let busy = words("hw:CARD=Loopback,DEV=0,SUBDEV=0");
    // The kernel names the thread that opened it.
    assert!(busy.contains("process ") && busy.contains("holds it; stop that"), "{busy}");
    let speaker = p2pcam_agent::media::audio::try_open("nonsense", Direction::Playback);
    assert!(format!("{:#}", speaker.unwrap_err()).contains("p2pcam-agent devices"));
}

#[test]
fn the_list_of_devices_names_the_card_or_the_group_that_is_missing() {
    if !on_board() {
        return;
    }
    let _card = card();
    let program = program();
    let program = program.to_str().unwrap();
    let listed = run(program, &["devices"]);
    assert!(listed.contains("alsa:plughw:CARD=Loopback,DEV=0"), "{listed}");
    let stranger =
        try_run("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups", program, "devices"]);
    let said = String::from_utf8_lossy(&stranger.stdout).into_owned();
    assert!(said.contains("group `audio`"), "{said}");
}
