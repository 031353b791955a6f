//! Calls into `librockchip_mpp`, made safe: contexts, settings and buffers that release themselves. With `library`,
//! which opens it, all unsafe code of this encoder.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_int, c_void},
    mem::{offset_of, size_of},
    os::fd::{AsRawFd, BorrowedFd},
    ptr, slice,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    abi::{self, MppApi, MppBufferInfo},
    error::{MppError, Wanted},
    layout::Layout,
    library::{Handle, Library},
};

/// MPP waits so long for a picture to be encoded. With [`OUTPUT_TIMEOUT`] it is the second that an encoder has.
const INPUT_TIMEOUT: Duration = Duration::from_millis(800);
/// MPP hands the coded picture out before it gives the input back, so this is over as soon as it begins.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);
/// MPP writes SPS and PPS without asking for the room there is; its own buffer has 1 KiB.
const HEADER_ROOM: usize = 4096;
/// Names the agent in MPP's lists of buffers.
const TAG: &CStr = c"p2pcam";

fn check(wanted: Wanted, code: c_int) -> Result<(), MppError> {
    if code == abi::MPP_OK { Ok(()) } else { Err(MppError::Refused(wanted, code)) }
}

/// True if the library was built with an encoder for this `MppCodingType`; the chip may still have none.
pub fn is_built_in(library: &Library, coding: c_int) -> bool {
    // SAFETY: takes two numbers and looks them up in a table.
    unsafe { (library.functions.mpp_check_support_format)(abi::MPP_CTX_ENC, coding) == abi::MPP_OK }
}

/// `MppEncCfg`: settings by name.
pub struct Config {
    library: Arc<Library>,
    raw: Handle,
}

impl Config {
    pub fn new(library: &Arc<Library>) -> Result<Self, MppError> {
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` is writable; it is used only after success.
        check(Wanted::Context, unsafe { (library.functions.mpp_enc_cfg_init)(&mut raw) })?;
        Ok(Self { library: library.clone(), raw })
    }

    pub fn set(&mut self, key: &'static CStr, value: i32) -> Result<(), MppError> {
        // SAFETY: `raw` is a live configuration; the key ends with a zero and is only read during the call.
        let code = unsafe { (self.library.functions.mpp_enc_cfg_set_s32)(self.raw, key.as_ptr(), value) };
        check(Wanted::Setting(key.to_str().unwrap_or("a setting")), code)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: made by mpp_enc_cfg_init, released once; MPP copied what it was given.
        unsafe { (self.library.functions.mpp_enc_cfg_deinit)(self.raw) };
    }
}

/// `MppBufferGroup`: where buffers of the library's own are allocated.
pub struct Group {
    library: Arc<Library>,
    raw: Handle,
}

// SAFETY: MPP's buffer functions take the group's lock and do not ask for the thread.
unsafe impl Send for Group {}
// SAFETY: as above; nothing of it can be changed but through those functions.
unsafe impl Sync for Group {}

impl Group {
    /// Memory that the video unit can read: of a DMA heap or the DRM driver, whichever MPP finds. Not cached where
    /// there is such, as it is only written, once.
    pub fn new(library: &Arc<Library>) -> Result<Self, MppError> {
        let (kind, mode, tag) = (abi::MPP_BUFFER_TYPE_DRM, abi::MPP_BUFFER_INTERNAL, TAG.as_ptr());
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` is writable; the tags are static.
        let code = unsafe { (library.functions.mpp_buffer_group_get)(&mut raw, kind, mode, tag, tag) };
        check(Wanted::Memory, code)?;
        Ok(Self { library: library.clone(), raw })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: made by mpp_buffer_group_get, released once, after its buffers, which hold it.
        unsafe { (self.library.functions.mpp_buffer_group_put)(self.raw) };
    }
}

/// `MppBuffer`: memory that the video unit can read.
pub struct Buffer {
    library: Arc<Library>,
    raw: Handle,
    length: usize,
    /// Kept as long as the buffer; none for an imported one.
    _group: Option<Arc<Group>>,
}

