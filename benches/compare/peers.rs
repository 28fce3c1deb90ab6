//! The proxies, each configured as its own documentation says for the same job: one worker, keep-alive to the backend,
//! the usual `X-Forwarded-…` fields, no access log.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    load::is_installed,
    process::{LOAD_CORE, PROXY_CORE, Running, on_core},
    scenario::Scenario,
};

pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    /// Writes the configuration for so many hosts and gives the command that runs it.
    command: fn(&Site, &Path, usize) -> anyhow::Result<Command>,
}

/// Where everything is.
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) http_port: u16,
    https_port: u16,
    backend_port: u16,
}

pub(crate) fn all(portolan: &Path) -> Vec<Peer> {
    let peer = |name, command| Peer { name, program: name.into(), command };
    vec![
        Peer { name: "portolan", program: portolan.to_owned(), command: self::portolan },
        peer("nginx", nginx),
        peer("haproxy", haproxy),
        peer("envoy", envoy),
        peer("traefik", traefik),
        peer("caddy", caddy),
    ]
}

// === impl Peer ===

impl Peer {
    pub(crate) fn is_there(&self) -> bool {
        is_installed(&self.program)
    }

    pub(crate) fn version(&self) -> String {
        let flag = match self.name {
            "nginx" | "haproxy" => "-v",
            "traefik" | "caddy" => "version",
            _ => "--version",
        };
        let output = Command::new(&self.program).arg(flag).output();
        let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let is_version = |word: &&str| {
            word.trim_start_matches('v').split('.').count() >= 3
                && word.contains(|c: char| c.is_ascii_digit())
        };
        let words = text.split(|c: char| c.is_whitespace() || c == '/');
        words.into_iter().find(is_version).unwrap_or("?").trim_start_matches('v').to_owned()
    }
}

// === impl Site ===

impl Site {
    pub(crate) fn prepare(folder: &Path) -> anyhow::Result<Self> {
        let key = folder.join("key.pem");
        let certificate = folder.join("certificate.pem");
        let status = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-nodes",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=h0.example.com",
                "-addext",
                "subjectAltName=DNS:*.example.com,DNS:localhost,IP:127.0.0.1",
            ])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status()
            .context("cannot run openssl")?;
        if !status.success() {
            bail!("openssl made no certificate");
        }
        let both = [fs::read(&certificate)?, fs::read(&key)?].concat();
        fs::write(folder.join("both.pem"), both)?;
        Ok(Self { folder: folder.to_owned(), http_port: free()?, https_port: free()?, backend_port: free()? })
    }

    /// An nginx that answers from memory, on the core of the load.
    pub(crate) fn backend(&self) -> anyhow::Result<Running> {
        let files = self.folder.join("files");
        fs::create_dir_all(&files)?;
        fs::write(files.join("small"), [b'x'; 100])?;
        fs::write(files.join("10k"), vec![b'x'; 10 << 10])?;
        fs::write(files.join("1m"), vec![b'x'; 1 << 20])?;
        let config = self.folder.join("backend.conf");
        fs::write(
            &config,
            format!(
                "daemon off; worker_processes 1; error_log /dev/null; pid {folder}/backend.pid;\n\
             events {{ worker_connections 10000; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; open_file_cache max=10; sendfile on; tcp_nopush on;\n\
             server {{ listen 127.0.0.1:{port} backlog=4096; root {files}; }} }}\n",
                folder = self.folder.display(),
                port = self.backend_port,
                files = files.display()
            ),
        )?;
        // What is in a page is read by a worker that is not root.
        let _ = Command::new("chmod").args(["-R", "a+rX"]).arg(&self.folder).status();
        let mut command = on_core(LOAD_CORE, "nginx");
        command.arg("-c").arg(&config).stderr(Stdio::null());
        let mut running = Running::start(command)?;
        until_answered(&mut running, self.backend_port, Duration::from_secs(10))
            .context("the backend does not answer")?;
        Ok(running)
    }

    /// Starts a proxy and waits for its first good answer.
    pub(crate) fn start(&self, peer: &Peer, hosts: usize) -> anyhow::Result<Running> {
        let mut command = (peer.command)(self, &peer.program, hosts)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running::start(command)?;
        until_answered(&mut running, self.http_port, Duration::from_mins(2))
            .context("the proxy does not answer")?;
        Ok(running)
    }

    pub(crate) fn url(&self, scenario: &Scenario) -> String {
        if scenario.protocol.is_tls() {
            format!("https://localhost:{}{}", self.https_port, scenario.path)
        } else {
            format!("http://127.0.0.1:{}{}", self.http_port, scenario.path)
        }
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        Ok(path)
    }
}

