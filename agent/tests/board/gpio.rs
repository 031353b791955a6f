//! The board's lines on the kernel's gpio-sim: status LED, infrared filter and light, privacy switch; and word of
//! devices that come and go.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use p2pcam_agent::board::{
    Hotplug,
    hotplug::{Action, Event},
};

use super::{
    support::{Agent, PATIENCE, Planarity, camera, eventually, on_board, program, run},
    viewer::Viewer,
};

const CONFIGFS: &str = "/sys/kernel/config/gpio-sim";

/// A chip of lines that exist in software, gone when it is dropped (kernel: Documentation/admin-guide/gpio/gpio-sim.rst).
struct Chip {
    config: PathBuf,
    label: String,
}

impl Chip {
    /// Eight lines, all pulled down. It is there after [`Self::plug`].
    fn new(label: &str) -> Self {
        let config = Path::new(CONFIGFS).join(label);
        fs::create_dir_all(config.join("bank0")).unwrap();
        fs::write(config.join("bank0/num_lines"), "8").unwrap();
        fs::write(config.join("bank0/label"), label).unwrap();
        Self { config, label: label.to_owned() }
    }

    fn plugged(label: &str) -> Self {
        let chip = Self::new(label);
        chip.plug(true);
        chip
    }

    fn plug(&self, there: bool) {
        fs::write(self.config.join("live"), if there { "1" } else { "0" }).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.config.join(file)).unwrap().trim().to_owned()
    }

    fn line(&self, offset: u32) -> PathBuf {
        let (device, chip) = (self.read("dev_name"), self.read("bank0/chip_name"));
        PathBuf::from(format!("/sys/devices/platform/{device}/{chip}/sim_gpio{offset}"))
    }

    /// Sets what is outside the line: the position of a switch.
    fn pull(&self, offset: u32, up: bool) {
        fs::write(self.line(offset).join("pull"), if up { "pull-up" } else { "pull-down" }).unwrap();
    }

    fn is_high(&self, offset: u32) -> bool {
        fs::read_to_string(self.line(offset).join("value")).unwrap().trim() == "1"
    }

    /// How often a line rose within a time, and for what share of it it was high.
    fn observe(&self, offset: u32, time: Duration) -> (u32, f64) {
        let value = self.line(offset).join("value");
        let (mut rises, mut high, mut looks, mut before) = (0, 0, 0, true);
        let end = Instant::now() + time;
        while Instant::now() < end {
            let now = fs::read_to_string(&value).unwrap().trim() == "1";
            rises += u32::from(now && !before);
            high += u32::from(now);
            looks += 1;
            before = now;
            thread::sleep(Duration::from_millis(4));
        }
        (rises, f64::from(high) / f64::from(looks))
    }

    /// A line as agent.toml names it.
    fn at(&self, offset: u32) -> String {
        format!("{}:{offset}", self.label)
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        let _ = fs::write(self.config.join("live"), "0");
        let _ = fs::remove_dir(self.config.join("bank0"));
        let _ = fs::remove_dir(&self.config);
    }
}

/// Whether any process has the file open.
fn is_open(path: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut files = processes.filter_map(|process| fs::read_dir(process.path().join("fd")).ok());
    files.any(|files| files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|link| link == path)))
}

const PATTERN: &str = "[video]\nsource = \"pattern\"\nwidth = 320\nheight = 180\nfps = 10\n[audio]\nsource = \"tone\"\nsink = \"log\"\n";

fn viewer(agent: &Agent) -> Viewer {
    Viewer::connect(&agent.hub.to_string(), &agent.secret("viewer"))
}

