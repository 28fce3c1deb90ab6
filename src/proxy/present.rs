//! Which fields a head has of those that decide how it is treated, found in one pass.
//!
//! Why not by their names: to look for each costs a small request some hundredths of its time, and most heads have nearly
//! none of them.

use http::{HeaderMap, header};

/// The fields of a head, as far as they are among [`Field`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Present(u16);

/// A field that decides something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Authorization,
    Connection,
    ContentLength,
    Date,
    Expect,
    Host,
    KeepAlive,
    ProxyConnection,
    Te,
    TransferEncoding,
    Upgrade,
}

// === impl Present ===

impl Present {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut present = 0;
        for name in headers.keys() {
            let field = match *name {
                header::AUTHORIZATION => Field::Authorization,
                header::CONNECTION => Field::Connection,
                header::CONTENT_LENGTH => Field::ContentLength,
                header::DATE => Field::Date,
                header::EXPECT => Field::Expect,
                header::HOST => Field::Host,
                header::TE => Field::Te,
                header::TRANSFER_ENCODING => Field::TransferEncoding,
                header::UPGRADE => Field::Upgrade,
                _ => match name.as_str() {
                    "keep-alive" => Field::KeepAlive,
                    "proxy-connection" => Field::ProxyConnection,
                    _ => continue,
                },
            };
            present |= field.bit();
        }
        Self(present)
    }

    pub(super) fn has(self, field: Field) -> bool {
        self.0 & field.bit() != 0
    }

    pub(super) fn has_any(self, fields: &[Field]) -> bool {
        fields.iter().any(|field| self.has(*field))
    }
}

// === impl Field ===

impl Field {
    fn bit(self) -> u16 {
        1 << self as u16
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const ALL: [(Field, &str); 11] = [
        (Field::Authorization, "authorization"),
        (Field::Connection, "connection"),
        (Field::ContentLength, "content-length"),
        (Field::Date, "date"),
        (Field::Expect, "expect"),
        (Field::Host, "host"),
        (Field::KeepAlive, "keep-alive"),
        (Field::ProxyConnection, "proxy-connection"),
        (Field::Te, "te"),
        (Field::TransferEncoding, "transfer-encoding"),
        (Field::Upgrade, "upgrade"),
    ];

    #[test]
    fn each_field_is_found_and_no_other() {
        let other = (HeaderName::from_static("x-connection"), HeaderValue::from_static("te"));
        assert_eq!(Present::of(&HeaderMap::from_iter([other.clone()])), Present::default());
        for (field, name) in ALL {
            let given = (HeaderName::from_static(name), HeaderValue::from_static(""));
            let present = Present::of(&[other.clone(), given].into_iter().collect());
            for (asked, name) in ALL {
                assert_eq!(present.has(asked), asked == field, "{name} where there is {field:?}");
            }
            assert!(present.has_any(&[Field::Host, field]));
        }
        assert!(!Present::default().has_any(&ALL.map(|(field, _)| field)));
    }
}
