//! Finds the `ControllerConfig` among the documents, before anything runs.

use std::path::{Path, PathBuf};

use crate::{
    cli::{exit::Advised, settings::FileConfig},
    config::{
        check::{Report, check_paths},
        diagnostic::{Severity, render_lines},
        files,
    },
    model::{Kind, Origin},
};

/// The one `ControllerConfig` below these paths, if there is one. Unlike a route, it is not served around when it is
/// wrong: a program that listens somewhere else than it was told is worse than none.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Option<FileConfig>> {
    if paths.is_empty() {
        return Ok(None);
    }
    // Checking thousands of routes takes a moment, and will be done anyway.
    let kind = Kind::ControllerConfig.as_str();
    let holds_one = |content: &[u8]| content.windows(kind.len()).any(|part| part == kind.as_bytes());
    let scan = files::scan(paths);
    let candidates: Vec<_> =
        scan.files.into_iter().filter(|(_, file)| holds_one(&file.content)).map(|(path, _)| path).collect();
    if candidates.is_empty() {
        return Ok(None);
    }
    one(&check_paths(&candidates))
}

fn one(report: &Report) -> anyhow::Result<Option<FileConfig>> {
    let kind = Kind::ControllerConfig.as_str();
    let wrong: Vec<_> = report
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .filter(|found| found.object.as_deref().is_some_and(|object| object.starts_with(kind)))
        .cloned()
        .collect();
    if !wrong.is_empty() {
        anyhow::bail!("the {kind} is not valid\n{}", render_lines(&wrong).trim_end());
    }
    let mut found = report.objects.iter().filter(|(id, _)| id.kind == Kind::ControllerConfig);
    let (Some((_, object)), other) = (found.next(), found.next()) else { return Ok(None) };
    let origin = &object.resource.meta().origin;
    if let Some((_, other)) = other {
        let other = &other.resource.meta().origin;
        let message = format!("there are two of kind {kind}: {origin} and {other}");
        return Err(Advised::new(message, "a controller has one; join them").into());
    }
    let manifest: serde_json::Value = serde_json::from_str(&object.manifest)?;
    let directory = match origin {
        Origin::File { path, .. } => Path::new(&**path).parent().map(Path::to_owned).unwrap_or_default(),
        Origin::Container { .. } | Origin::BuiltIn(_) => PathBuf::new(),
    };
    let spec = serde_json::from_value(manifest["spec"].clone())?;
    Ok(Some(FileConfig { spec, origin: origin.to_string(), directory }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::check_text;

    const HEAD: &str = "apiVersion: portolan.dev/v1alpha1\nkind: ControllerConfig\nmetadata: {name: ";

    fn find_in(text: &str) -> Result<Option<FileConfig>, String> {
        one(&check_text("conf/all.yaml", text)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_document_is_found_among_others() {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n---\n{HEAD}p}}\nspec: {{http: \":81\"}}\n"
        );
        let found = find_in(&text).unwrap().unwrap();
        assert_eq!((found.origin.as_str(), found.directory), ("conf/all.yaml:5:1", "conf".into()));
        assert_eq!(found.spec.http.as_deref(), Some(":81"));
        assert_eq!(find_in("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"), Ok(None));
    }

    #[test]
    fn two_are_refused_and_so_is_a_wrong_one() {
        let two = format!("{HEAD}p}}\nspec: {{}}\n---\n{HEAD}q}}\nspec: {{}}\n");
        assert_eq!(
            find_in(&two).unwrap_err(),
            "there are two of kind ControllerConfig: conf/all.yaml:1:1 and conf/all.yaml:6:1"
        );
        let wrong = find_in(&format!("{HEAD}p}}\nspec: {{htpp: off}}\n")).unwrap_err();
        assert!(
            wrong.starts_with("the ControllerConfig is not valid\nconf/all.yaml:4:8: error: "),
            "{wrong}"
        );
    }

    #[test]
    fn a_directory_is_searched() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("c.yaml"), format!("{HEAD}p}}\nspec: {{hold: 1s}}\n")).unwrap();
        std::fs::write(directory.path().join("x.yaml"), "not: [a manifest").unwrap();
        let found = find(&[directory.path().to_owned()]).unwrap().unwrap();
        assert_eq!(found.directory, directory.path());
        assert_eq!(find(&[]).unwrap(), None);
    }
}
