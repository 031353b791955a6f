//! What may befall a running PCM device, told apart by what helps (kernel: Documentation/sound/designs/).

use std::fmt;

/// Why a device gave or took nothing.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// EPIPE: the ring ran over (capture) or empty (playback); it starts again at once.
    Xrun,
    /// ESTRPIPE: the machine slept.
    Suspended,
    /// Unplugged (ENODEV), torn down (EBADFD) or broken (EIO and all else): it must be opened again.
    Gone(alsa::Error),
}

impl From<alsa::Error> for Trouble {
    fn from(error: alsa::Error) -> Self {
        match error.errno() {
            libc::EPIPE => Self::Xrun,
            libc::ESTRPIPE => Self::Suspended,
            _ => Self::Gone(error),
        }
    }
}

impl Trouble {
    /// Nothing is there yet, or a signal came: no trouble, but no frames.
    pub fn none_yet(error: alsa::Error) -> Result<usize, Self> {
        match error.errno() {
            libc::EAGAIN | libc::EINTR => Ok(0),
            _ => Err(error.into()),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xrun => write!(f, "xrun"),
            Self::Suspended => write!(f, "suspended"),
            Self::Gone(error) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_is_told_by_the_error_number() {
        let trouble = |errno| Trouble::from(alsa::Error::new("snd_pcm_readi", errno));
        assert!(matches!(trouble(libc::EPIPE), Trouble::Xrun));
        assert!(matches!(trouble(libc::ESTRPIPE), Trouble::Suspended));
        for errno in [libc::ENODEV, libc::EBADFD, libc::EIO, libc::ENXIO] {
            assert!(matches!(trouble(errno), Trouble::Gone(_)));
        }
    }

    #[test]
    fn nothing_yet_is_no_trouble() {
        let read = |errno| Trouble::none_yet(alsa::Error::new("snd_pcm_readi", errno));
        assert_eq!(read(libc::EAGAIN).unwrap(), 0);
        assert_eq!(read(libc::EINTR).unwrap(), 0);
        assert!(read(libc::EPIPE).is_err());
    }
}