fn free() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn until_answered(running: &mut Running, port: u16, patience: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + patience;
    loop {
        let answer = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /small HTTP/1.1\r\nHost: h0.example.com\r\nConnection: close\r\n\r\n")?;
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            Ok(&head == b"HTTP/1.1 200")
        };
        if answer().unwrap_or(false) {
            return Ok(());
        }
        if running.has_ended() {
            bail!("it has ended");
        }
        if Instant::now() > until {
            bail!("no 200 within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn host(index: usize) -> String {
    format!("h{index}.example.com")
}

// === configurations ===

fn portolan(site: &Site, program: &Path, hosts: usize) -> anyhow::Result<Command> {
    let folder = site.folder.join("routes");
    let _ = fs::remove_dir_all(&folder);
    let mut text = format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: Backend\nmetadata: {{name: backend}}\n\
         spec: {{endpoints: [{{address: 127.0.0.1, port: {backend}}}]}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: certificate}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{certificate}\n  tls.key: |\n{key}\n\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: default}}\n\
         spec:\n  gatewayClassName: portolan\n  defaultScope: All\n  addresses: [{{type: IPAddress, value: 127.0.0.1}}]\n  listeners:\n  \
         - {{name: http, port: {http}, protocol: HTTP}}\n  \
         - {{name: https, port: {https}, protocol: HTTPS, tls: {{certificateRefs: [{{name: certificate}}]}}}}\n",
        backend = site.backend_port,
        http = site.http_port,
        https = site.https_port,
        certificate = indented(&site.folder.join("certificate.pem"))?,
        key = indented(&site.folder.join("key.pem"))?,
    );
    for first in (0..hosts).step_by(16) {
        let names: Vec<String> = (first..hosts.min(first + 16)).map(host).collect();
        write!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{first}}}\n\
             spec:\n  useDefaultGateways: All\n  hostnames: [{}]\n  rules: [{{backendRefs: [{{kind: Backend, group: portolan.dev, name: backend}}]}}]\n",
            names.join(", ")
        )?;
        if first % 16_000 == 0 && first > 0 {
            site.write(&format!("routes/{first}.yaml"), &std::mem::take(&mut text))?;
        }
    }
    site.write("routes/last.yaml", &text)?;
    let mut command = on_core(PROXY_CORE, &program.to_string_lossy());
    command
        .args(["run", "--docker", "off", "--admin", "off", "--workers", "1", "--access-log", "off"])
        .arg("--config")
        .arg(&folder)
        .arg("--state-dir")
        .arg(site.folder.join("state"));
    Ok(command)
}

