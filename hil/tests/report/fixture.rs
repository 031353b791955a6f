//! A made-up run that looks like a real one: 128 cells and ten scenarios, of which some went wrong.

use std::{fs, path::Path};

use p2pcam_hil::{
    lab::nat::Kind,
    record::{Artefact, Cell, Check, LineSample, Measured, Outcome, Record, Seen, Step, Verdict},
    report::{Machine, RunInfo},
    viewer::Event,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The truth table's lines, as docs/nat-lab.md's test has them.
const TRUTH: [&str; 8] =
    ["PPPPPPPP", "PPPPPPPP", "PPPRRRRR", "PPRRRPRR", "PPRRRRRR", "PPRPRRRR", "PPRRRRRR", "PPRRRRRR"];

pub fn run() -> RunInfo {
    RunInfo {
        version: "0.1.0".into(),
        describe: Some("v0.1.0-42-g1a2b3c4".into()),
        agent: Some("p2pcam-agent 0.1.0".into()),
        machine: Machine {
            cores: 4,
            cpu: "Example CPU at 2.6 GHz".into(),
            kernel: "Linux 6.1.0 x86_64".into(),
        },
        command: ["p2pcam-hil", "run", "--matrix", "--board", "local", "hil/scenarios"]
            .map(String::from)
            .into(),
        seed: 4787,
        began: 1_790_000_000,
        took_ms: 734_000.0,
    }
}

/// All records; logs are written into the folder. `speed` stretches times to connect.
pub fn records(folder: &Path, seed: u64, speed: f64) -> Vec<Record> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut records = Vec::new();
    for turn in [true, false] {
        for (row, device) in Kind::ALL.iter().enumerate() {
            for (column, viewer) in Kind::ALL.iter().enumerate() {
                let direct = TRUTH[row].as_bytes()[column] == b'P';
                let truth = if direct {
                    "direct"
                } else if turn {
                    "relayed"
                } else {
                    "none"
                };
                let cell = Cell {
                    device: device.to_string(),
                    viewer: viewer.to_string(),
                    turn,
                    truth: truth.into(),
                };
                records.push(cell_record(cell, speed, &mut chance));
            }
        }
    }
    records[9 + 8].verdict = fault(
        Outcome::DeviceFault,
        "none",
        "a direct path was expected and none was found within 30 s: the device sent host candidates only",
    );
    records[64 + 21].verdict = fault(
        Outcome::DeviceFault,
        "none",
        "the viewer must be told error no-path and was told nothing in 30 s",
    );
    records[64 + 40].verdict =
        fault(Outcome::RigFault, "none", "the device's router is EIM/EIF and should be APDM/EIF");
    records[64 + 40].checks[0].found = "EIM/EIF".into();
    records[64 + 40].checks[0].ok = false;
    records.extend(scenarios(&mut chance));
    for (place, record) in records.iter_mut().enumerate() {
        if record.verdict.outcome != Outcome::Skipped {
            write_logs(folder, place, record);
        }
    }
    records
}

/// To a tenth, which JSON holds exactly.
fn between(chance: &mut ChaCha8Rng, least: f64, most: f64) -> f64 {
    (chance.random_range(least..most) * 10.0).round() / 10.0
}

fn fault(outcome: Outcome, path: &str, reason: &str) -> Verdict {
    Verdict {
        outcome,
        measured: Measured { path: Some(path.into()), ..Measured::default() },
        reasons: vec![reason.into()],
    }
}

fn cell_record(cell: Cell, speed: f64, chance: &mut ChaCha8Rng) -> Record {
    let answer = (between(chance, 30.0, 70.0) * speed).round();
    let extra =
        if cell.truth == "relayed" { between(chance, 80.0, 900.0) } else { between(chance, 50.0, 180.0) };
    let first = (cell.truth != "none").then_some((answer + extra * speed).round());
    let name = format!("matrix-{}-{}", cell.device, cell.viewer).replace('/', "-").to_lowercase();
    let mut record = base(&name, "", chance);
    record.viewers = vec![seen("v1", 0.0, answer, first, cell.truth == "relayed", 8, &[], chance)];
    record.lines = lines(8.0, 0.0, chance);
    let path = cell.truth.clone();
    record.verdict.measured = Measured {
        path: Some(path),
        pair: first.map(|_| "srflx-prflx".into()),
        answer_ms: Some(answer),
        first_picture_ms: first,
        longest_freeze_ms: first.map(|_| 67.0),
        kbps: first.map(|_| 1480.0),
        error: first.is_none().then(|| "no-path: no direct path and no TURN server".into()),
        ..Measured::default()
    };
    record.cell = Some(cell);
    record
}

fn base(name: &str, about: &str, chance: &mut ChaCha8Rng) -> Record {
    let check = |what: &str, found: &str| Check {
        what: what.into(),
        wanted: found.into(),
        found: found.into(),
        ok: true,
    };
    Record {
        scenario: name.into(),
        about: about.into(),
        cell: None,
        board: "local".into(),
        slower: 1.0,
        seed: chance.random(),
        began: 1_790_000_000,
        took_ms: between(chance, 5_000.0, 40_000.0),
        checks: vec![
            check("the device's router", "APDM/EIF"),
            check("the viewer's router", "EIM/APDF"),
            check("STUN server", "answers"),
        ],
        steps: vec![],
        viewers: vec![],
        lines: vec![],
        files: vec![],
        verdict: Verdict { outcome: Outcome::Passed, measured: Measured::default(), reasons: vec![] },
    }
}

