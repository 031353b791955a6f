//! An encoder: thirty pictures a second around the rate it is told, a key frame now and then.

use super::Dice;

const FPS: f64 = 30.0;
/// A key frame has this many times the bytes of a usual picture, and comes this often, seconds.
const KEY: f64 = 4.0;
const KEY_INTERVAL: usize = 300;
/// Pictures differ by up to this share.
const SPREAD: f64 = 0.2;

pub struct Encoder {
    count: usize,
    /// Bytes that key frames took beyond the rate; paid back by the pictures after them.
    debt: f64,
    dice: Dice,
}

impl Encoder {
    pub const INTERVAL: u64 = (1e6 / FPS) as u64;

    pub fn new(seed: u64) -> Self {
        Self { count: 0, debt: 0.0, dice: Dice::new(seed) }
    }

    /// Bytes of the next picture.
    pub fn picture(&mut self, bits: f64) -> usize {
        let usual = bits / 8.0 / FPS;
        let share = if self.count.is_multiple_of(KEY_INTERVAL) { KEY } else { 1.0 };
        self.count += 1;
        let noise = 1.0 + SPREAD * (2.0 * self.dice.roll() - 1.0);
        let paid = self.debt.clamp(0.0, usual * 0.3);
        let bytes = usual * share * noise - paid;
        self.debt = (self.debt + bytes - usual).clamp(-usual, usual * 10.0);
        (bytes as usize).max(100)
    }
}
