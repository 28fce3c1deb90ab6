//! The image: one small static file, a user that owns nothing, a health check by the file itself.

use crate::support::{engine::Engine, static_binary};

/// What a person would still pull without a second thought. The checks of documents, as code, are two megabytes of it; they
/// save five at rest.
const MAX_BYTES: u64 = 27_000_000;

#[test]
fn the_binary_is_static_and_small() {
    let Some(binary) = static_binary() else {
        crate::support::left_out("a static binary (`tests/run` builds it)");
        return;
    };
    let bytes = std::fs::metadata(&binary).unwrap().len();
    assert!(bytes < MAX_BYTES, "{bytes} bytes");
}

#[test]
fn the_image_runs_as_nobody_and_holds_one_file() {
    let Some(engine) = Engine::local() else { return };
    let Some(image) = engine.portolan_image() else { return };
    let inspect = |format: &str| engine.must(["image", "inspect", "--format", format, &image]);
    assert_eq!(inspect("{{.Config.User}}"), "65532:65532");
    assert_eq!(inspect("{{json .Config.Entrypoint}} {{json .Config.Cmd}}"), r#"["/portolan"] ["run"]"#);
    assert_eq!(inspect("{{json .Config.Healthcheck.Test}}"), r#"["CMD","/portolan","health"]"#);
    assert_eq!(
        inspect("{{index .Config.Labels \"portolan.enable\"}}"),
        "false",
        "it is no backend of its own"
    );
    assert!(inspect("{{.Size}}").parse::<u64>().unwrap() < MAX_BYTES);

    let engines_own = ["/.dockerenv", "/dev/", "/etc/", "/proc/", "/sys/"];
    let mut files = engine.container("image").image(&image).create().files();
    files.retain(|file| !engines_own.iter().any(|own| file.starts_with(own)));
    assert_eq!(files, ["/portolan", "/state/"]);
}

#[test]
fn the_image_starts_without_a_loader_or_a_shell() {
    let Some(engine) = Engine::local() else { return };
    let Some(image) = engine.portolan_image() else { return };
    let said = engine.must(["run", "--rm", "--pull", "never", "--network", "none", &image, "--version"]);
    assert_eq!(said, format!("portolan {}", env!("CARGO_PKG_VERSION")));
}
