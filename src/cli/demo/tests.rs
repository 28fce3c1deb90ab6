//! What a newcomer reads.

use super::*;

#[test]
fn the_welcome_says_what_to_ask_change_and_look_at() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("routes");
    let routes = Routes::write(Some(&path), [local(1), local(2), local(3)]).unwrap();
    let settings = Settings {
        http: Some(local(8080)),
        admin: Some(AdminAddress::Tcp(local(40_000))),
        ..Settings::default()
    };
    let text = welcome(&settings, &routes, "portolan", Paint::Plain)
        .replace(&path.display().to_string(), "/tmp/demo");
    insta::assert_snapshot!(text, @r###"

    Portolan is serving on http://demo.localhost:8080/

      Ask
        curl http://demo.localhost:8080/                   blue answers
        curl http://demo.localhost:8080/slow               amber answers, slowly
        curl -i http://demo.localhost:8080/old/a           a redirect
        curl http://canary.localhost:8080/                 blue nine times of ten, green once: watch it in a browser

      Change
        /tmp/demo/canary.yaml                 change a weight and save: the next request sees it
                                                           make a typo: it is named below, and the last good route goes on

      Look
        portolan get routes --admin 127.0.0.1:40000        what is served, and what is not
        portolan describe route canary --admin 127.0.0.1:40000 where it is written, what became of it
        portolan check /tmp/demo              the same, before it is served

      Start
        docker run -d --rm --name hello nginx              answers at http://hello.docker.localhost:8080/
        portolan get containers --admin 127.0.0.1:40000    the URLs of each container, or why it has none

      Ctrl-C ends it.
    "###);
    let without_engine = welcome(&Settings { docker: None, ..settings }, &routes, "portolan", Paint::Plain);
    assert!(!without_engine.contains("docker run"), "{without_engine}");
}

#[test]
fn the_usual_port_of_the_api_needs_no_flag() {
    assert_eq!(admin_flag(&Settings::default()), "");
}
