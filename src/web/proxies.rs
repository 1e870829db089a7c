//! Whose request it is, if it comes through reverse proxies: limits for each address would otherwise be limits for all
//! readers together.
//!
//! Each proxy adds the address that its request came from to the end of `X-Forwarded-For`. So the header is read from the
//! end, and believed as long as what wrote an entry is trusted. The first address that is not is the client.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies that are trusted to say whose requests they pass on.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

/// An address, or a network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let address = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
        text.parse().or_else(|_| address()).map(Self).map_err(|_| NotANetwork)
    }
}

/// A text is neither an address nor a network.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not an address or a network, such as 10.0.0.0/8")]
pub struct NotANetwork;

impl FromIterator<Network> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
    }

    /// The client of a request that came from `peer`. What cannot be read ends the way to it: the client is then the last
    /// proxy that is known.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = peer;
        while self.has(client)
            && let Some(before) = entries.next().and_then(address)
        {
            client = before;
        }
        client
    }
}

/// The address of an entry, which some proxies write with the port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, headers: &[&str]) -> String {
        let trusted: TrustedProxies = trusted.iter().map(|text| text.parse::<Network>().unwrap()).collect();
        let value = |text: &&str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        let entries = headers.iter().map(|text| (http::HeaderName::from_static(FORWARDED_FOR), value(text)));
        trusted.client(peer.parse().unwrap(), &HeaderMap::from_iter(entries)).to_string()
    }

    #[test]
    fn a_client_is_the_last_address_that_no_trusted_proxy_has() {
        let trusted = ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"];
        for (peer, headers, expected) in [
            ("192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("2001:db8::1", vec!["2001:DB9::7"], "2001:db9::7"),
            ("127.0.0.1", vec!["198.51.100.7:1234"], "198.51.100.7"),
            ("127.0.0.1", vec!["[2001:db9::7]:1234"], "2001:db9::7"),
            ("127.0.0.1", vec!["[2001:db9::7]"], "2001:db9::7"),
            // What the client itself wrote comes first, in one header or in several.
            ("10.0.0.1", vec!["203.0.113.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", vec!["203.0.113.9", "198.51.100.7 ,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec!["\u{ff}, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["198.51.100.7, \u{ff}, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["198.51.100.7, "], "10.0.0.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            assert_eq!(client(&trusted, peer, &headers), expected, "{peer} {headers:?}");
        }
        assert_eq!(client(&[], "127.0.0.1", &["198.51.100.7"]), "127.0.0.1");
    }

    #[test]
    fn what_is_not_a_network_is_rejected() {
        for text in ["", "example.org", "10.0.0.0/33", "10.0.0", "10.0.0.1:80", "::/129"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
