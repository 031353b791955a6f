//! The sizes and frame rates of a rendition, and which of them a bit rate is enough for.

use super::{Rendition, Shape};

/// Parts of the source's sides (first two) and of its frame rate (third), from the most to the least demanding. Size
/// goes before rate, as what moves should still be followed; below half the size it is the rate's turn.
const RUNGS: [(u32, u32, u32); 7] =
    [(1, 1, 1), (3, 4, 1), (1, 2, 1), (1, 2, 2), (1, 4, 2), (1, 4, 3), (1, 4, 6)];
/// The first rung of the sub rendition: half the size costs a quarter of the main's encoding.
const SUB_FROM: usize = 2;
/// Smaller pictures are not worth looking at.
const LEAST_SIDES: (u32, u32) = (160, 90);
/// Fewer pictures a second are a slide show.
const LEAST_FPS: u32 = 5;
/// A rung is left when fewer than 2/100 bit are there for a pixel: software encoders hold half of that (see
/// `software_limits`), so there is room for what moves.
const LEAVE_CENTIBITS: u64 = 2;
/// The same while it is not known yet what the path really carries: what encoders just hold.
const LEAVE_CENTIBITS_EARLY: u64 = 1;
/// A rung is climbed when half as many bits again would be there than it is left at.
const CLIMB_CENTIBITS: u64 = 3;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder(Vec<Shape>);

impl Ladder {
    /// The rungs of a rendition. Sides are even at least, else multiples of `align`; never empty.
    pub fn new(source: Shape, rendition: Rendition, align: u32) -> Self {
        let align = align.max(2);
        let side = |side: u32, part: u32, of: u32| match part == of {
            true => side,
            false => ((u64::from(side) * u64::from(part) / u64::from(of)) as u32 + align / 2) / align * align,
        };
        let rung = |&(part, of, slower): &(u32, u32, u32)| Shape {
            width: side(source.width, part, of),
            height: side(source.height, part, of),
            fps: (source.fps / slower).max(1),
        };
        let worth = |shape: &Shape| {
            (shape.width >= LEAST_SIDES.0
                && shape.height >= LEAST_SIDES.1
                && shape.fps >= LEAST_FPS.min(source.fps))
                || *shape == source
        };
        let from = if rendition == Rendition::Sub { SUB_FROM } else { 0 };
        let mut shapes: Vec<_> = RUNGS[from..].iter().map(rung).filter(worth).collect();
        shapes.dedup();
        if shapes.is_empty() {
            // A source so small that there is no half of it.
            shapes.push(source);
        }
        Self(shapes)
    }

    /// The rung at a place, counted from the most demanding; the last if there are fewer.
    pub fn shape(&self, place: usize) -> Shape {
        self.0[place.min(self.0.len() - 1)]
    }

    /// The least demanding.
    pub fn last(&self) -> Shape {
        self.shape(usize::MAX)
    }

    /// The place for a rate, coming from `place` (`None`: for the first time). `steady` is the rate that has lasted:
    /// only that makes it climb. `early`: rates are not known well yet.
    pub fn step(&self, place: Option<usize>, rate: u64, steady: u64, early: bool) -> usize {
        let last = self.0.len() - 1;
        let enough = |place: usize, rate: u64, centibits: u64| {
            rate.saturating_mul(100) >= self.shape(place).pixel_rate().saturating_mul(centibits)
        };
        let leave = if early { LEAVE_CENTIBITS_EARLY } else { LEAVE_CENTIBITS };
        let from = place.unwrap_or(0).min(last);
        let down = (from..last).find(|place| enough(*place, rate, leave)).unwrap_or(last);
        if down > from {
            return down;
        }
        (0..from).find(|place| enough(*place, steady.min(rate), CLIMB_CENTIBITS)).unwrap_or(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(width: u32, height: u32, rendition: Rendition, align: u32) -> Vec<(u32, u32, u32)> {
        let ladder = Ladder::new(Shape { width, height, fps: 30 }, rendition, align);
        ladder.0.iter().map(|shape| (shape.width, shape.height, shape.fps)).collect()
    }

    #[test]
    fn sizes_go_down_before_the_frame_rate_and_no_picture_is_smaller_than_worth_looking_at() {
        let full_hd = shapes(1920, 1080, Rendition::Main, 2);
        let expected = [
            (1920, 1080, 30),
            (1440, 810, 30),
            (960, 540, 30),
            (960, 540, 15),
            (480, 270, 15),
            (480, 270, 10),
            (480, 270, 5),
        ];
        assert_eq!(full_hd, expected);
        let vga = shapes(640, 480, Rendition::Main, 2);
        assert_eq!(vga[1..4], [(480, 360, 30), (320, 240, 30), (320, 240, 15)]);
        assert_eq!(vga.last(), Some(&(160, 120, 5)));
        assert_eq!(shapes(320, 180, Rendition::Main, 2).last(), Some(&(160, 90, 15)));
        assert_eq!(shapes(64, 64, Rendition::Main, 2), [(64, 64, 30)]);
    }

    #[test]
    fn the_sub_rendition_has_half_the_size_at_most_and_hardware_whole_macroblocks() {
        assert_eq!(shapes(1280, 720, Rendition::Sub, 2)[0], (640, 360, 30));
        assert_eq!(shapes(64, 64, Rendition::Sub, 2), [(64, 64, 30)]);
        let sizes = shapes(1920, 1080, Rendition::Main, 16);
        assert_eq!(sizes[1..3], [(1440, 816, 30), (960, 544, 30)]);
    }

    #[test]
    fn a_rung_is_left_at_once_and_climbed_with_a_margin_that_lasts() {
        let ladder = Ladder::new(Shape { width: 1280, height: 720, fps: 30 }, Rendition::Main, 2);
        assert_eq!(ladder.step(None, 2_000_000, 2_000_000, false), 0);
        assert_eq!(ladder.step(Some(0), 500_000, 2_000_000, false), 1);
        assert_eq!(ladder.step(Some(0), 500_000, 2_000_000, true), 0, "early");
        assert_eq!(ladder.step(Some(0), 100_000, 100_000, false), 3);
        assert_eq!(ladder.step(Some(1), 2_000_000, 600_000, false), 1, "it has not lasted");
        assert_eq!(ladder.step(Some(1), 700_000, 700_000, false), 1, "not enough of a margin");
        assert_eq!(ladder.step(Some(3), 900_000, 900_000, false), 0, "several at once");
    }
}
