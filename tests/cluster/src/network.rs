//! Addresses: every cluster has a slot, and every slot has ranges of its own inside 198.18.0.0/15.
//!
//! That range is reserved for benchmarks (RFC 2544): no network that the machine is part of uses it.

use std::net::Ipv4Addr;

/// The range that all clusters share.
pub(crate) const ALL: &str = "198.18.0.0/15";

/// How many clusters fit side by side.
pub(crate) const SLOTS: u8 = 64;

/// The addresses of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    slot: u8,
}

impl Network {
    /// The network of a slot below [`SLOTS`].
    pub(crate) fn new(slot: u8) -> Option<Self> {
        (slot < SLOTS).then_some(Self { slot })
    }

    /// The networks to try for a cluster, its favourite first, so that a name keeps its addresses when it can.
    pub(crate) fn candidates(name: &str) -> impl Iterator<Item = Self> {
        let favourite = name
            .bytes()
            .fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
        (0..u32::from(SLOTS)).map(move |step| Self {
            slot: ((favourite.wrapping_add(step)) % 64) as u8,
        })
    }

    /// The slot's number.
    pub(crate) fn slot(self) -> u8 {
        self.slot
    }

    /// Name of the host's end of the link, and of the cgroup of the pods.
    pub(crate) fn link(self) -> String {
        format!("fraudops{}", self.slot)
    }

    /// The host's address on the link.
    pub(crate) fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 254, self.slot * 4 + 1)
    }

    /// The node's address: API server, host ports, registry.
    pub(crate) fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 254, self.slot * 4 + 2)
    }

    /// The range of the pods.
    pub(crate) fn pods(self) -> String {
        format!("198.18.{}.0/24", self.slot)
    }

    /// The range of the Services.
    pub(crate) fn services(self) -> String {
        format!("198.19.{}.0/24", self.slot)
    }

    /// The Service `kubernetes`: the first of its range.
    pub(crate) fn api_service(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 19, self.slot, 1)
    }

    /// The Service of CoreDNS: the tenth of its range.
    pub(crate) fn dns_service(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 19, self.slot, 10)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_slots_share_an_address_range() {
        let all: Vec<_> = (0..SLOTS).filter_map(Network::new).collect();
        let ranges: HashSet<_> = all.iter().flat_map(|n| [n.pods(), n.services()]).collect();
        let nodes: HashSet<_> = all.iter().flat_map(|n| [n.node(), n.host()]).collect();
        assert_eq!(ranges.len(), 128);
        assert_eq!(nodes.len(), 128);
        assert!(
            !ranges.contains("198.18.254.0/24"),
            "the links have a range of their own"
        );
    }

    #[test]
    fn every_address_lies_in_the_benchmark_range() {
        for network in (0..SLOTS).filter_map(Network::new) {
            for address in [
                network.host(),
                network.node(),
                network.api_service(),
                network.dns_service(),
            ] {
                let [a, b, ..] = address.octets();
                assert!(a == 198 && (b == 18 || b == 19), "{address}");
            }
        }
        assert_eq!(Network::new(SLOTS), None);
    }

    #[test]
    fn the_link_name_fits_the_kernels_fifteen_characters() {
        assert!(Network::new(SLOTS - 1).unwrap().link().len() <= 15);
    }

    #[test]
    fn a_name_prefers_one_slot_and_can_have_any() {
        let slots: Vec<_> = Network::candidates("demo").map(Network::slot).collect();
        assert_eq!(
            slots,
            Network::candidates("demo").map(Network::slot).collect::<Vec<_>>()
        );
        assert_eq!(slots.iter().collect::<HashSet<_>>().len(), 64);
        assert_ne!(slots[0], Network::candidates("test").next().unwrap().slot());
    }
}
