//! The part of libvpx that VP8 needs, made safe: one encoder (and, for tests, one decoder) and nothing else.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_int},
    mem::MaybeUninit,
    ptr,
};

use anyhow::{bail, ensure};
use vpx_sys::{
    VP8_EFLAG_NO_UPD_ARF, VP8_EFLAG_NO_UPD_ENTROPY, VP8_EFLAG_NO_UPD_GF, VP8_EFLAG_NO_UPD_LAST,
    VPX_DL_REALTIME, VPX_EFLAG_FORCE_KF, VPX_ENCODER_ABI_VERSION, VPX_FRAME_IS_KEY, vp8e_enc_control_id,
    vpx_codec_ctx_t, vpx_codec_cx_pkt_kind, vpx_codec_enc_cfg_t, vpx_codec_err_t, vpx_enc_frame_flags_t,
    vpx_image_t, vpx_img_fmt, vpx_kf_mode, vpx_rc_mode,
};

use crate::media::video::RawFrame;

/// What a VP8 encoder is set to.
#[derive(Clone, Copy, Debug)]
pub struct VpxSettings {
    pub width: u32,
    pub height: u32,
    pub kbps: u32,
    pub threads: u32,
    pub keyframe_interval: u32,
    /// `VP8E_SET_CPUUSED`: the more below zero, the faster and coarser, -16 to 0 for real time.
    pub cpu_used: i32,
}

/// Percent of the bits for the pictures that others refer to, where every second is none of them: they are predicted from
/// further away.
const BASE_PERCENT: u32 = 60;

/// What a picture is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VpxPicture {
    /// As the encoder likes.
    Any,
    /// A key frame.
    Key,
    /// One that no other refers to, and that leaves no trace in the entropy coder. Still a key frame if one is due.
    Discardable,
}

impl VpxPicture {
    fn flags(self) -> vpx_enc_frame_flags_t {
        let flags = match self {
            Self::Any => 0,
            Self::Key => VPX_EFLAG_FORCE_KF,
            Self::Discardable => {
                VP8_EFLAG_NO_UPD_LAST | VP8_EFLAG_NO_UPD_GF | VP8_EFLAG_NO_UPD_ARF | VP8_EFLAG_NO_UPD_ENTROPY
            }
        };
        // A C `long`, of 32 bits on 32-bit boards; the highest flag is bit 23.
        flags as vpx_enc_frame_flags_t
    }
}

/// A libvpx VP8 encoder with a time base of one millisecond.
pub struct VpxEncoder {
    /// Boxed, because libvpx may keep its address.
    context: Box<vpx_codec_ctx_t>,
    config: vpx_codec_enc_cfg_t,
    layers: bool,
}

// SAFETY: libvpx ties nothing to the thread that made a context; it only forbids use by two at once, which
// `&mut self` on every method rules out.
unsafe impl Send for VpxEncoder {}

impl VpxEncoder {
    pub fn new(settings: &VpxSettings) -> anyhow::Result<Self> {
        // SAFETY: takes nothing and returns the address of a constant table.
        let interface = unsafe { vpx_sys::vpx_codec_vp8_cx() };
        let mut config = MaybeUninit::uninit();
        // SAFETY: `interface` is a valid interface, `config` is writable; it is read only after success, when
        // libvpx has filled it in as a whole.
        let mut config = unsafe {
            check(vpx_sys::vpx_codec_enc_config_default(interface, config.as_mut_ptr(), 0), "its defaults")?;
            config.assume_init()
        };
        config.g_w = settings.width;
        config.g_h = settings.height;
        config.g_timebase.num = 1;
        config.g_timebase.den = 1000;
        config.g_threads = settings.threads;
        config.g_lag_in_frames = 0;
        config.g_error_resilient = 0;
        config.rc_end_usage = vpx_rc_mode::VPX_CBR;
        config.rc_target_bitrate = settings.kbps;
        config.rc_dropframe_thresh = 0;
        config.rc_resize_allowed = 0;
        config.rc_min_quantizer = 4;
        config.rc_max_quantizer = 60;
        config.rc_undershoot_pct = 100;
        config.rc_overshoot_pct = 15;
        // Milliseconds. Enough for a key frame of three pictures' size (see below) without the next ones starving; with
        // more, it takes a second until a new rate is held: it is first filled or emptied.
        config.rc_buf_sz = 400;
        config.rc_buf_initial_sz = 250;
        config.rc_buf_optimal_sz = 300;
        config.kf_mode = vpx_kf_mode::VPX_KF_AUTO;
        config.kf_min_dist = 0;
        config.kf_max_dist = settings.keyframe_interval;

        // SAFETY: the context is a C struct of integers and pointers, for which all zeros is the state that
        // libvpx asks for before init (its enum fields have a zero variant).
        let mut context: Box<vpx_codec_ctx_t> = Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
        // SAFETY: all pointers are valid for the call; libvpx copies the configuration.
        let code = unsafe {
            vpx_sys::vpx_codec_enc_init_ver(
                &mut *context,
                interface,
                &config,
                0,
                VPX_ENCODER_ABI_VERSION as c_int,
            )
        };
        check(code, "these settings")?;
        let mut encoder = Self { context, config, layers: false };
        let max_intra_percent = 300;
        for (control, value) in [
            (vp8e_enc_control_id::VP8E_SET_CPUUSED, settings.cpu_used),
            // Blocks that do not change are skipped: a camera's picture stands still most of the time.
            (vp8e_enc_control_id::VP8E_SET_STATIC_THRESHOLD, 1),
            (vp8e_enc_control_id::VP8E_SET_MAX_INTRA_BITRATE_PCT, max_intra_percent),
        ] {
            encoder.control(control, value)?;
        }
        Ok(encoder)
    }