// SAFETY: MPP counts references to buffers under a lock and does not ask for the thread.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Allocates so many bytes.
    pub fn allocate(group: &Arc<Group>, length: usize) -> Result<Self, MppError> {
        let (library, tag) = (&group.library, TAG.as_ptr());
        let mut raw = ptr::null_mut();
        // SAFETY: the group is live, `raw` is writable, the tags are static.
        let code =
            unsafe { (library.functions.mpp_buffer_get_with_tag)(group.raw, &mut raw, length, tag, tag) };
        check(Wanted::Memory, code)?;
        Ok(Self { library: library.clone(), raw, length, _group: Some(group.clone()) })
    }

    /// Takes in a DMABUF of so many bytes. MPP duplicates the descriptor, so the memory stays as long as this.
    pub fn import(library: &Arc<Library>, dmabuf: BorrowedFd<'_>, length: usize) -> Result<Self, MppError> {
        let mut info = MppBufferInfo {
            kind: abi::MPP_BUFFER_TYPE_DRM,
            size: length,
            pointer: ptr::null_mut(),
            handle: ptr::null_mut(),
            fd: dmabuf.as_raw_fd(),
            index: 0,
        };
        let (no_group, tag) = (ptr::null_mut(), TAG.as_ptr());
        let mut raw = ptr::null_mut();
        // SAFETY: `info` is a whole MppBufferInfo of a descriptor that is open during the call, `raw` is writable.
        let code = unsafe {
            (library.functions.mpp_buffer_import_with_tag)(no_group, &mut info, &mut raw, tag, tag)
        };
        check(Wanted::Import, code)?;
        Ok(Self { library: library.clone(), raw, length, _group: None })
    }

    /// Writes into its memory. Only for a buffer that was allocated.
    pub fn write<T>(&mut self, write: impl FnOnce(&mut [u8]) -> T) -> Result<T, MppError> {
        const READ_AND_WRITE: i32 = 0;
        let (functions, tag) = (&self.library.functions, TAG.as_ptr());
        // SAFETY: the buffer is live.
        let start = unsafe { (functions.mpp_buffer_get_ptr_with_caller)(self.raw, tag) };
        if start.is_null() {
            return Err(MppError::Refused(Wanted::Memory, abi::MPP_ERR_NULL_PTR));
        }
        // SAFETY: as above.
        check(Wanted::Memory, unsafe { (functions.mpp_buffer_sync_begin_f)(self.raw, READ_AND_WRITE, tag) })?;
        // SAFETY: MPP maps the whole buffer, `length` bytes, for reading and writing, and unmaps it when the last
        // reference goes, which this is. The video unit reads it only while `Context::encode` blocks, or in a context
        // that is never used again.
        let written = write(unsafe { slice::from_raw_parts_mut(start.cast(), self.length) });
        // SAFETY: as above. What the CPU's cache still holds goes to memory.
        check(Wanted::Memory, unsafe { (functions.mpp_buffer_sync_end_f)(self.raw, READ_AND_WRITE, tag) })?;
        Ok(written)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: this is one reference that MPP gave; it is given back once.
        unsafe { (self.library.functions.mpp_buffer_put_with_caller)(self.raw, TAG.as_ptr()) };
    }
}

/// `MppFrame`: what a picture is and where it lies.
struct Frame<'a> {
    library: &'a Library,
    raw: Handle,
}