#[test]
fn the_status_led_tells_ready_watched_private_and_fault_apart() {
    if !on_board() {
        return;
    }
    let chip = Chip::plugged("test-led");
    let (led, switch) = (chip.at(0), chip.at(1));
    let agent =
        Agent::start(&format!("{PATTERN}[gpio]\nstatus_led = \"{led}\"\nprivacy_switch = \"{switch}\"\n"));
    let shows = |what: &str, looks_right: fn(u32, f64) -> bool| {
        eventually(what, PATIENCE, || {
            let (rises, share) = chip.observe(0, Duration::from_millis(6200));
            looks_right(rises, share).then_some(())
        });
    };
    shows("ready: one flash in 3 s", |rises, share| (2..=3).contains(&rises) && share < 0.2);
    let mut viewer = viewer(&agent);
    viewer.watch(10, PATIENCE);
    assert!(eventually("watched: steadily on", PATIENCE, || {
        let (rises, share) = chip.observe(0, Duration::from_secs(1));
        (rises == 0).then_some(share == 1.0)
    }));
    chip.pull(1, true);
    shows("private: two flashes in 3 s", |rises, share| (4..=5).contains(&rises) && share < 0.2);
    assert_eq!(agent.metric("p2pcam_privacy_closed", ""), 1.0);
    drop(agent);

    // A camera that is not there, once somebody wants to see it.
    let agent =
        Agent::start(&format!("[video]\nsource = \"v4l2:/dev/none\"\n[gpio]\nstatus_led = \"{led}\"\n"));
    shows("fault: five times a second", |rises, share| rises > 18 && (0.3..0.7).contains(&share));
    assert_eq!(agent.health().0, 503);
}

#[test]
fn by_night_the_filter_is_away_and_the_light_is_on() {
    if !on_board() {
        return;
    }
    let chip = Chip::plugged("test-night");
    let (filter, light) = (chip.at(0), chip.at(1));
    for (night, is_night) in [("on", true), ("off", false)] {
        let lines = format!("[gpio]\nir_cut = [\"{filter}\"]\nir_light = \"{light} active-low\"\n");
        let agent = Agent::start(&format!("{PATTERN}{lines}night = \"{night}\"\n"));
        assert_eq!((chip.is_high(0), chip.is_high(1)), (!is_night, !is_night), "night = {night}");
        assert_eq!(agent.metric("p2pcam_gpio_night", ""), f64::from(u8::from(is_night)));
        assert_eq!(agent.metric("p2pcam_gpio_line_held", ""), 2.0);
    }
}

#[test]
fn a_light_sensor_moves_a_latching_filter_by_one_pulse_each_way() {
    if !on_board() {
        return;
    }
    let chip = Chip::plugged("test-sensor");
    let [day, night, light, sensor] = [0, 1, 2, 3].map(|offset| chip.at(offset));
    chip.pull(3, true);
    // A pulse that an emulated board under load is sure to see.
    let agent = Agent::start(&format!(
        "{PATTERN}[gpio]\nir_cut = [\"{day}\", \"{night}\"]\nir_cut_pulse_ms = 900\nir_light = \"{light}\"\n\
         light_sensor = \"{sensor}\"\nnight = \"sensor\"\n"
    ));
    eventually("the coils rest", PATIENCE, || (!chip.is_high(0) && !chip.is_high(1)).then_some(()));
    assert!(!chip.is_high(2), "the light is off by day");
    let pulse = |coil: u32, other: u32| {
        let began = eventually("a pulse", PATIENCE, || {
            assert!(!chip.is_high(other), "the wrong coil");
            chip.is_high(coil).then(Instant::now)
        });
        eventually("its end", PATIENCE, || (!chip.is_high(coil)).then_some(()));
        let lasted = began.elapsed();
        assert!((600..3000).contains(&lasted.as_millis()), "{lasted:?}");
    };
    chip.pull(3, false);
    let dark = Instant::now();
    pulse(1, 0);
    assert!(dark.elapsed() > Duration::from_secs(5), "after {:?}: nobody was sure yet", dark.elapsed());
    assert!(chip.is_high(2), "the light is on by night");
    chip.pull(3, true);
    pulse(0, 1);
    assert_eq!(agent.metric("p2pcam_gpio_night", ""), 0.0);
    assert!(!chip.is_high(2));
}