    fn control(&mut self, control: vp8e_enc_control_id, value: c_int) -> anyhow::Result<()> {
        // SAFETY: the context is initialised, and each control that is passed here takes one int.
        check(
            unsafe { vpx_sys::vpx_codec_control_(&mut *self.context, control as c_int, value) },
            "a control",
        )
    }

    /// Changes the target rate from the next picture on.
    pub fn set_kbps(&mut self, kbps: u32) -> anyhow::Result<()> {
        self.config.rc_target_bitrate = kbps;
        self.reconfigure()
    }

    /// From the next picture on, rates are shared out to two temporal layers, or to one. Which layer a picture is of is
    /// said with each.
    pub fn set_layers(&mut self, layers: bool) -> anyhow::Result<()> {
        self.layers = layers;
        self.reconfigure()
    }

    fn reconfigure(&mut self) -> anyhow::Result<()> {
        let config = &mut self.config;
        let kbps = config.rc_target_bitrate;
        let [base, all] = [(kbps * BASE_PERCENT / 100).max(1), kbps];
        if self.layers {
            config.ts_number_layers = 2;
            config.ts_periodicity = 2;
            config.ts_layer_id[..2].copy_from_slice(&[0, 1]);
            config.ts_rate_decimator[..2].copy_from_slice(&[2, 1]);
            config.ts_target_bitrate[..2].copy_from_slice(&[base, all]);
        } else {
            config.ts_number_layers = 1;
            config.ts_periodicity = 0;
            config.ts_rate_decimator[0] = 1;
            config.ts_target_bitrate[0] = all;
        }
        // SAFETY: the context is initialised, the configuration is whole and copied by libvpx.
        check(unsafe { vpx_sys::vpx_codec_enc_config_set(&mut *self.context, &self.config) }, "a bit rate")
    }

    /// Encodes a picture taken at `pts_ms`, which must grow. `None`: rate control dropped it. The flag says
    /// whether it is a key frame.
    pub fn encode(
        &mut self,
        frame: &RawFrame,
        pts_ms: i64,
        duration_ms: u32,
        picture: VpxPicture,
    ) -> anyhow::Result<Option<(Vec<u8>, bool)>> {
        let size = (self.config.g_w, self.config.g_h);
        ensure!(
            (frame.width, frame.height) == size && frame.is_whole(),
            "the picture does not fit the encoder"
        );
        if self.layers {
            let layer = c_int::from(picture == VpxPicture::Discardable);
            self.control(vp8e_enc_control_id::VP8E_SET_TEMPORAL_LAYER_ID, layer)?;
        }
        let image = wrap(frame);
        // SAFETY: the context is initialised. `image` points into the planes of `frame`, which live through the
        // call, are at least as long as size and strides say (checked above), and are only read.
        let code = unsafe {
            vpx_sys::vpx_codec_encode(
                &mut *self.context,
                &image,
                pts_ms,
                duration_ms.into(),
                picture.flags(),
                VPX_DL_REALTIME.into(),
            )
        };
        check(code, "a picture")?;
        let mut output = None;
        let mut iterator = ptr::null();
        // SAFETY: the context is initialised; a packet that is not null is valid until the next call on it.
        while let Some(packet) =
            unsafe { vpx_sys::vpx_codec_get_cx_data(&mut *self.context, &mut iterator).as_ref() }
        {
            if packet.kind == vpx_codec_cx_pkt_kind::VPX_CODEC_CX_FRAME_PKT {
                // SAFETY: for this kind the union holds a frame, whose buffer has `sz` bytes.
                let (bytes, flags) = unsafe {
                    let packet = packet.data.frame;
                    (std::slice::from_raw_parts(packet.buf.cast::<u8>(), packet.sz), packet.flags)
                };
                output = Some((bytes.to_vec(), flags & VPX_FRAME_IS_KEY != 0));
            }
        }
        Ok(output)
    }
}

