//! Makes pictures smaller: each sample of the result is the average of the area that it covers.
//!
//! Only downwards; what is asked to be larger is refused.

use anyhow::ensure;
use bytes::Bytes;

use super::RawFrame;

/// Weights of a result's samples add up to this: with it a row's sums fit 16 bits.
const ONE: u32 = 256;

/// How the samples of a line make fewer: for each result, where its area begins and how much each sample counts. All
/// areas have the same number of samples, those at the edges with a weight of zero.
#[derive(Clone, Debug)]
struct Taps {
    starts: Vec<usize>,
    weights: Vec<u16>,
    count: usize,
}

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let count = (from.div_ceil(to) + 1).min(from);
        let (mut starts, mut weights) = (Vec::with_capacity(to), Vec::with_capacity(to * count));
        for place in 0..to {
            // In units of 1/to of a sample, the area goes from `left` on for `from` units.
            let left = place * from;
            let start = (left / to).min(from - count);
            starts.push(start);
            // Differences of rounded sums: they add up to one exactly.
            let mut covered = 0;
            for tap in start..start + count {
                let before = covered * ONE as usize / from;
                covered += (left + from).min((tap + 1) * to).saturating_sub(left.max(tap * to));
                weights.push((covered * ONE as usize / from - before) as u16);
            }
        }
        Self { starts, weights, count }
    }
    /// Makes one line of so many samples an area; `sums` are of rows.
    fn squeeze<const COUNT: usize>(&self, sums: &[u16], line: &mut Vec<u8>) {
        let (weights, _) = self.weights.as_chunks::<COUNT>();
        let areas = self.starts.iter().zip(weights);
        line.extend(areas.map(|(start, weights)| match sums[*start..].first_chunk::<COUNT>() {
            Some(sums) => average(sums, weights),
            None => 0,
        }));
    }
}

/// Of sums of rows.
fn average(sums: &[u16], weights: &[u16]) -> u8 {
    let products = sums.iter().zip(weights).map(|(sum, weight)| u32::from(*sum) * u32::from(*weight));
    ((products.sum::<u32>() + ONE * ONE / 2) / (ONE * ONE)) as u8
}

/// One size to another, for planes of one kind.
#[derive(Clone, Debug)]
struct PlaneScale {
    width: usize,
    rows: Taps,
    columns: Taps,
}

impl PlaneScale {
    fn new((from_width, from_height): (usize, usize), (width, height): (usize, usize)) -> Self {
        Self {
            width: from_width,
            rows: Taps::new(from_height, height),
            columns: Taps::new(from_width, width),
        }
    }

    fn run(&self, plane: &[u8]) -> Bytes {
        let (rows, columns) = (&self.rows, &self.columns);
        let mut scaled = Vec::with_capacity(rows.starts.len() * columns.starts.len());
        // The weighted sum of a result's rows: up to 255 x 256.
        let mut sums = vec![0u16; self.width];
        for (start, weights) in rows.starts.iter().zip(rows.weights.chunks_exact(rows.count)) {
            sums.fill(0);
            let lines = plane[start * self.width..].chunks_exact(self.width);
            for (line, weight) in lines.zip(weights).filter(|(_, weight)| **weight > 0) {
                for (sum, sample) in sums.iter_mut().zip(line) {
                    *sum += u16::from(*sample) * weight;
                }
            }
            match columns.count {
                // Half the width, the usual case: two samples each, and a third that never counts.
                3 if self.width == 2 * columns.starts.len() => {
                    let sum = |pair: &[u16]| u32::from(pair[0]) + u32::from(pair[1]);
                    scaled.extend(sums.chunks_exact(2).map(|pair| ((sum(pair) + ONE) / (2 * ONE)) as u8));
                }
                // From a half on, and a quarter: so that the sums are unrolled.
                3 => columns.squeeze::<3>(&sums, &mut scaled),
                5 => columns.squeeze::<5>(&sums, &mut scaled),
                count => {
                    let areas = columns.starts.iter().zip(columns.weights.chunks_exact(count));
                    scaled.extend(
                        areas.map(|(start, weights)| average(&sums[*start..*start + count], weights)),
                    );
                }
            }
        }
        scaled.into()
    }
}

/// Makes pictures of one size smaller.
#[derive(Clone, Debug)]
pub struct Scale {
    from: (u32, u32),
    to: (u32, u32),
    luma: PlaneScale,
    chroma: PlaneScale,
}