#[test]
fn the_privacy_switch_closes_camera_and_microphone_under_a_viewer_and_gives_them_back() {
    if !on_board() {
        return;
    }
    let chip = Chip::plugged("test-privacy");
    let camera = camera("vivid", Planarity::Single);
    // `plughw` opens this PCM; its node is the card's device 1, capture.
    let microphone = fs::canonicalize("/proc/asound/Loopback").unwrap();
    let number = microphone.file_name().unwrap().to_str().unwrap().trim_start_matches("card").to_owned();
    let microphone = PathBuf::from(format!("/dev/snd/pcmC{number}D1c"));
    let switch = chip.at(4);
    let agent = Agent::start(&format!(
        "[video]\nsource = \"v4l2:{}\"\nwidth = 640\nheight = 480\nfps = 15\n\
         [audio]\nsource = \"alsa:plughw:CARD=Loopback,DEV=1,SUBDEV=1\"\nsink = \"log\"\n\
         [gpio]\nprivacy_switch = \"{switch} active-low\"\n",
        camera.display()
    ));
    let closed = |closed: bool| {
        eventually(&format!("p2pcam_privacy_closed is {closed}"), PATIENCE, || {
            (agent.metric("p2pcam_privacy_closed", "") == f64::from(u8::from(closed))).then_some(())
        });
    };
    // Low is on: this switch has been on from the start, and nothing was looked at.
    closed(true);
    assert!(!is_open(&camera));
    let mut viewer = viewer(&agent);
    assert_eq!(viewer.hears_of_privacy()["notice"]["code"], "privacy-on");
    viewer.watch(3, PATIENCE);
    assert!(!is_open(&camera) && !is_open(&microphone));
    assert_eq!(agent.metric("p2pcam_video_frames_captured_total", ""), 0.0);

    chip.pull(4, true);
    closed(false);
    assert_eq!(viewer.hears_of_privacy()["notice"]["code"], "privacy-off");
    viewer.watch(20, PATIENCE);
    eventually("camera and microphone are open", PATIENCE, || {
        (is_open(&camera) && is_open(&microphone)).then_some(())
    });
    assert_eq!(agent.health().0, 200);

    chip.pull(4, false);
    let pulled = Instant::now();
    closed(true);
    eventually("camera and microphone are closed", PATIENCE, || {
        (!is_open(&camera) && !is_open(&microphone)).then_some(())
    });
    println!("closed {:?} after the switch", pulled.elapsed());
    let captured = agent.metric("p2pcam_video_frames_captured_total", "");
    assert_eq!(viewer.hears_of_privacy()["notice"]["message"], "the privacy switch is on");
    viewer.watch(5, PATIENCE);
    assert_eq!(agent.metric("p2pcam_video_frames_captured_total", ""), captured, "not a picture more");
    let (status, health) = agent.health();
    assert_eq!(status, 200, "meant so: {health}");
    assert!(health.contains("the privacy switch is on: camera and microphone are closed"), "{health}");
    assert_eq!(agent.metric("p2pcam_privacy_closings_total", ""), 2.0);
    assert_eq!(agent.metric("p2pcam_video_source_restarts_total", ""), 0.0, "nothing had failed");
}

