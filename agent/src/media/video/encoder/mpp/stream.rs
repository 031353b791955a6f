//! An open MPP encoder for one picture size: takes camera buffers where they are or copies pictures once, and makes
//! access units of either codec. Without a viewer's words: H.265 ends here, see `docs/encoders-mpp.md`.

use std::{collections::HashMap, ffi::c_int, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;

use super::{
    abi,
    error::MppError,
    ffi::{Buffer, Context, Group},
    hevc,
    layout::{Layout, Samples, write_device, write_raw},
    library::Library,
    settings,
};
use crate::media::video::{
    Bitrate, BufferKey, DeviceFrame, VideoFrame,
    annexb::{self, Assembled, nal_units},
    encoder::{EncoderSettings, clamp, software_limits},
};

/// An encoder that failed is waited for so long before another is opened.
const RELEASE_TIME: Duration = Duration::from_secs(2);
/// Sides that no Rockchip encoder goes beyond; what a chip really takes, MPP tells.
const SIDES: std::ops::RangeInclusive<u32> = 64..=8192;
/// V4L2 gives a stream at most this many buffers (`VIDEO_MAX_FRAME` of videodev2.h).
const MAX_IMPORTS: usize = 32;

/// What MPP can encode for the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MppCodec {
    /// H.264 constrained baseline.
    H264,
    /// H.265 main.
    H265,
}

impl MppCodec {
    /// Both.
    pub const ALL: [Self; 2] = [Self::H264, Self::H265];

    /// `MppCodingType` of rk_type.h.
    pub(super) fn coding(self) -> c_int {
        match self {
            Self::H264 => abi::MPP_VIDEO_CodingAVC,
            Self::H265 => abi::MPP_VIDEO_CodingHEVC,
        }
    }
}

/// An encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MppUnit {
    /// NAL units in Annex B; a picture that decoding can start at has its parameter sets in front.
    pub data: Bytes,
    /// True if decoding can start here.
    pub keyframe: bool,
    /// How often the CPU copied or converted the picture's samples since the device wrote them.
    pub copies: u32,
}

/// Puts parameter sets before key frames.
enum Assembler {
    H264(annexb::Assembler),
    H265(hevc::Assembler),
}

impl Assembler {
    fn learn(&mut self, header: &[u8]) {
        for nal in nal_units(header) {
            match self {
                Self::H264(assembler) => assembler.learn(nal),
                Self::H265(assembler) => assembler.learn(nal),
            }
        }
    }

    fn assemble(&mut self, stream: &[u8]) -> Option<Assembled> {
        match self {
            Self::H264(assembler) => assembler.assemble(nal_units(stream)),
            Self::H265(assembler) => assembler.assemble(nal_units(stream)),
        }
    }
}

/// What belongs to an open encoder. It is released from top to bottom: the encoder before the buffers that it reads.
struct Session {
    context: Context,
    /// What the encoder is set to.
    layout: Layout,
    /// Camera buffers, each imported once.
    imports: HashMap<BufferKey, Buffer>,
    /// The camera's stream whose buffers cannot be imported.
    refused: Option<u64>,
    /// Where pictures are copied to.
    copy: Option<(Layout, Buffer)>,
    group: Option<Arc<Group>>,
    /// A picture has been encoded: before the first one no key frame needs to be asked for.
    started: bool,
}

/// See the module.
pub struct MppStream {
    library: Arc<Library>,
    settings: EncoderSettings,
    bitrate: Bitrate,
    assembler: Assembler,
    /// `None` after a failure.
    session: Option<Session>,
}

impl MppStream {
    /// Opens an encoder of the system's library; its first picture is a key frame. An error says what is missing, or
    /// gives MPP's code and the next step.
    pub fn open(settings: &EncoderSettings, codec: MppCodec) -> anyhow::Result<Self> {
        Self::open_in(super::probe::ready_library()?, settings, codec)
    }

    pub(super) fn open_in(
        library: Arc<Library>,
        settings: &EncoderSettings,
        codec: MppCodec,
    ) -> anyhow::Result<Self> {
        let &EncoderSettings { width, height, fps, .. } = settings;
        ensure!(
            SIDES.contains(&width) && SIDES.contains(&height),
            "MPP cannot encode {width}x{height}: choose {} to {} pixels each way in [video]",
            SIDES.start(),
            SIDES.end()
        );
        ensure!(
            library.all_released(RELEASE_TIME),
            "the Rockchip encoder that failed still hangs in its driver: `dmesg | grep mpp` tells more; restarting the \
             board resets it"
        );
        let bitrate = clamp(settings.bitrate, &software_limits(width, height, fps));
        let layout = Layout::own(Samples::Nv12, (width, height));
        let mut context = Context::new(&library, codec.coding())?;
        context.configure(&settings::all(codec, settings, bitrate, &layout))?;
        context.set_headers()?;
        let mut assembler = match codec {
            MppCodec::H264 => Assembler::H264(annexb::Assembler::default()),
            MppCodec::H265 => Assembler::H265(hevc::Assembler::default()),
        };
        assembler.learn(&context.header()?);
        let session = Session {
            context,
            layout,
            imports: HashMap::new(),
            refused: None,
            copy: None,
            group: None,
            started: false,
        };
        Ok(Self { library, settings: *settings, bitrate, assembler, session: Some(session) })
    }