#[allow(clippy::too_many_arguments)]
fn seen(
    name: &str,
    offset_ms: f64,
    answer: f64,
    first: Option<f64>,
    relayed: bool,
    seconds: u32,
    freezes: &[(f64, f64)],
    chance: &mut ChaCha8Rng,
) -> Seen {
    let candidate =
        |ms: f64, remote: bool, text: &str| Event::Candidate { ms, remote, candidate: text.into() };
    let mut events = vec![
        Event::Session { ms: 9.0, id: "f3a9".into() },
        candidate(11.0, false, "candidate:1 1 udp 2130706431 192.168.2.2 40112 typ host"),
        candidate(
            34.0,
            false,
            "candidate:2 1 udp 1694498815 203.0.113.1 40112 typ srflx raddr 192.168.2.2 rport 40112",
        ),
        Event::Answer { ms: answer },
        candidate(answer + 1.0, true, "candidate:3 1 udp 2130706431 192.168.1.2 5000 typ host"),
        candidate(
            answer + 18.0,
            true,
            "candidate:4 1 udp 1694498815 198.51.100.1 46154 typ srflx raddr 192.168.1.2 rport 5000",
        ),
    ];
    if relayed {
        events.push(candidate(
            answer + 44.0,
            true,
            "candidate:5 1 udp 16777215 192.0.2.1 49170 typ relay raddr 198.51.100.1 rport 46154",
        ));
    }
    if let Some(first) = first {
        events.push(Event::State { ms: first - 24.0, state: "connected".into() });
        events.push(Event::FirstPicture { ms: first, width: 1280, height: 720 });
        let (local, remote) = if relayed { ("srflx", "relay") } else { ("srflx", "srflx") };
        events.push(Event::Path {
            ms: first,
            local: local.into(),
            remote: remote.into(),
            rtt_ms: Some(41.5),
        });
        for second in 1..=seconds {
            let ms = f64::from(second) * 1e3;
            let frozen = freezes.iter().any(|(at, lasted)| ms > *at && ms - 1000.0 < at + lasted);
            let kbps = if frozen { between(chance, 0.0, 300.0) } else { between(chance, 1300.0, 1600.0) };
            events.push(Event::Second {
                ms,
                pictures: 30,
                kbps,
                longest_gap_ms: 40.0,
                sound_packets: 50,
                numbers_missing: 0,
                av_ms: Some(-8.0),
                glass_ms: Some(112.0),
                wire_kbps: None,
                freeze_count: None,
                frozen_ms: None,
            });
        }
    } else {
        events.push(Event::Error {
            ms: 10_250.0,
            code: "no-path".into(),
            message: "No direct path to the camera, and the hub names no TURN server.".into(),
        });
    }
    events.extend(freezes.iter().map(|(ms, lasted_ms)| Event::Freeze { ms: *ms, lasted_ms: *lasted_ms }));
    events.push(Event::End { ms: f64::from(seconds) * 1e3, reason: "the time is over".into() });
    Seen { viewer: name.into(), kind: "headless".into(), offset_ms, events }
}

fn lines(seconds: f64, loss: f64, chance: &mut ChaCha8Rng) -> Vec<LineSample> {
    let mut samples = Vec::new();
    for quarter in 0..(seconds * 4.0) as u32 {
        for (side, direction, passed) in
            [("device", "up", 44), ("device", "down", 6), ("viewer", "up", 6), ("viewer", "down", 44)]
        {
            let lost = if chance.random_bool(loss) { chance.random_range(1..5) } else { 0 };
            samples.push(LineSample {
                ms: f64::from(quarter) * 250.0,
                side: side.into(),
                direction: direction.into(),
                passed,
                lost,
            });
        }
    }
    samples
}

