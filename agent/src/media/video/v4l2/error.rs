//! What a V4L2 call failed with.

use std::io;

/// A call that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {}", io::Error::from_raw_os_error(*errno))]
pub struct Error {
    /// "VIDIOC_S_FMT", "open", "mmap"
    pub call: &'static str,
    /// As in errno(3).
    pub errno: i32,
}

impl Error {
    /// A call that failed with this number of errno(3).
    pub fn new(call: &'static str, errno: i32) -> Self {
        Self { call, errno }
    }

    /// A call of the standard library.
    pub fn of(call: &'static str, error: &io::Error) -> Self {
        Self::new(call, error.raw_os_error().unwrap_or(libc::EIO))
    }

    /// The device is gone, or its node is.
    pub fn is_unplugged(&self) -> bool {
        matches!(self.errno, libc::ENODEV | libc::ENXIO | libc::ENOENT)
    }
}

/// What V4L2 calls give.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_is_named_with_its_reason() {
        let words = Error::new("VIDIOC_S_FMT", libc::EBUSY).to_string();
        assert!(words.starts_with("VIDIOC_S_FMT: ") && words.contains("busy"), "{words}");
        assert!(Error::new("VIDIOC_DQBUF", libc::ENODEV).is_unplugged());
        assert!(!Error::new("VIDIOC_DQBUF", libc::EIO).is_unplugged());
    }
}
