//! A sound file, or the sound of a film, played in a loop through FFmpeg's libraries.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, bail};
use ffmpeg_next::{
    ChannelLayout, codec, decoder, format, frame, media, software::resampling, util::format::sample,
};

use crate::media::audio::{
    AudioSource, BLOCK, PcmBlock, SAMPLE_RATE,
    pace::{Pacer, sleep_until},
};

/// What the converter hands out: one channel of 16 bits.
const FORMAT: format::Sample = format::Sample::I16(sample::Type::Packed);
/// Room for what the converter holds back, in samples.
const SPARE: usize = 4_096;

/// Plays at the pace of the monotonic clock and begins again at the end.
pub struct FileSource {
    name: String,
    path: PathBuf,
    reader: Reader,
    /// Samples of this pass, so that a file without any ends in an error and not in a busy loop.
    passed: usize,
    ready: Vec<i16>,
    pacer: Pacer,
}

impl FileSource {
    /// Fails if FFmpeg cannot read the file or finds no sound in it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            name: format!("file:{}", path.display()),
            path: path.to_owned(),
            reader: Reader::open(path)?,
            passed: 0,
            ready: Vec::new(),
            pacer: Pacer::new(Instant::now()),
        })
    }
}

impl AudioSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> anyhow::Result<PcmBlock> {
        while self.ready.len() < BLOCK {
            let before = self.ready.len();
            let more = self.reader.read(&mut self.ready)?;
            self.passed += self.ready.len() - before;
            if !more {
                anyhow::ensure!(self.passed > 0, "{} holds no sound that can be decoded", self.name);
                self.passed = 0;
                self.reader = Reader::open(&self.path)?;
            }
        }
        let samples = self.ready.drain(..BLOCK).collect();
        let (captured, complete) = self.pacer.next_slot(Instant::now());
        sleep_until(complete);
        Ok(PcmBlock { samples, captured })
    }
}

/// One pass through the file.
struct Reader {
    input: format::context::Input,
    stream: usize,
    decoder: decoder::Audio,
    converter: Option<resampling::Context>,
    ended: bool,
}

impl Reader {
    fn open(path: &Path) -> anyhow::Result<Self> {
        ffmpeg_next::init().context("FFmpeg does not start")?;
        // FFmpeg writes warnings to stderr past our log; what matters comes back as an error.
        ffmpeg_next::util::log::set_level(ffmpeg_next::util::log::Level::Error);
        let input = format::input(path).with_context(|| {
            format!("{} cannot be read as sound or film: check audio.source", path.display())
        })?;
        let stream = input.streams().best(media::Type::Audio).with_context(|| {
            format!("{} has no sound: choose another file for audio.source", path.display())
        })?;
        let decoder = codec::context::Context::from_parameters(stream.parameters())
            .and_then(|context| context.decoder().audio())
            .with_context(|| {
                format!("the sound of {} is in a format without a decoder here", path.display())
            })?;
        let stream = stream.index();
        Ok(Self { input, stream, decoder, converter: None, ended: false })
    }

    /// Appends some samples; false at the end of the file.
    fn read(&mut self, out: &mut Vec<i16>) -> anyhow::Result<bool> {
        let mut decoded = frame::Audio::empty();
        loop {
            match self.decoder.receive_frame(&mut decoded) {
                Ok(()) => {
                    self.convert(&mut decoded, out)?;
                    return Ok(true);
                }
                Err(_) if self.ended => return Ok(false),
                // It wants more input (or met a broken packet, and goes on with the next).
                Err(_) => self.feed()?,
            }
        }
    }

    fn feed(&mut self) -> anyhow::Result<()> {
        match self.input.packets().find(|(stream, _)| stream.index() == self.stream) {
            Some((_, packet)) => {
                if let Err(error) = self.decoder.send_packet(&packet) {
                    tracing::trace!(%error, "a packet of the sound file is not readable");
                }
            }
            None => {
                self.ended = true;
                self.decoder.send_eof().context("FFmpeg's decoder")?;
            }
        }
        Ok(())
    }

