//! A candidate attribute (RFC 8839 section 5.1), taken apart for the page.

/// What of a candidate people look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `host`, `srflx`, `prflx`, `relay`.
    pub kind: String,
    /// Address or mDNS name.
    pub address: String,
    /// Port.
    pub port: u16,
    /// `udp`, or `tcp` with its type (RFC 6544), as `tcp active`.
    pub protocol: String,
    /// `raddr` and `rport`, as `192.168.1.2:5000`.
    pub related: Option<String>,
}

impl Candidate {
    /// Reads `[a=][candidate:]FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE [NAME VALUE]...`; none if it is
    /// something else.
    pub fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        let mut words = line.split_ascii_whitespace();
        let (_foundation, _component) = (words.next()?, words.next()?);
        let mut protocol = words.next()?.to_ascii_lowercase();
        words.next()?.parse::<u32>().ok()?;
        let address = words.next()?.to_owned();
        let port = words.next()?.parse().ok()?;
        (words.next()? == "typ").then_some(())?;
        let kind = words.next()?.to_owned();
        let (mut related, mut related_port) = (None, None);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "raddr" => related = Some(value),
                "rport" => related_port = value.parse::<u16>().ok(),
                "tcptype" => {
                    protocol.push(' ');
                    protocol.push_str(value);
                }
                _ => {}
            }
        }
        let related = related.map(|address| match related_port {
            Some(port) if address.contains(':') => format!("[{address}]:{port}"),
            Some(port) => format!("{address}:{port}"),
            None => address.to_owned(),
        });
        Some(Self { kind, address, port, protocol, related })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reflexive_candidate_has_its_base_beside_it() {
        let line = "candidate:842163049 1 udp 1677729535 198.51.100.1 46154 typ srflx raddr 192.168.1.2 rport 5000 \
                    generation 0";
        let read = Candidate::read(line).expect("it is one");
        assert_eq!((read.kind.as_str(), read.address.as_str(), read.port), ("srflx", "198.51.100.1", 46154));
        assert_eq!((read.protocol.as_str(), read.related.as_deref()), ("udp", Some("192.168.1.2:5000")));
    }

    #[test]
    fn tcp_and_ipv6_and_names_are_read() {
        let tcp = Candidate::read("a=candidate:1 1 TCP 99 2001:db8::1 9 typ host tcptype active");
        assert_eq!(
            tcp.map(|read| (read.protocol, read.address)),
            Some(("tcp active".into(), "2001:db8::1".into()))
        );
        let name =
            Candidate::read("1 1 udp 99 0b1c.local 5000 typ host raddr :: rport 0").expect("it is one");
        assert_eq!((name.address.as_str(), name.related.as_deref()), ("0b1c.local", Some("[::]:0")));
    }

    #[test]
    fn another_line_is_none() {
        for line in
            ["", "candidate:", "1 1 udp x 1.2.3.4 5 typ host", "1 1 udp 9 1.2.3.4 65536 typ host", "v=0"]
        {
            assert_eq!(Candidate::read(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_breaks_it(line in ".*") {
            let _ = Candidate::read(&line);
        }
    }
}