    /// Encodes one picture; `keyframe` forces a key frame. Blocks at most a second; after an error the stream must be
    /// opened anew. Has no more use for the picture when it returns, but for a failed device that may still read it.
    pub fn encode(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<MppUnit> {
        let size = (self.settings.width, self.settings.height);
        ensure!(frame.size() == size, "the picture has another size than the encoder");
        let session = self.session.as_mut().context("the Rockchip encoder was closed after its error")?;
        let placed = session.place(&self.library, frame)?;
        match session.encode(size, placed, keyframe, &mut self.assembler) {
            Ok(Some(Assembled { data, keyframe })) => Ok(MppUnit { data, keyframe, copies: placed.copies }),
            Ok(None) => {
                bail!("the Rockchip encoder gave bytes without a picture, or a key frame without SPS and PPS")
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Changes the target rate from the next picture on, clamped to what the size asks for.
    pub fn set_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()> {
        let &EncoderSettings { width, height, fps, .. } = &self.settings;
        let bitrate = clamp(bitrate, &software_limits(width, height, fps));
        let session = self.session.as_mut().context("the Rockchip encoder was closed after its error")?;
        if bitrate != self.bitrate {
            let result = session.context.configure(&settings::rate(bitrate));
            result.map_err(|error| self.fail(error))?;
            self.bitrate = bitrate;
        }
        Ok(())
    }

    /// Gives up the encoder. Its driver may hang, so another thread releases it; [`Self::open`] waits for that.
    fn fail(&mut self, error: MppError) -> anyhow::Error {
        if let Some(session) = self.session.take() {
            let releasing = self.library.release();
            let release = move || {
                drop(session);
                drop(releasing);
            };
            // Without a thread, the closure is dropped here, and the session with it.
            if let Err(error) = thread::Builder::new().name("mpp-release".to_owned()).spawn(release) {
                tracing::warn!("no thread for releasing the Rockchip encoder: {error}");
            }
        }
        error.into()
    }
}

/// Where a picture was put for the encoder.
#[derive(Clone, Copy)]
struct Placed {
    layout: Layout,
    /// The camera's buffer, or the agent's copy.
    import: Option<BufferKey>,
    copies: u32,
}

impl Session {
    fn place(&mut self, library: &Arc<Library>, frame: &VideoFrame) -> anyhow::Result<Placed> {
        match frame {
            VideoFrame::Memory(raw) => {
                let layout = Layout::own(Samples::Yu12, frame.size());
                self.memory(library, layout)?.write(|memory| write_raw(raw, &layout, memory))??;
                Ok(Placed { layout, import: None, copies: raw.copies + 1 })
            }
            VideoFrame::Device(device) => {
                if let Some(layout) = self.import(library, device)? {
                    return Ok(Placed { layout, import: Some(device.buffer.key()), copies: 0 });
                }
                let Some(samples) = Samples::of(device.format) else {
                    return self.place(library, &VideoFrame::Memory(device.i420()?));
                };
                let layout = Layout::own(samples, frame.size());
                self.memory(library, layout)?.write(|memory| write_device(device, &layout, memory))??;
                Ok(Placed { layout, import: None, copies: 1 })
            }
        }
    }

    /// The buffer that pictures of this layout are copied to.
    fn memory(&mut self, library: &Arc<Library>, layout: Layout) -> anyhow::Result<&mut Buffer> {
        if self.copy.as_ref().is_none_or(|(is, _)| *is != layout) {
            self.copy = None;
            let group = match &self.group {
                Some(group) => group.clone(),
                None => self.group.insert(Arc::new(Group::new(library)?)).clone(),
            };
            self.copy = Some((layout, Buffer::allocate(&group, layout.length())?));
        }
        let (_, buffer) = self.copy.as_mut().context("no buffer")?;
        Ok(buffer)
    }

    /// Makes the encoder know the camera's buffer, if it can read it where it is.
    fn import(&mut self, library: &Arc<Library>, frame: &DeviceFrame) -> anyhow::Result<Option<Layout>> {
        let key = frame.buffer.key();
        let [plane] = frame.buffer.planes() else { return Ok(None) };
        let (Some(layout), Some(dmabuf)) = (Layout::in_place(frame), frame.buffer.dmabuf(0)) else {
            return Ok(None);
        };
        let wanted = layout.end((frame.width, frame.height));
        let got = plane.bytes_used as usize;
        ensure!(got >= wanted, "the camera gave {got} bytes of {wanted}");
        if self.refused == Some(key.stream) {
            return Ok(None);
        }
        if !self.imports.contains_key(&key) {
            // A new stream of the camera has new buffers; the old ones are kept alive by nobody else.
            self.imports.retain(|known, _| known.stream == key.stream);
            ensure!(self.imports.len() < MAX_IMPORTS, "the camera has more than {MAX_IMPORTS} buffers");
            match Buffer::import(library, dmabuf, plane.length as usize) {
                Ok(buffer) => self.imports.insert(key, buffer),
                Err(error) => {
                    tracing::warn!("{error}");
                    self.refused = Some(key.stream);
                    return Ok(None);
                }
            };
        }
        Ok(Some(layout))
    }

    fn encode(
        &mut self,
        size: (u32, u32),
        placed: Placed,
        keyframe: bool,
        assembler: &mut Assembler,
    ) -> Result<Option<Assembled>, MppError> {
        if placed.layout != self.layout {
            // MPP makes the next picture a key frame by itself.
            self.context.configure(&settings::picture(size.0, size.1, &placed.layout))?;
            self.layout = placed.layout;
        } else if keyframe && self.started {
            self.context.force_idr()?;
        }
        let buffer = match placed.import {
            Some(key) => self.imports.get(&key),
            None => self.copy.as_ref().map(|(_, buffer)| buffer),
        };
        debug_assert!(buffer.is_some(), "a placed picture has a buffer");
        let Some(buffer) = buffer else { return Ok(None) };
        let unit = self.context.encode(size, &placed.layout, buffer, |bytes| assembler.assemble(bytes))?;
        self.started = true;
        Ok(unit)
    }
}