impl Scale {
    /// From one size to another that is not larger either way. An error for odd sizes, and for larger ones.
    pub fn new(from: (u32, u32), to: (u32, u32)) -> anyhow::Result<Self> {
        let fits =
            |from: u32, to: u32| from.is_multiple_of(2) && to.is_multiple_of(2) && (2..=from).contains(&to);
        ensure!(
            fits(from.0, to.0) && fits(from.1, to.1) && from.0.max(from.1) <= 16_384,
            "a picture of {}x{} cannot be scaled to {}x{}",
            from.0,
            from.1,
            to.0,
            to.1
        );
        let size = |(width, height): (u32, u32), by: u32| ((width / by) as usize, (height / by) as usize);
        let plane = |by| PlaneScale::new(size(from, by), size(to, by));
        Ok(Self { from, to, luma: plane(1), chroma: plane(2) })
    }

    /// Whether it is for these sizes.
    pub fn is(&self, from: (u32, u32), to: (u32, u32)) -> bool {
        (self.from, self.to) == (from, to)
    }

    /// The picture made smaller: one copy more. An error if it has another size or is not whole.
    pub fn run(&self, frame: &RawFrame) -> anyhow::Result<RawFrame> {
        ensure!(
            (frame.width, frame.height) == self.from && frame.is_whole(),
            "the picture does not fit the scaler"
        );
        let [y, u, v] = &frame.planes;
        let planes = [self.luma.run(y), self.chroma.run(u), self.chroma.run(v)];
        let (width, height) = self.to;
        Ok(RawFrame { width, height, planes, copies: frame.copies + 1, ..*frame })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::media::video::{pattern::PatternSource, testing::number};

    fn frame(width: u32, height: u32, sample: impl Fn(u32, u32) -> u8) -> RawFrame {
        let plane = |width: u32, height: u32| -> Bytes {
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| sample(x, y)).collect()
        };
        let half = || plane(width / 2, height / 2);
        RawFrame::new(width, height, [plane(width, height), half(), half()], Instant::now())
    }

    #[test]
    fn half_the_size_is_the_average_of_four() {
        let scaled =
            Scale::new((8, 4), (4, 2)).unwrap().run(&frame(8, 4, |x, y| (x * 10 + y * 40) as u8)).unwrap();
        assert_eq!(scaled.planes[0][..], [25, 45, 65, 85, 105, 125, 145, 165]);
        assert_eq!((scaled.width, scaled.height, scaled.copies), (4, 2, 1));
        assert!(scaled.is_whole());
    }

    #[test]
    fn three_quarters_share_the_sample_between_two() {
        let scaled = Scale::new((4, 4), (2, 4))
            .unwrap()
            .run(&frame(4, 4, |x, _| [0, 100, 200, 40][x as usize]))
            .unwrap();
        assert_eq!(scaled.planes[0][..2], [50, 120]);
        let taps = Taps::new(4, 3);
        assert_eq!(taps.weights, [192, 64, 0, 128, 128, 0, 0, 64, 192]);
    }

    #[test]
    fn what_is_written_on_a_picture_can_still_be_read() {
        let pattern = PatternSource::new(1280, 720, 30, Instant::now()).unwrap();
        let drawn = pattern.draw(77, std::time::UNIX_EPOCH, Instant::now());
        for size in [(960, 540), (640, 360), (848, 480)] {
            let scaled = Scale::new((1280, 720), size).unwrap().run(&drawn).unwrap();
            assert_eq!(number(&scaled), Some(77), "{size:?}");
        }
    }

    #[test]
    fn larger_and_odd_sizes_and_broken_pictures_are_refused() {
        for (from, to) in [((64, 64), (66, 64)), ((64, 64), (31, 32)), ((0, 0), (0, 0)), ((64, 64), (0, 2))] {
            assert!(Scale::new(from, to).is_err(), "{from:?} to {to:?}");
        }
        let mut short = frame(64, 64, |_, _| 0);
        short.planes[1].truncate(5);
        assert!(Scale::new((64, 64), (32, 32)).unwrap().run(&short).is_err());
    }

    proptest! {
        #[test]
        fn an_even_picture_stays_as_it_is_at_every_size(
            from in (1u32..200, 1u32..100), part in (1u32..=100, 1u32..=100), level: u8,
        ) {
            let from = (from.0 * 2, from.1 * 2);
            let to = ((from.0 * part.0 / 200 * 2).max(2), (from.1 * part.1 / 200 * 2).max(2));
            let scaled = Scale::new(from, to).unwrap().run(&frame(from.0, from.1, |_, _| level)).unwrap();
            prop_assert!(scaled.is_whole());
            prop_assert!(scaled.planes.iter().all(|plane| plane.iter().all(|sample| *sample == level)));
        }
    }
}
