//! What is wrong with a camera, in words for a technician.

use std::path::Path;

use super::stream::NoPicture;
use crate::media::video::{source::Unplugged, v4l2::Error};

/// Why a device cannot be opened.
pub fn open(path: &Path, error: Error) -> anyhow::Error {
    let shown = path.display();
    match error.errno {
        _ if error.is_unplugged() => unplugged(path),
        libc::EACCES | libc::EPERM => {
            anyhow::anyhow!("the agent may not use the camera {shown}: add its user to the group video")
        }
        libc::EBUSY => busy(path),
        _ => anyhow::anyhow!("the camera {shown} cannot be opened: {error}"),
    }
}

/// Why a device cannot be set up; `what` is what it refuses.
pub fn setup(path: &Path, what: &str, error: Error) -> anyhow::Error {
    let shown = path.display();
    match error.errno {
        _ if error.is_unplugged() => unplugged(path),
        libc::EBUSY => busy(path),
        libc::ENOMEM => anyhow::anyhow!(
            "there is no memory for the pictures of the camera {shown}: take a smaller picture, or give the kernel \
             more contiguous memory (cma=)"
        ),
        _ => anyhow::anyhow!("the camera {shown} refuses {what}: {error}"),
    }
}

/// Why no picture comes.
pub fn stream(path: &Path, why: NoPicture) -> anyhow::Error {
    let shown = path.display();
    let error = match why {
        NoPicture::Refused(error) => error,
        NoPicture::Stalled(patience) => {
            let seconds = patience.as_secs();
            return anyhow::anyhow!("camera {shown} has given no picture for {seconds} s: check its cable");
        }
        NoPicture::AllHeld(patience, buffers) => {
            return anyhow::anyhow!(
                "the encoders have held all {buffers} buffers of the camera {shown} for {} s: they are too slow or hang",
                patience.as_secs()
            );
        }
    };
    match error.errno {
        _ if error.is_unplugged() => unplugged(path),
        libc::ENOSPC => anyhow::anyhow!(
            "the USB bus has no room for the camera {shown}: use another port or a smaller picture"
        ),
        libc::EBUSY => busy(path),
        _ => anyhow::anyhow!("the camera {shown} gives no picture: {error}"),
    }
}

fn unplugged(path: &Path) -> anyhow::Error {
    Unplugged(format!("camera {} is unplugged", path.display())).into()
}

fn busy(path: &Path) -> anyhow::Error {
    anyhow::anyhow!("another program uses the camera {}: stop it", path.display())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn words(code: i32) -> String {
        stream(Path::new("/dev/video7"), Error::new("VIDIOC_DQBUF", code).into()).to_string()
    }

    #[test]
    fn faults_are_told_in_words_that_a_technician_can_act_on() {
        assert_eq!(words(libc::ENODEV), "camera /dev/video7 is unplugged");
        assert!(words(libc::ENOSPC).contains("another port"));
        assert!(words(libc::EBUSY).contains("another program"));
        assert!(words(libc::EIO).contains("/dev/video7 gives no picture"));
        let path = Path::new("/dev/video7");
        let stalled = stream(path, NoPicture::Stalled(Duration::from_secs(1))).to_string();
        assert!(stalled.contains("no picture for 1 s"), "{stalled}");
        let held = stream(path, NoPicture::AllHeld(Duration::from_secs(1), 6)).to_string();
        assert!(held.contains("all 6 buffers"), "{held}");
        let denied = open(path, Error::new("open", libc::EACCES)).to_string();
        assert!(denied.contains("group video"), "{denied}");
        let memory = setup(path, "buffers", Error::new("VIDIOC_REQBUFS", libc::ENOMEM)).to_string();
        assert!(memory.contains("smaller picture"), "{memory}");
    }

    #[test]
    fn a_camera_that_is_gone_can_be_told_from_one_that_fails() {
        let path = Path::new("/dev/video7");
        for code in [libc::ENODEV, libc::ENXIO, libc::ENOENT] {
            assert!(open(path, Error::new("open", code)).is::<Unplugged>());
            assert!(stream(path, Error::new("VIDIOC_DQBUF", code).into()).is::<Unplugged>());
        }
        assert!(!open(path, Error::new("open", libc::EBUSY)).is::<Unplugged>());
    }
}
