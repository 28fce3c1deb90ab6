//! `portolan schema`: the JSON Schemas of the documents.

use std::path::Path;

use anyhow::Context as _;

use super::{
    args::SchemaArgs,
    exit::{Advised, Exit},
    print,
};
use crate::{api, config::diagnostic::nearest};

/// Prints the schema of one kind or of all, or writes a file for each.
pub fn schema(args: &SchemaArgs) -> anyhow::Result<Exit> {
    if let Some(directory) = &args.out {
        return write(directory);
    }
    let schema = match &args.kind {
        None => api::schema_all(),
        Some(kind) => named(kind)?,
    };
    print::data(&format!("{schema:#}\n"))?;
    Ok(Exit::Yes)
}

/// Kinds are named in any case.
fn named(kind: &str) -> Result<serde_json::Value, Advised> {
    let kinds = api::KINDS.iter().map(|definition| definition.kind);
    let exact = kinds.clone().find(|known| known.eq_ignore_ascii_case(kind));
    exact.and_then(api::schema).ok_or_else(|| {
        let hint = match nearest(kind, kinds.clone()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known kinds: {}", kinds.collect::<Vec<_>>().join(", ")),
        };
        Advised::new(format!("there is no kind `{kind}`"), hint)
    })
}

fn write(directory: &Path) -> anyhow::Result<Exit> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create `{}`", directory.display()))?;
    let files = api::schema_files();
    for (name, content) in &files {
        let path = directory.join(name);
        std::fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    print::message(&format!("{} schemas written to `{}`", files.len(), directory.display()));
    Ok(Exit::Yes)
}
