//! What is known of boards without a fit encoder: how large a picture their CPU can encode.

use std::fs;

/// A board's CPU, and the largest picture that OpenH264 is given on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardModel {
    /// How the device tree's model begins: "Raspberry Pi 5".
    pub model: &'static str,
    /// Largest picture in pixels.
    pub size: (u32, u32),
    /// Most pictures a second.
    pub fps: u32,
    /// Why so.
    pub reason: &'static str,
    /// False if the board has no H.264 encoder in hardware at all, so that none needs to be looked for.
    pub has_encoder: bool,
}

/// More special names first. One encoder thread is to keep one core of four about half busy: the rest is for WebRTC's
/// encryption, sound, and a second codec. No figure here has been measured on the board itself: they are the host's
/// figures of docs/benchmarks.md scaled by clock and core, and rounded down to a usual size.
const BOARDS: [BoardModel; 7] = [
    board("Raspberry Pi 500", (1280, 720), 30, CORTEX_A76, false),
    board("Raspberry Pi Compute Module 5", (1280, 720), 30, CORTEX_A76, false),
    board("Raspberry Pi 5", (1280, 720), 30, CORTEX_A76, false),
    board("Raspberry Pi 4", (960, 540), 30, CORTEX_A72, true),
    board("Raspberry Pi Compute Module 4", (960, 540), 30, CORTEX_A72, true),
    board("Raspberry Pi 3", (640, 360), 30, CORTEX_A53, true),
    board("Raspberry Pi Zero 2", (640, 360), 30, CORTEX_A53, true),
];

const CORTEX_A76: &str = "four Cortex-A76 at 2.4 GHz, and no H.264 encoder";
const CORTEX_A72: &str = "four Cortex-A72 at 1.5 to 1.8 GHz";
const CORTEX_A53: &str = "four Cortex-A53 at 1 to 1.4 GHz";

const fn board(
    model: &'static str,
    size: (u32, u32),
    fps: u32,
    reason: &'static str,
    has_encoder: bool,
) -> BoardModel {
    BoardModel { model, size, fps, reason, has_encoder }
}

impl BoardModel {
    /// The board that the agent runs on, if it is one of the table.
    pub fn here() -> Option<&'static Self> {
        let model = fs::read("/proc/device-tree/model").ok()?;
        Self::of_model(&String::from_utf8_lossy(&model))
    }

    /// The board of a device tree's model, as in "Raspberry Pi 5 Model B Rev 1.0", which ends with a zero byte.
    pub fn of_model(model: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| model.starts_with(board.model))
    }

    /// The largest picture of the same shape, and rate, that OpenH264 holds here; `None` if the wanted ones are
    /// already. A lower rate makes room for a larger picture, but not for a higher rate than the table's.
    pub fn limited(&self, (width, height): (u32, u32), fps: u32) -> Option<((u32, u32), u32)> {
        let rate = fps.min(self.fps);
        let budget =
            u64::from(self.size.0) * u64::from(self.size.1) * u64::from(self.fps) / u64::from(rate.max(1));
        let pixels = u64::from(width) * u64::from(height);
        if pixels <= budget {
            return (rate != fps).then_some(((width, height), rate));
        }
        let scale = (budget as f64 / pixels as f64).sqrt();
        // Whole macroblocks a row, as the size is free; the height after the shape, even.
        let smaller = ((f64::from(width) * scale).round() as u32 / 16 * 16).max(16);
        let height = (u64::from(height) * u64::from(smaller) / u64::from(width.max(1))) as u32 / 2 * 2;
        let (width, height) = (smaller, height.max(16));
        Some(((width, height), rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raspberry_pi_5_is_known_by_its_device_tree_and_has_no_encoder() {
        for model in [
            "Raspberry Pi 5 Model B Rev 1.0\0",
            "Raspberry Pi 500 Rev 1.0\0",
            "Raspberry Pi Compute Module 5 Rev 1.0\0",
        ] {
            assert!(BoardModel::of_model(model).is_some_and(|board| !board.has_encoder), "{model}");
        }
        assert!(
            BoardModel::of_model("Raspberry Pi 4 Model B Rev 1.4\0").is_some_and(|board| board.has_encoder)
        );
        assert_eq!(BoardModel::of_model("linux,dummy-virt\0"), None);
    }

    #[test]
    fn what_is_too_much_becomes_smaller_in_the_same_shape() {
        let pi5 = BoardModel::of_model("Raspberry Pi 5 Model B").expect("it is in the table");
        assert_eq!(pi5.limited((1280, 720), 30), None);
        assert_eq!(pi5.limited((640, 360), 15), None);
        assert_eq!(pi5.limited((1920, 1080), 30), Some(((1280, 720), 30)));
        assert_eq!(pi5.limited((1280, 720), 60), Some(((1280, 720), 30)));
        assert_eq!(pi5.limited((1920, 1080), 10), None, "fewer pictures may be larger");
        let zero = BoardModel::of_model("Raspberry Pi Zero 2 W Rev 1.0").expect("it is in the table");
        assert_eq!(zero.limited((1280, 720), 30), Some(((640, 360), 30)));
        assert_eq!(zero.limited((1280, 960), 30), Some(((544, 408), 30)));
    }
}
