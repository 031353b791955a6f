//! Lines of a scenario file: presets that people know, and values of one's own.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    keys,
    problem::Trouble,
    table::{self, Node, Notes, Section},
    units,
};
use crate::lab::wire::{Faults, Loss};

/// Longer ones are farther than a geostationary satellite, several times over.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
/// From hardly any to what the worst modems have.
const QUEUES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);
/// One packet of 1200 bytes a second to ten gigabits.
const RATES: RangeInclusive<u64> = 9_600..=10_000_000_000;
/// Least that IPv4 hosts must take (RFC 791 section 3.2) to that of the lab's devices.
const MTUS: RangeInclusive<u64> = 576..=1500;
/// Longest mean burst in packets: seconds of video.
const BURSTS: RangeInclusive<i64> = 1..=1000;

/// Both directions: towards the internet, and from it.
pub(super) type Line = (Faults, Faults);

/// A preset and its line.
type Preset = (&'static str, fn() -> Line);

/// docs/scenarios.md has their figures.
const PRESETS: [Preset; 6] = [
    ("lan", || (Faults::default(), Faults::default())),
    // VDSL2 with its usual interleaving.
    ("dsl", || {
        let line = faults(8, 1);
        (Faults { rate: Some(10_000_000), ..line }, Faults { rate: Some(50_000_000), ..line })
    }),
    // DOCSIS: uplink slots are asked for, hence the jitter.
    ("cable", || {
        let (up, down) = (faults(10, 6), faults(8, 2));
        (Faults { rate: Some(20_000_000), ..up }, Faults { rate: Some(200_000_000), ..down })
    }),
    // A phone's network by day: deep queues, little loss.
    ("lte", || {
        let queue = Duration::from_millis(500);
        let loss = Loss::Random(0.001);
        let (up, down) = (faults(25, 15), faults(20, 8));
        (
            Faults { rate: Some(8_000_000), queue, loss, ..up },
            Faults { rate: Some(30_000_000), queue, loss, ..down },
        )
    }),
    // The far end of the garden: loss in bursts, and waiting for a free channel.
    ("wifi-bad", || {
        let loss = Loss::Bursts { begins: 0.005, length: 6.0 };
        let line = Faults { rate: Some(8_000_000), loss, ..faults(4, 30) };
        (line, line)
    }),
    // Geostationary: 36,000 km up and down again.
    ("satellite", || {
        let line = Faults { loss: Loss::Random(0.002), ..faults(270, 10) };
        (Faults { rate: Some(3_000_000), ..line }, Faults { rate: Some(30_000_000), ..line })
    }),
];

fn faults(delay_ms: u64, jitter_ms: u64) -> Faults {
    Faults {
        delay: Duration::from_millis(delay_ms),
        jitter: Duration::from_millis(jitter_ms),
        ..Faults::default()
    }
}

/// Reads a line: a preset by name, or a table.
pub(super) fn read(notes: &mut Notes, key: &str, node: Node<'_>) -> Line {
    if node.get_ref().is_str() {
        return preset(notes, key, node);
    }
    let Some(section) = Section::of(notes, &format!("`{key}`"), node, &keys::LINE) else {
        return Line::default();
    };
    let mut line = section.node("preset").map_or_else(Line::default, |node| preset(notes, "preset", node));
    values(notes, &section, &mut line.0);
    // What is wrong in both directions is one mistake: told once.
    values(&mut Notes::default(), &section, &mut line.1);
    if let Some(up) = section.section(notes, "up", &keys::DIRECTION) {
        values(notes, &up, &mut line.0);
    }
    if let Some(down) = section.section(notes, "down", &keys::DIRECTION) {
        values(notes, &down, &mut line.1);
    }
    line
}

fn preset(notes: &mut Notes, key: &str, node: Node<'_>) -> Line {
    table::word(notes, key, node, &PRESETS).map_or_else(Line::default, |line| line())
}

fn values(notes: &mut Notes, section: &Section<'_>, faults: &mut Faults) {
    if let Some(delay) = section.time(notes, "delay", DELAYS) {
        faults.delay = delay;
    }
    if let Some(jitter) = section.time(notes, "jitter", DELAYS) {
        faults.jitter = jitter;
    }
    if let Some(queue) = section.time(notes, "queue", QUEUES) {
        faults.queue = queue;
    }
    if let Some(loss) = section.node("loss").and_then(|node| loss(notes, node)) {
        faults.loss = loss;
    }
    if let Some(reorder) = section.read(notes, "reorder", units::SHARE_FORM, units::share) {
        faults.reorder = reorder;
    }
    if let Some(rate) = section.read(notes, "rate", units::RATE_FORM, rate) {
        faults.rate = rate;
    }
    if let Some(mtu) = section.read(notes, "mtu", units::SIZE_FORM, mtu) {
        faults.mtu = mtu;
    }
}

fn loss(notes: &mut Notes, node: Node<'_>) -> Option<Loss> {
    let form = format!("{}; or bursts, as in {{ begins = \"0.5%\", length = 8 }}", units::SHARE_FORM);
    if !node.get_ref().is_table() {
        return table::parsed(notes, "loss", node, &form, units::share).map(Loss::Random);
    }
    let section = Section::of(notes, "`loss`", node, &keys::BURSTS)?;
    let begins = section.read(notes, "begins", units::SHARE_FORM, units::share);
    let length = section.whole(notes, "length", BURSTS);
    for key in ["begins", "length"] {
        if !section.has(key) {
            section.missing(notes, key, "bursts are written as { begins = \"0.5%\", length = 8 }");
        }
    }
    #[allow(clippy::cast_precision_loss)] // At most 1000.
    Some(Loss::Bursts { begins: begins?, length: length? as f64 })
}

fn rate(text: &str) -> Result<Option<u64>, Trouble> {
    if text == "any" {
        return Ok(None);
    }
    let rate = units::rate(text)?;
    if RATES.contains(&rate) {
        return Ok(Some(rate));
    }
    Err(Trouble::new(format!("{text:?} is out of range")).allowed("9.6kbit to 10Gbit, or \"any\""))
}

fn mtu(text: &str) -> Result<usize, Trouble> {
    let size = units::size(text)?;
    match usize::try_from(size) {
        Ok(bytes) if MTUS.contains(&size) => Ok(bytes),
        _ => Err(Trouble::new(format!("{text:?} is out of range")).allowed("576B to 1500B")),
    }
}
