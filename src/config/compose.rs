//! What a Compose file says, as `docker compose config` prints it: one document with everything filled in.

use serde_json::Value;

/// Reads it.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_yaml::from_str(text).map_err(|error| error.to_string())
}
