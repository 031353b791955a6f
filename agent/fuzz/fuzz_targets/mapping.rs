//! Any datagram from a router that is asked for a port, or that announces its restart: PCP and NAT-PMP.
#![no_main]

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::transport::{
    Protocol,
    mapping::{Wanted, nat_pmp, pcp},
};

fuzz_target!(|data: &[u8]| {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let wanted = Wanted {
            protocol,
            internal_port: 5000,
            external: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5000),
            lifetime: Duration::from_secs(3600),
        };
        if let Some(pcp::Answer { result: Ok(granted), .. }) = pcp::answer(data, &wanted, b"twelve bytes") {
            assert!(granted.external.port() != 0 || granted.lifetime.is_zero());
        }
        let outside = Ipv4Addr::new(198, 51, 100, 3);
        if let Some(nat_pmp::Answer { result: Ok(granted), .. }) = nat_pmp::map_answer(data, &wanted, outside)
        {
            assert!(granted.external.port() != 0 || granted.lifetime.is_zero());
        }
    }
    let _ = nat_pmp::address_answer(data);
    let _ = pcp::is_announcement(data) || nat_pmp::is_announcement(data);
});
