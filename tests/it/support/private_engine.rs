//! A Docker engine of the test's own, to be stopped, killed and started again: own socket, own folders, own bridge.
//! Containers outlive it (`live-restore`), as they do on a machine that upgrades its engine.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{engine::Engine, left_out, output, process::Process, scratch, wait};

/// How many this process has started.
static COUNT: AtomicU32 = AtomicU32::new(0);

pub struct PrivateEngine {
    pub engine: Engine,
    daemon: Mutex<Option<Process>>,
    bridge: String,
    folder: TempDir,
}

// === impl PrivateEngine ===

impl PrivateEngine {
    /// Started and answering; where that is impossible here, it is noted (a failure for the CI) and the test ends.
    pub fn start() -> Option<Self> {
        Self::start_with(|_| serde_json::Map::new())
    }

    /// One that answers over TLS too, and only clients of its own authority: its URL, and the folder with what a client
    /// needs.
    pub fn start_with_tls() -> Option<(Self, String, PathBuf)> {
        let port = free_port();
        let engine = Self::start_with(|folder| {
            let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
            authority(folder);
            let settings = serde_json::json!({
                "tlsverify": true, "tlscacert": path("ca.pem"),
                "tlscert": path("server-cert.pem"), "tlskey": path("server-key.pem"),
                "hosts": [format!("unix://{}", path("docker.sock")), format!("tcp://127.0.0.1:{port}")],
            });
            settings.as_object().expect("an object").clone()
        })?;
        let folder = engine.folder.path().to_owned();
        Some((engine, format!("tcp://127.0.0.1:{port}"), folder))
    }

    fn start_with(more: impl FnOnce(&Path) -> serde_json::Map<String, serde_json::Value>) -> Option<Self> {
        let local = Engine::local()?;
        if output(Command::new("id").arg("-u")).as_deref() != Ok("0") {
            left_out("root, to start an engine");
            return None;
        }
        let folder = scratch();
        let (id, count) = (std::process::id(), COUNT.fetch_add(1, Relaxed));
        // 15 characters at most, and a network that no other test has.
        let bridge = format!("ptl{id}-{count}");
        let address = Ipv4Addr::new(10, 213, (id.wrapping_add(count) & 0xff) as u8, 1);
        let driver = local.must(["info", "--format", "{{.Driver}}"]);
        let mut config = serde_json::json!({
            "data-root": folder.path().join("data"), "exec-root": folder.path().join("exec"),
            "pidfile": folder.path().join("docker.pid"), "storage-driver": driver, "live-restore": true,
            "bridge": bridge, "iptables": false, "ip6tables": false, "ip-masq": false,
            "hosts": [format!("unix://{}", folder.path().join("docker.sock").display())],
        });
        for (name, value) in more(folder.path()) {
            config[name] = value;
        }
        fs::write(folder.path().join("daemon.json"), config.to_string()).expect("the engine's settings");
        let ip = |words: &str| output(Command::new("ip").args(words.split(' ')));
        if let Err(error) = ip(&format!("link add {bridge} type bridge"))
            .and_then(|_| ip(&format!("address add {address}/24 dev {bridge}")))
            .and_then(|_| ip(&format!("link set {bridge} up")))
        {
            left_out(&format!("a network bridge ({error})"));
            return None;
        }
        let engine = Engine::at(folder.path().join("docker.sock"));
        let engine = Self { engine, daemon: Mutex::default(), bridge, folder };
        engine.resume();
        Some(engine)
    }

    /// Starts it again, and waits until it answers.
    #[track_caller]
    pub fn resume(&self) {
        let mut daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(daemon.is_none(), "the engine runs");
        let settings = self.folder.path().join("daemon.json");
        let process =
            daemon.insert(Process::start(Command::new("dockerd").arg("--config-file").arg(settings)));
        wait::eventually(wait::SOON * 3, "the engine answers", || {
            process.must_run();
            self.engine.docker(["version"])
        });
    }

    /// Ends it as `systemctl stop` does (`TERM`) or as a crash does (`KILL`); its containers go on.
    #[track_caller]
    pub fn end(&self, signal: &str) {
        let mut daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        let mut process = daemon.take().expect("the engine runs");
        process.signal(signal);
        process.wait(wait::SOON * 2);
        // A crash takes its containerd along and leaves both files; a dead process that nobody has waited for still
        // looks alive to the next engine.
        let _ = fs::remove_file(self.folder.path().join("docker.pid"));
        if signal == "KILL" {
            let _ = fs::remove_file(self.containerd());
        }
    }

    fn containerd(&self) -> PathBuf {
        self.folder.path().join("exec/containerd/containerd.pid")
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// `ca.pem`, and a certificate with its key for the server and for a client.
fn authority(folder: &Path) {
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", params.self_signed(&key).expect("an authority").pem());
    let issuer = Issuer::new(params, key);
    let uses = [("server-", ExtendedKeyUsagePurpose::ServerAuth), ("", ExtendedKeyUsagePurpose::ClientAuth)];
    for (prefix, purpose) in uses {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        params.extended_key_usages = vec![purpose];
        write(&format!("{prefix}cert.pem"), params.signed_by(&key, &issuer).expect("a certificate").pem());
        write(&format!("{prefix}key.pem"), key.serialize_pem());
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if let Ok(list) = self.engine.docker(["ps", "--all", "--quiet"]) {
            let _ =
                self.engine.docker(["rm", "--force", "--volumes"].into_iter().chain(list.split_whitespace()));
        }
        drop(self.daemon.lock().unwrap_or_else(PoisonError::into_inner).take());
        let folder = self.folder.path().to_string_lossy().into_owned();
        // What may be left: a containerd after a crash, shims of containers that it could not remove, mounts.
        let sweep = r#"
            for file in $(grep -lF "$0" /proc/[0-9]*/cmdline); do
                pid=${file#/proc/}; pid=${pid%/cmdline}
                [ "$pid" = $$ ] || [ "$pid" = "$PPID" ] || kill -9 "$pid"
            done
            grep -o " $0/[^ ]*" /proc/mounts | sort -r | xargs -r umount -l"#;
        let _ = output(Command::new("sh").args(["-c", sweep, &folder]));
        let _ = output(Command::new("ip").args(["link", "delete", &self.bridge]));
    }
}