impl<'a> Frame<'a> {
    fn new(
        library: &'a Library,
        (width, height): (u32, u32),
        layout: &Layout,
        buffer: &Buffer,
    ) -> Result<Self, MppError> {
        let functions = &library.functions;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` is writable; the setters write fields of the frame that was made, and the last one takes a
        // reference of its own to the live buffer.
        unsafe {
            check(Wanted::Encode, (functions.mpp_frame_init)(&mut raw))?;
            (functions.mpp_frame_set_width)(raw, width);
            (functions.mpp_frame_set_height)(raw, height);
            (functions.mpp_frame_set_hor_stride)(raw, layout.stride);
            (functions.mpp_frame_set_ver_stride)(raw, layout.rows);
            (functions.mpp_frame_set_fmt)(raw, layout.mpp_format());
            (functions.mpp_frame_set_buffer)(raw, buffer.raw);
        }
        Ok(Self { library, raw })
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: made by mpp_frame_init, not with the encoder (see `Context::encode`), released once.
            unsafe { (self.library.functions.mpp_frame_deinit)(&mut self.raw) };
        }
    }
}

/// `MppPacket`.
struct Packet<'a> {
    library: &'a Library,
    raw: Handle,
}

impl Packet<'_> {
    fn length(&self) -> usize {
        // SAFETY: the packet is live.
        unsafe { (self.library.functions.mpp_packet_get_length)(self.raw) }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the packet is live; MPP keeps `length` readable bytes from `pos` on as long as it is.
        unsafe {
            let start = (self.library.functions.mpp_packet_get_pos)(self.raw);
            let length = self.length();
            if start.is_null() || length == 0 { &[] } else { slice::from_raw_parts(start.cast(), length) }
        }
    }
}

impl Drop for Packet<'_> {
    fn drop(&mut self) {
        // SAFETY: the packet is live and ours; released once.
        unsafe { (self.library.functions.mpp_packet_deinit)(&mut self.raw) };
    }
}

/// `MppCtx`: an encoder. Not to be used again after `encode` failed; dropping it may take long then.
pub struct Context {
    library: Arc<Library>,
    raw: Handle,
    api: *const MppApi,
    /// A frame that the encoder did not give back.
    held: Handle,
}

// SAFETY: MPP ties a context to no thread; it forbids use by two at once, which `&mut self` rules out.
unsafe impl Send for Context {}

impl Context {
    /// Opens an encoder for this `MppCodingType`. It blocks at most a second a picture.
    pub fn new(library: &Arc<Library>, coding: c_int) -> Result<Self, MppError> {
        let functions = &library.functions;
        let (mut raw, mut api) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: both are writable; they are used only after success.
        check(Wanted::Context, unsafe { (functions.mpp_create)(&mut raw, &mut api) })?;
        let mut context = Self { library: library.clone(), raw, api, held: ptr::null_mut() };
        let needed = offset_of!(MppApi, control) + size_of::<Handle>();
        // SAFETY: mpp_create gives a table that lives as long as the library; its first word is its size.
        if api.is_null() || unsafe { (*api).size as usize } < needed {
            return Err(MppError::Refused(Wanted::Context, abi::MPP_ERR_VALUE));
        }
        context.set_timeout(abi::MPP_SET_INPUT_TIMEOUT, INPUT_TIMEOUT)?;
        context.set_timeout(abi::MPP_SET_OUTPUT_TIMEOUT, OUTPUT_TIMEOUT)?;
        // SAFETY: the context was just made.
        let code = unsafe { (functions.mpp_init)(context.raw, abi::MPP_CTX_ENC, coding) };
        check(Wanted::Encoder, code)?;
        Ok(context)
    }

    /// # Safety
    ///
    /// `parameter` must be what the headers name for the command, and outlive the call.
    unsafe fn control(
        &mut self,
        wanted: Wanted,
        command: c_int,
        parameter: *mut c_void,
    ) -> Result<(), MppError> {
        // SAFETY: `new` made sure that the table reaches as far as this field.
        let Some(control) = (unsafe { (*self.api).control }) else {
            return Err(MppError::Refused(wanted, abi::MPP_ERR_NULL_PTR));
        };
        // SAFETY: the context is live; the caller answers for the parameter.
        check(wanted, unsafe { control(self.raw, command, parameter) })
    }

    fn set_timeout(&mut self, command: c_int, timeout: Duration) -> Result<(), MppError> {
        // The headers say 64 bits, the library reads 32: right for both on little-endian machines, which all are.
        let mut ms = timeout.as_millis() as i64;
        // SAFETY: both commands read a number of at most 64 bits.
        unsafe { self.control(Wanted::Setting("a timeout"), command, (&raw mut ms).cast()) }
    }

    /// Sets one of the commands that read an enumeration.
    fn set_mode(&mut self, name: &'static str, command: c_int, mut mode: c_int) -> Result<(), MppError> {
        // SAFETY: `set_headers`, the only caller, passes commands whose parameter is a C enumeration.
        unsafe { self.control(Wanted::Setting(name), command, (&raw mut mode).cast()) }
    }

    /// Parameter sets with every IDR, and no SEI of MPP's own.
    pub fn set_headers(&mut self) -> Result<(), MppError> {
        self.set_mode("the header mode", abi::MPP_ENC_SET_HEADER_MODE, abi::MPP_ENC_HEADER_MODE_EACH_IDR)?;
        self.set_mode("the SEI mode", abi::MPP_ENC_SET_SEI_CFG, abi::MPP_ENC_SEI_MODE_DISABLE)
    }

    /// Changes these settings and leaves the others as they are.
    pub fn configure(&mut self, settings: &[(&'static CStr, i32)]) -> Result<(), MppError> {
        let mut config = Config::new(&self.library)?;
        // SAFETY: both commands take a live MppEncCfg.
        unsafe { self.control(Wanted::Settings, abi::MPP_ENC_GET_CFG, config.raw)? };
        for (key, value) in settings {
            config.set(key, *value)?;
        }
        // SAFETY: as above.
        unsafe { self.control(Wanted::Settings, abi::MPP_ENC_SET_CFG, config.raw) }
    }

    /// Makes the next picture an IDR.
    pub fn force_idr(&mut self) -> Result<(), MppError> {
        // SAFETY: the command has no parameter.
        unsafe { self.control(Wanted::Setting("an IDR"), abi::MPP_ENC_SET_IDR_FRAME, ptr::null_mut()) }
    }

    /// The parameter sets, in Annex B. The first IDR after this comes without them.
    pub fn header(&mut self) -> Result<Vec<u8>, MppError> {
        let library = self.library.clone();
        let mut memory = vec![0; HEADER_ROOM];
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` is writable; the packet refers to `memory`, which outlives it and is not moved.
        let code =
            unsafe { (library.functions.mpp_packet_init)(&mut raw, memory.as_mut_ptr().cast(), HEADER_ROOM) };
        check(Wanted::Header, code)?;
        let packet = Packet { library: &library, raw };
        // SAFETY: the packet is live; the command appends to it, so its length is made zero before.
        unsafe {
            (library.functions.mpp_packet_set_length)(packet.raw, 0);
            self.control(Wanted::Header, abi::MPP_ENC_GET_HDR_SYNC, packet.raw)?;
        }
        let length = packet.length().min(HEADER_ROOM);
        drop(packet);
        memory.truncate(length);
        Ok(memory)
    }

