//! CloudFront policies: the text that is signed, byte for byte.

use super::{Resource, SignError};
use std::{fmt, net::Ipv4Addr, str::FromStr};

/// An IPv4 range that may use a signature. CloudFront knows no IPv6 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Cidr {
    address: Ipv4Addr,
    bits: u8,
}

impl FromStr for Ipv4Cidr {
    type Err = SignError;

    /// Reads `192.0.2.0/24`, or one address (`/32`).
    fn from_str(text: &str) -> Result<Self, SignError> {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr =
            address.parse().map_err(|_| SignError::Ip(format!("{text:?} is not an IPv4 address or range")))?;
        let bits = bits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| bits.parse::<u8>().ok())
            .flatten()
            .filter(|bits| *bits <= 32)
            .ok_or_else(|| SignError::Ip(format!("{text:?} must end in /0 to /32")))?;
        let host_mask = u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
        if u32::from(address) & host_mask != 0 {
            return Err(SignError::Ip(format!("{text:?} has bits set behind its /{bits}")));
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Ipv4Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// What a signature permits: a resource until an end, perhaps from a start, perhaps from one IPv4 range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    resource: Resource,
    ends_at: u64,
    starts_at: Option<u64>,
    clients: Option<Ipv4Cidr>,
    canned: bool,
}

impl Policy {
    /// A canned policy: one object until `ends_at` (epoch seconds, excluded). The edge rebuilds its text from the
    /// request, so it need not travel.
    ///
    /// # Errors
    /// When the resource is a prefix, or `ends_at` is 0.
    pub fn canned(resource: Resource, ends_at: u64) -> Result<Self, SignError> {
        if resource.is_prefix() {
            return Err(SignError::NotCanned("prefix"));
        }
        Ok(Self { canned: true, ..Self::custom(resource, ends_at)? })
    }

    /// A custom policy for an object or a prefix until `ends_at` (epoch seconds, excluded).
    ///
    /// # Errors
    /// When `ends_at` is 0.
    pub fn custom(resource: Resource, ends_at: u64) -> Result<Self, SignError> {
        if ends_at == 0 {
            return Err(SignError::Window { start: 0, end: 0 });
        }
        Ok(Self { resource, ends_at, starts_at: None, clients: None, canned: false })
    }

    /// Valid only from `starts_at` (epoch seconds) on.
    ///
    /// # Errors
    /// When the policy is canned, or would end before it starts.
    pub fn starting_at(self, starts_at: u64) -> Result<Self, SignError> {
        if self.canned {
            return Err(SignError::NotCanned("start"));
        }
        if starts_at >= self.ends_at {
            return Err(SignError::Window { start: starts_at, end: self.ends_at });
        }
        Ok(Self { starts_at: Some(starts_at), ..self })
    }

    /// Valid only for clients of this range.
    ///
    /// # Errors
    /// When the policy is canned.
    pub fn for_clients(self, clients: Ipv4Cidr) -> Result<Self, SignError> {
        if self.canned {
            return Err(SignError::NotCanned("client range"));
        }
        Ok(Self { clients: Some(clients), ..self })
    }

    /// What it opens.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// End in epoch seconds, excluded.
    pub fn ends_at(&self) -> u64 {
        self.ends_at
    }

    /// Whether the edge can rebuild it from URL and `Expires`.
    pub fn is_canned(&self) -> bool {
        self.canned
    }

    /// The JSON that is signed: no whitespace, members in the order of AWS's guide. For a canned policy the edge
    /// rebuilds exactly this text. Plain formatting is safe: [`Resource`] admits nothing that JSON escapes.
    pub fn text(&self) -> String {
        let mut condition = format!(r#""DateLessThan":{{"AWS:EpochTime":{}}}"#, self.ends_at);
        if let Some(clients) = &self.clients {
            condition.push_str(&format!(r#","IpAddress":{{"AWS:SourceIp":"{clients}"}}"#));
        }
        if let Some(starts_at) = self.starts_at {
            condition.push_str(&format!(r#","DateGreaterThan":{{"AWS:EpochTime":{starts_at}}}"#));
        }
        let resource = self.resource.pattern();
        format!(r#"{{"Statement":[{{"Resource":"{resource}","Condition":{{{condition}}}}}]}}"#)
    }
}
