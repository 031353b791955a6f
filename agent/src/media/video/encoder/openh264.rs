//! H.264 constrained baseline by OpenH264.

#![allow(unsafe_code)] // for the options that the crate does not wrap: see `set_option`

use std::{
    ffi::{c_int, c_void},
    ops::RangeInclusive,
    time::Instant,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use openh264::{
    OpenH264API, Timestamp,
    encoder::{
        BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Level, Profile,
        RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
    },
    formats::YUVSource,
};

use openh264_sys2::SEncParamExt;

use super::{EncoderSettings, clamp, level::lowest_idc, software_limits};
use crate::media::video::{AccessUnit, Bitrate, RawFrame, VideoCodec, VideoEncoder, VideoFrame};

/// Largest sides that OpenH264 takes.
const MAX_SIZE: (u32, u32) = (3840, 2160);
/// OpenH264 stays well below its target when the allowed maximum is not above it.
const PEAK_PERCENT: u32 = 150;

/// `ENCODER_OPTION_SVC_ENCODE_PARAM_EXT` of OpenH264's `codec_app_def.h`.
const OPTION_PARAMETERS: c_int = 3;
/// `ENCODER_OPTION_BITRATE` of OpenH264's `codec_app_def.h`.
const OPTION_BITRATE: c_int = 5;
/// `ENCODER_OPTION_MAX_BITRATE`.
const OPTION_MAX_BITRATE: c_int = 6;

/// `ENCODER_OPTION_TRACE_LEVEL`.
const OPTION_TRACE_LEVEL: c_int = 25;

/// An OpenH264 encoder for one picture size.
pub struct OpenH264Encoder {
    encoder: Encoder,
    settings: EncoderSettings,
    bitrate: Bitrate,
    /// Every second picture is one that none refers to.
    layers: bool,
    /// When the first picture was taken: OpenH264's rate control wants times that start at zero.
    first: Option<Instant>,
}

/// `SBitrateInfo` of OpenH264's `codec_app_def.h`.
#[repr(C)]
struct BitrateInfo {
    layer: c_int,
    bitrate: c_int,
}

/// What an option reads: a C int, a [`BitrateInfo`] for the two rates, or all parameters.
trait OptionValue {}
impl OptionValue for c_int {}
impl OptionValue for BitrateInfo {}
impl OptionValue for SEncParamExt {}

impl OpenH264Encoder {
    /// For logs and metrics.
    pub const NAME: &'static str = super::backend::OPENH264;

    /// Opens an encoder; its first picture is an IDR.
    pub fn new(settings: &EncoderSettings) -> anyhow::Result<Self> {
        let &EncoderSettings { width, height, fps, keyframe_interval, .. } = settings;
        let (long, short) = (width.max(height), width.min(height));
        ensure!(
            long <= MAX_SIZE.0 && short <= MAX_SIZE.1 && short >= 16,
            "OpenH264 cannot encode {width}x{height}: choose at most {}x{} in [video]",
            MAX_SIZE.0,
            MAX_SIZE.1
        );
        let bitrate = clamp(settings.bitrate, &software_limits(width, height, fps));
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(bitrate.0))
            .max_frame_rate(FrameRate::from_hz(fps as f32))
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            .skip_frames(false)
            .profile(Profile::Baseline)
            .level(level(lowest_idc(width, height, fps, bitrate.0 / 1000)))
            .complexity(Complexity::Low)
            .num_threads(1)
            // Key frames come when asked for and at the interval, so that their rate stays bounded.
            .scene_change_detect(false)
            // Two temporal layers want an even number.
            .intra_frame_period(IntraFramePeriod::from_num_frames(keyframe_interval.next_multiple_of(2)))
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .vui(VuiConfig::bt601());
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .context("OpenH264 cannot be opened: is memory short?")?;
        let mut encoder = Self { encoder, settings: *settings, bitrate, layers: false, first: None };
        // What it says on stderr by itself (that it may not skip pictures) is meant so.
        let quiet: c_int = 0;
        encoder.set_option(OPTION_TRACE_LEVEL, quiet)?;
        Ok(encoder)
    }

    /// The encoder must have encoded a picture: before that it is not set up.
    fn apply_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()> {
        let peak = (u64::from(bitrate.0) * u64::from(PEAK_PERCENT) / 100) as c_int;
        // The target may never be above the maximum, not even between the two calls.
        let maximum = (OPTION_MAX_BITRATE, peak);
        let target = (OPTION_BITRATE, bitrate.0 as c_int);
        let steps = if bitrate > self.bitrate { [maximum, target] } else { [target, maximum] };
        // The only layer there is.
        const SPATIAL_LAYER_0: c_int = 0;
        for (option, bitrate) in steps {
            self.set_option(option, BitrateInfo { layer: SPATIAL_LAYER_0, bitrate })
                .with_context(|| format!("a bit rate of {bitrate} bit/s"))?;
        }
        self.bitrate = bitrate;
        Ok(())
    }

    /// The encoder must have encoded a picture: before that it is not set up.
    fn apply_layers(&mut self) -> anyhow::Result<()> {
        let mut parameters = SEncParamExt::default();
        // SAFETY: this option writes one `SEncParamExt` to a pointer that is valid for the call. Before set-up,
        // OpenH264 refuses with a code.
        let code = unsafe {
            self.encoder.raw_api().get_option(OPTION_PARAMETERS, (&raw mut parameters).cast::<c_void>())
        };
        ensure!(code == 0, "OpenH264 does not give its parameters (code {code})");
        parameters.iTemporalLayerNum = if self.layers { 2 } else { 1 };
        // `apply_bitrate` sets the rate of the layer, and here the sum of all is checked against that of the whole.
        let rate = parameters.sSpatialLayers[0].iSpatialBitrate;
        parameters.iTargetBitrate = parameters.iTargetBitrate.max(rate);
        parameters.iMaxBitrate = parameters
            .iMaxBitrate
            .max(parameters.sSpatialLayers[0].iMaxSpatialBitrate)
            .max(parameters.iTargetBitrate);
        self.set_option(OPTION_PARAMETERS, parameters)
    }

    /// Sets one of the options above.
    fn set_option<T: OptionValue>(&mut self, option: c_int, mut value: T) -> anyhow::Result<()> {
        // SAFETY: each option above reads one value of the C type that `OptionValue` is implemented for, through
        // a pointer that is valid for the call and that the encoder does not keep. Before set-up, OpenH264
        // refuses all but the trace level with a code.
        let code = unsafe { self.encoder.raw_api().set_option(option, (&raw mut value).cast::<c_void>()) };
        ensure!(code == 0, "OpenH264 refuses option {option} (code {code})");
        Ok(())
    }
}

