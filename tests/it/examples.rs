//! What people copy first has to be right: every file of `examples/`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use portolan::{
    config::{check::check_paths, labels, yaml},
    model::{Health, NetworkMode, Phase, Transport, Workload, WorkloadId},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn manifests() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let yaml =
        files(&root().join("examples")).into_iter().filter(|path| path.extension() == Some("yaml".as_ref()));
    let (compose, manifests): (Vec<_>, Vec<_>) = yaml.partition(|path| path.ends_with("compose.yaml"));
    assert!(manifests.len() >= 8 && compose.len() >= 2, "{manifests:?} {compose:?}");
    (manifests, compose)
}

#[test]
fn every_example_is_valid_without_a_warning() {
    for path in manifests().0 {
        let report = check_paths(std::slice::from_ref(&path));
        assert!(!report.objects.is_empty(), "{} holds nothing", path.display());
        assert!(report.diagnostics.is_empty(), "{}: {:#?}", path.display(), report.diagnostics);
    }
}

#[test]
fn all_examples_together_are_valid() {
    let report = check_paths(&[root().join("examples")]);
    assert!(report.is_valid(), "{:#?}", report.diagnostics);
}

#[test]
fn every_example_names_its_schema_and_says_what_it_shows() {
    for path in manifests().0 {
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let schema = lines.next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
        assert!(path.parent().unwrap().join(schema).is_file(), "{}: {schema}", path.display());
        assert_eq!(lines.next(), Some("#"), "{}", path.display());
        assert!(lines.next().unwrap().len() > 20, "{}", path.display());
    }
}

#[test]
fn the_labels_of_compose_files_are_understood() {
    for path in manifests().1 {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} says nothing", path.display());
        let parsed = yaml::parse(&text);
        assert!(parsed.faults.is_empty(), "{}: {:?}", path.display(), parsed.faults);
        let file = &parsed.documents[0].value;
        let services = file["services"].as_object().unwrap();
        let workloads: BTreeMap<_, _> = services
            .iter()
            .map(|(name, service)| {
                let workload = workload(file["name"].as_str().unwrap(), name, &service["labels"]);
                (workload.id.clone(), Arc::new(workload))
            })
            .collect();
        let translation = labels::translate(&workloads, &labels::LabelSettings::default());
        let problems: Vec<_> = translation.problems.values().flatten().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}: {problems:#?}", path.display());
    }
}

#[test]
fn the_units_of_systemd_start_what_there_is() {
    let units = root().join("examples/systemd");
    let service = fs::read_to_string(units.join("portolan.service")).unwrap();
    let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let args = portolan::cli::args::Args::read(start.split(' ').map(Into::into)).unwrap();
    let portolan::cli::args::Command::Run(args) = args.command else { panic!("{start}") };
    assert_eq!(args.config, [PathBuf::from("/etc/portolan")]);
    assert!(
        service.contains("\nType=notify\n") && service.contains("\nExecReload=/bin/kill -USR2 $MAINPID\n")
    );
    // As long as the defaults of the settings do.
    let socket = fs::read_to_string(units.join("portolan.socket")).unwrap();
    let addresses: Vec<_> = socket.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    let defaults = portolan::app::Settings::default();
    assert_eq!(addresses, [defaults.http, defaults.https].map(|address| address.unwrap().to_string()));
}

/// As Compose would start it.
fn workload(project: &str, service: &str, labels: &serde_json::Value) -> Workload {
    let mut all = BTreeMap::from([
        ("com.docker.compose.project".into(), project.into()),
        ("com.docker.compose.service".into(), service.into()),
    ]);
    for (label, value) in labels.as_object().unwrap_or(&serde_json::Map::new()) {
        all.insert(label.as_str().into(), value.as_str().expect("labels are texts").into());
    }
    Workload {
        id: WorkloadId(service.into()),
        name: format!("{project}-{service}-1").into(),
        hostname: service.into(),
        image: "example".into(),
        created: 0,
        phase: Phase::Running,
        health: Health::Unchecked,
        is_crash_looping: false,
        checks: None,
        labels: all,
        exposed: vec![(80.try_into().unwrap(), Transport::Tcp)],
        published: Vec::new(),
        network_mode: NetworkMode::Networks,
        networks: Vec::new(),
    }
}

/// Names that begin like a metric of ours.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("portolan_"))
}

#[test]
fn the_charts_ask_for_metrics_that_there_are() {
    let sources = files(&root().join("src"));
    let sources: String = sources.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    let mut asked = 0;
    for path in files(&root().join("charts")) {
        let text = fs::read_to_string(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => drop(serde_json::from_str::<serde_json::Value>(&text).unwrap()),
            Some("yaml") => drop(serde_yaml::from_str::<serde_yaml::Value>(&text).unwrap()),
            other => panic!("{}: what is {other:?}?", path.display()),
        }
        for name in metrics_in(&text) {
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(
                sources.contains(&format!("\"{name}\"")),
                "{}: there is no metric {name}",
                path.display()
            );
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked}");
}
