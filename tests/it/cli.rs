//! The commands as a person types them: exit codes, what goes to which output, and what is said.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Output, Stdio},
};

use crate::support::{
    http::{self, Connection},
    portolan::{Documents, Portolan, command},
    process::Process,
    scratch, wait,
};

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: books, namespace: shop}
spec:
  hostnames: [books.test]
  rules:
  - backendRefs: [{name: nowhere, port: 80}]
";

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command().args(arguments).envs(environment.iter().copied()).output().unwrap()
}

/// Exit code, standard output, standard error.
fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn ask(portolan: &Portolan, arguments: &[&str]) -> (i32, String, String) {
    said(&run(arguments, &[("PORTOLAN_ADMIN", &portolan.admin.to_string())]))
}

#[test]
fn check_tells_valid_from_invalid_from_unreadable() {
    let documents = Documents::new();
    let (good, bad) = (documents.write("good.yaml", ROUTE), documents.write("bad.txt", ""));
    let good = good.to_str().unwrap();
    assert_eq!(
        said(&run(&["check", good], &[])),
        (0, String::new(), "1 document in 1 file: valid\n".to_owned())
    );
    fs::write(&bad, ROUTE.replace("hostnames", "hostnamez")).unwrap();
    let (code, out, err) = said(&run(&["check", bad.to_str().unwrap()], &[]));
    assert_eq!((code, err.as_str()), (1, "1 document in 1 file: 1 error\n"));
    assert!(out.contains("bad.txt:5:3: error: ") && out.contains("did you mean `hostnames`?"), "{out}");

    let (code, out, _) = said(&run(&["check", "-o", "json", bad.to_str().unwrap()], &[]));
    let findings: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &findings[0]["line"]), (1, &serde_json::json!(5)));
    let (code, out, _) = said(&run(&["check", "-o", "github", bad.to_str().unwrap()], &[]));
    assert_eq!((code, out.starts_with("::error file=")), (1, true), "{out}");

    assert_eq!(said(&run(&["check", "/does/not/exist"], &[])).0, 2);
    assert_eq!(said(&run(&["check", "--no-such-flag"], &[])).0, 2);
}

#[test]
fn an_output_that_nobody_reads_to_its_end_is_no_error() {
    let mut child = command().arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(said(&child.wait_with_output().unwrap()), (0, String::new(), String::new()));
}

#[test]
fn help_is_data_and_a_mistake_is_a_message() {
    let (code, out, err) = said(&run(&["--help"], &[]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("portolan demo"), "{out}");
    let (code, out, err) = said(&run(&["rum"], &[]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("similar subcommand exists: 'run'"), "{err}");
}

#[test]
fn a_schema_goes_by_its_kind_in_any_case_and_completions_know_the_commands() {
    let (code, out, _) = said(&run(&["schema", "httproute"], &[]));
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, schema["$schema"].is_string()), (0, true));
    let (code, _, err) = said(&run(&["schema", "HTTPRout"], &[]));
    assert_eq!(
        (code, err.as_str()),
        (2, "error: there is no kind `HTTPRout`\nhint: did you mean `HTTPRoute`?\n")
    );
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = said(&run(&["completions", shell], &[]));
        assert!(code == 0 && out.contains("describe"), "{shell}: {out}");
    }
}

#[test]
fn schemas_are_written_into_a_directory() {
    let folder = scratch();
    let out = folder.path().join("a/schema");
    assert_eq!(said(&run(&["schema", "--out", out.to_str().unwrap()], &[])).0, 0);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/httproute.json");
    assert_eq!(fs::read(out.join("httproute.json")).unwrap(), fs::read(committed).unwrap());
}

