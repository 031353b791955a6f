//! What each key allows beyond its type: ranges, forms of addresses and URLs, and keys that need each other.

use std::path::Path;

use super::{
    Config, LineSpec, LinkKind, NightMode, Place, Problem, VideoEncoderSpec, VideoSourceSpec,
    device::is_device_id, problem::nearest,
};

/// Allowed numbers of a key: `min..=max`, even ones only where `even`.
pub(super) struct Range {
    pub min: i64,
    pub max: i64,
    pub even: bool,
    /// What is counted.
    pub unit: &'static str,
}

/// The range of an integer key; `None`: its type says all there is to say.
pub(super) fn range(key: &str) -> Option<Range> {
    let (min, max, unit) = match key {
        // Chroma is halved in both directions, so sizes are even; 4096 is the edge of what encoders take.
        "video.width" | "video.height" => {
            return Some(Range { min: 16, max: 4096, even: true, unit: "pixels" });
        }
        "video.fps" => (1, 120, "pictures a second"),
        "video.bitrate_kbps" | "video.min_bitrate_kbps" => (30, 50_000, "kbit/s"),
        "video.keyframe_interval_s" => (1, 600, "seconds"),
        // RFC 6716 section 2.1.1.
        "audio.bitrate_kbps" => (6, 510, "kbit/s"),
        "gpio.ir_cut_pulse_ms" => (10, 1000, "milliseconds"),
        "gpio.debounce_ms" => (0, 1000, "milliseconds"),
        "hub.turn_ttl_s" => (60, 604_800, "seconds"),
        "hub.max_viewers" | "hub.max_devices" => (1, 10_000, "connections"),
        "ice.port" => (0, 65_535, "(0: any free port)"),
        "session.max" => (1, 1_000, "viewers"),
        "session.connect_timeout_s" | "session.disconnect_timeout_s" => (1, 600, "seconds"),
        _ => return None,
    };
    Some(Range { min, max, even: false, unit })
}

/// Refuses a text that its key does not allow, with what it does allow.
pub(super) fn text(key: &str, value: &str) -> Result<(), String> {
    match key {
        "device.id" if !value.is_empty() && !is_device_id(value) => {
            Err("give 1 to 64 characters of A-Z a-z 0-9 - _ . ~".into())
        }
        "video.source" => {
            choice(value, &["auto", "pattern", "pattern:busy"], &["file:PATH", "v4l2:/dev/videoN"])
                .and_then(|()| match VideoSourceSpec::parse(value) {
                    Ok(VideoSourceSpec::File(_)) if !cfg!(feature = "mp4") => {
                        Err("this agent was built without the feature mp4, which plays files: give auto".into())
                    }
                    parsed => parsed.map(drop).map_err(|error| error.to_string()),
                })
        }
        "video.encoder" => {
            choice(value, &["auto", "mpp", "m2m", "passthrough", "openh264"], &["m2m:/dev/videoN"])
                .and_then(|()| VideoEncoderSpec::parse(value).map(drop).map_err(|error| error.to_string()))
                .and_then(|()| match value {
                    "openh264" if !cfg!(feature = "openh264") => {
                        Err("this agent was built without the feature openh264: give auto".into())
                    }
                    _ => Ok(()),
                })
        }
        "audio.source" => choice(value, &["auto", "tone", "none"], &["file:PATH", "alsa:DEVICE"]),
        "audio.sink" => choice(value, &["auto", "log", "none"], &["alsa:DEVICE"]),
        "gpio.status_led" | "gpio.ir_cut" | "gpio.ir_light" | "gpio.light_sensor" | "gpio.privacy_switch" => {
            LineSpec::parse(value).map(drop)
        }
        "signaling.link" => choice(value, &["embedded", "stdio"], &["unix:PATH", "ws://HOST", "wss://HOST"]),
        "hub.http" | "hub.https" | "telemetry.listen" => {
            if value.is_empty() || is_address(value) {
                Ok(())
            } else {
                Err("give ADDRESS:PORT, as in 127.0.0.1:8080 or [::]:8080, or \"\" to switch it off".into())
            }
        }
        "hub.stun" => url(value, &["stun", "stuns"], "stun:stun.example.net:3478"),
        "hub.turn" => url(value, &["turn", "turns"], "turn:turn.example.net:3478?transport=udp"),
        "ice.servers.urls" => url(
            value,
            &["stun", "stuns", "turn", "turns"],
            "stun:stun.example.net:3478 or turn:turn.example.net:3478?transport=udp",
        ),
        "telemetry.log" => log_filter(value).map_err(|why| {
            format!("{why}: give error, warn, info, debug or trace, or a list as in p2pcam_agent::session=debug,info")
        }),
        _ => Ok(()),
    }
}