#[test]
fn without_a_readable_switch_nothing_is_captured_and_a_chip_that_comes_is_found_at_once() {
    if !on_board() {
        return;
    }
    let chip = Chip::new("test-late");
    let switch = chip.at(0);
    let agent = Agent::start(&format!("{PATTERN}[gpio]\nprivacy_switch = \"{switch}\"\n"));
    assert_eq!(agent.metric("p2pcam_privacy_closed", ""), 1.0);
    let (status, health) = agent.health();
    assert_eq!(status, 503);
    assert!(health.contains("the privacy switch cannot be read"), "{health}");
    assert!(health.contains("test-late:0 is not there: this board has"), "{health}");
    let mut viewer = viewer(&agent);
    assert_eq!(viewer.hears_of_privacy()["notice"]["message"], "the privacy switch cannot be read");
    viewer.watch(3, PATIENCE);
    // By now the back-off has come to its 10 s.
    eventually("it is tried again and again", PATIENCE, || {
        (agent.metric("p2pcam_gpio_failures_total", "privacy_switch") >= 5.0).then_some(())
    });
    let state = |closed: f64, within: Duration| {
        let since = Instant::now();
        eventually(&format!("p2pcam_privacy_closed is {closed}"), within, || {
            (agent.metric("p2pcam_privacy_closed", "") == closed).then_some(())
        });
        println!("privacy is {closed} after {:?}", since.elapsed());
    };
    chip.plug(true);
    state(0.0, Duration::from_secs(5));
    viewer.watch(10, PATIENCE);
    chip.plug(false);
    state(1.0, Duration::from_secs(5));
    let log = agent.log();
    assert!(log.contains("the privacy switch cannot be read: camera and microphone are closed"), "{log}");
    chip.plug(true);
    state(0.0, Duration::from_secs(5));
}

#[test]
fn a_line_in_use_is_named_with_its_user_and_taken_when_it_is_free() {
    if !on_board() {
        return;
    }
    let chip = Chip::plugged("test-busy");
    let led = chip.at(2);
    let tables = format!("{PATTERN}[gpio]\nstatus_led = \"{led}\"\n");
    let first = Agent::start(&tables);
    let second = Agent::start(&tables);
    let (status, health) = second.health();
    assert_eq!(status, 200, "a camera without its LED is a camera");
    assert!(health.contains("test-busy:2 is in use by \\\"p2pcam-agent\\\""), "{health}");

    let folder = super::support::Folder::new();
    let config = folder.0.join("agent.toml");
    fs::write(&config, format!("{tables}ir_light = \"test-busy:99\"\nprivacy_switch = \"test-busy:3\"\n"))
        .unwrap();
    let config = config.to_str().unwrap();
    let devices = run(program().to_str().unwrap(), &["devices", "--config", config]);
    for words in ["(test-busy)  8 lines", "2  in use by \"p2pcam-agent\"", "test-busy has the lines 0 to 7"] {
        assert!(devices.contains(words), "{words}:\n{devices}");
    }
    let check = super::support::try_run(program().to_str().unwrap(), &["check", "--config", config]);
    let check = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.contains("a running agent holds it"), "{check}");
    assert!(check.contains("gpio.privacy_switch"), "{check}");

    drop(first);
    eventually("the second one has the line", PATIENCE, || {
        (second.metric("p2pcam_gpio_line_held", "status_led") == 1.0).then_some(())
    });
}

#[test]
fn a_driver_that_lets_go_of_its_device_and_takes_it_again_is_heard_of() {
    if !on_board() {
        return;
    }
    let hotplug = Hotplug::start().expect("the kernel has uevents");
    let (tell, heard) = mpsc::sync_channel(256);
    let _cameras = hotplug.subscribe("video4linux", move |event: &Event| {
        let _ = tell.try_send(event.clone());
    });
    let await_event = |action: Action| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = heard.recv_timeout(left).unwrap_or_else(|e| panic!("no {action:?}: {e}"));
            if event.action == action
                && event.devname.as_deref().is_some_and(|name| name.starts_with("video"))
            {
                return event;
            }
        }
    };
    let driver = Path::new("/sys/bus/platform/drivers/vivid");
    fs::write(driver.join("unbind"), "vivid.0").unwrap();
    await_event(Action::Remove);
    while heard.try_recv().is_ok() {}
    fs::write(driver.join("bind"), "vivid.0").unwrap();
    let first = await_event(Action::Add);
    // udev's word comes after the kernel's, when the node may be opened by its group.
    let node = Path::new("/dev").join(first.devname.unwrap());
    eventually("udev's word of the same node", PATIENCE, || {
        let event = heard.try_recv().ok()?;
        (event.action == Action::Add && Path::new("/dev").join(event.devname?) == node).then_some(())
    });
    assert!(run("stat", &["-c", "%G", node.to_str().unwrap()]) == "video", "the group is set by then");
}
