//! `p2pcam-hil probe`: what a router does, one of a scenario's or a real one on cables.

use std::{net::IpAddr, path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

use anyhow::Context;
use p2pcam_hil::lab::{
    DeviceHost, Lab,
    probe::{Place, probe_between},
};

use super::{files, stop::end_when_asked};

/// `probe`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A PLACE is one of
  here:ADDRESS,...                      this machine as it is
  netns:NAME:ADDRESS,...                a network namespace
  nic:NAME:ADDRESS/PREFIX,...[@GATEWAY] a network card or VLAN, lent to the probe while it measures

A real router on two cables, its LAN on eth1 and its WAN on eth2, which gives the WAN 192.0.2.10 by DHCP or by hand:
  p2pcam-hil probe --inside nic:eth1:192.168.1.50/24@192.168.1.1 --outside nic:eth2:192.0.2.1/24,192.0.2.2/24")]
pub struct Args {
    /// A scenario, whose routers are built and measured.
    #[arg(conflicts_with_all = ["inside", "outside"], required_unless_present = "inside")]
    scenario: Option<PathBuf>,
    /// The router's inside: one address.
    #[arg(long, value_name = "PLACE", requires = "outside")]
    inside: Option<PlaceText>,
    /// Its outside: two addresses, so that it can be told what depends on them.
    #[arg(long, value_name = "PLACE", requires = "inside")]
    outside: Option<PlaceText>,
    /// Measures how long it remembers an idle mapping, up to so many seconds; takes that long and longer.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    lifetime: Option<u64>,
}

/// A place as the command line has it.
#[derive(Clone, Debug)]
struct PlaceText(Place);

impl FromStr for PlaceText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            || format!("\"{text}\" is no place: write here:, netns:NAME: or nic:NAME: and addresses");
        let (kind, rest) = text.split_once(':').ok_or_else(wanted)?;
        let place = match kind {
            "here" => Place::Here(list(rest)?),
            "netns" => {
                let (name, addresses) = rest.split_once(':').ok_or_else(wanted)?;
                Place::Namespace(name.into(), list(addresses)?)
            }
            "nic" => {
                let (interface, rest) = rest.split_once(':').ok_or_else(wanted)?;
                let (addresses, gateway) = match rest.split_once('@') {
                    Some((addresses, gateway)) => (addresses, Some(one::<IpAddr>(gateway)?)),
                    None => (rest, None),
                };
                Place::Interface { interface: interface.into(), addresses: list(addresses)?, gateway }
            }
            _ => return Err(wanted()),
        };
        Ok(Self(place))
    }
}

fn one<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("\"{text}\" is no address (with /PREFIX for a network card)"))
}

fn list<T: FromStr>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(one).collect()
}

/// Measures and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    end_when_asked()?;
    if let (Some(inside), Some(outside)) = (&args.inside, &args.outside) {
        let (measured, lifetime) =
            probe_between(&inside.0, &outside.0, args.lifetime.map(Duration::from_secs))?;
        println!("{measured}");
        if let Some(lifetime) = lifetime {
            println!("{lifetime}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let file = args.scenario.as_ref().context("name a scenario, or --inside and --outside")?;
    let plan = files::read(file)?;
    let lab = Lab::build(&format!("{}-probe", std::process::id()), &plan, DeviceHost::Process)?;
    let mut all = true;
    for check in lab.self_probe() {
        let word = if check.ok { "as planned" } else { "NOT AS PLANNED" };
        println!("{}: {}\n    wanted: {}\n    {word}", check.what, check.found, check.wanted);
        all &= check.ok;
    }
    if let Some(up_to) = args.lifetime.map(Duration::from_secs) {
        for (what, lifetime) in lab.lifetimes(up_to) {
            match lifetime {
                Ok(lifetime) => println!("{what}: {lifetime}"),
                Err(error) => println!("{what}: {error}"),
            }
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_the_help_writes_them() {
        let place = |text: &str| text.parse::<PlaceText>().map(|PlaceText(place)| place);
        assert_eq!(place("here:192.0.2.1,192.0.2.2"), Ok(Place::Here(list("192.0.2.1,192.0.2.2").unwrap())));
        assert_eq!(
            place("nic:eth1:192.168.1.50/24@192.168.1.1"),
            Ok(Place::Interface {
                interface: "eth1".into(),
                addresses: list("192.168.1.50/24").unwrap(),
                gateway: Some("192.168.1.1".parse().unwrap()),
            })
        );
        assert_eq!(place("netns:lan:fd00::2"), Ok(Place::Namespace("lan".into(), list("fd00::2").unwrap())));
        for bad in ["eth1", "nic:eth1", "nic:eth1:192.168.1.50", "here:", "tun:x:1.2.3.4"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
