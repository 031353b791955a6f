//! The addresses that a person opens or scans, with the viewer token in the fragment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use anyhow::Context;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

use super::{
    device_id::DeviceId,
    secrets::{Secrets, Token},
    server::Addresses,
    tls::Names,
};
use crate::config::HubConfig;

/// An address of the viewer page. Not shown by `Debug`: it holds the viewer token.
#[derive(Clone, PartialEq, Eq)]
pub struct ViewerLink {
    /// The whole address; what is behind `#` stays in the browser.
    pub url: String,
    /// Who can use it.
    pub kind: LinkKind,
}

impl std::fmt::Debug for ViewerLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let public = self.url.split('#').next().unwrap_or_default();
        f.debug_struct("ViewerLink").field("url", &public).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Who can use a link, in order of use for a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// HTTPS from the network: picture, sound and talk.
    Network,
    /// Plain HTTP from the network: no microphone, and the token can be read on the way.
    NetworkPlain,
    /// HTTP on this machine only, which browsers trust.
    ThisMachinePlain,
    /// HTTPS on this machine.
    ThisMachine,
}

pub(super) fn viewer_links(
    bound: &Addresses,
    own: &[IpAddr],
    device: Option<&DeviceId>,
    token: &Token,
) -> Vec<ViewerLink> {
    let mut links = Vec::new();
    let mut add = |scheme: &str, host: String, port: u16, kind| {
        let device = device.map(|d| format!("device={d}&")).unwrap_or_default();
        let url = format!("{scheme}://{host}:{port}/#{device}token={}", token.reveal());
        links.push(ViewerLink { url, kind });
    };
    let servers = [
        ("https", bound.https, LinkKind::Network, LinkKind::ThisMachine),
        ("http", bound.http, LinkKind::NetworkPlain, LinkKind::ThisMachinePlain),
    ];
    for (scheme, address, network, here) in servers {
        let Some(address) = address else { continue };
        for ip in reachable(address, own) {
            add(scheme, host(ip), address.port(), network);
        }
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            add(scheme, "localhost".into(), address.port(), here);
        }
    }
    links.sort_by_key(|link| link.kind);
    links
}

/// The links of a hub that runs, or will run, with this configuration: for a person who lost the address.
///
/// # Errors
/// `http` or `https` that is not an address.
pub fn configured_links(
    config: &HubConfig,
    device: Option<&DeviceId>,
    secrets: &Secrets,
) -> anyhow::Result<Vec<ViewerLink>> {
    let address = |key: &str, text: &str| match text {
        "" => Ok(None),
        _ => text
            .to_socket_addrs()
            .with_context(|| format!("{key} = {text:?}: not ADDRESS:PORT"))
            .map(|mut found| found.next()),
    };
    let addresses =
        Addresses { http: address("hub.http", &config.http)?, https: address("hub.https", &config.https)? };
    Ok(viewer_links(&addresses, &own_addresses(), device, &secrets.viewer))
}

/// The addresses of this machine under which others reach a listener.
fn reachable(listener: SocketAddr, own: &[IpAddr]) -> Vec<IpAddr> {
    match listener.ip() {
        ip if ip.is_loopback() => Vec::new(),
        IpAddr::V4(ip) if ip.is_unspecified() => own.iter().copied().filter(IpAddr::is_ipv4).collect(),
        // Linux takes IPv4 on [::] too.
        IpAddr::V6(ip) if ip.is_unspecified() => own.to_vec(),
        ip => vec![ip],
    }
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Addresses of this machine for others, the one of the default route first.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let mut own: Vec<_> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|i| !i.is_loopback() && !i.is_link_local())
        .map(|i| i.ip())
        .collect();
    let preferred = default_route();
    own.sort_by_key(|ip| (Some(*ip) != preferred, ip.is_ipv6()));
    own.dedup();
    own
}

/// The source address towards the internet. Connecting a UDP socket sends nothing; the target is of RFC 5737.
fn default_route() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|a| a.ip()).filter(|ip| !ip.is_unspecified())
}

/// What a certificate of this machine should be good for.
pub(super) fn own_names() -> Names {
    let mut hosts = Vec::new();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    if plain && !host.is_empty() && host != "localhost" {
        if !host.contains('.') {
            hosts.push(format!("{host}.local"));
        }
        hosts.insert(0, host);
    }
    hosts.push("localhost".into());
    let mut addresses: Vec<_> =
        if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|i| i.ip()).collect();
    for loopback in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])] {
        if !addresses.contains(&loopback) {
            addresses.push(loopback);
        }
    }
    Names { hosts, addresses }
}

/// A QR code in half-block characters for a terminal of light text on a dark ground, as scanners need it with
/// a quiet zone around. Empty if `text` is too long for one (about 2900 bytes).
pub fn qr(text: &str) -> String {
    // The lowest correction level: a screen has no dirt, and a smaller code fits an 80x24 console.
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return String::new() };
    code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true).build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn links(http: &str, https: &str) -> Vec<String> {
        let bound = Addresses { http: http.parse().ok(), https: https.parse().ok() };
        let own = [[192, 168, 0, 7].into(), "2001:db8::7".parse().unwrap()];
        let token = Token::new("abcdefghijklmnopqrstuvwxyz").unwrap();
        let device = DeviceId::new("cam").unwrap();
        viewer_links(&bound, &own, Some(&device), &token).into_iter().map(|l| l.url).collect()
    }

    #[test]
    fn a_phone_gets_the_secure_address_first_and_this_machine_its_plain_one() {
        let end = "/#device=cam&token=abcdefghijklmnopqrstuvwxyz";
        assert_eq!(
            links("127.0.0.1:8080", "0.0.0.0:8443"),
            [
                format!("https://192.168.0.7:8443{end}"),
                format!("http://localhost:8080{end}"),
                format!("https://localhost:8443{end}"),
            ]
        );
    }

    #[test]
    fn a_dual_stack_listener_is_reached_by_both_families() {
        let urls = links("", "[::]:443");
        assert!(
            urls[0].starts_with("https://192.168.0.7:443/#")
                && urls[1].starts_with("https://[2001:db8::7]:443/#")
        );
    }

    #[test]
    fn a_link_does_not_show_its_token_in_logs() {
        let link = ViewerLink { url: "https://a/#token=secret".into(), kind: LinkKind::Network };
        assert!(!format!("{link:?}").contains("secret"));
    }

    #[test]
    fn a_qr_code_is_square_in_half_blocks() {
        let text = qr("https://192.168.0.7:8443/#device=cam&token=abcdefghijklmnopqrstuvwxyz012345");
        let width = text.lines().next().unwrap().chars().count();
        assert_eq!(text.lines().count(), width.div_ceil(2));
        assert!(text.chars().all(|c| " \u{2580}\u{2584}\u{2588}\n".contains(c)));
        assert_eq!(qr(&"x".repeat(5000)), "");
    }
}
