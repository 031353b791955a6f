//! An H.264 clip as pictures: a file in Annex B form (ITU-T H.264), repeated without end.

use std::{ops::Range, path::Path};

use anyhow::{Context, ensure};

/// NAL unit types of ITU-T H.264 table 7-1.
const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

/// One picture.
pub struct Picture {
    data: Vec<u8>,
    nals: Vec<Range<usize>>,
    /// It can be decoded without another one.
    pub key: bool,
}

impl Picture {
    /// From NAL units without start codes.
    pub fn new<'a>(nals: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut picture = Self { data: Vec::new(), nals: Vec::new(), key: false };
        for nal in nals {
            let start = picture.data.len();
            picture.data.extend_from_slice(nal);
            picture.nals.push(start..picture.data.len());
            picture.key |= nal.first().is_some_and(|first| first & 0x1f == IDR);
        }
        picture
    }

    /// Its NAL units, without start codes.
    pub fn nals(&self) -> impl Iterator<Item = &[u8]> {
        self.nals.iter().map(|range| &self.data[range.clone()])
    }

    /// The parameter sets in it.
    pub fn parameter_sets(&self) -> impl Iterator<Item = &[u8]> {
        self.nals().filter(|nal| nal.first().is_some_and(|first| matches!(first & 0x1f, SPS | PPS)))
    }
}

/// All pictures of a file.
pub struct Clip {
    /// In the order of the file; the first is a key frame.
    pub pictures: Vec<Picture>,
}

impl Clip {
    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let data = std::fs::read(path).with_context(|| format!("the clip {}", path.display()))?;
        let clip = Self::parse(&data);
        let first_is_key = clip.pictures.first().is_some_and(|picture| picture.key);
        ensure!(first_is_key, "the clip {} does not begin with a key frame", path.display());
        Ok(clip)
    }

    /// Splits a stream into pictures; delimiters are left out.
    pub fn parse(data: &[u8]) -> Self {
        let mut pictures = Vec::new();
        let mut pending: Vec<&[u8]> = Vec::new();
        let mut has_slice = false;
        for nal in nals(data) {
            let kind = nal[0] & 0x1f;
            // The first slice of a picture begins with macroblock 0, whose code is one set bit.
            let slice = matches!(kind, SLICE | IDR);
            let begins = !slice || nal.get(1).is_some_and(|byte| byte & 0x80 != 0);
            if has_slice && begins {
                pictures.push(Picture::new(pending.drain(..)));
                has_slice = false;
            }
            has_slice |= slice;
            if kind != DELIMITER {
                pending.push(nal);
            }
        }
        if has_slice {
            pictures.push(Picture::new(pending));
        }
        Self { pictures }
    }
}

/// The NAL units of an Annex B stream, none of them empty.
fn nals(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= data.len() {
        if data[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|next| next - 3).chain([data.len()]).collect();
    starts.into_iter().zip(ends).filter_map(move |(start, end)| {
        let nal = &data[start..end];
        // Zeros before the next start code belong to it.
        let length = nal.iter().rposition(|byte| *byte != 0)? + 1;
        Some(&nal[..length])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_its_slices_and_what_stands_before_them() {
        let stream = [
            &[0, 0, 0, 1, 9, 0xf0][..],
            &[0, 0, 0, 1, 0x67, 1],
            &[0, 0, 0, 1, 0x68, 2],
            &[0, 0, 1, 0x65, 0x88, 3],
            &[0, 0, 1, 0x65, 0x08, 4],
            &[0, 0, 0, 1, 9, 0xf0],
            &[0, 0, 1, 0x41, 0x9a, 5],
            &[0, 0, 1, 0x41, 0x9a, 6],
        ]
        .concat();
        let clip = Clip::parse(&stream);
        let shape: Vec<_> =
            clip.pictures.iter().map(|picture| (picture.nals().count(), picture.key)).collect();
        assert_eq!(shape, [(4, true), (1, false), (1, false)]);
        assert_eq!(clip.pictures[0].parameter_sets().count(), 2);
    }
}
