//! A place as `labgrid-client show` prints it: who holds it, and what belongs to it.

use std::fmt;

use serde_json::Value;

use super::literal;

/// A place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// Its whole name; people may give a part of it.
    pub name: String,
    /// Who has acquired it.
    pub holder: Option<Holder>,
    /// What belongs to it: while it is held what was acquired, else what matches.
    pub resources: Vec<Resource>,
}

/// Who holds a place: `HOST/USER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The user there.
    pub user: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} on {}", self.user, self.host)
    }
}

/// A thing that an exporter offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// As the place calls it.
    pub name: String,
    /// `EXPORTER/GROUP/CLASS/NAME`.
    pub path: String,
    /// labgrid's name for what it is to clients, as `NetworkPowerPort`.
    pub class: String,
    /// Whether it is there now.
    pub available: bool,
    /// Its parameters; an object.
    pub params: Value,
}

impl Resource {
    /// A parameter that is a string.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.params.get(key)?.as_str()
    }
}

/// Why what was printed is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It does not begin with one.
    #[error("labgrid-client show printed no place")]
    None,
    /// The lines of a resource are something else.
    #[error("labgrid-client show printed the resource {path} as something else than a dictionary: {error}")]
    Resource {
        /// Its path.
        path: String,
        /// What is wrong.
        error: literal::LiteralError,
    },
}

impl Place {
    /// Reads what `labgrid-client -p PLACE show` prints (labgrid 23 to 26). Unknown lines are left out.
    ///
    /// # Errors
    /// There is no place in it, or a resource cannot be read.
    pub fn read(text: &str) -> Result<Self, PlaceError> {
        let mut place: Option<Self> = None;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("Place '").and_then(|rest| rest.strip_suffix("':")) {
                place = Some(Self { name: name.into(), ..Self::default() });
                continue;
            }
            let Some(place) = &mut place else { continue };
            if let Some(holder) = line.strip_prefix("  acquired: ") {
                place.holder = holder
                    .split_once('/')
                    .map(|(host, user)| Holder { host: host.into(), user: user.into() });
            } else if let Some((name, path)) = resource_title(line) {
                let mut body = String::new();
                while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                    body.push_str(more);
                    body.push('\n');
                }
                place.resources.push(resource(name, path, &body)?);
            }
        }
        place.ok_or(PlaceError::None)
    }

    /// The first resource of one of these classes that is there.
    pub fn resource(&self, classes: &[&str]) -> Option<&Resource> {
        self.resources
            .iter()
            .find(|resource| resource.available && classes.contains(&resource.class.as_str()))
    }
}

/// `Acquired resource 'NAME' (EXPORTER/GROUP/CLASS/NAME):`
fn resource_title(line: &str) -> Option<(&str, &str)> {
    let rest =
        line.strip_prefix("Acquired resource '").or_else(|| line.strip_prefix("Matching resource '"))?;
    rest.strip_suffix("):")?.rsplit_once("' (")
}

fn resource(name: &str, path: &str, body: &str) -> Result<Resource, PlaceError> {
    let value = literal::read(body).map_err(|error| PlaceError::Resource { path: path.into(), error })?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Resource {
        name: name.into(),
        path: path.into(),
        class: text("cls"),
        available: value.get("avail").and_then(Value::as_bool).unwrap_or_default(),
        params: value.get("params").cloned().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELD: &str = "Place 'bench-pi4':
  aliases: pi
  comment: the one with the fan
  tags: board=pi4
  matches:
    bench/pi4/*
  acquired: lab1/ada
  acquired resources:
    bench/pi4/NetworkPowerPort/NetworkPowerPort
    bench/pi4/RemoteNetworkInterface/lan
  created: 2026-11-23 00:00:00.000001
  changed: 2026-11-23 00:00:00.000002
Acquired resource 'NetworkPowerPort' (bench/pi4/NetworkPowerPort/NetworkPowerPort):
  {'acquired': 'bench-pi4',
   'avail': True,
   'cls': 'NetworkPowerPort',
   'params': {'extra': {'proxy': 'bench', 'proxy_required': False},
              'host': 'http://10.0.0.5/relay/{index}',
              'index': 3,
              'model': 'rest'}}
Orphaned resource 'gone' (bench/pi4/NetworkService/gone)
Acquired resource 'lan' (bench/pi4/RemoteNetworkInterface/lan):
  {'acquired': 'bench-pi4', 'avail': True, 'cls': 'RemoteNetworkInterface', 'params': {'host': 'bench', 'ifname': 'eth1'}}
";

    #[test]
    fn a_held_place_tells_who_holds_it_and_what_it_has() {
        let place = Place::read(HELD).expect("a place");
        assert_eq!(place.name, "bench-pi4");
        assert_eq!(place.holder.as_ref().map(ToString::to_string), Some("ada on lab1".into()));
        let lan = place.resource(&["NetworkInterface", "RemoteNetworkInterface"]).expect("its network");
        assert_eq!(
            (lan.name.as_str(), lan.text("host"), lan.text("ifname")),
            ("lan", Some("bench"), Some("eth1"))
        );
        assert_eq!(
            place.resource(&["NetworkPowerPort"]).map(|power| power.params["index"].clone()),
            Some(3.into())
        );
        assert_eq!(place.resource(&["NetworkService"]), None);
    }

    #[test]
    fn a_free_place_has_no_holder() {
        let place = Place::read("Place 'a':\n  matches:\n  acquired: None\n  acquired resources:\n")
            .expect("a place");
        assert_eq!((place.holder, place.resources), (None, Vec::new()));
    }

    #[test]
    fn what_is_not_there_now_is_not_found() {
        let text = "Place 'a':\nMatching resource 'n' (e/g/NetworkService/n):\n  {'avail': False, 'cls': 'NetworkService'}\n";
        assert_eq!(Place::read(text).expect("a place").resource(&["NetworkService"]), None);
    }

    #[test]
    fn something_else_is_an_error() {
        assert_eq!(
            Place::read("labgrid-client: Error: place pattern x matches nothing\n"),
            Err(PlaceError::None)
        );
        let broken = "Place 'a':\nMatching resource 'n' (e/g/C/n):\n  {'avail': no}\n";
        assert!(matches!(Place::read(broken), Err(PlaceError::Resource { path, .. }) if path == "e/g/C/n"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(.*\n)*") {
            let _ = Place::read(&text);
        }

        #[test]
        fn no_damaged_place_panics(from in 0..HELD.len(), length in 0..40usize, by in ".{0,8}") {
            let (head, rest) = HELD.split_at(from);
            let tail = rest.get(length..).unwrap_or_default();
            let _ = Place::read(&format!("{head}{by}{tail}"));
        }
    }
}
