//! The command line as a technician meets it: the real binary, its texts and its exit codes.
#![allow(clippy::unwrap_used)]

use std::{
    net::UdpSocket,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const WRONG_USAGE: i32 = 2;
const WRONG_CONFIG: i32 = 78;

/// Runs the agent in an empty home, with nothing of this machine's but its devices.
fn agent(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2pcam-agent"));
    command.args(arguments).current_dir(home.path()).stdin(Stdio::null());
    command.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin").envs(env.iter().copied());
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `check` needs to find nothing to fix on any machine: no devices, ports that are sure to be free.
const QUIET: [(&str, &str); 6] = [
    ("P2PCAM_VIDEO_SOURCE", "pattern"),
    ("P2PCAM_AUDIO_SOURCE", "tone"),
    ("P2PCAM_AUDIO_SINK", "log"),
    ("P2PCAM_HUB_HTTP", "127.0.0.1:0"),
    ("P2PCAM_HUB_HTTPS", ""),
    ("P2PCAM_TELEMETRY_LISTEN", "127.0.0.1:0"),
];

fn check(env: &[(&str, &str)]) -> Output {
    agent(&["check"], &[&QUIET, env].concat())
}

#[test]
fn help_introduces_the_agent_and_lists_commands_and_exit_codes() {
    let output = agent(&["--help"], &[]);
    assert!(output.status.success());
    let text = stdout(&output);
    for words in
        ["run", "hub", "check", "devices", "link", "config", "/etc/p2pcam/agent.toml", "Exit codes", "78"]
    {
        assert!(text.contains(words), "{words} in\n{text}");
    }
}

#[test]
fn each_command_s_help_has_examples() {
    for command in ["run", "hub", "check", "devices", "link", "config"] {
        let text = stdout(&agent(&[command, "--help"], &[]));
        assert!(text.contains(&format!("Examples:\n  p2pcam-agent {command}")), "{text}");
    }
}

#[test]
fn the_version_is_the_package_s() {
    let text = stdout(&agent(&["--version"], &[]));
    assert!(text.starts_with(concat!("p2pcam-agent ", env!("CARGO_PKG_VERSION"))), "{text}");
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_wrong_configuration() {
    assert_eq!(agent(&["run", "--vidoe", "pattern"], &[]).status.code(), Some(WRONG_USAGE));
    assert_eq!(agent(&["watch"], &[]).status.code(), Some(WRONG_USAGE));
    let output = agent(&["run", "--video", "patern"], &[]);
    assert_eq!(output.status.code(), Some(WRONG_CONFIG));
    assert_eq!(
        stderr(&output),
        "p2pcam-agent: --video: `video.source` is \"patern\": did you mean `pattern`?\n"
    );
}

#[test]
fn a_wrong_key_in_the_file_is_shown_where_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, "[video]\nwidht = 640\n").unwrap();
    let file = file.to_str().unwrap();
    for command in ["run", "hub", "link", "config"] {
        let output = agent(&[command, "--config", file], &[]);
        assert_eq!(output.status.code(), Some(WRONG_CONFIG), "{command}");
        assert_eq!(
            stderr(&output),
            format!(
                "p2pcam-agent: {file}, line 2, column 1: unknown key `widht` in [video]: did you mean `width`?\n"
            )
        );
        assert_eq!(stdout(&output), "");
    }
    let output = agent(&["check"], &[("P2PCAM_CONFIG", file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output)
            .contains("line 2, column 1: unknown key `widht` in [video]\n    did you mean `width`?")
    );
}

#[test]
fn an_unknown_variable_is_refused() {
    let output = agent(&["config"], &[("P2PCAM_VIDEO_HIEGHT", "480")]);
    assert_eq!(output.status.code(), Some(WRONG_CONFIG));
    assert!(stderr(&output).contains("did you mean P2PCAM_VIDEO_HEIGHT?"), "{}", stderr(&output));
}

#[test]
fn the_default_file_is_taken_back_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, agent(&["config", "--default"], &[]).stdout).unwrap();
    let read = agent(&["config", "--config", file.to_str().unwrap()], &[]);
    assert!(read.status.success(), "{}", stderr(&read));
    let values = |output: &Output| stdout(output).parse::<toml::Table>().unwrap();
    assert_eq!(values(&read), values(&agent(&["config"], &[])));
}

