//! What is committed and could be made anew is what would be made.

use std::{collections::BTreeMap, fs, path::Path};

use crate::support::{output, portolan::command, scratch};

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn the_committed_schemas_are_what_the_program_writes() {
    let folder = scratch();
    let made = folder.path().join("schema");
    output(command().args(["schema", "--out"]).arg(&made)).unwrap();
    let (made, committed) = (files(&made), files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")));
    let differ: Vec<_> =
        made.keys().chain(committed.keys()).filter(|name| made.get(*name) != committed.get(*name)).collect();
    assert!(
        made.len() > 10 && differ.is_empty(),
        "stale: {differ:?}; run `cargo run -- schema --out schema`"
    );
}
