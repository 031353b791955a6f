//! Tests of the layers: what is accepted, and the words for what is not.
#![allow(clippy::unwrap_used)]

use super::*;

fn refused(text: &str) -> String {
    parse(text, Path::new("agent.toml")).unwrap_err().to_string()
}

fn with_env(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.variables(vars.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    layers.finish()
}

fn env_refused(vars: &[(&str, &str)]) -> String {
    with_env(vars).unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse("", Path::new("x")).unwrap(), Config::default());
}

#[test]
fn the_commented_default_is_the_default_and_names_every_key() {
    let text = crate::config::COMMENTED_DEFAULT;
    assert_eq!(parse(text, Path::new("agent.toml")).unwrap(), Config::default());
    let mut section = String::new();
    let mut named = Vec::new();
    for line in text.lines() {
        // A key without a default stands in a comment, as in `#id = "front-door"`.
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            named.push(format!("{section}.{key}"));
        }
    }
    for (path, key) in schema::paths() {
        match &key.kind {
            Kind::List(element) if matches!(**element, Kind::Table(_)) => {
                assert!(named.iter().any(|name| name.starts_with(&format!("{path}."))), "{path} is missing");
            }
            _ => assert!(named.contains(&path), "{path} is missing in agent.toml"),
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_key() {
    assert_eq!(
        refused("# camera\n\n[video]\n  widht = 640\n"),
        "agent.toml, line 4, column 3: unknown key `widht` in [video]: did you mean `width`?"
    );
}

#[test]
fn a_key_in_the_wrong_section_is_sent_home() {
    assert_eq!(
        refused("[video]\nturn_ttl_s = 60\n"),
        "agent.toml, line 2, column 1: unknown key `turn_ttl_s` in [video]: it belongs in [hub]"
    );
    assert_eq!(
        refused("fps = 25"),
        "agent.toml, line 1, column 1: unknown key `fps` outside of any section: it belongs in [video]"
    );
}

#[test]
fn an_unknown_section_is_refused() {
    assert_eq!(
        refused("[vidoe]\nwidth = 640"),
        "agent.toml, line 1, column 2: unknown section [vidoe]: did you mean [video]?"
    );
    assert!(refused("[cloud]\n").contains("there is [device], [video]"));
}

#[test]
fn an_unknown_key_of_a_server_is_refused() {
    assert_eq!(
        refused("[[ice.servers]]\nurls = [\"stun:a\"]\n[[ice.servers]]\nurl = \"stun:b\"\n"),
        "agent.toml, line 4, column 1: unknown key `url` in [ice.servers]: did you mean `urls`?"
    );
}

#[test]
fn a_wrong_type_is_refused_with_what_is_wanted() {
    assert_eq!(
        refused("[video]\nwidth = \"640\""),
        "agent.toml, line 2, column 9: `video.width` is \"640\": give a whole number, without quotes"
    );
    assert!(refused("video = 3").contains("give a section"));
    assert!(refused("[hub]\nstun = \"stun:a\"").contains("give a list, as in"));
    assert!(refused("[ice]\nloopback = 1").contains("give true or false"));
}

#[test]
fn a_number_out_of_range_is_refused_with_the_range() {
    assert_eq!(
        refused("[video]\nfps = 500"),
        "agent.toml, line 2, column 7: `video.fps` is 500: allowed is 1 to 120 pictures a second"
    );
    assert!(refused("[video]\nwidth = 641").ends_with("give an even number, 640 or 642"));
    assert!(refused("[ice]\nport = 65536").contains("allowed is 0 to 65535"));
    assert!(refused("[session]\nmax = -1").contains("allowed is 1 to 1000"));
}

#[test]
fn a_wrong_element_of_a_list_is_found_where_it_stands() {
    assert_eq!(
        refused("[hub]\nstun = [\n  \"stun:a.example\",\n  \"b.example\",\n]"),
        "agent.toml, line 4, column 3: `hub.stun` is \"b.example\": \
         give a URL as in stun:stun.example.net:3478"
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = refused("[video]\nfps = 0\n[ice]\npolicy = \"rely\"\n[audio]\nsinc = \"log\"");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("did you mean `relay`?") && text.contains("did you mean `sink`?"), "{text}");
}

#[test]
fn text_that_is_not_toml_is_refused_at_its_place() {
    let text = refused("[video]\nwidth 640\n");
    assert!(text.starts_with("agent.toml, line 2, column ") && text.contains("not TOML"), "{text}");
    assert!(refused("[video]\nfps = 1\nfps = 2\n").contains("line 3"));
    assert!(refused("[video]\nfps = 99999999999999999999\n").contains("line 2"));
}

#[test]
fn columns_count_characters() {
    assert_eq!(position("ä = 1, ü", "ä = 1, ".len()), (1, 8));
    assert_eq!(position("a\nbc", 3), (2, 2));
    assert_eq!(position("a", 99), (1, 2));
}

#[test]
fn a_variable_overrides_a_key() {
    let config = with_env(&[
        ("P2PCAM_VIDEO_WIDTH", "640"),
        ("P2PCAM_HUB_STUN", "stun:a, stun:b:3478"),
        ("P2PCAM_HUB_HTTP", ""),
        ("P2PCAM_ICE_POLICY", "relay"),
        ("P2PCAM_ICE_SERVERS", r#"[{ urls = ["stun:c"] }]"#),
        ("P2PCAM_DEVICE_STATE_DIR", "/var/lib/p2pcam"),
        ("PATH", "/bin"),
        ("P2PCAM_CONFIG", "elsewhere"),
    ])
    .unwrap();
    assert_eq!(config.video.width, 640);
    assert_eq!(config.hub.stun, ["stun:a", "stun:b:3478"]);
    assert_eq!(config.hub.http, "");
    assert_eq!(config.ice.policy, crate::config::IcePolicy::Relay);
    assert_eq!(config.ice.servers[0].urls, ["stun:c"]);
    assert_eq!(config.device.state_dir.unwrap(), Path::new("/var/lib/p2pcam"));
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest() {
    assert_eq!(
        env_refused(&[("P2PCAM_VIDEO_WIDHT", "640")]),
        "environment variable P2PCAM_VIDEO_WIDHT: it stands for no key of agent.toml: \
         did you mean P2PCAM_VIDEO_WIDTH?"
    );
    assert!(env_refused(&[("P2PCAM_X", "")]).contains("P2PCAM_SECTION_KEY"));
}

#[test]
fn a_wrong_value_of_a_variable_names_the_variable() {
    assert_eq!(
        env_refused(&[("P2PCAM_VIDEO_FPS", "many")]),
        "environment variable P2PCAM_VIDEO_FPS: `video.fps` is \"many\": give a whole number"
    );
    assert!(env_refused(&[("P2PCAM_VIDEO_FPS", "0")]).contains("allowed is 1 to 120"));
    assert!(env_refused(&[("P2PCAM_ICE_SERVERS", "stun:a")]).contains("give a TOML list"));
    assert!(env_refused(&[("P2PCAM_ICE_SERVERS", "[{ url = 1 }]")]).contains("did you mean `urls`?"));
}

#[test]
fn an_empty_optional_key_counts_as_left_out() {
    let config = with_env(&[("P2PCAM_DEVICE_ID", ""), ("P2PCAM_SIGNALING_TOKEN_FILE", "")]).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn keys_that_miss_each_other_are_found_where_they_stand() {
    let text = refused("[hub]\ncertificate = \"c.pem\"\n");
    assert!(text.starts_with("agent.toml, line 2, column 15: `hub.certificate`"), "{text}");
    let text = env_refused(&[("P2PCAM_HUB_TURN", "turn:t.example")]);
    assert!(text.starts_with("environment variable P2PCAM_HUB_TURN: `hub.turn`"), "{text}");
}

#[test]
fn a_flag_goes_over_a_variable_and_a_variable_over_the_file() {
    let mut layers = Layers::default();
    layers.file(Path::new("agent.toml"), "[video]\nwidth = 320\nheight = 240\nfps = 10\n");
    layers.variables(
        [("P2PCAM_VIDEO_WIDTH", "640"), ("P2PCAM_VIDEO_HEIGHT", "480")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into_iter(),
    );
    layers.set("video.width", "1280", Place::Flag("--width"));
    assert_eq!(layers.overrides.last().unwrap().place, Place::Flag("--width"));
    let config = layers.finish().unwrap();
    assert_eq!((config.video.width, config.video.height, config.video.fps), (1280, 480, 10));
}

#[test]
fn every_variable_stands_for_one_key_only() {
    let mut names: Vec<_> = schema::paths().map(|(path, _)| variable(&path)).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(NOT_KEYS.iter().all(|begin| !names.iter().any(|key| key.starts_with(begin))));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\[|\\]|=|\"|'|\n|\\{|\\}|,|\\.|#|[a-z0-9 ]|video|width|ice|servers|ä){0,60}") {
        let _ = parse(&text, Path::new("agent.toml"));
    }

    #[test]
    fn no_variable_makes_the_reader_panic(name in "P2PCAM_[A-Z_]{0,20}|P2PCAM_ICE_SERVERS|P2PCAM_HUB_STUN", text in ".{0,40}|\\[.{0,20}") {
        let _ = with_env(&[(&name, &text)]);
    }
}