#[test]
fn devices_are_listed_for_people_and_for_programs() {
    let text = stdout(&agent(&["devices"], &[]));
    for title in ["Cameras", "Encoders", "Sound cards"] {
        assert!(text.contains(title), "{text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&agent(&["devices", "--json"], &[]).stdout).unwrap();
    assert!(["cameras", "encoders", "sound_cards"].iter().all(|key| json[key].is_array()), "{json}");
}

#[test]
fn check_finds_nothing_to_fix_where_nothing_is_wrong() {
    let output = check(&[]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("✓ clock") && text.contains("! STUN and TURN: no server is configured"), "{text}");
}

#[test]
fn check_fails_on_a_stun_server_that_is_dead_and_says_what_to_do() {
    // A socket that never answers, and a port where nothing listens any more.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = format!("stun:{},stun:{closed}", silent.local_addr().unwrap());
    let output = check(&[("P2PCAM_HUB_STUN", &urls)]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(": no answer within 2 s\n    check address and port; a firewall"), "{text}");
    assert!(text.contains(&format!("✗ STUN {closed}: nothing listens there")), "{text}");
}

#[test]
fn check_asks_many_dead_servers_at_once() {
    let silent: Vec<_> = (0..12).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let urls: Vec<_> = silent.iter().map(|socket| format!("stun:{}", socket.local_addr().unwrap())).collect();
    let started = Instant::now();
    let output = check(&[("P2PCAM_HUB_STUN", &urls.join(","))]);
    assert_eq!(stdout(&output).matches("no answer within 2 s").count(), 12);
    assert!(started.elapsed() < Duration::from_secs(12), "one after the other would take 24 s");
}

#[test]
fn check_tries_the_remote_hub() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let link = format!("wss://{closed}/device");
    let output = check(&[("P2PCAM_SIGNALING_LINK", &link)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains(&format!("✗ hub {link}: nothing listens there")), "{}", stdout(&output));
}

/// coturn with the secret `north`, ended when dropped.
struct Coturn {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Coturn {
    /// `None` where it is not installed; scripts/test installs it. A port that was free may be taken a moment later: it ends
    /// then, and another one is tried.
    fn start() -> Option<Self> {
        let program = Path::new("/usr/bin/turnserver");
        if !program.exists() {
            return None;
        }
        let answers = |server: &mut Self| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while server.process.try_wait().unwrap().is_none() && Instant::now() < deadline {
                if std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            false
        };
        let server =
            (0..5).map(|_| Self::try_start(program)).find_map(|mut one| answers(&mut one).then_some(one));
        Some(server.expect("turnserver listens"))
    }

    fn try_start(program: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout", "--realm", "test"]);
        command.args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--allow-loopback-peers"]);
        command.args(["--use-auth-secret", "--static-auth-secret", "north"]);
        command.args(["--listening-port", &port.to_string()]);
        command.arg("--pidfile").arg(dir.path().join("pid")).arg("--db").arg(dir.path().join("db"));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, port, dir }
    }

    /// A file with a secret, as `hub.turn_secret_file` takes it.
    fn secret_file(&self, secret: &str) -> String {
        let path = self.dir.path().join(secret);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().into()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn check_gets_an_address_and_an_allocation_from_a_live_server_and_sees_a_wrong_secret() {
    let Some(coturn) = Coturn::start() else {
        eprintln!("not run: coturn is not installed");
        return;
    };
    let stun = format!("stun:127.0.0.1:{}", coturn.port);
    let turn = format!("turn:127.0.0.1:{0}?transport=udp,turn:127.0.0.1:{0}?transport=tcp", coturn.port);
    let ask = |secret: &str| {
        check(&[
            ("P2PCAM_HUB_STUN", stun.as_str()),
            ("P2PCAM_HUB_TURN", turn.as_str()),
            ("P2PCAM_HUB_TURN_SECRET_FILE", secret),
        ])
    };
    let right = coturn.secret_file("north");
    let deadline = Instant::now() + Duration::from_secs(20);
    let output = loop {
        let output = ask(&right);
        if output.status.success() || Instant::now() > deadline {
            break output;
        }
    };
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" ms, sees this machine as 127.0.0.1:"), "{text}");
    assert_eq!(text.matches("gives the relayed address 127.0.0.1:").count(), 2, "{text}");

    let output = ask(&coturn.secret_file("south"));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.matches("it refuses: 401 ").count(), 2, "{text}");
    assert!(text.contains("compare username and credential"), "{text}");
}
