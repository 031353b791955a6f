//! Whether this board has Rockchip's encoder, and what is missing if not.

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    MppCodec, ffi,
    library::{Library, LoadError},
};

/// What Rockchip's and Debian-like systems' packages call it, the version with a stable interface first.
const LIBRARIES: [&str; 2] = ["librockchip_mpp.so.1", "librockchip_mpp.so"];
/// The driver of Rockchip's kernels.
const DEVICE: &str = "/dev/mpp_service";
/// Where MPP gets memory, in the order in which it looks.
const DMA_HEAPS: &str = "/dev/dma_heap";
const OTHER_MEMORY: [&str; 2] = ["/dev/dri/card0", "/dev/ion"];

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MppInfo {
    /// The library's name, as it was found.
    pub library: String,
    /// The driver's device.
    pub device: PathBuf,
    /// What the library can encode; whether the chip can too shows when an encoder is opened.
    pub codecs: Vec<MppCodec>,
}

/// Why there is no such encoder here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHere {
    /// The library is not installed.
    #[error("no {name}: on a Rockchip board install the vendor's package of it (librockchip-mpp1)")]
    NoLibrary {
        /// Its name.
        name: String,
    },
    /// The library is there and cannot be loaded.
    #[error("{name} cannot be loaded: {reason}")]
    Broken {
        /// Its name.
        name: String,
        /// The loader's words.
        reason: String,
    },
    /// The library is of another age.
    #[error("{name} has no {function}: install MPP 1.0.4 or newer")]
    Lacks {
        /// The library's name.
        name: String,
        /// What is missing.
        function: &'static str,
    },
    /// There is no device.
    #[error("no {}: this is no Rockchip board, or its kernel has no MPP driver (the vendor's kernels have it)", .0.display())]
    NoDevice(PathBuf),
    /// There is a device, but not for the agent.
    #[error("may not open {}: add the agent's user to its group ({group})", .device.display())]
    MayNotOpen {
        /// The device.
        device: PathBuf,
        /// The name of the device's group, or its number.
        group: String,
    },
    /// The device cannot be opened for another reason.
    #[error("cannot open {}: {reason}", .device.display())]
    Unusable {
        /// The device.
        device: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// There is no memory that MPP could put pictures into: it takes [`DMA_HEAPS`] if that folder exists, otherwise
    /// the DRM driver's, otherwise ION's.
    #[error(
        "may not open {devices}, where MPP gets memory for pictures: let the agent's user read and write there"
    )]
    NoMemory {
        /// What it would have to be.
        devices: &'static str,
    },
    /// The library was built without the encoders that the agent needs.
    #[error("{name} was built without H.264 and H.265 encoders")]
    NoEncoder {
        /// Its name.
        name: String,
    },
}

