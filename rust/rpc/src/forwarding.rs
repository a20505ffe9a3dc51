//! Who stands behind a trusted proxy, as `X-Forwarded-For` tells it.
//!
//! Every proxy appends the address it was asked from, so only what trusted ones appended can be believed: read from the
//! right, the first address that is no trusted proxy is the user. What stands before it is the user's own invention.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderMap;

use crate::config::{Limits, Network};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// All who come with a header that no proxy would write: one client.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The user on whose behalf `peer` asks; `None` when `peer` is the user itself.
pub(crate) fn user_behind(peer: IpAddr, headers: &HeaderMap, limits: &Limits) -> Option<IpAddr> {
    if !limits.forwarded_for || !is_trusted(peer, &limits.trusted_proxies) {
        return None;
    }
    let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let mut found = None;
    for value in values.iter().rev() {
        let Ok(text) = value.to_str() else {
            return Some(NOBODY);
        };
        for entry in text.rsplit(',') {
            let Some(address) = parse(entry) else {
                return Some(NOBODY);
            };
            if !is_trusted(address, &limits.trusted_proxies) {
                return Some(address);
            }
            found = Some(address);
        }
    }
    found
}

fn is_trusted(address: IpAddr, proxies: &[Network]) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let found = bare.unwrap_or(entry).parse::<IpAddr>().ok();
    found
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|with| with.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(peer: &str, values: &[&str], forwarded_for: bool) -> Option<String> {
        let limits = Limits {
            forwarded_for,
            trusted_proxies: vec![
                "127.0.0.0/8".parse().unwrap(),
                "10.0.0.0/8".parse().unwrap(),
            ],
            ..Limits::default()
        };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        user_behind(peer.parse().unwrap(), &headers, &limits).map(|found| found.to_string())
    }

    #[test]
    fn the_user_is_the_last_address_that_no_trusted_proxy_has() {
        for (peer, values, expected) in [
            ("127.0.0.1", vec!["203.0.113.7"], Some("203.0.113.7")),
            (
                "127.0.0.1",
                vec!["1.1.1.1, 203.0.113.7"],
                Some("203.0.113.7"),
            ),
            (
                "127.0.0.1",
                vec!["127.0.0.1, 203.0.113.7, 10.1.2.3"],
                Some("203.0.113.7"),
            ),
            (
                "127.0.0.1",
                vec!["1.1.1.1", "203.0.113.7"],
                Some("203.0.113.7"),
            ),
            ("127.0.0.1", vec!["203.0.113.7:4711"], Some("203.0.113.7")),
            ("127.0.0.1", vec!["[2001:db8::1]:4711"], Some("2001:db8::1")),
            ("127.0.0.1", vec!["[2001:db8::1]"], Some("2001:db8::1")),
            ("127.0.0.1", vec!["::ffff:203.0.113.7"], Some("203.0.113.7")),
            ("127.0.0.1", vec!["10.0.0.9"], Some("10.0.0.9")),
            ("127.0.0.1", vec!["203.0.113.7, <script>"], Some("0.0.0.0")),
            ("127.0.0.1", vec![""], Some("0.0.0.0")),
            ("127.0.0.1", vec![], None),
            ("192.0.2.1", vec!["203.0.113.7"], None),
        ] {
            assert_eq!(
                behind(peer, &values, true).as_deref(),
                expected,
                "{peer} {values:?}"
            );
            assert_eq!(behind(peer, &values, false), None);
        }
    }
}
