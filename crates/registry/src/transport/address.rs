//! Which addresses a registry may send us to. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far from the public internet an address is. A registry may point to its own class and to those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum AddressClass {
    /// Reachable by anyone.
    Public,
    /// RFC 1918, RFC 4193, RFC 6598: inside a cluster or company.
    Private,
    /// This machine.
    Loopback,
}

/// The class of an address; `None` for those that no registry may point to: link-local (cloud metadata among them),
/// unspecified, multicast, broadcast.
pub(crate) fn classify(address: IpAddr) -> Option<AddressClass> {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> Option<AddressClass> {
    // Alibaba Cloud's metadata service lies in the shared range of RFC 6598.
    const METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    let [first, second, ..] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    if address.is_link_local()
        || first == 0
        || address.is_multicast()
        || address.is_broadcast()
        || address == METADATA
    {
        None
    } else if address.is_loopback() {
        Some(AddressClass::Loopback)
    } else if address.is_private() || shared {
        Some(AddressClass::Private)
    } else {
        Some(AddressClass::Public)
    }
}

fn classify_v6(address: Ipv6Addr) -> Option<AddressClass> {
    // AWS's metadata service on IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
    if let Some(inner) = embedded_v4(address) {
        return classify_v4(inner);
    }
    if address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address == METADATA
    {
        None
    } else if address.is_loopback() {
        Some(AddressClass::Loopback)
    } else if address.is_unique_local() {
        Some(AddressClass::Private)
    } else {
        Some(AddressClass::Public)
    }
}

/// IPv4 inside IPv6: mapped (RFC 4291) and the NAT64 prefix (RFC 6052).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let mapped = address.to_ipv4_mapped();
    let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).to_bits();
    let bits = address.to_bits();
    mapped.or_else(|| {
        let low = u32::try_from(bits ^ nat64).ok()?;
        Some(Ipv4Addr::from_bits(low))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_class_of_their_range() {
        use AddressClass::{Loopback, Private, Public};
        let cases = [
            ("8.8.8.8", Some(Public)),
            ("2606:4700::1", Some(Public)),
            ("10.1.2.3", Some(Private)),
            ("172.16.0.1", Some(Private)),
            ("172.32.0.1", Some(Public)),
            ("192.168.1.1", Some(Private)),
            ("100.64.0.1", Some(Private)),
            ("fd12::1", Some(Private)),
            ("127.0.0.1", Some(Loopback)),
            ("127.255.0.1", Some(Loopback)),
            ("::1", Some(Loopback)),
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("64:ff9b::7f00:1", Some(Loopback)),
            ("169.254.169.254", None),
            ("::ffff:169.254.169.254", None),
            ("64:ff9b::a9fe:a9fe", None),
            ("fe80::1", None),
            ("0.0.0.0", None),
            ("0.1.2.3", None),
            ("::", None),
            ("224.0.0.1", None),
            ("ff02::1", None),
            ("255.255.255.255", None),
            ("100.100.100.200", None),
            ("fd00:ec2::254", None),
        ];
        for (text, expected) in cases {
            assert_eq!(classify(text.parse().unwrap()), expected, "{text}");
        }
    }
}