    /// Encodes the picture in the buffer and shows its bytes.
    pub fn encode<T>(
        &mut self,
        size: (u32, u32),
        layout: &Layout,
        buffer: &Buffer,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, MppError> {
        let library = self.library.clone();
        // SAFETY: `new` made sure that the table reaches as far as these fields.
        let (put, get) = unsafe { ((*self.api).encode_put_frame, (*self.api).encode_get_packet) };
        let (Some(put), Some(get)) = (put, get) else {
            return Err(MppError::Refused(Wanted::Encode, abi::MPP_ERR_NULL_PTR));
        };
        let mut frame = Frame::new(&library, size, layout, buffer)?;
        let start = Instant::now();
        // SAFETY: context and frame are live. With an input timeout, MPP returns when it is done with the frame.
        let code = unsafe { put(self.raw, frame.raw) };
        if code != abi::MPP_OK {
            // The encoder's thread may still read the frame: it is released after the context.
            self.held = std::mem::replace(&mut frame.raw, ptr::null_mut());
            let waited = start.elapsed();
            let stalled = waited >= INPUT_TIMEOUT || code == abi::MPP_ERR_TIMEOUT;
            return Err(if stalled {
                MppError::Stalled(waited)
            } else {
                MppError::Refused(Wanted::Encode, code)
            });
        }
        let mut raw = ptr::null_mut();
        // SAFETY: the context is live, `raw` is writable.
        let code = unsafe { get(self.raw, &mut raw) };
        // MPP tells a timeout by no packet and no error.
        if raw.is_null() && (code == abi::MPP_OK || code == abi::MPP_ERR_TIMEOUT) {
            return Err(MppError::Stalled(start.elapsed()));
        }
        check(Wanted::Encode, code)?;
        let packet = Packet { library: &library, raw };
        match packet.bytes() {
            [] => Err(MppError::Empty),
            bytes => Ok(read(bytes)),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by mpp_create, released once. It ends the encoder's thread, so that nobody reads the held
        // frame any more, which is released once too.
        unsafe {
            (self.library.functions.mpp_destroy)(self.raw);
            if !self.held.is_null() {
                (self.library.functions.mpp_frame_deinit)(&mut self.held);
            }
        }
    }
}
