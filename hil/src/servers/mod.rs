//! The servers of a lab: coturn and the hub on the internet, dnsmasq on the device's side.