    fn convert(&mut self, decoded: &mut frame::Audio, out: &mut Vec<i16>) -> anyhow::Result<()> {
        let (rate, channels) = (decoded.rate(), decoded.channels());
        if rate == 0 || channels == 0 {
            bail!("FFmpeg decoded sound of {rate} Hz with {channels} channels: the file is broken");
        }
        if decoded.channel_layout().is_empty() {
            // A WAV file may leave it open.
            decoded.set_channel_layout(ChannelLayout::default(i32::from(channels)));
        }
        let from = (decoded.format(), decoded.channel_layout(), rate);
        let converter = match &mut self.converter {
            Some(converter)
                if (converter.input().format, converter.input().channel_layout, converter.input().rate)
                    == from =>
            {
                converter
            }
            // The first frame, or the sound changes its format within the file.
            slot => slot.insert(
                resampling::Context::get(from.0, from.1, from.2, FORMAT, ChannelLayout::MONO, SAMPLE_RATE)
                    .context("FFmpeg cannot convert the file's sound to 48 kHz mono")?,
            ),
        };
        let room = decoded.samples() * SAMPLE_RATE as usize / rate as usize + SPARE;
        let mut converted = frame::Audio::new(FORMAT, room, ChannelLayout::MONO);
        converter.run(decoded, &mut converted).context("FFmpeg's converter")?;
        if converted.samples() > 0 {
            out.extend_from_slice(converted.plane::<i16>(0));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::pitch::DominantFrequency;

    /// A WAV file (RIFF, PCM of 16 bits) of `seconds` with `hz` on all channels.
    fn wav(rate: u32, channels: u16, hz: f64, seconds: f64) -> Vec<u8> {
        let frames = (seconds * f64::from(rate)) as u32;
        let data = frames * u32::from(channels) * 2;
        let mut out = Vec::new();
        out.extend(b"RIFF");
        out.extend((36 + data).to_le_bytes());
        out.extend(b"WAVEfmt ");
        out.extend(16_u32.to_le_bytes());
        out.extend(1_u16.to_le_bytes());
        out.extend(channels.to_le_bytes());
        out.extend(rate.to_le_bytes());
        out.extend((rate * u32::from(channels) * 2).to_le_bytes());
        out.extend((channels * 2).to_le_bytes());
        out.extend(16_u16.to_le_bytes());
        out.extend(b"data");
        out.extend(data.to_le_bytes());
        for n in 0..frames {
            let phase = f64::from(n) * hz * std::f64::consts::TAU / f64::from(rate);
            for _ in 0..channels {
                out.extend(((phase.sin() * 8000.0) as i16).to_le_bytes());
            }
        }
        out
    }

    #[test]
    fn a_file_of_any_rate_and_channels_is_looped_at_its_own_pitch() {
        let folder = tempfile::tempdir().unwrap();
        for (rate, channels) in [(44_100, 2), (8_000, 1), (48_000, 1), (96_000, 2)] {
            let path = folder.path().join(format!("{rate}.wav"));
            // 100 ms: the five blocks of a pass are met more than twice below.
            std::fs::write(&path, wav(rate, channels, 500.0, 0.1)).unwrap();
            let mut source = FileSource::open(&path).unwrap();
            let mut pitch = DominantFrequency::new().unwrap();
            for _ in 0..12 {
                pitch.push(&source.next().unwrap().samples);
            }
            let hz = pitch.estimate().unwrap();
            assert!((hz - 500.0).abs() < 5.0, "{rate} Hz, {channels} channels: {hz}");
        }
    }

    #[test]
    fn what_is_not_sound_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.bin");
        std::fs::write(&path, vec![0x5a; 5000]).unwrap();
        let error = format!("{:#}", FileSource::open(&path).err().unwrap());
        assert!(error.contains("noise.bin") && error.contains("audio.source"), "{error}");
        let path = folder.path().join("empty.wav");
        std::fs::write(&path, wav(8_000, 1, 440.0, 0.0)).unwrap();
        let result = FileSource::open(&path).and_then(|mut source| source.next().map(|_| ()));
        assert!(result.is_err());
    }
}
