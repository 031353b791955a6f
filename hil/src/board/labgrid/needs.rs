//! What of a place the rig uses, looked up before anything is switched.

use std::fs;

use super::{LabgridOptions, place::Place};
use crate::board::BoardError;

/// labgrid's classes that `labgrid-client power` can switch.
const POWER: [&str; 7] = [
    "NetworkPowerPort",
    "PDUDaemonPort",
    "NetworkUSBPowerPort",
    "NetworkSiSPMPowerPort",
    "TasmotaPowerPort",
    "NetworkYKUSHPowerPort",
    "NetworkSysfsGPIO",
];
/// Those that `labgrid-client write-image` can write to.
const STORAGE: [&str; 4] =
    ["NetworkUSBMassStorage", "NetworkUSBSDMuxDevice", "NetworkUSBSDWireDevice", "NetworkUSBSDWire3Device"];
/// Those of them that are switched between board and reader.
const MUX: [&str; 3] = ["NetworkUSBSDMuxDevice", "NetworkUSBSDWireDevice", "NetworkUSBSDWire3Device"];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// This machine's interface that leads to the board.
    pub interface: String,
    /// Whether the place has a serial console.
    pub console: bool,
    /// Whether its card is to be given to the reader and back.
    pub mux: bool,
    /// Who logs in.
    pub user: String,
    /// That user's password.
    pub password: Option<String>,
    /// SSH's port.
    pub port: u16,
}

impl Needs {
    /// Of a place that is held.
    ///
    /// # Errors
    /// The place has no power switch, no network interface, or no storage for an image; the interface is another
    /// machine's.
    pub fn of(
        place: &Place,
        options: &LabgridOptions,
        is_here: impl Fn(&str) -> bool,
    ) -> Result<Self, BoardError> {
        let lacks = |what: &str, advice: &str| {
            BoardError::Unavailable(format!(
                "the labgrid place {} has no {what}: {advice} (docs/labgrid.md)",
                place.name
            ))
        };
        if place.resource(&POWER).is_none() {
            return Err(lacks("power switch", "its exporter must offer one, as a NetworkPowerPort"));
        }
        if options.image.is_some() && place.resource(&STORAGE).is_none() {
            return Err(lacks(
                "storage that an image can be written to",
                "its exporter must offer a USBMassStorage or an SD mux",
            ));
        }
        let interface = match (
            &options.interface,
            place.resource(&["RemoteNetworkInterface", "NetworkInterface"]),
        ) {
            (Some(interface), _) => interface.clone(),
            (None, None) => {
                return Err(lacks(
                    "NetworkInterface",
                    "it names this machine's interface that leads to the board",
                ));
            }
            (None, Some(found)) => {
                let host = found.text("host").unwrap_or("localhost");
                if !is_here(host) {
                    return Err(BoardError::Unavailable(format!(
                        "the interface that leads to the board of {} is {host}'s, and it must be moved into the lab: start \
                         the rig on {host}",
                        place.name
                    )));
                }
                found
                    .text("ifname")
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .ok_or_else(|| lacks("name for its NetworkInterface", "the card may be unplugged"))?
            }
        };
        let service = place.resource(&["NetworkService"]);
        let port = service.and_then(|service| service.params.get("port")?.as_u64());
        Ok(Self {
            interface,
            console: place.resource(&["NetworkSerialPort"]).is_some(),
            mux: options.image.is_some() && place.resource(&MUX).is_some(),
            user: service.and_then(|service| service.text("username")).unwrap_or("root").to_owned(),
            password: service.and_then(|service| service.text("password")).map(str::to_owned),
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(22),
        })
    }
}

/// Whether a name of a host is this machine's.
pub fn is_this_machine(host: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(host, "localhost" | "127.0.0.1" | "::1") || short(host) == short(&own_name())
}

fn own_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::board::{labgrid::place::Resource, settings::Picture};

    fn options() -> LabgridOptions {
        LabgridOptions {
            place: "pi".into(),
            coordinator: None,
            client: None,
            key: None,
            interface: None,
            image: None,
            agent: None,
            picture: Picture::EMULATED,
            tree: PathBuf::new(),
            folder: PathBuf::new(),
        }
    }

    fn place(resources: &[(&str, serde_json::Value)]) -> Place {
        let resources = resources.iter().map(|(class, params)| Resource {
            name: (*class).into(),
            path: format!("bench/pi/{class}/{class}"),
            class: (*class).into(),
            available: true,
            params: params.clone(),
        });
        Place { name: "pi".into(), holder: None, resources: resources.collect() }
    }

    #[test]
    fn a_place_as_it_should_be() {
        let place = place(&[
            ("NetworkPowerPort", json!({})),
            ("RemoteNetworkInterface", json!({"host": "bench", "ifname": "eth1"})),
            ("NetworkService", json!({"address": "192.168.1.2", "username": "pi", "port": 2222})),
        ]);
        let needs = Needs::of(&place, &options(), |host| host == "bench").unwrap();
        assert_eq!((needs.interface.as_str(), needs.user.as_str(), needs.port), ("eth1", "pi", 2222));
        assert!(!needs.console && !needs.mux);
        let other = Needs::of(&place, &options(), |_| false).unwrap_err().to_string();
        assert!(other.contains("start the rig on bench"), "{other}");
    }

    #[test]
    fn what_a_place_lacks_is_said_before_anything_is_switched() {
        let power = ("NetworkPowerPort", json!({}));
        let lan = ("RemoteNetworkInterface", json!({"host": "localhost", "ifname": "eth1"}));
        let lacks = |place: &Place, options: &LabgridOptions| {
            Needs::of(place, options, |_| true).unwrap_err().to_string()
        };
        assert!(lacks(&place(std::slice::from_ref(&lan)), &options()).contains("no power switch"));
        assert!(lacks(&place(std::slice::from_ref(&power)), &options()).contains("no NetworkInterface"));
        let flashed = LabgridOptions { image: Some("a.img".into()), ..options() };
        assert!(lacks(&place(&[power.clone(), lan]), &flashed).contains("no storage"));
        let named = LabgridOptions { interface: Some("eth2.7".into()), ..options() };
        assert_eq!(Needs::of(&place(&[power]), &named, |_| false).unwrap().interface, "eth2.7");
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        let own = own_name();
        assert!(
            is_this_machine("localhost")
                && is_this_machine(&own)
                && is_this_machine(&format!("{own}.example"))
        );
        assert!(!is_this_machine("some-other-bench"));
    }
}
