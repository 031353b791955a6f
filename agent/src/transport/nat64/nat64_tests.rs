//! The discovery's life: what it does when networks and answers change.
#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::transport::interfaces::{InterfaceAddress, Interfaces};

const DNS64: [&str; 2] = ["64:ff9b::c000:aa", "64:ff9b::c000:ab"];

fn device(addresses: &[&str]) -> Arc<Interfaces> {
    let address = |ip: &&str| InterfaceAddress {
        ip: ip.parse().unwrap(),
        interface: "eth0".into(),
        index: 2,
        temporary: false,
        deprecated: false,
    };
    Arc::new(Interfaces { addresses: addresses.iter().map(address).collect(), gateways: Vec::new() })
}

/// What the DNS answers from now on; `None`: nothing, ever.
#[derive(Clone, Default)]
struct Dns(Arc<Mutex<(Option<Vec<IpAddr>>, usize)>>);

impl Dns {
    fn answers(&self, addresses: Option<&[&str]>) {
        let addresses = addresses.map(|all| all.iter().map(|a| a.parse().unwrap()).collect());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = addresses;
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn start(&self, changes: InterfaceChanges) -> Nat64 {
        let dns = self.clone();
        Nat64::start_with(changes, Gauge::default(), move || {
            let answer = {
                let mut state = dns.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.1 += 1;
                state.0.clone()
            };
            async move {
                match answer {
                    Some(answer) => Ok(answer),
                    None => std::future::pending().await,
                }
            }
        })
    }
}

async fn twins(nat64: &Nat64, address: &str) -> Vec<String> {
    nat64.twins(address.parse().unwrap()).await.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn without_ipv4_each_address_gets_a_twin() {
    let (_sender, changes) = watch::channel(device(&["2001:db8::7"]));
    let dns = Dns::default();
    dns.answers(Some(&DNS64));
    let nat64 = dns.start(changes);
    assert!(nat64.is_needed());
    assert_eq!(twins(&nat64, "203.0.113.9").await, ["64:ff9b::cb00:7109"]);
    assert_eq!(twins(&nat64, "192.168.0.7").await, [""; 0], "a private address behind the well-known prefix");
    let servers = ["[2001:db8::1]:3478".parse().unwrap(), "203.0.113.1:3478".parse().unwrap()];
    assert_eq!(nat64.server(&servers).await, Some("[64:ff9b::203.0.113.1]:3478".parse().unwrap()));
}

#[tokio::test]
async fn with_ipv4_nobody_is_asked() {
    let (_sender, changes) = watch::channel(device(&["192.168.0.7", "2001:db8::7"]));
    let dns = Dns::default();
    dns.answers(Some(&DNS64));
    let nat64 = dns.start(changes);
    assert_eq!(twins(&nat64, "203.0.113.9").await, [""; 0]);
    assert_eq!((dns.asked(), nat64.is_needed()), (0, false));
}

#[test]
fn a_dead_dns_is_asked_ever_more_slowly() {
    let mut rhythm = Rhythm::default();
    let waits: Vec<_> = (0..12).map(|_| rhythm.heard(None).1.as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(rhythm.heard(Some(&[])), (Some(Vec::new()), AGAIN));
    let answer = DNS64.map(|address| address.parse().unwrap());
    assert_eq!(rhythm.heard(Some(&answer)), (Some(vec![prefix("64:ff9b::")]), REFRESH));
    assert_eq!(rhythm.heard(None), (None, FIRST_RETRY));
}

#[tokio::test]
async fn after_a_failed_lookup_nobody_waits() {
    let (_sender, changes) = watch::channel(device(&["2001:db8::7"]));
    let nat64 =
        Nat64::start_with(changes, Gauge::default(), || async { Err(io::ErrorKind::NotFound.into()) });
    assert_eq!(twins(&nat64, "203.0.113.9").await, [""; 0]);
    assert_eq!(*nat64.state.borrow(), State::Known(Arc::default()));
}

#[tokio::test]
async fn another_address_of_the_same_network_changes_nothing() {
    let (sender, changes) = watch::channel(device(&["2001:db8::7"]));
    let dns = Dns::default();
    dns.answers(Some(&DNS64));
    let nat64 = dns.start(changes);
    assert_eq!(twins(&nat64, "203.0.113.9").await, ["64:ff9b::cb00:7109"]);
    dns.answers(Some(&["2001:db8:64::c000:aa"]));
    sender.send_replace(device(&["2001:db8::7", "2001:db8::8"]));
    // All that there is to do is done when the task has seen it: on this one thread it runs now.
    tokio::task::yield_now().await;
    assert_eq!((*nat64.state.borrow()).clone(), State::Known([prefix("64:ff9b::")].into()));
    assert_eq!(dns.asked(), 1);
}

fn prefix(network: &str) -> Prefix {
    Prefix::of(network.parse().unwrap(), 96).unwrap()
}

#[tokio::test]
async fn a_change_of_the_network_forgets_the_prefix() {
    let (sender, changes) = watch::channel(device(&["2001:db8::7"]));
    let dns = Dns::default();
    dns.answers(Some(&DNS64));
    let nat64 = dns.start(changes);
    assert_eq!(twins(&nat64, "203.0.113.9").await, ["64:ff9b::cb00:7109"]);
    dns.answers(Some(&["2001:db8:64::c000:aa"]));
    sender.send_replace(device(&["2001:db8:0:1::7"]));
    tokio::task::yield_now().await;
    assert_eq!(twins(&nat64, "203.0.113.9").await, ["2001:db8:64::cb00:7109"]);
    sender.send_replace(device(&["192.168.0.7", "2001:db8:0:1::7"]));
    nat64.state.clone().wait_for(|state| *state == State::NotNeeded).await.unwrap();
    assert_eq!((twins(&nat64, "203.0.113.9").await.len(), nat64.is_needed()), (0, false));
}