#[test]
fn what_runs_can_be_listed_shown_and_described() {
    let documents = Documents::new();
    documents.write("shop.yaml", ROUTE);
    let portolan = Portolan::builder().config(documents.path()).start();
    wait::eventually(wait::SOON, "the route is listed", || {
        let (_, out, _) = ask(&portolan, &["get", "routes"]);
        wait::check(out, |out| out.contains("books.test"), String::clone)
    });
    let (code, out, err) = ask(&portolan, &["get", "routes", "-n", "shop"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("NAMESPACE   NAME    HOSTNAMES"), "{out}");
    assert!(out.contains("False (BackendNotFound)") && out.contains("shop.yaml:1:1"), "{out}");

    let (_, out, _) = ask(&portolan, &["get", "route", "shop/books", "-o", "yaml"]);
    assert!(out.contains("portolan.dev/origin: ") && out.contains("lastTransitionTime: "), "{out}");
    let (_, out, _) = ask(&portolan, &["get", "httproute", "books", "-o", "json"]);
    let route: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(route["status"]["parents"][0]["controllerName"], "portolan.dev/controller");
    let (code, out, _) = ask(&portolan, &["describe", "route", "books"]);
    assert!(code == 0 && out.contains("ResolvedRefs   False   BackendNotFound"), "{out}");
    assert_eq!(ask(&portolan, &["get", "routes", "-n", "other"]).2, "No routes in namespace `other`\n");

    let (code, out, err) = ask(&portolan, &["get", "route", "bocks"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "error: there is no `bocks` in routes\nhint: did you mean `books`?\n");
    let (code, _, err) = ask(&portolan, &["get", "rotes"]);
    assert_eq!((code, err.lines().last()), (2, Some("hint: did you mean `routes`?")), "{err}");
}

#[test]
fn explain_says_who_answers_and_why_nobody_else() {
    let documents = Documents::new();
    documents.write(
        "shop.yaml",
        "apiVersion: portolan.dev/v1alpha1
kind: Backend
metadata: {name: cart, namespace: shop}
spec: {endpoints: [{address: 127.0.0.1, port: 9}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  hostnames: [books.test]
  rules:
  - matches: [{path: {value: /cart}, method: POST}]
    backendRefs: [{group: portolan.dev, kind: Backend, name: cart}]
",
    );
    documents.write("books.yaml", ROUTE);
    let portolan = Portolan::builder().config(documents.path()).start();
    wait::eventually(wait::SOON, "both routes are listed", || {
        let (_, out, _) = ask(&portolan, &["get", "routes"]);
        wait::check(out, |out| out.contains("books") && out.contains("cart"), String::clone)
    });
    let (code, out, err) = ask(&portolan, &["explain", "-X", "POST", "books.test/cart/1?x=2"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("POST http://books.test:80/cart/1?x=2\n"), "{out}");
    assert!(out.contains("route: shop/cart rule 0\n") && out.contains("127.0.0.1:9"), "{out}");
    assert!(out.contains("fits, but loses: a longer prefix comes first"), "{out}");

    // The other method goes to the route whose backend does not exist.
    let (code, out, _) = ask(&portolan, &["explain", "http://books.test/cart"]);
    assert!(code == 1 && out.contains("no: the method is `GET`, not `POST`"), "{out}");
    assert!(out.contains("500, ") && out.contains("nowhere"), "{out}");
    let (code, out, _) = ask(&portolan, &["explain", "http://bocks.test/"]);
    assert!(code == 1 && out.contains("answer: 404, "), "{out}");
    assert!(out.contains("the nearest is `books.test`") && out.contains("and 2 for other hosts"), "{out}");
    let (code, out, _) = ask(&portolan, &["explain", "-o", "json", "http://books.test/a%2fb"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["answer"]["status"].as_u64()), (1, Some(400)), "{out}");
    let (code, _, err) = ask(&portolan, &["explain", "ftp://books.test/"]);
    assert!(code == 2 && err.contains("`ftp` is not a scheme of HTTP"), "{err}");
    assert_eq!(ask(&portolan, &["explain", "nothing"]).0, 1);

    // Who answers a preflight is who answers the request that it asks about.
    let cors = "\n    filters: [{type: CORS, cors: {allowOrigins: ['*']}}]";
    documents.write(
        "cors.yaml",
        &ROUTE
            .replace("rules:", &format!("rules:\n  - matches: [{{method: PUT}}]{cors}"))
            .replace("name: books", "name: cors"),
    );
    let asked = |method: &str| {
        let header = format!("Access-Control-Request-Method: {method}");
        let origin = "Origin: https://a.test";
        ask(&portolan, &["explain", "-X", "OPTIONS", "-H", origin, "-H", &header, "http://books.test/"])
    };
    wait::eventually(wait::SOON, "the CORS filter answers", || {
        let (code, out, err) = asked("PUT");
        let answers = "answer: 204, a CORS filter answers preflights\nroute: shop/cors rule 0";
        wait::check(
            out,
            |out| {
                code == 0
                    && out.contains(answers)
                    && out.contains("; a CORS preflight is answered by the rule of the PUT request")
            },
            |out| format!("{out}{err}"),
        )
    });
    let (_, out, _) = asked("DELETE");
    assert!(!out.contains("204") && !out.contains("preflight"), "{out}");
}

#[test]
fn diff_tells_what_files_would_change() {
    let (documents, candidate) = (Documents::new(), Documents::new());
    documents.write("books.yaml", ROUTE);
    candidate.write("books.yaml", ROUTE);
    let portolan = Portolan::builder().config(documents.path()).start();
    wait::eventually(wait::SOON, "the route is listed", || {
        let (_, out, _) = ask(&portolan, &["get", "routes"]);
        wait::check(out, |out| out.contains("books"), String::clone)
    });
    let path = candidate.path().to_str().unwrap();
    let nothing = (0, String::new(), "nothing would change\n".to_owned());
    assert_eq!(ask(&portolan, &["diff", path]), nothing, "another path alone is no difference");
    candidate.write("books.yaml", &ROUTE.replace("books.test", "other.test"));
    candidate.write("new.yaml", &ROUTE.replace("name: books", "name: fresh"));
    let (code, out, err) = ask(&portolan, &["diff", path]);
    assert_eq!((code, err.as_str()), (1, "2 differences: 1 added, 1 changed\n"), "{out}");
    assert!(out.contains("~ HTTPRoute shop/books has changed (") && out.contains("books.yaml:1:1)"), "{out}");
    assert!(out.contains("    ~ spec.hostnames[0]: \"books.test\" → \"other.test\"\n"), "{out}");
    assert!(
        out.contains("+ HTTPRoute shop/fresh is new (") && out.contains("! ResolvedRefs is False"),
        "{out}"
    );
    candidate.write("new.yaml", "kind: [");
    let (code, out, _) = ask(&portolan, &["diff", path]);
    assert!(code == 2 && out.contains("new.yaml:2:1: not valid YAML"), "{out}");
    candidate.remove("new.yaml");
    candidate.remove("books.yaml");
    let (code, out, _) = ask(&portolan, &["diff", "-o", "json", path]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["differences"][0]["kind"]), (1, &serde_json::json!("removed")), "{out}");
    // Asking has changed nothing.
    assert!(ask(&portolan, &["get", "routes"]).1.contains("books.test"));
    assert_eq!(ask(&portolan, &["diff", "/does/not/exist"]).0, 2);
}

#[test]
fn a_change_is_told_by_the_same_sentence_before_it_in_the_log_and_in_the_events() {
    let (documents, candidate) = (Documents::new(), Documents::new());
    documents.write("books.yaml", ROUTE);
    documents.write("old.yaml", &ROUTE.replace("name: books", "name: old"));
    let portolan = Portolan::builder().config(documents.path()).start();
    wait::eventually(wait::SOON, "the routes are listed", || {
        let (_, out, _) = ask(&portolan, &["get", "routes"]);
        wait::check(out, |out| out.contains("books") && out.contains("old"), String::clone)
    });
    let admin = portolan.admin.to_string();
    let mut follow = Process::start(command().args(["get", "events", "--watch", "--admin", &admin]));
    candidate.write("books.yaml", &ROUTE.replace("books.test", "other.test"));
    candidate.write("new.yaml", &ROUTE.replace("name: books", "name: fresh"));
    let (_, out, _) = ask(&portolan, &["diff", "-o", "json", candidate.path().to_str().unwrap()]);
    let differences: serde_json::Value = serde_json::from_str(&out).unwrap();
    let mut sentences = Vec::new();
    for one in differences["differences"].as_array().unwrap() {
        sentences.push(one["sentence"].as_str().unwrap().to_owned());
        let turned =
            one["details"].as_array().unwrap().iter().filter_map(|line| line.as_str()?.strip_prefix("! "));
        sentences.extend(turned.map(|turned| format!("{}: {turned}", one["subject"].as_str().unwrap())));
    }
    assert!(sentences.len() >= 4, "one new with its conditions, one changed, one gone: {sentences:#?}");
    for name in ["books.yaml", "new.yaml"] {
        documents.write(name, &candidate.text(name));
    }
    documents.remove("old.yaml");
    let here = |sentence: &str| {
        let (from, to) = (candidate.path().to_str().unwrap(), documents.path().to_str().unwrap());
        sentence.replace(from, to)
    };
    for sentence in sentences.iter().map(|sentence| here(sentence)) {
        wait::eventually(wait::SOON, &format!("the log and the events say: {sentence}"), || {
            let (_, events, _) = ask(&portolan, &["get", "events", "-o", "json"]);
            let events: serde_json::Value = serde_json::from_str(&events).unwrap();
            let items = events["items"].as_array().unwrap();
            let is_event = items.iter().any(|event| event["message"] == *sentence);
            let log = portolan.log();
            wait::check((), |()| is_event && log.contains(&sentence), |()| format!("{events:#}\n{log}"))
        });
        follow.line(&sentence, |line| line.contains(&sentence).then_some(()));
    }
}

#[test]
fn a_change_is_followed() {
    let documents = Documents::new();
    documents.write("shop.yaml", ROUTE);
    let portolan = Portolan::builder().config(documents.path()).start();
    let admin = portolan.admin.to_string();
    let mut follow = Process::start(command().args(["get", "routes", "--watch", "--admin", &admin]));
    follow.line("the route", |line| line.contains("books").then_some(()));
    documents.write("more.yaml", &ROUTE.replace("name: books", "name: papers"));
    follow.line("the new route", |line| line.contains("papers").then_some(()));
    documents.remove("more.yaml");
    follow.line("its end", |line| (line.contains("papers") && line.ends_with("(gone)")).then_some(()));
}

#[test]
fn a_secret_is_never_shown() {
    let documents = Documents::new();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: hunter2}\n";
    // The second is wrong, so that it is spoken of.
    documents.write(
        "secret.yaml",
        &format!("{secret}---\n{}", secret.replace("name: s", "name: t, nmae: hunter2")),
    );
    let portolan = Portolan::builder().config(documents.path()).start();
    let shown = wait::eventually(wait::SOON, "the secret is listed", || {
        let (_, out, _) = ask(&portolan, &["get", "secrets", "-o", "yaml"]);
        wait::check(out, |out| out.contains("kind: Secret"), String::clone)
    });
    let status = portolan.admin("/api/v1/status").unwrap().text();
    for text in [shown, status, portolan.log(), ask(&portolan, &["describe", "secret", "s"]).1] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn silence_is_told_with_what_to_do() {
    let nowhere = scratch().path().join("none.sock");
    let address = format!("unix:{}", nowhere.display());
    let (code, out, err) = said(&run(&["get", "routes", "--admin", &address], &[]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("error: nothing answers at `unix:") && err.contains("\nhint: "), "{err}");
    // Docker knows only healthy and not.
    assert_eq!(said(&run(&["health", "--admin", &address], &[])).0, 1);
    assert_eq!(said(&run(&["health"], &[("PORTOLAN_ADMIN", "off")])).0, 1);
}

#[test]
fn the_api_on_a_socket_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = scratch();
    let socket = folder.path().join("admin.sock");
    let address = format!("unix:{}", socket.display());
    let mut process = Process::start(command().args(["run", "--docker", "off", "--http", "off"]).args([
        "--https",
        "off",
        "--state-dir",
        "off",
        "--admin",
        &address,
    ]));
    wait::eventually(wait::SOON, "it is healthy", || {
        process.must_run();
        let (code, _, err) = said(&run(&["health", "--admin", &address], &[]));
        wait::check(err, |_| code == 0, String::clone)
    });
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let answer = Connection::open_unix(&socket).unwrap().get("anything", "/api/v1/status").unwrap();
    assert_eq!(answer.status, 200);
    process.signal("TERM");
    assert!(process.wait(wait::SOON).success());
    assert!(!socket.exists());
}

#[test]
fn readiness_ends_with_the_drain_and_health_does_not() {
    let portolan = Portolan::builder().arguments(["--drain-delay", "10s"]).start();
    portolan.process.signal("TERM");
    wait::eventually(wait::SOON, "`/readyz` answers 503", || {
        let answer = portolan.admin("/readyz").map_err(|error| error.to_string())?;
        wait::check(answer, |answer| answer.status == 503, ToString::to_string)
    });
    assert_eq!(ask(&portolan, &["health"]).0, 0);
    let (code, _, err) = ask(&portolan, &["health", "--ready"]);
    assert_eq!((code, err.as_str()), (1, "not ready\nwaiting for the drain to end\n"));
    // A second signal is impatience.
    portolan.process.signal("INT");
    let mut portolan = portolan;
    assert_eq!(portolan.process.wait(wait::SOON).code(), Some(1));
}

#[test]
fn a_variable_stands_for_a_flag_and_an_empty_one_for_nothing() {
    let wrong = run(&["run"], &[("PORTOLAN_HTTP", "80.0.0")]);
    let (code, _, err) = said(&wrong);
    assert!(code == 2 && err.contains("invalid value '80.0.0' for '--http"), "{err}");
    let portolan = Portolan::builder()
        .environment("PORTOLAN_HOLD", "")
        .environment("PORTOLAN_CONFIG", "")
        .environment("PORTOLAN_LOG_FORMAT", "json")
        .start();
    assert!(portolan.log().lines().all(|line| line.starts_with('{')), "{}", portolan.log());
}

#[test]
fn a_controller_config_sets_what_flags_do_not_and_a_wrong_one_ends_the_start() {
    let documents = Documents::new();
    let head = "apiVersion: portolan.dev/v1alpha1\nkind: ControllerConfig\nmetadata: {name: p}\nspec: ";
    documents.write("portolan.yaml", &format!("{head}{{logFormat: json, http: ':1'}}\n"));
    let portolan = Portolan::builder().config(documents.path()).start();
    assert!(portolan.log().starts_with('{'), "{}", portolan.log());
    assert_ne!(portolan.http.port(), 1);

    let bad = documents.write("portolan.yaml", &format!("{head}{{logFormt: json}}\n"));
    let (code, _, err) = said(&run(&["run", "--docker", "off", "--config", bad.to_str().unwrap()], &[]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("did you mean `logFormat`?"), "{err}");
}

#[test]
fn an_api_address_in_use_ends_the_start() {
    let first = Portolan::builder().start();
    let admin = first.admin.to_string();
    let arguments = ["run", "--docker", "off", "--http", "off", "--state-dir", "off", "--admin", &admin];
    let (code, _, err) = said(&run(&arguments, &[]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains(&format!("`{admin}`")) && err.contains("`--admin off`"), "{err}");
}

#[test]
fn the_demo_serves_what_is_edited_and_cleans_up() {
    let temporary = scratch();
    let mut demo = Process::start(
        command().args(["demo", "--docker", "off"]).env("TMPDIR", temporary.path()).env("NO_COLOR", "1"),
    );
    let port: u16 = demo.line("the address", |line| {
        let (_, rest) = line.split_once("Portolan is serving on http://demo.localhost:")?;
        rest.trim_end_matches('/').parse().ok()
    });
    demo.line("the end of the welcome", |line| line.contains("Ctrl-C ends it").then_some(()));
    let get = |host: &str, path: &str| http::get(([127, 0, 0, 1], port).into(), host, path).unwrap();
    assert!(get("demo.localhost", "/").text().starts_with("blue "));
    assert!(get("demo.localhost", "/slow/x").text().starts_with("amber   GET /x "));
    assert_eq!(get("demo.localhost", "/old/a").status, 301);

    let canary = temporary.path().join("portolan-demo/canary.yaml");
    let text = fs::read_to_string(&canary).unwrap();
    fs::write(&canary, text.replace("weight: 9", "weight: 0")).unwrap();
    wait::eventually(wait::SOON, "ten answers in a row are green", || {
        let all: String = (0..10).map(|_| get("canary.localhost", "/").text()).collect();
        wait::check(all, |all| !all.contains("blue"), String::clone)
    });
    fs::write(&canary, text.replace("backendRefs", "backendRefz")).unwrap();
    demo.line("the typo", |line| line.contains("did you mean `backendRefs`?").then_some(()));
    assert!(get("canary.localhost", "/").text().starts_with("green "));

    demo.signal("INT");
    assert!(demo.wait(wait::SOON).success());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn the_demo_overwrites_nothing() {
    let folder = scratch();
    fs::write(folder.path().join("precious"), "text").unwrap();
    let (code, _, err) =
        said(&run(&["demo", "--docker", "off", "--dir", folder.path().to_str().unwrap()], &[]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("is not empty") && err.contains("nothing is overwritten"), "{err}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn colour_is_for_terminals() {
    let (_, out, err) = said(&run(&["get", "routes", "--admin", "unix:/does/not/exist"], &[]));
    assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "{err}");
}
