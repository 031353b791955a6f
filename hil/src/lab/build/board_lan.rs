//! The LAN of a board with a network card: the device's namespace is its gateway.

use std::{fs, io, path::Path};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    BOARD_INTERFACE, DeviceHost, Lab, LabError,
    addresses::{LAN6_PREFIX, Lan},
    failed,
    taken::Taken,
};
use crate::lab::{
    link::{Attachment, set_addresses},
    namespace::Namespace,
};

/// Settings of a gateway (ip-sysctl): it forwards both IP versions, whatever way the answers take.
const SETTINGS: [(&str, &str); 4] = [
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/forwarding", "1"),
];
const FOLDER: &str = "/proc/sys/net";

/// Makes a namespace forward.
pub fn forward(namespace: &Namespace) -> io::Result<()> {
    namespace.run(|| {
        for (setting, value) in SETTINGS {
            match fs::write(Path::new(FOLDER).join(setting), value) {
                // A kernel without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                written => written?,
            }
        }
        Ok(())
    })
}

impl Lab {
    /// Gives an interface in the device's namespace the gateway's addresses, and takes it up: the board's network card
    /// or tap, `board0`. To be called again after [`Self::rewire`] if [`Self::lan`] changed.
    pub fn adopt_board_interface(&self, name: &str) -> Result<(), LabError> {
        let Some(lan) = self.lan() else {
            let what = format!("adopt {name}: it was built for an agent in the namespace (DeviceHost::Lan)");
            return Err(self.unable(what));
        };
        let attachment =
            Attachment { device: name.into(), default_route: false, ..Attachment::new(gateway(&lan)) };
        set_addresses(&self.device, &attachment)
            .map_err(|error| failed(&self.name, format!("{name} cannot get the gateway's addresses"), error))
    }

    /// Moves a network interface of this machine's, a card or a VLAN that leads to the board, into the device's
    /// namespace as `board0`, with the gateway's addresses. It goes back when what this gives is dropped: that is to be
    /// before the lab is.
    pub fn take_interface(&self, interface: &str) -> Result<Taken, LabError> {
        if self.host == DeviceHost::Process {
            let what =
                format!("take {interface}: it was built for an agent in the namespace (DeviceHost::Lan)");
            return Err(self.unable(what));
        }
        let taken = Taken::take(interface, &self.device, BOARD_INTERFACE).map_err(|error| {
            let what = match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("this machine has no network interface {interface} (`ip link` shows those that it has)")
                }
                _ => format!("the network interface {interface} cannot be taken"),
            };
            failed(&self.name, what, error)
        })?;
        self.adopt_board_interface(BOARD_INTERFACE)?;
        Ok(taken)
    }
}

fn gateway(lan: &Lan) -> Vec<IpNet> {
    vec![
        Ipv4Net::new_assert(lan.gateway, lan.prefix).into(),
        Ipv6Net::new_assert(lan.gateway6, LAN6_PREFIX).into(),
    ]
}
