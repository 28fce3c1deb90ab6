//! What is refused in requests, or left out of them, until it is allowed.

use http::{HeaderMap, header};

use super::HttpMatch;

/// Something in a request that is usual for some programs and a way around the rules of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// `%2F` in a path. A backend that decodes it before it looks at the path sees elements that no route has seen.
    EncodedSlash,
    /// `_` in the name of a client's field. A backend that takes it for `-`, as CGI does, reads another field.
    Underscore,
}

/// A set of [`Oddity`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed(u8);

// === impl Allowed ===

impl Allowed {
    pub const NOTHING: Self = Self(0);

    pub fn has(self, oddity: Oddity) -> bool {
        self.0 & Self::bit(oddity) != 0
    }

    /// Whether fields of these with an underscore in their names are left out. The metadata of gRPC goes through no CGI.
    pub fn leaves_out_underscores(self, headers: &HeaderMap) -> bool {
        let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
        !self.has(Oddity::Underscore) && !media.is_some_and(HttpMatch::is_grpc_type)
    }

    const fn bit(oddity: Oddity) -> u8 {
        1 << oddity as u8
    }
}

impl FromIterator<Oddity> for Allowed {
    fn from_iter<I: IntoIterator<Item = Oddity>>(oddities: I) -> Self {
        Self(oddities.into_iter().fold(0, |all, oddity| all | Self::bit(oddity)))
    }
}