fn log_filter(value: &str) -> Result<(), String> {
    // Taken as the level `error`, or as the name of a module that is nowhere.
    if value.split(',').any(str::is_empty) {
        return Err("nothing stands before or behind a comma".into());
    }
    if value.contains([' ', '[', '{']) {
        return Err("it has modules and levels only, without blanks".into());
    }
    value.parse::<tracing_subscriber::filter::Targets>().map(drop).map_err(|error| error.to_string())
}

/// One of `words`, or a prefix of `forms` (up to its first capital or slash) with something behind it.
fn choice(value: &str, words: &[&str], forms: &[&str]) -> Result<(), String> {
    fn prefix(form: &str) -> &str {
        &form[..form.find(|c: char| c.is_ascii_uppercase()).unwrap_or(form.len())]
    }
    // `v4l2:/dev/videoN` takes any device path, not only those below /dev/video.
    let prefixes = forms.iter().map(|form| prefix(form).trim_end_matches("/dev/video"));
    if words.contains(&value)
        || prefixes.clone().any(|prefix| value.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
    {
        return Ok(());
    }
    if let Some(word) = nearest(value, words.iter().copied()) {
        return Err(format!("did you mean `{word}`?"));
    }
    let all: Vec<_> = words.iter().chain(forms).copied().collect();
    Err(format!("give {}", all.join(", ")))
}

/// `HOST:PORT`, the host an IPv4 address, an IPv6 address in brackets, or a name.
pub(super) fn is_address(value: &str) -> bool {
    if value.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    value.rsplit_once(':').is_some_and(|(host, port)| is_host_name(host) && port.parse::<u16>().is_ok())
}

fn is_host_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// RFC 7064 (`stun:`, `stuns:`) and RFC 7065 (`turn:`, `turns:`, with `?transport=`).
fn url(value: &str, schemes: &[&str], example: &str) -> Result<(), String> {
    let wrong = || Err(format!("give a URL as in {example}"));
    let Some((scheme, rest)) = value.split_once(':') else { return wrong() };
    if !schemes.contains(&scheme) || rest.starts_with("//") {
        return wrong();
    }
    let (host, query) = rest.split_once('?').map_or((rest, None), |(host, query)| (host, Some(query)));
    let transport_ok = match query {
        None => true,
        Some(query) => scheme.starts_with("turn") && matches!(query, "transport=udp" | "transport=tcp"),
    };
    let host_ok = is_address(host)
        || is_host_name(host)
        || host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    if transport_ok && host_ok { Ok(()) } else { wrong() }
}

/// Keys that need each other, on a configuration whose single values are right.
pub(super) fn together(config: &Config, place: impl Fn(&str) -> Place) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |key: &str, what: String, advice: &str| {
        problems.push(Problem { place: place(key), what, advice: advice.into() });
    };
    let gpio = &config.gpio;
    if gpio.night == NightMode::Sensor && gpio.light_sensor.is_none() {
        refuse(
            "gpio.night",
            "`gpio.night` is \"sensor\" without `gpio.light_sensor`".into(),
            "name the line of the sensor, or set gpio.night to \"off\" or \"on\"",
        );
    }
    if gpio.ir_cut.len() > 2 {
        refuse(
            "gpio.ir_cut",
            format!("`gpio.ir_cut` names {} lines", gpio.ir_cut.len()),
            "give one line (a level) or two (pulses)",
        );
    }
    if !cfg!(feature = "hub") && config.signaling.kind() == Ok(LinkKind::Embedded) {
        refuse(
            "signaling.link",
            "`signaling.link` is \"embedded\", and this agent was built without the feature hub".into(),
            "give stdio, unix:PATH, or the URL of a hub elsewhere: wss://HOST",
        );
    }
    let hub = &config.hub;
    match (&hub.certificate, &hub.private_key) {
        (Some(_), None) => refuse(
            "hub.certificate",
            "`hub.certificate` is given without `hub.private_key`".into(),
            "give both, or neither to use a certificate made on first start",
        ),
        (None, Some(_)) => refuse(
            "hub.private_key",
            "`hub.private_key` is given without `hub.certificate`".into(),
            "give both, or neither to use a certificate made on first start",
        ),
        _ => {}
    }
    if !hub.http.is_empty() && hub.http == hub.https && !ends_with_port_zero(&hub.http) {
        refuse(
            "hub.https",
            format!("`hub.http` and `hub.https` are both {}", hub.http),
            "give each a port of its own",
        );
    }
    if !hub.turn.is_empty() && hub.turn_secret_file.is_none() {
        refuse(
            "hub.turn",
            "`hub.turn` is given without `hub.turn_secret_file`".into(),
            "name the file that holds the TURN server's static-auth-secret",
        );
    }
    for server in &config.ice.servers {
        let turn = server.urls.iter().find(|url| url.starts_with("turn"));
        if let (Some(url), true) = (turn, server.username.is_none() || server.credential.is_none()) {
            refuse(
                "ice.servers",
                format!("`ice.servers` names {url} without a user"),
                "give `username` and `credential` beside its `urls`",
            );
        }
    }
    if let Some(path) = config.signaling.link.strip_prefix("unix:")
        && !Path::new(path).is_absolute()
    {
        refuse(
            "signaling.link",
            format!("`signaling.link` names the relative path {path}"),
            "give an absolute path, as in unix:/run/p2pcam/signaling.sock",
        );
    }
    problems
}

