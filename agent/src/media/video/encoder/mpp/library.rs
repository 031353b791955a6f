//! `librockchip_mpp`, opened at run time: its functions, and how many of its encoders are still being released.
//!
//! It is never unloaded: it has threads and exit handlers of its own.

#![allow(unsafe_code)] // for opening it

use std::{
    ffi::{OsStr, c_char, c_int, c_void},
    mem::ManuallyDrop,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::abi::{MppApi, MppBufferInfo};

/// A handle of MPP's (`MppCtx`, `MppFrame`, ... of rk_type.h).
pub type Handle = *mut c_void;

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions that the agent calls, under their names in the headers.
        pub struct Functions { $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Functions {
            /// Their names.
            #[cfg(test)]
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// An error is the name of one that is missing.
            fn load(library: &libloading::Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is that of the function of this name in the headers, whose interface
                        // Rockchip has kept since its first release; the copy of the pointer stays valid because
                        // the library is never unloaded.
                        let symbol = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *symbol.map_err(|_| stringify!($name))?
                    },)*
                })
            }
        }
    };
}

functions! {
    mpp_create: fn(*mut Handle, *mut *mut MppApi) -> c_int;
    mpp_init: fn(Handle, c_int, c_int) -> c_int;
    mpp_destroy: fn(Handle) -> c_int;
    mpp_check_support_format: fn(c_int, c_int) -> c_int;
    mpp_enc_cfg_init: fn(*mut Handle) -> c_int;
    mpp_enc_cfg_deinit: fn(Handle) -> c_int;
    mpp_enc_cfg_set_s32: fn(Handle, *const c_char, i32) -> c_int;
    mpp_buffer_group_get: fn(*mut Handle, c_int, c_int, *const c_char, *const c_char) -> c_int;
    mpp_buffer_group_put: fn(Handle) -> c_int;
    mpp_buffer_get_with_tag: fn(Handle, *mut Handle, usize, *const c_char, *const c_char) -> c_int;
    mpp_buffer_import_with_tag: fn(Handle, *mut MppBufferInfo, *mut Handle, *const c_char, *const c_char) -> c_int;
    mpp_buffer_put_with_caller: fn(Handle, *const c_char) -> c_int;
    mpp_buffer_get_ptr_with_caller: fn(Handle, *const c_char) -> *mut c_void;
    mpp_buffer_sync_begin_f: fn(Handle, i32, *const c_char) -> c_int;
    mpp_buffer_sync_end_f: fn(Handle, i32, *const c_char) -> c_int;
    mpp_frame_init: fn(*mut Handle) -> c_int;
    mpp_frame_deinit: fn(*mut Handle) -> c_int;
    mpp_frame_set_width: fn(Handle, u32);
    mpp_frame_set_height: fn(Handle, u32);
    mpp_frame_set_hor_stride: fn(Handle, u32);
    mpp_frame_set_ver_stride: fn(Handle, u32);
    mpp_frame_set_fmt: fn(Handle, c_int);
    mpp_frame_set_buffer: fn(Handle, Handle);
    mpp_packet_init: fn(*mut Handle, *mut c_void, usize) -> c_int;
    mpp_packet_deinit: fn(*mut Handle) -> c_int;
    mpp_packet_set_length: fn(Handle, usize);
    mpp_packet_get_pos: fn(Handle) -> *mut c_void;
    mpp_packet_get_length: fn(Handle) -> usize;
}

/// Why the library cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The loader's words.
    NotLoaded(String),
    /// It lacks a function.
    Lacks(&'static str),
}

/// See the module.
pub struct Library {
    pub functions: Functions,
    releasing: Mutex<usize>,
    released: Condvar,
    _never_unloaded: ManuallyDrop<libloading::Library>,
}

impl Library {
    /// Opens the library of this name, as the system's loader finds it, or at this path.
    pub fn open(name: &OsStr) -> Result<Arc<Self>, LoadError> {
        // SAFETY: runs the initialisers of Rockchip's library, which only fill its tables; who can put another one
        // into the loader's folders can replace the agent too.
        let library = unsafe { libloading::Library::new(name) };
        let library = library.map_err(|error| LoadError::NotLoaded(error.to_string()))?;
        let functions = Functions::load(&library).map_err(LoadError::Lacks)?;
        Ok(Arc::new(Self {
            functions,
            releasing: Mutex::new(0),
            released: Condvar::new(),
            _never_unloaded: ManuallyDrop::new(library),
        }))
    }

    fn releasing(&self) -> MutexGuard<'_, usize> {
        self.releasing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an encoder that is being released on another thread, until the guard is dropped.
    pub fn release(self: &Arc<Self>) -> Releasing {
        *self.releasing() += 1;
        Releasing(self.clone())
    }

    /// Waits until all encoders are released. False if one is not after this time: its driver hangs.
    pub fn all_released(&self, within: Duration) -> bool {
        let waited = self.released.wait_timeout_while(self.releasing(), within, |count| *count > 0);
        let (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *count == 0
    }
}

/// See [`Library::release`].
pub struct Releasing(Arc<Library>);

impl Drop for Releasing {
    fn drop(&mut self) {
        *self.0.releasing() -= 1;
        self.0.released.notify_all();
    }
}
