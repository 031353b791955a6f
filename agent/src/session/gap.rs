//! Pictures that were left out: what follows them cannot be shown before a key frame, by whatever path it goes.

use crate::transport::tcp::NextPicture;

/// Whether the viewer lacks pictures.
#[derive(Debug, Default)]
pub(super) struct Gap(bool);

impl Gap {
    /// What is to be done with the next picture, when its path says `wanted`.
    pub(super) fn next(&mut self, wanted: NextPicture, keyframe: bool) -> NextPicture {
        match wanted {
            // The path of the gap is gone, or another one is in use.
            NextPicture::Send if self.0 && !keyframe => NextPicture::Renew,
            NextPicture::Send => {
                self.0 = false;
                NextPicture::Send
            }
            left_out => {
                self.0 = true;
                left_out
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_pictures_that_were_left_out_a_key_frame_comes_first_by_any_path() {
        use NextPicture::{Renew, Send, Skip};
        let mut gap = Gap::default();
        let heard =
            [(Send, false), (Skip, false), (Send, false), (Renew, false), (Send, true), (Send, false)];
        let done = heard.map(|(wanted, keyframe)| gap.next(wanted, keyframe));
        assert_eq!(done, [Send, Skip, Renew, Renew, Send, Send]);
    }
}