fn ends_with_port_zero(address: &str) -> bool {
    address.ends_with(":0")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn listening_addresses_are_ip_or_name_with_a_port() {
        for good in ["", "127.0.0.1:8080", "[::1]:8080", "localhost:0", "0.0.0.0:65535"] {
            assert_eq!(text("hub.http", good), Ok(()), "{good}");
        }
        for bad in ["8080", ":8080", "127.0.0.1", "127.0.0.1:70000", "http://localhost:80", "::1:80:x"] {
            assert!(text("hub.http", bad).unwrap_err().contains("ADDRESS:PORT"), "{bad}");
        }
    }

    #[test]
    fn stun_and_turn_urls_follow_their_rfcs() {
        for good in
            ["stun:a.example", "stun:192.0.2.1:3478", "stuns:[2001:db8::1]:5349", "stun:[2001:db8::1]"]
        {
            assert_eq!(text("hub.stun", good), Ok(()), "{good}");
        }
        for bad in ["a.example:3478", "stun://a.example", "turn:a.example", "stun:", "stun:a?transport=udp"] {
            assert!(text("hub.stun", bad).is_err(), "{bad}");
        }
        assert_eq!(text("hub.turn", "turns:turn.example:443?transport=tcp"), Ok(()));
        assert!(text("hub.turn", "turn:turn.example?transport=sctp").is_err());
    }

    #[test]
    fn sources_are_a_word_or_a_kind_with_a_name() {
        for good in ["auto", "pattern", "file:/a b.mp4", "v4l2:/dev/video0", "v4l2:/dev/v4l/by-id/usb-x"] {
            assert_eq!(text("video.source", good), Ok(()), "{good}");
        }
        assert_eq!(text("video.source", "patern").unwrap_err(), "did you mean `pattern`?");
        assert_eq!(
            text("video.source", "file:").unwrap_err(),
            "give auto, pattern, pattern:busy, file:PATH, v4l2:/dev/videoN"
        );
        assert!(text("video.source", "v4l2:video0").unwrap_err().contains("v4l2:/dev/video0"));
        assert_eq!(text("signaling.link", "wss://hub.example/ws"), Ok(()));
        assert!(text("signaling.link", "https://hub.example").is_err());
    }

    #[test]
    fn a_log_filter_that_names_no_level_is_refused() {
        assert_eq!(text("telemetry.log", "p2pcam_agent::session=debug,info"), Ok(()));
        for wrong in ["p2pcam_agent=loud", "info,", "", "p2pcam_agent[session]=debug", "a=debug, info"] {
            assert!(text("telemetry.log", wrong).unwrap_err().contains("give error, warn"), "{wrong}");
        }
    }

    #[test]
    fn keys_that_need_each_other_are_asked_for() {
        let asked = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            let problems = together(&config, |_| Place::Default);
            problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(asked(|_| {}), "");
        assert!(asked(|c| c.hub.certificate = Some("c.pem".into())).contains("without `hub.private_key`"));
        assert!(asked(|c| c.hub.private_key = Some("k.pem".into())).contains("without `hub.certificate`"));
        assert!(asked(|c| c.gpio.night = NightMode::Sensor).contains("without `gpio.light_sensor`"));
        assert!(asked(|c| c.gpio.ir_cut = vec!["a".into(); 3]).contains("3 lines"));
        assert!(asked(|c| c.hub.turn = vec!["turn:a".into()]).contains("turn_secret_file"));
        assert!(asked(|c| c.hub.https = c.hub.http.clone()).contains("both 127.0.0.1:8080"));
        assert!(asked(|c| c.signaling.link = "unix:here".into()).contains("relative path here"));
        assert!(
            asked(|c| c.ice.servers = vec![crate::config::IceServerConfig {
                urls: vec!["turn:t.example".into()],
                ..Default::default()
            }])
            .contains("turn:t.example without a user")
        );
    }
}
