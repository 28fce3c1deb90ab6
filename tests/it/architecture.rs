//! The house rules that the compiler cannot see: which module may use which, what the pure ones may not touch, where
//! each guest crate lives, and how a file looks. Change a table here with a reason in the commit.

mod source;
mod tests;

use std::{collections::BTreeSet, fs, path::Path};

use source::{Token, paths, tokens};

/// Module, and the modules that it may use. `*` is all of them.
const EDGES: [(&str, &[&str]); 13] = [
    ("cli", &["*"]),
    (
        "app",
        &[
            "admin",
            "api",
            "config",
            "controller",
            "discovery",
            "model",
            "plan",
            "proxy",
            "route",
            "runtime",
            "telemetry",
        ],
    ),
    ("controller", &["config", "discovery", "model", "plan", "route", "runtime", "telemetry"]),
    ("admin", &["api", "model", "plan", "route", "runtime", "telemetry"]),
    ("plan", &["model", "route"]),
    ("proxy", &["model", "route", "runtime", "telemetry"]),
    ("config", &["api", "model", "runtime"]),
    ("discovery", &["model", "runtime", "telemetry"]),
    ("route", &["model"]),
    ("api", &[]),
    ("model", &[]),
    ("runtime", &[]),
    ("telemetry", &[]),
];

/// Same input, same output: these modules decide, and touch nothing.
const PURE: [&str; 3] = ["model", "route", "plan"];

/// The crates that a pure module may import from.
const PURE_CRATES: [&str; 9] =
    ["std", "core", "alloc", "http", "regex", "serde", "strsim", "thiserror", "percent_encoding"];

/// Words that make a module impure wherever they stand.
const IMPURE_WORDS: [&str; 20] = [
    "tokio",
    "hyper",
    "hyper_util",
    "bollard",
    "rand",
    "getrandom",
    "notify",
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "HashMap",
    "HashSet",
    "RandomState",
    "DefaultHasher",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
];

/// Names that make a module impure as a part of a path.
const IMPURE_SEGMENTS: [&str; 6] = ["fs", "env", "thread", "process", "now", "sleep"];