fn indented(path: &Path) -> anyhow::Result<String> {
    Ok(fs::read_to_string(path)?.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n"))
}

fn nginx(site: &Site, program: &Path, hosts: usize) -> anyhow::Result<Command> {
    let folder = site.folder.display();
    let mut text = format!(
        "daemon off; worker_processes 1; error_log /dev/null; pid {folder}/nginx.pid;\n\
         events {{ worker_connections 10000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; server_names_hash_max_size 1048576; server_names_hash_bucket_size 128;\n\
         ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem; ssl_session_tickets on; ssl_protocols TLSv1.2 TLSv1.3;\n\
         proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;\n\
         proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;\n\
         upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000000; }}\n",
        backend = site.backend_port,
    );
    for index in 0..hosts {
        writeln!(
            text,
            "server {{ listen 127.0.0.1:{} backlog=4096; listen 127.0.0.1:{} ssl http2 backlog=4096; server_name {}; location / {{ proxy_pass http://backend; }} }}",
            site.http_port,
            site.https_port,
            host(index)
        )?;
    }
    text.push_str("}\n");
    // Of an address, only the first `listen` may have parameters like these.
    let text = if hosts > 1 { text.replace(" backlog=4096", "") } else { text };
    let config = site.write("nginx.conf", &text)?;
    let mut command = on_core(PROXY_CORE, &program.to_string_lossy());
    command.arg("-c").arg(config);
    Ok(command)
}

fn haproxy(site: &Site, program: &Path, hosts: usize) -> anyhow::Result<Command> {
    let map: Vec<String> = (0..hosts).map(|index| format!("{} backend", host(index))).collect();
    let map = site.write("haproxy.map", &map.join("\n"))?;
    let text = format!(
        "global\n  nbthread 1\n  maxconn 5000\n\
         defaults\n  mode http\n  option http-keep-alive\n  option forwardfor\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n  timeout http-keep-alive 60s\n\
         frontend front\n  bind 127.0.0.1:{http} backlog 4096\n  bind 127.0.0.1:{https} ssl crt {folder}/both.pem alpn h2,http/1.1\n  \
         http-request set-header X-Forwarded-Proto http\n  http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  http-request set-header X-Real-IP %[src]\n  \
         use_backend %[req.hdr(host),lower,map({map},backend)]\n\
         backend backend\n  server one 127.0.0.1:{backend}\n",
        http = site.http_port,
        https = site.https_port,
        folder = site.folder.display(),
        map = map.display(),
        backend = site.backend_port,
    );
    let config = site.write("haproxy.cfg", &text)?;
    let mut command = on_core(PROXY_CORE, &program.to_string_lossy());
    command.arg("-f").arg(config);
    Ok(command)
}

fn envoy(site: &Site, program: &Path, hosts: usize) -> anyhow::Result<Command> {
    let mut virtual_hosts = String::new();
    for index in 0..hosts {
        let comma = if index == 0 { "" } else { "," };
        write!(
            virtual_hosts,
            "{comma}\n{{\"name\": \"h{index}\", \"domains\": [\"{name}\"{any}], \"routes\": [{{\"match\": {{\"prefix\": \"/\"}}, \"route\": {{\"cluster\": \"backend\"}}}}]}}",
            name = host(index),
            any = if index == 0 { ", \"*\"" } else { "" }
        )?;
    }
    let manager = |routes: &str| {
        format!(
            "{{\"name\": \"envoy.filters.network.http_connection_manager\", \"typed_config\": {{\
         \"@type\": \"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\", \
         \"stat_prefix\": \"front\", \"use_remote_address\": true, \
         \"route_config\": {{\"virtual_hosts\": [{routes}]}}, \
         \"http_filters\": [{{\"name\": \"envoy.filters.http.router\", \"typed_config\": {{\"@type\": \"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\"}}}}]}}}}"
        )
    };
    let address =
        |port: u16| format!("{{\"socket_address\": {{\"address\": \"127.0.0.1\", \"port_value\": {port}}}}}");
    let first = virtual_hosts
        .split("\n{")
        .nth(1)
        .map(|text| format!("{{{}", text.trim_end_matches(',')))
        .unwrap_or_default();
    let text = format!(
        "{{\"static_resources\": {{\"listeners\": [\
         {{\"address\": {plain}, \"filter_chains\": [{{\"filters\": [{all}]}}]}}, \
         {{\"address\": {tls}, \"filter_chains\": [{{\"filters\": [{one}], \"transport_socket\": {{\"name\": \"envoy.transport_sockets.tls\", \"typed_config\": {{\
         \"@type\": \"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\", \
         \"common_tls_context\": {{\"alpn_protocols\": [\"h2\", \"http/1.1\"], \"tls_certificates\": [{{\
         \"certificate_chain\": {{\"filename\": \"{folder}/certificate.pem\"}}, \"private_key\": {{\"filename\": \"{folder}/key.pem\"}}}}]}}}}}}}}]}}], \
         \"clusters\": [{{\"name\": \"backend\", \"type\": \"STATIC\", \"load_assignment\": {{\"cluster_name\": \"backend\", \
         \"endpoints\": [{{\"lb_endpoints\": [{{\"endpoint\": {{\"address\": {backend}}}}}]}}]}}}}]}}}}",
        plain = address(site.http_port),
        tls = address(site.https_port),
        backend = address(site.backend_port),
        all = manager(&virtual_hosts),
        one = manager(&first),
        folder = site.folder.display(),
    );
    let config = site.write("envoy.json", &text)?;
    let mut command = on_core(PROXY_CORE, &program.to_string_lossy());
    command.args(["--concurrency", "1", "--log-level", "off", "--use-dynamic-base-id", "-c"]).arg(config);
    Ok(command)
}

fn traefik(site: &Site, program: &Path, hosts: usize) -> anyhow::Result<Command> {
    let mut text = String::from("http:\n  routers:\n");
    for index in 0..hosts {
        let name = host(index);
        writeln!(text, "    r{index}: {{rule: 'Host(`{name}`)', service: backend, entryPoints: [web]}}")?;
    }
    write!(
        text,
        "    tls: {{rule: 'PathPrefix(`/`)', service: backend, entryPoints: [websecure], tls: {{}}}}\n  \
         services:\n    backend: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:{}'}}]}}}}\n\
         tls:\n  stores: {{default: {{defaultCertificate: {{certFile: {folder}/certificate.pem, keyFile: {folder}/key.pem}}}}}}\n",
        site.backend_port,
        folder = site.folder.display(),
    )?;
    let config = site.write("traefik.yml", &text)?;
    let mut command = on_core(PROXY_CORE, &program.to_string_lossy());
    command
        .env("GOMAXPROCS", "1")
        .arg(format!("--entrypoints.web.address=127.0.0.1:{}", site.http_port))
        .arg(format!("--entrypoints.websecure.address=127.0.0.1:{}", site.https_port))
        .arg(format!("--providers.file.filename={}", config.display()))
        .args(["--log.level=FATAL", "--global.checknewversion=false", "--global.sendanonymoususage=false"]);
    Ok(command)
}

fn caddy(site: &Site, program: &Path, hosts: usize) -> anyhow::Result<Command> {
    let proxy = format!(
        "{{\"handler\": \"reverse_proxy\", \"upstreams\": [{{\"dial\": \"127.0.0.1:{}\"}}]}}",
        site.backend_port
    );
    let routes: Vec<String> = (0..hosts)
        .map(|index| {
            format!(
                "{{\"match\": [{{\"host\": [\"{}\"]}}], \"handle\": [{proxy}], \"terminal\": true}}",
                host(index)
            )
        })
        .collect();
    let text = format!(
        "{{\"admin\": {{\"disabled\": true}}, \"logging\": {{\"logs\": {{\"default\": {{\"level\": \"PANIC\"}}}}}}, \"apps\": {{\
         \"http\": {{\"servers\": {{\
         \"plain\": {{\"listen\": [\"127.0.0.1:{http}\"], \"automatic_https\": {{\"disable\": true}}, \"routes\": [{routes}]}}, \
         \"tls\": {{\"listen\": [\"127.0.0.1:{https}\"], \"automatic_https\": {{\"disable\": true}}, \"tls_connection_policies\": [{{\"fallback_sni\": \"h0.example.com\"}}], \"routes\": [{{\"handle\": [{proxy}]}}]}}}}}}, \
         \"tls\": {{\"certificates\": {{\"load_files\": [{{\"certificate\": \"{folder}/certificate.pem\", \"key\": \"{folder}/key.pem\"}}]}}}}}}}}",
        http = site.http_port,
        https = site.https_port,
        routes = routes.join(",\n"),
        folder = site.folder.display(),
    );
    let config = site.write("caddy.json", &text)?;
    let mut command = on_core(PROXY_CORE, &program.to_string_lossy());
    command.env("GOMAXPROCS", "1").env("HOME", &site.folder).args(["run", "--config"]).arg(config);
    Ok(command)
}
