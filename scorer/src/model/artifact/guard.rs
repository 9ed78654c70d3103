//! Which servers a download may reach. A uri, a redirect or a registry's realm could lead to the cloud's metadata service,
//! which hands the machine's credentials to whoever asks: such addresses are refused, by number and after DNS.
//!
//! Behind an HTTP proxy the proxy resolves names, so there only addresses that are written as numbers are seen.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio::net::lookup_host;

/// Metadata and host services at addresses that are not link-local: Azure, Alibaba Cloud, Oracle Cloud.
const SERVICES: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// The same in IPv6, where clouds use unique local addresses: Google Cloud.
const SERVICE_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

/// An address that is never asked for a model.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {address}: link-local addresses and metadata services are refused")]
pub struct Refused {
    host: String,
    address: IpAddr,
}

/// A url that is not asked for a model.
#[derive(Debug, thiserror::Error)]
pub enum Forbidden {
    /// Plain HTTP, or another scheme.
    #[error(
        "{0} is not https; a server without TLS must be named by the operator's --insecure-registry=HOST:PORT"
    )]
    Plain(String),
    /// A forbidden address.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Whether `url` may be asked: https, or http with one of the `plain` hosts (`HOST:PORT`), at no refused address.
pub fn check(url: &Url, plain: &[String]) -> Result<(), Forbidden> {
    let named = url.scheme() == "http" && plain.iter().any(|host| host == url.authority());
    if url.scheme() != "https" && !named {
        return Err(Forbidden::Plain(format!(
            "{}://{}",
            url.scheme(),
            url.authority()
        )));
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
    if let Ok(address) = literal {
        admit(host, address)?;
    }
    Ok(())
}

fn admit(host: &str, address: IpAddr) -> Result<(), Refused> {
    if is_refused(address) {
        return Err(Refused {
            host: host.to_owned(),
            address,
        });
    }
    Ok(())
}

/// Private and loopback addresses are allowed: stores inside the cluster have them.
fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_broadcast()
                || v4.is_multicast()
                || SERVICES.contains(&v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == SERVICE_V6
                || v6.segments()[..2] == [0xfd00, 0xec2] // Amazon's
                || embedded(v6).is_some_and(|v4| is_refused(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, NAT64, 6to4.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = v6.octets();
    let four = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(four(12)),
        [0x2002, ..] => Some(four(2)),
        _ => v6.to_ipv4_mapped(),
    }
}

/// The system's resolver, without refused addresses. One among several is enough to refuse the name.
#[derive(Clone, Copy, Debug)]
pub struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                admit(name.as_str(), address.ip())?;
            }
            if found.is_empty() {
                return Err(io::Error::other("the name has no address").into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str) -> Result<(), Forbidden> {
        check(&Url::parse(url).unwrap(), &["10.0.0.1:5000".to_owned()])
    }

    #[test]
    fn addresses_of_metadata_services_are_refused_in_every_spelling() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "168.63.129.16",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "[fe80::1]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "[::]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
        ] {
            let outcome = checked(&format!("https://{host}/x"));
            assert!(
                matches!(outcome, Err(Forbidden::Refused(_))),
                "{host}: {outcome:?}"
            );
        }
    }

    #[test]
    fn stores_inside_a_cluster_are_allowed() {
        for host in [
            "10.0.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "[::1]",
            "[fd00::1]",
            "models.example",
        ] {
            assert!(checked(&format!("https://{host}/x")).is_ok(), "{host}");
        }
    }

    #[test]
    fn plain_http_is_for_named_hosts_only() {
        assert!(checked("http://10.0.0.1:5000/v2/").is_ok());
        for url in [
            "http://10.0.0.1/v2/",
            "http://10.0.0.2:5000/",
            "ftp://10.0.0.1:5000/",
        ] {
            assert!(matches!(checked(url), Err(Forbidden::Plain(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn names_are_resolved_and_judged_by_their_addresses() {
        let resolve = |name: &str| Resolver.resolve(name.parse().unwrap());
        assert!(resolve("localhost").await.is_ok());
        // The system's resolver takes numbers for names too, so that no name server is needed here.
        let error = resolve("169.254.169.254").await.err().unwrap();
        assert!(error.downcast_ref::<Refused>().is_some(), "{error}");
    }
}
