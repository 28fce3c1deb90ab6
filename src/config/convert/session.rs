//! `sessionPersistence`: the newer field of two that say the same counts.

use super::Notes;
use crate::{
    api::{CookieLifetime, SessionPersistence, SessionPersistenceType},
    config::rules::{self, At},
    model::{Session, SessionCarrier},
};

/// `place` tells rules apart: two of them share a host, and must not share a cookie.
pub(super) fn session(written: &SessionPersistence, place: &str, at: &At<'_>, notes: &mut Notes) -> Session {
    let old_name = written.session_name.as_deref().filter(|name| !name.is_empty());
    let carrier = match written.kind.unwrap_or_default() {
        SessionPersistenceType::Cookie => {
            let cookie = written.cookie.as_ref();
            let lifetime = cookie
                .and_then(|cookie| cookie.lifetime_type)
                .or(written.cookie_config.as_ref().and_then(|config| config.lifetime_type))
                .unwrap_or_default();
            let name = cookie.and_then(|cookie| cookie.name.as_deref()).or(old_name);
            let name = name.map_or_else(|| format!("portolan-{:08x}", checksum(place)), str::to_owned);
            let path = cookie.and_then(|cookie| cookie.path.as_deref()).unwrap_or("/");
            notes.found.take(at, rules::cookie_name(&name));
            notes.found.take(at, rules::cookie_path(path));
            SessionCarrier::Cookie {
                name: name.into(),
                path: path.into(),
                is_permanent: lifetime == CookieLifetime::Permanent,
            }
        }
        SessionPersistenceType::Header => {
            let name = written.header.as_ref().and_then(|header| header.name.as_deref()).or(old_name);
            let name = rules::header_name(name.unwrap_or("portolan-session"));
            let name = notes.found.take(at, name);
            SessionCarrier::Header(name.unwrap_or(http::HeaderName::from_static("portolan-session")))
        }
    };
    let lifetime = written.absolute_timeout.as_ref();
    let lifetime =
        lifetime.and_then(|text| notes.found.take(&at.key("absoluteTimeout"), rules::duration(text)));
    Session { carrier, lifetime: lifetime.filter(|lifetime| !lifetime.is_zero()) }
}

/// FNV-1a: the same name on every machine.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