impl Drop for VpxEncoder {
    fn drop(&mut self) {
        // SAFETY: the context is initialised and not used again.
        unsafe { vpx_sys::vpx_codec_destroy(&mut *self.context) };
    }
}

/// An image header that points into the frame's planes. The frame must be whole and outlive it.
fn wrap(frame: &RawFrame) -> vpx_image_t {
    let planes = frame.planes.each_ref().map(|plane| plane.as_ptr().cast_mut());
    let mut image = MaybeUninit::zeroed();
    // SAFETY: all zeros is a valid header (its enum fields have a zero variant); libvpx fills it in, given a
    // pointer that is not null it allocates nothing. The planes' own addresses replace those that it computes.
    let mut image = unsafe {
        vpx_sys::vpx_img_wrap(
            image.as_mut_ptr(),
            vpx_img_fmt::VPX_IMG_FMT_I420,
            frame.width,
            frame.height,
            1,
            planes[0],
        );
        image.assume_init()
    };
    let stride = frame.width as c_int;
    image.planes = [planes[0], planes[1], planes[2], ptr::null_mut()];
    image.stride = [stride, stride / 2, stride / 2, 0];
    image
}

fn check(code: vpx_codec_err_t, what: &str) -> anyhow::Result<()> {
    if code == vpx_codec_err_t::VPX_CODEC_OK {
        return Ok(());
    }
    // SAFETY: returns a constant string for every code.
    let words = unsafe { CStr::from_ptr(vpx_sys::vpx_codec_err_to_string(code)) };
    bail!("libvpx refuses {what}: {}", words.to_string_lossy())
}

#[cfg(test)]
pub(crate) use decoder::VpxDecoder;

#[cfg(test)]
mod decoder {
    use std::{ffi::c_int, mem::MaybeUninit, ptr, time::Instant};

    use bytes::Bytes;
    use vpx_sys::{VPX_DECODER_ABI_VERSION, vpx_codec_ctx_t};

    use super::check;
    use crate::media::video::RawFrame;

    /// A libvpx VP8 decoder, to see what viewers see.
    pub(crate) struct VpxDecoder(Box<vpx_codec_ctx_t>);

    impl VpxDecoder {
        pub(crate) fn new() -> anyhow::Result<Self> {
            // SAFETY: zeros are what libvpx asks for before init; no configuration means its defaults.
            unsafe {
                let mut context: Box<vpx_codec_ctx_t> = Box::new(MaybeUninit::zeroed().assume_init());
                let interface = vpx_sys::vpx_codec_vp8_dx();
                let version = VPX_DECODER_ABI_VERSION as c_int;
                let code = vpx_sys::vpx_codec_dec_init_ver(&mut *context, interface, ptr::null(), 0, version);
                check(code, "a decoder").map(|()| Self(context))
            }
        }

        pub(crate) fn decode(&mut self, data: &[u8]) -> anyhow::Result<Option<RawFrame>> {
            // SAFETY: the context is initialised, `data` lives through the call, and an image that is not null
            // is valid until the next call, its planes having the rows and strides that it names.
            unsafe {
                let length = data.len() as u32;
                check(
                    vpx_sys::vpx_codec_decode(&mut *self.0, data.as_ptr(), length, ptr::null_mut(), 0),
                    "a picture",
                )?;
                let mut iterator = ptr::null();
                let Some(image) = vpx_sys::vpx_codec_get_frame(&mut *self.0, &mut iterator).as_ref() else {
                    return Ok(None);
                };
                let plane = |index: usize, width: u32, height: u32| {
                    let rows = (0..height as usize).flat_map(|row| {
                        let start = image.planes[index].add(row * image.stride[index] as usize);
                        std::slice::from_raw_parts(start, width as usize)
                    });
                    Bytes::from(rows.copied().collect::<Vec<u8>>())
                };
                let (width, height) = (image.d_w, image.d_h);
                let planes = [
                    plane(0, width, height),
                    plane(1, width / 2, height / 2),
                    plane(2, width / 2, height / 2),
                ];
                Ok(Some(RawFrame::new(width, height, planes, Instant::now())))
            }
        }
    }

    impl Drop for VpxDecoder {
        fn drop(&mut self) {
            // SAFETY: the context is initialised and not used again.
            unsafe { vpx_sys::vpx_codec_destroy(&mut *self.0) };
        }
    }
}
