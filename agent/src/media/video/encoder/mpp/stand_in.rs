//! The stand-in library of `agent/tests/mpp/stand_in.c`, compiled and loaded for a test. It encodes nothing.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::{
    ffi::{CStr, CString, c_char, c_int},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use super::{abi, library::Library};

/// Its source.
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mpp/stand_in.c")
}

/// The C compiler, as `make` chooses it.
pub fn compiler() -> Command {
    Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

/// Fails with what the compiler said.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn compiled() -> &'static [u8] {
    static COMPILED: OnceLock<Vec<u8>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("stand_in.so");
        let values = abi::CONSTANTS.iter().map(|(name, value)| format!("-D{name}=({value})"));
        let fixed = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"];
        run(compiler().args(fixed).arg(&object).args(values).arg(source()).arg("-lpthread"));
        fs::read(object).unwrap()
    })
}

/// One copy of the library, with counters and faults of its own.
pub struct StandIn {
    pub library: Arc<Library>,
    symbols: libloading::Library,
    _folder: tempfile::TempDir,
}

impl StandIn {
    /// Gives out this header, key frame and other picture.
    pub fn giving(units: [&[u8]; 3]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("librockchip_mpp.so.1");
        fs::write(&path, compiled()).unwrap();
        let library = Library::open(path.as_os_str()).unwrap_or_else(|error| panic!("{error:?}"));
        // SAFETY: it is open already, so nothing runs.
        let symbols = unsafe { libloading::Library::new(&path) }.unwrap();
        let stand_in = Self { library, symbols, _folder: folder };
        for (unit, which) in units.into_iter().zip(0..) {
            // SAFETY: the type is that of the C function, which copies the bytes.
            let load: libloading::Symbol<'_, unsafe extern "C" fn(c_int, *const u8, usize)> =
                unsafe { stand_in.symbols.get(b"stand_in_load\0") }.unwrap();
            // SAFETY: as above.
            unsafe { load(which, unit.as_ptr(), unit.len()) };
        }
        stand_in
    }

    fn number(&self, function: &str, name: &str) -> i32 {
        let name = CString::new(name).unwrap();
        // SAFETY: the functions that are asked for here take a string and return an int.
        let function: libloading::Symbol<'_, unsafe extern "C" fn(*const c_char) -> c_int> =
            unsafe { self.symbols.get(function.as_bytes()) }.unwrap();
        // SAFETY: the string ends with a zero and is only read.
        unsafe { function(name.as_ptr()) }
    }

    /// How many of a kind there are now.
    pub fn live(&self, kind: &str) -> i32 {
        self.number("stand_in_live", kind)
    }

    /// What an encoder was last set to.
    pub fn setting(&self, name: &str) -> i32 {
        self.number("stand_in_setting", name)
    }

    /// What the last frame was said to be.
    pub fn frame(&self, field: &str) -> i32 {
        self.number("stand_in_frame", field)
    }

    /// From now on this fails, with this code where it has one; 0 makes it work again.
    pub fn fault(&self, name: &str, value: i32) {
        let name = CString::new(name).unwrap();
        // SAFETY: the type is that of the C function, which copies the string.
        let function: libloading::Symbol<'_, unsafe extern "C" fn(*const c_char, c_int)> =
            unsafe { self.symbols.get(b"stand_in_fault\0") }.unwrap();
        // SAFETY: as above.
        unsafe { function(name.as_ptr(), value) };
    }

    /// The calls since the last time that somebody asked.
    pub fn calls(&self) -> String {
        // SAFETY: the types are those of the C functions; the string lives as long as the library.
        unsafe {
            let calls: libloading::Symbol<'_, unsafe extern "C" fn() -> *const c_char> =
                self.symbols.get(b"stand_in_calls\0").unwrap();
            let forget: libloading::Symbol<'_, unsafe extern "C" fn()> =
                self.symbols.get(b"stand_in_forget_calls\0").unwrap();
            let text = CStr::from_ptr(calls()).to_str().unwrap().to_owned();
            forget();
            text
        }
    }

    /// The memory of the last picture that was put in.
    pub fn picture(&self) -> Vec<u8> {
        // SAFETY: the types are those of the C functions; the memory stays until the next picture.
        unsafe {
            let start: libloading::Symbol<'_, unsafe extern "C" fn() -> *const u8> =
                self.symbols.get(b"stand_in_picture\0").unwrap();
            let size: libloading::Symbol<'_, unsafe extern "C" fn() -> usize> =
                self.symbols.get(b"stand_in_picture_size\0").unwrap();
            std::slice::from_raw_parts(start(), size()).to_vec()
        }
    }

    /// Waits until everything is released, and fails if anything is left or was released while it was in use.
    pub fn assert_all_released(&self) {
        let left = || {
            let kinds = ["context", "config", "frame", "packet", "buffer", "group"];
            kinds
                .map(|kind| (kind, self.live(kind)))
                .into_iter()
                .filter(|(_, count)| *count != 0)
                .collect::<Vec<_>>()
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !left().is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(left(), []);
        assert_eq!(self.number("stand_in_violations", ""), 0);
        for kind in ["context", "config", "frame", "packet"] {
            assert!(self.number("stand_in_made", kind) > 0, "there was no {kind} to release");
        }
    }
}