fn scenarios(chance: &mut ChaCha8Rng) -> Vec<Record> {
    let step = |ms: f64, what: &str, disturbs: bool, until_ms: Option<f64>| Step {
        ms,
        what: what.into(),
        disturbs,
        until_ms,
    };
    let passed = [
        ("double-nat", "A home router behind a carrier's.", "direct"),
        ("udp-blocked", "No UDP gets out: TURN over TCP.", "relayed"),
        ("ipv6-only", "IPv6 on both sides, firewalls, no NAT.", "direct"),
        ("two-viewers", "A second viewer comes while the first watches.", "direct"),
        ("lossy-line", "5 % of the packets are lost in bursts.", "direct"),
    ];
    let mut records = Vec::new();
    for (name, about, path) in passed {
        let mut record = base(name, about, chance);
        record.viewers.push(seen("v1", 0.0, 48.0, Some(161.0), path == "relayed", 20, &[], chance));
        if name == "two-viewers" {
            record.viewers.push(seen("v2", 5000.0, 51.0, Some(190.0), false, 15, &[], chance));
        }
        record.lines = lines(20.0, if name == "lossy-line" { 0.3 } else { 0.0 }, chance);
        record.verdict.measured = measured(path, 161.0, 67.0, None);
        records.push(record);
    }
    let mut reboot = base("router-reboot", "The device's router reboots and chooses other ports.", chance);
    reboot.steps = vec![
        step(-820.0, "the device's agent reached the hub", false, None),
        step(8000.0, "the device's router rebooted: mappings gone, other ports", true, None),
    ];
    reboot.viewers.push(seen("v1", 0.0, 45.0, Some(150.0), false, 25, &[(8040.0, 2900.0)], chance));
    reboot.lines = lines(25.0, 0.0, chance);
    reboot.verdict.measured = measured("direct", 150.0, 80.0, Some(2940.0));
    records.push(reboot);
    let mut cut = base("uplink-gone", "The device's uplink is gone for ten seconds.", chance);
    cut.steps = vec![
        step(6000.0, "the device's line cut", true, Some(16_000.0)),
        step(20_000.0, "the device's line: 600 kbit/s, 5 % loss", false, None),
        step(28_000.0, "the agent killed (SIGKILL)", true, None),
    ];
    cut.viewers.push(seen(
        "v1",
        0.0,
        45.0,
        Some(142.0),
        false,
        40,
        &[(6050.0, 17_900.0), (28_010.0, 4_000.0)],
        chance,
    ));
    let end = cut.viewers[0].events.pop();
    cut.viewers[0].events.extend([
        Event::State { ms: 29_000.0, state: "disconnected".into() },
        Event::Session { ms: 31_200.0, id: "c04d".into() },
        Event::Answer { ms: 31_900.0 },
        Event::Candidate {
            ms: 31_901.0,
            remote: true,
            candidate: "candidate:7 1 udp 2130706431 192.168.1.2 5002 typ host".into(),
        },
    ]);
    cut.viewers[0].events.extend(end);
    cut.lines = lines(40.0, 0.15, chance);
    cut.verdict = Verdict {
        outcome: Outcome::DeviceFault,
        measured: measured("direct", 142.0, 90.0, Some(7950.0)),
        reasons: vec![
            "recovery of 7.95 s after \"the device's line cut\" ended; at most 5 s was expected".into(),
            "mean bitrate 410 kbit/s, expected 600 to 2000 kbit/s".into(),
        ],
    };
    records.push(cut);
    let mut turn = base("turn-killed", "coturn is killed and started again.", chance);
    turn.checks.push(Check {
        what: "coturn on 192.0.2.1:3478".into(),
        wanted: "an allocation".into(),
        found: "connection refused".into(),
        ok: false,
    });
    turn.verdict =
        fault(Outcome::RigFault, "none", "coturn on 192.0.2.1:3478 gave no allocation: connection refused");
    records.push(turn);
    let mut camera = base("camera-unplugged", "The camera is pulled and plugged in again.", chance);
    camera.verdict = Verdict {
        outcome: Outcome::Skipped,
        measured: Measured::default(),
        reasons: vec!["the local board cannot unplug its camera".into()],
    };
    records.push(camera);
    let mut qemu = base("clock-step", "The wall clock jumps by an hour.", chance);
    qemu.board = "qemu".into();
    qemu.verdict = Verdict {
        outcome: Outcome::Skipped,
        measured: Measured::default(),
        reasons: vec!["no board image: run scripts/board/build".into()],
    };
    records.push(qemu);
    records
}

fn measured(path: &str, first: f64, freeze: f64, recovery_ms: Option<f64>) -> Measured {
    Measured {
        path: Some(path.into()),
        pair: Some("srflx-srflx".into()),
        answer_ms: Some(46.0),
        first_picture_ms: Some(first),
        longest_freeze_ms: Some(freeze),
        recovery_ms,
        kbps: Some(1452.0),
        av_sync_ms: Some(12.0),
        error: None,
        windows: Vec::new(),
    }
}

fn write_logs(folder: &Path, place: usize, record: &mut Record) {
    let lines = if record.verdict.outcome == Outcome::Passed { 30 } else { 400 };
    let path = format!("runs/{place}/agent.log");
    fs::create_dir_all(folder.join(format!("runs/{place}"))).expect("a folder");
    let text: String = (0..lines)
        .map(|line| {
            format!(
                "2026-09-21T14:13:{:02}Z INFO session{{id=f3a9}}: candidate pair checked, try {line}\n",
                line % 60
            )
        })
        .collect();
    fs::write(folder.join(&path), text).expect("written");
    record.files.push(Artefact { what: "the agent's journal".into(), path: path.into() });
    if record.verdict.outcome != Outcome::Passed {
        for side in ["device", "viewer"] {
            let path = format!("runs/{place}/{side}.pcapng");
            fs::write(folder.join(&path), [0x0a, 0x0d, 0x0d, 0x0a]).expect("written");
            record.files.push(Artefact { what: format!("packets of the {side}'s side"), path: path.into() });
        }
    }
}