/// The system's library, opened at most once.
static LIBRARY: Mutex<Option<(&'static str, Arc<Library>)>> = Mutex::new(None);

/// Looks for the library and the device.
pub fn probe() -> Result<MppInfo, NotHere> {
    let (name, library) = system_library()?;
    look_at(name, &library, Path::new(DEVICE))
}

/// The library, if there is a device for it.
pub fn ready_library() -> Result<Arc<Library>, NotHere> {
    let (name, library) = system_library()?;
    look_at(name, &library, Path::new(DEVICE)).map(|_| library)
}

fn system_library() -> Result<(&'static str, Arc<Library>), NotHere> {
    let mut opened = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((name, library)) = &*opened {
        return Ok((name, library.clone()));
    }
    let mut first_error = None;
    for name in LIBRARIES {
        match Library::open(OsStr::new(name)) {
            Ok(library) => {
                *opened = Some((name, library.clone()));
                return Ok((name, library));
            }
            Err(error) => first_error = first_error.or(Some(not_loaded(name, error))),
        }
    }
    Err(first_error.unwrap_or(NotHere::NoLibrary { name: LIBRARIES[0].to_owned() }))
}

/// The loader tells that a file is missing in words only; those of a library's missing dependency name another file.
fn not_loaded(name: &str, error: LoadError) -> NotHere {
    let name = name.to_owned();
    match error {
        LoadError::Lacks(function) => NotHere::Lacks { name, function },
        LoadError::NotLoaded(reason)
            if reason.contains(&format!("{name}:")) && reason.contains("No such file") =>
        {
            NotHere::NoLibrary { name }
        }
        LoadError::NotLoaded(reason) => NotHere::Broken { name, reason },
    }
}

fn look_at(name: &str, library: &Library, device: &Path) -> Result<MppInfo, NotHere> {
    let codecs: Vec<_> =
        MppCodec::ALL.into_iter().filter(|codec| ffi::is_built_in(library, codec.coding())).collect();
    if codecs.is_empty() {
        return Err(NotHere::NoEncoder { name: name.to_owned() });
    }
    may_open(device)?;
    has_memory(Path::new(DMA_HEAPS), &OTHER_MEMORY.map(Path::new))?;
    Ok(MppInfo { library: name.to_owned(), device: device.to_owned(), codecs })
}

fn may_open(device: &Path) -> Result<(), NotHere> {
    let Err(error) = OpenOptions::new().read(true).write(true).open(device) else { return Ok(()) };
    let device = device.to_owned();
    Err(match error.kind() {
        io::ErrorKind::NotFound => NotHere::NoDevice(device),
        io::ErrorKind::PermissionDenied => {
            let number = device.metadata().map_or(0, |metadata| metadata.gid());
            let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
            let group = group_name(&groups, number).map_or_else(|| number.to_string(), str::to_owned);
            NotHere::MayNotOpen { device, group }
        }
        _ => NotHere::Unusable { device, reason: error.to_string() },
    })
}

/// MPP goes on without memory, and then says that all went well.
fn has_memory(heaps: &Path, others: &[&Path]) -> Result<(), NotHere> {
    // Reading is enough for a heap.
    let opens = |path: &Path, write| OpenOptions::new().read(true).write(write).open(path).is_ok();
    match heaps.read_dir() {
        Ok(mut entries) => {
            let found = entries.any(|entry| entry.is_ok_and(|entry| opens(&entry.path(), false)));
            if found { Ok(()) } else { Err(NotHere::NoMemory { devices: "/dev/dma_heap/*" }) }
        }
        Err(_) if others.iter().any(|path| opens(path, true)) => Ok(()),
        Err(_) => Err(NotHere::NoMemory { devices: "/dev/dma_heap/*, /dev/dri/card0 or /dev/ion" }),
    }
}

/// The name of a group in the text of `/etc/group` (man page group(5)).
fn group_name(groups: &str, number: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(number)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_and_a_missing_dependency_of_it_are_told_apart() {
        let missing = "libp2pcam_not_there.so.1";
        let error = Library::open(OsStr::new(missing)).err().expect("there is none");
        let words = not_loaded(missing, error).to_string();
        assert!(words.starts_with("no libp2pcam_not_there.so.1: on a Rockchip board install"), "{words}");
        let reason = "libdrm.so.2: cannot open shared object file: No such file or directory".to_owned();
        let words = not_loaded(LIBRARIES[0], LoadError::NotLoaded(reason)).to_string();
        assert!(words.starts_with("librockchip_mpp.so.1 cannot be loaded: libdrm.so.2: "), "{words}");
    }

    #[test]
    fn a_library_without_mpp_functions_is_told_by_the_first_one_missing() {
        let error = Library::open(OsStr::new("libc.so.6")).err().expect("it is no MPP");
        let words = not_loaded("libc.so.6", error).to_string();
        assert_eq!(words, "libc.so.6 has no mpp_create: install MPP 1.0.4 or newer");
    }

    #[test]
    fn a_missing_device_is_told_in_words() {
        let words = may_open(Path::new("/dev/p2pcam-not-there")).expect_err("there is none").to_string();
        assert!(words.starts_with("no /dev/p2pcam-not-there: this is no Rockchip board, or"), "{words}");
    }

    #[test]
    fn memory_is_looked_for_where_mpp_takes_it_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let (heaps, card) = (folder.path().join("dma_heap"), folder.path().join("card0"));
        let words = || has_memory(&heaps, &[&card]).err().map(|error| error.to_string());
        assert!(
            words().is_some_and(|words| words.starts_with("may not open /dev/dma_heap/*, /dev/dri/card0 or"))
        );
        std::fs::write(&card, "").expect("a file");
        assert_eq!(words(), None);
        std::fs::create_dir(&heaps).expect("a folder");
        let no_heap = words().expect("MPP looks no further than the folder of heaps");
        assert!(no_heap.starts_with("may not open /dev/dma_heap/*, where MPP"), "{no_heap}");
        std::fs::write(heaps.join("system-uncached"), "").expect("a file");
        assert_eq!(words(), None);
    }

    #[test]
    fn a_device_of_others_is_told_with_the_name_of_its_group() {
        let groups = "root:x:0:\nvideo:x:44:p2pcam\nbroken\nrender:x:104:\n";
        assert_eq!(group_name(groups, 44), Some("video"));
        assert_eq!(group_name(groups, 45), None);
        let denied = NotHere::MayNotOpen { device: DEVICE.into(), group: "video".into() };
        assert_eq!(
            denied.to_string(),
            "may not open /dev/mpp_service: add the agent's user to its group (video)"
        );
    }
}
