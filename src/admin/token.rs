//! Who may act: whoever shows the token of `--admin-token-file`.
//!
//! The file is read at each use, so that a token can be changed without a restart, and a file that is gone or empty lets
//! nobody in. What is compared are digests, in constant time: neither the place of the first wrong letter nor the length
//! of the token shows. It is never told.

use std::{io, path::PathBuf};

use aws_lc_rs::{constant_time, digest};
use http::{HeaderMap, StatusCode, header};
use tokio::{fs::File, io::AsyncReadExt as _};

use super::guard::Refusal;

/// Where the token is.
#[derive(Clone, Debug)]
pub struct TokenFile(pub PathBuf);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    #[error("the token file `{path}` cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the token file `{path}` is empty: write a long random word into it")]
    Empty { path: PathBuf },
    #[error("the token file `{path}` holds more than a token: it must be one line of at most {MOST} bytes")]
    NoWord { path: PathBuf },
}

/// More is no token.
const MOST: usize = 4096;

// === impl TokenFile ===

impl TokenFile {
    /// The token, without the line's end.
    pub async fn read(&self) -> Result<String, NoToken> {
        let path = || self.0.clone();
        let unreadable = |source| NoToken::Unreadable { path: path(), source };
        let mut text = Vec::new();
        let file = File::open(&self.0).await.map_err(unreadable)?;
        file.take(MOST as u64 + 1).read_to_end(&mut text).await.map_err(unreadable)?;
        let word = text.trim_ascii();
        if word.is_empty() {
            return Err(NoToken::Empty { path: path() });
        }
        if text.len() > MOST || !word.iter().all(u8::is_ascii_graphic) {
            return Err(NoToken::NoWord { path: path() });
        }
        Ok(String::from_utf8_lossy(word).into_owned())
    }

    /// Whether a request shows it.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let refused = |reason, message: &str| Refusal {
            status: StatusCode::UNAUTHORIZED,
            reason,
            message: message.to_owned(),
        };
        let Some(shown) = headers.get(header::AUTHORIZATION) else {
            let message =
                "an action needs the token: send `Authorization: Bearer TOKEN`, or say `--admin-token-file`";
            return Err(refused("NoToken", message));
        };
        let token = self.read().await.map_err(|error| {
            tracing::warn!("no action is taken: {error}");
            let message = "the controller's token file cannot be used; its log says why".to_owned();
            Refusal { status: StatusCode::FORBIDDEN, reason: "NoToken", message }
        })?;
        let word = bearer(shown.as_bytes()).unwrap_or_default();
        if are_equal(word, token.as_bytes()) {
            return Ok(());
        }
        Err(refused("WrongToken", "this is not the token of the controller's `--admin-token-file`"))
    }
}

/// What stands behind `Bearer`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let [one, other] = [one, other].map(|word| digest::digest(&digest::SHA256, word));
    constant_time::verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_word_of_the_file_lets_in_and_the_file_may_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile(directory.path().join("token"));
        let check = async |value: Option<&str>| {
            let headers = value.map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
            match file.check(&HeaderMap::from_iter(headers)).await {
                Ok(()) => 200,
                Err(refusal) => refusal.status.as_u16(),
            }
        };
        assert_eq!(check(Some("Bearer s3cret")).await, 403, "there is no file");
        std::fs::write(&file.0, " \n").unwrap();
        assert_eq!((check(Some("Bearer ")).await, check(Some("Bearer s3cret")).await), (403, 403), "empty");
        std::fs::write(&file.0, "s3cret\n").unwrap();
        for (shown, code) in [
            (Some("Bearer s3cret"), 200),
            (Some("bearer   s3cret "), 200),
            (Some("Bearer s3cre"), 401),
            (Some("Bearer s3crets"), 401),
            (Some("Bearer "), 401),
            (Some("Basic s3cret"), 401),
            (Some("s3cret"), 401),
            (Some("é"), 401),
            (None, 401),
        ] {
            assert_eq!(check(shown).await, code, "{shown:?}");
        }
        std::fs::write(&file.0, "another").unwrap();
        assert_eq!((check(Some("Bearer s3cret")).await, check(Some("Bearer another")).await), (401, 200));
        std::fs::write(&file.0, "two words").unwrap();
        assert_eq!(check(Some("Bearer two words")).await, 403);
    }

    #[tokio::test]
    async fn a_refusal_never_tells_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile(directory.path().join("token"));
        std::fs::write(&file.0, "s3cret").unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer wrong".parse().unwrap())]);
        let refusal = file.check(&headers).await.unwrap_err();
        assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
    }
}
