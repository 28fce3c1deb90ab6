//! A network of addresses, such as those of trusted proxies.

use std::{fmt, net::IpAddr, str::FromStr};

/// Addresses that share their first bits: `10.0.0.0/8`, `fd00::/8`, or one address alone. Bits behind the prefix are
/// always zero, so equal networks are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    #[error("`{0}` is not an IP address")]
    Address(String),
    #[error("`/{prefix}` is not a prefix length of {address}: 0 to {most}")]
    Prefix { address: IpAddr, prefix: String, most: u8 },
}

// === impl Cidr ===

impl Cidr {
    /// Whether `address` is in this network. An IPv4 address that came through an IPv6 socket counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix) == Some(self.address)
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr::Address(address.to_owned()))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bad = |prefix: &str| InvalidCidr::Prefix { address, prefix: prefix.to_owned(), most };
        let prefix = match prefix {
            // `parse` would take a sign.
            Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(bad(digits)),
            Some(digits) => {
                digits.parse().ok().filter(|prefix| *prefix <= most).ok_or_else(|| bad(digits))?
            }
            None => most,
        };
        let address = masked(address, prefix).ok_or_else(|| bad(&prefix.to_string()))?;
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The first `prefix` bits of `address`; `None` if it has fewer.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let rest = 32u32.checked_sub(prefix.into())?;
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            Some(IpAddr::V4((v4.to_bits() & mask).into()))
        }
        IpAddr::V6(v6) => {
            let rest = 128u32.checked_sub(prefix.into())?;
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            Some(IpAddr::V6((v6.to_bits() & mask).into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_a_network_that_shares_its_first_bits() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::/0", "2001:db8::1", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ] {
            assert_eq!(cidr(network).contains(address.parse().unwrap()), expected, "{network} {address}");
        }
    }

    #[test]
    fn equal_networks_are_equal_values() {
        assert_eq!(cidr("10.1.2.3/8"), cidr("10.0.0.0/8"));
        assert_eq!(cidr("10.1.2.3/8").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_not_a_network_is_refused_with_its_reason() {
        for (text, message) in [
            ("", "`` is not an IP address"),
            ("10.0.0/8", "`10.0.0` is not an IP address"),
            ("10.0.0.0/33", "`/33` is not a prefix length of 10.0.0.0: 0 to 32"),
            ("10.0.0.0/", "`/` is not a prefix length of 10.0.0.0: 0 to 32"),
            ("10.0.0.0/+8", "`/+8` is not a prefix length of 10.0.0.0: 0 to 32"),
            ("::/129", "`/129` is not a prefix length of ::: 0 to 128"),
            ("example.com", "`example.com` is not an IP address"),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap_err().to_string(), message);
        }
    }
}
