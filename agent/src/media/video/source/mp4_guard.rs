//! Keeps a damaged MP4 index from costing more than an error: the parser behind it trusts the counts in the file,
//! and runs in circles where a box has no size.

use std::io::{self, Read, Seek, SeekFrom};

/// A longer index is refused before it fills the memory; ten hours at 30 fps are about a million samples.
pub const MAX_SAMPLES: u32 = 4_000_000;
/// Steps that the parser may take: an index of [`MAX_SAMPLES`] needs about ten for each.
const MAX_STEPS: u64 = 50_000_000;
/// Seeks, which it does between boxes only: a day of two-second fragments needs about a million.
const MAX_SEEKS: u64 = 4_000_000;
/// Boxes within boxes, on the way to the sample tables.
const MAX_DEPTH: u32 = 6;

/// A reader that ends a parser which takes too many steps.
pub struct Guarded<R> {
    inner: R,
    position: u64,
    steps: u64,
    seeks: u64,
}

impl<R: Read + Seek> Guarded<R> {
    /// At the beginning of the file.
    pub fn new(inner: R) -> Self {
        Self { inner, position: 0, steps: 0, seeks: 0 }
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(io::Error::other("its index does not end"));
        }
        let count = self.inner.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Seek> Seek for Guarded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.seeks += 1;
        if self.seeks > MAX_SEEKS {
            return Err(io::Error::other("its index runs in circles"));
        }
        // Where the parser only asks for the position, or stays near, the buffer is kept.
        let here = self.position;
        let target = match to {
            SeekFrom::Start(target) => Some(target),
            SeekFrom::Current(by) => here.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.position = match target {
            Some(target) if target == here => here,
            Some(target) => self.inner.seek(SeekFrom::Start(target))?,
            None => self.inner.seek(to)?,
        };
        Ok(self.position)
    }
}

/// Looks at the boxes that hold the sample tables: sizes must fit, counts must be bounded. `Err` says what is wrong.
pub fn check<R: Read + Seek>(reader: &mut R, size: u64) -> io::Result<()> {
    walk(reader, 0, size, 0)
}

fn walk<R: Read + Seek>(reader: &mut R, mut at: u64, end: u64, depth: u32) -> io::Result<()> {
    let damaged = |words: &str| Err(io::Error::new(io::ErrorKind::InvalidData, words));
    while at + 8 <= end {
        let mut header = [0; 16];
        reader.seek(SeekFrom::Start(at))?;
        reader.read_exact(&mut header[..8])?;
        let kind = [header[4], header[5], header[6], header[7]];
        let short = u64::from(u32::from_be_bytes([header[0], header[1], header[2], header[3]]));
        let (header_size, size) = match short {
            // "Up to the end of the file": allowed for the last box only.
            0 if depth == 0 => return Ok(()),
            1 => {
                reader.read_exact(&mut header[8..])?;
                let [.., a, b, c, d, e, f, g, h] = header;
                (16, u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            short => (8, short),
        };
        if size < header_size || size > end - at {
            return damaged("a box has a size that cannot be");
        }
        match &kind {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" | b"moof" | b"traf" if depth < MAX_DEPTH => {
                walk(reader, at + header_size, at + size, depth + 1)?;
            }
            b"stsz" | b"trun" => {
                let mut fields = [0; 12];
                let length = if &kind == b"stsz" { 12 } else { 8 };
                reader.read_exact(&mut fields[..length])?;
                let count = &fields[length - 4..length];
                if count.iter().fold(0u32, |count, byte| count << 8 | u32::from(*byte)) > MAX_SAMPLES {
                    return damaged("it has too many pictures");
                }
            }
            _ => {}
        }
        at += size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    fn checked(bytes: &[u8]) -> Result<(), String> {
        check(&mut Cursor::new(bytes), bytes.len() as u64).map_err(|error| error.to_string())
    }

    #[test]
    fn counts_that_would_fill_the_memory_are_refused_however_deep_they_are() {
        let stsz = |count: u32| boxed(b"stsz", &[&[0; 8][..], &count.to_be_bytes()].concat());
        let nested = |count| boxed(b"moov", &boxed(b"trak", &stsz(count)));
        assert_eq!(checked(&nested(MAX_SAMPLES)), Ok(()));
        assert_eq!(checked(&nested(u32::MAX)), Err("it has too many pictures".into()));
    }

    #[test]
    fn a_box_without_size_or_larger_than_its_parent_is_refused() {
        let inner = |size: u32| boxed(b"moov", &[&size.to_be_bytes()[..], b"trak"].concat());
        assert_eq!(checked(&inner(8)), Ok(()));
        for size in [0, 7, 9] {
            assert_eq!(checked(&inner(size)), Err("a box has a size that cannot be".into()), "{size}");
        }
    }

    #[test]
    fn a_reader_that_runs_in_circles_is_ended() {
        let mut reader = Guarded::new(Cursor::new(vec![0; 16]));
        let circles = (0..=MAX_SEEKS).find_map(|_| reader.seek(SeekFrom::Start(8)).err());
        assert_eq!(circles.map(|error| error.to_string()).as_deref(), Some("its index runs in circles"));
    }
}