/// A crate, and the only modules that may name it.
const ROOMS: [(&str, &[&str]); 19] = [
    ("bollard", &["discovery"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("comfy_table", &["cli"]),
    ("serde_yaml", &["config"]),
    ("saphyr_parser", &["config"]),
    ("notify", &["config"]),
    ("prometheus", &["telemetry"]),
    ("axum", &["admin"]),
    ("rustls", &["config", "proxy"]),
    ("tokio_rustls", &["proxy"]),
    ("rustls_native_certs", &["proxy"]),
    ("webpki_roots", &["proxy"]),
    ("webpki", &["config", "proxy"]),
    ("rcgen", &["config", "proxy"]),
    ("h2", &["proxy"]),
    ("prost", &["proxy"]),
    ("rustix", &["runtime"]),
    ("listenfd", &["cli"]),
];

/// Words that say nothing in the name of a type.
const EMPTY_WORDS: [&str; 12] = [
    "Manager", "Handler", "Helper", "Helpers", "Util", "Utils", "Common", "Base", "Data", "Info", "Context",
    "Globals",
];

const MAX_LINES: usize = 500;

#[test]
fn the_house_rules_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    let mut seen = 0;
    for folder in ["src", "tests", "benches"] {
        for file in rust_files(&root.join(folder)) {
            let name = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            broken.extend(rules(&name, &fs::read_to_string(&file).unwrap()));
            seen += 1;
        }
    }
    broken.extend(front_door(&fs::read_to_string(root.join("src/lib.rs")).unwrap()));
    assert!(seen > EDGES.len(), "only {seen} files were read");
    assert!(broken.is_empty(), "house rules are broken:\n{}", broken.join("\n"));
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Everything that is wrong with one file.
fn rules(name: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut broken = shape(name, text);
    broken.extend(names(name, &tokens));
    if name.starts_with("src/") && !matches!(name, "src/lib.rs" | "src/main.rs") {
        broken.extend(edges(name, &tokens));
    }
    broken
}

fn shape(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    if !text.starts_with("//! ") {
        broken.push(format!("{name}:1: a file opens with `//!` and says its job"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        broken.push(format!("{name}: {lines} lines; {MAX_LINES} is the most"));
    }
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let empty = EMPTY_WORDS.iter().any(|word| stem.split('_').any(|part| part == word.to_lowercase()));
    if empty || stem == "mod" || stem.ends_with("_main") || stem.ends_with("_impl") {
        broken.push(format!("{name}: the file's name does not say its job"));
    }
    broken
}

fn names(file: &str, tokens: &[Token<'_>]) -> Vec<String> {
    let mut broken = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let (keyword, Token { text: name, line }) = (pair[0].text, pair[1]);
        match keyword {
            // The name of a body's pieces in the `http_body` trait: not ours to choose.
            "type" if name == "Data" => {}
            "struct" | "enum" | "trait" | "type" | "union" => {
                if let Some(word) =
                    camel_words(name).into_iter().find(|word| EMPTY_WORDS.contains(&word.as_str()))
                {
                    broken.push(format!("{file}:{line}: `{word}` in `{name}` says nothing"));
                }
            }
            "fn" if pair[1].is_word() => {
                if name.starts_with("get_") || name.ends_with("_impl") || name.ends_with("_main") {
                    broken.push(format!("{file}:{line}: the function's name `{name}` says nothing"));
                }
                if !is_test(file) && takes_bool(&tokens[at + 2..]) {
                    broken
                        .push(format!("{file}:{line}: `{name}` takes a `bool`; an enum says what it means"));
                }
            }
            _ => {}
        }
    }
    broken
}

fn camel_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_uppercase() => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words
}

/// Whether the parameters of the function whose name `rest` follows hold a plain `bool` among others. A `bool` that is
/// alone is what a conversion converts.
fn takes_bool(rest: &[Token<'_>]) -> bool {
    let Some(open) = rest.iter().position(|token| token.text == "(") else { return false };
    let (mut depth, mut found, mut others) = (0, false, false);
    for pair in rest[open..].windows(2) {
        match pair[0].text {
            "(" => depth += 1,
            ")" => depth -= 1,
            ":" if depth == 1 && pair[1].text == "bool" => found = true,
            "," if depth == 1 && pair[1].text != ")" => others = true,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found && others
}

fn edges(file: &str, tokens: &[Token<'_>]) -> Vec<String> {
    let module = module_of(file);
    let Some((me, allowed)) = EDGES.iter().find(|(name, _)| *name == module[0]) else {
        return vec![format!("{file}: module `{}` is not in the table of modules", module[0])];
    };
    let is_test = is_test(file);
    let mut broken = BTreeSet::new();
    for path in paths(tokens, &module) {
        let (line, first) = (path.line, path.segments.first().map_or("", String::as_str));
        if path.ours {
            if path.segments.is_empty() || first == "*" {
                broken.insert((line, "names the crate's root; name the module".to_owned()));
            } else if first != *me && !allowed.contains(&"*") && !allowed.contains(&first) {
                broken.insert((line, format!("`{me}` may not use `{first}`")));
            }
            continue;
        }
        if let Some((guest, rooms)) = ROOMS.iter().find(|(guest, _)| *guest == first)
            && !rooms.contains(me)
        {
            broken.insert((line, format!("`{guest}` lives in {rooms:?}, not in `{me}`")));
        }
        let impure = path.segments.iter().find(|segment| {
            IMPURE_WORDS.contains(&segment.as_str())
                || (path.segments.len() > 1 && IMPURE_SEGMENTS.contains(&segment.as_str()))
        });
        if let Some(word) = impure
            && PURE.contains(me)
            && !is_test
        {
            broken.insert((line, format!("`{me}` is pure: `{word}` is not for it")));
        }
    }
    if PURE.contains(me) && !is_test {
        broken.extend(foreign_imports(tokens, &module));
    }
    broken.into_iter().map(|(line, what)| format!("{file}:{line}: {what}")).collect()
}

/// Imports of a pure module from crates that nobody has agreed to.
fn foreign_imports(tokens: &[Token<'_>], module: &[String]) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.text != "use" {
            continue;
        }
        let end = tokens[at..].iter().position(|t| t.text == ";").map_or(tokens.len(), |length| at + length);
        for path in
            paths(&tokens[at..end], module).iter().filter(|path| !path.ours && path.segments.len() > 1)
        {
            let name = path.segments[0].as_str();
            let local = name.starts_with(char::is_uppercase) || declares(tokens, name);
            if !local && !PURE_CRATES.contains(&name) {
                broken.push((token.line, format!("`{}` is pure: crate `{name}` is not for it", module[0])));
            }
        }
    }
    broken
}

fn declares(tokens: &[Token<'_>], name: &str) -> bool {
    tokens.windows(2).any(|pair| pair[0].text == "mod" && pair[1].text == name)
}

/// Tests of a module may import and take what they like; whose module they may use stays the same.
fn is_test(file: &str) -> bool {
    file.starts_with("tests/") || file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// `src/route/table.rs` is `["route", "table"]`.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    inner.split('/').map(str::to_owned).collect()
}

/// `lib.rs` declares the modules of the table, and has one sentence for each.
fn front_door(lib: &str) -> Vec<String> {
    let tokens = tokens(lib);
    let declared: BTreeSet<_> =
        tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text).collect();
    let known: BTreeSet<_> = EDGES.iter().map(|(name, _)| *name).collect();
    let mut broken: Vec<_> = declared
        .symmetric_difference(&known)
        .map(|name| format!("src/lib.rs: module `{name}` is in one of `lib.rs` and the table, not in both"))
        .collect();
    for name in &known {
        if !lib.contains(&format!("| [`{name}`] |")) {
            broken.push(format!("src/lib.rs: no sentence for module `{name}`"));
        }
    }
    broken
}