/// OpenH264's name of a level.
fn level(idc: u8) -> Level {
    match idc {
        10 => Level::Level_1_0,
        11 => Level::Level_1_1,
        12 => Level::Level_1_2,
        13 => Level::Level_1_3,
        20 => Level::Level_2_0,
        21 => Level::Level_2_1,
        22 => Level::Level_2_2,
        30 => Level::Level_3_0,
        31 => Level::Level_3_1,
        32 => Level::Level_3_2,
        40 => Level::Level_4_0,
        41 => Level::Level_4_1,
        42 => Level::Level_4_2,
        50 => Level::Level_5_0,
        51 => Level::Level_5_1,
        _ => Level::Level_5_2,
    }
}

impl VideoEncoder for OpenH264Encoder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn codec(&self) -> VideoCodec {
        VideoCodec::H264
    }

    fn limits(&self) -> RangeInclusive<Bitrate> {
        software_limits(self.settings.width, self.settings.height, self.settings.fps)
    }

    fn encode(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<Option<AccessUnit>> {
        let frame = &*frame.i420()?;
        let size = (self.settings.width, self.settings.height);
        ensure!((frame.width, frame.height) == size, "the picture has another size than the encoder");
        let source = I420::new(frame)?;
        let is_first = self.first.is_none();
        let first = *self.first.get_or_insert(frame.captured);
        if keyframe && !is_first {
            self.encoder.force_intra_frame();
        }
        let time = frame.captured.saturating_duration_since(first).as_millis() as u64;
        let stream = self
            .encoder
            .encode_at(&source, Timestamp::from_millis(time))
            .context("OpenH264 cannot encode a picture")?;
        let keyframe = stream.frame_type() == FrameType::IDR;
        let data = Bytes::from(stream.to_vec());
        if is_first {
            self.apply_bitrate(self.bitrate)?;
            if self.layers {
                self.apply_layers()?;
            }
        }
        if data.is_empty() {
            return Ok(None);
        }
        Ok(Some(AccessUnit::of(frame, VideoCodec::H264, data, keyframe)))
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()> {
        let bitrate = clamp(bitrate, &self.limits());
        if self.first.is_none() {
            self.settings.bitrate = bitrate;
            let layers = self.layers;
            *self = Self { layers, ..Self::new(&self.settings)? };
            return Ok(());
        }
        if bitrate == self.bitrate { Ok(()) } else { self.apply_bitrate(bitrate) }
    }

    fn has_layers(&self) -> bool {
        true
    }

    fn set_layers(&mut self, layers: bool) -> anyhow::Result<()> {
        let before = std::mem::replace(&mut self.layers, layers);
        if before != layers && self.first.is_some() { self.apply_layers() } else { Ok(()) }
    }
}

/// A frame whose planes are known to have the right lengths, as OpenH264 reads them without asking.
struct I420<'a>(&'a RawFrame);

impl<'a> I420<'a> {
    fn new(frame: &'a RawFrame) -> anyhow::Result<Self> {
        ensure!(frame.is_whole(), "a picture's planes do not have the lengths that its size asks for");
        Ok(Self(frame))
    }
}

impl YUVSource for I420<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width as usize, self.0.height as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let width = self.0.width as usize;
        (width, width / 2, width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.0.planes[0]
    }

    fn u(&self) -> &[u8] {
        &self.0.planes[1]
    }

    fn v(&self) -> &[u8] {
        &self.0.planes[2]
    }
}
