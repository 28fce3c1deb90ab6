//! Processes: started on a core of their own, measured with all their children, and ended.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

/// The core of the proxy, and the one of everything else.
pub(crate) const PROXY_CORE: u32 = 0;
pub(crate) const LOAD_CORE: u32 = 1;

/// A process that ends with this value.
pub(crate) struct Running {
    child: Child,
}

/// A command that runs on `core` only, with nothing to say.
pub(crate) fn on_core(core: u32, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), program]).stdin(Stdio::null());
    command
}

/// An optimized build of the very sources that this bench belongs to.
pub(crate) fn build_portolan() -> anyhow::Result<PathBuf> {
    let status =
        Command::new("cargo").args(["build", "--release", "--locked", "--bin", "portolan"]).status()?;
    if !status.success() {
        bail!("Portolan does not build");
    }
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    fs::canonicalize(PathBuf::from(target).join("release/portolan")).context("the build left no binary")
}

// === impl Running ===

impl Running {
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child })
    }

    /// User and system time so far, in microseconds, of the process and its children.
    pub(crate) fn cpu_micros(&self) -> anyhow::Result<f64> {
        const MICROS_PER_TICK: f64 = 10_000.0;
        let mut ticks = 0;
        for pid in self.tree() {
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            ticks += cpu_ticks(&stat).context("/proc/PID/stat is not as expected")?;
        }
        #[expect(clippy::cast_precision_loss, reason = "ticks of minutes")]
        Ok(ticks as f64 * MICROS_PER_TICK)
    }

    /// Memory of the process and its children in bytes, what they share counted once.
    pub(crate) fn memory(&self) -> u64 {
        let pss = |pid: &u32| -> Option<u64> {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().strip_suffix(" kB")?.trim().parse().ok()
        };
        self.tree().iter().filter_map(pss).sum::<u64>() * 1024
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some())
    }

    fn tree(&self) -> BTreeSet<u32> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            let stat = fs::read_to_string(entry.path().join("stat")).ok();
            if let (Some(pid), Some(parent)) = (pid, stat.as_deref().and_then(parent)) {
                parents.push((pid, parent));
            }
        }
        let mut tree = BTreeSet::from([self.child.id()]);
        // Children have been found when a pass adds none.
        while parents.iter().any(|(pid, parent)| tree.contains(parent) && tree.insert(*pid)) {}
        tree
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pids: Vec<String> = self.tree().iter().map(ToString::to_string).collect();
        let _ = Command::new("kill").arg("-TERM").args(&pids).stderr(Stdio::null()).status();
        for _ in 0..50 {
            if self.has_ended() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = Command::new("kill").arg("-KILL").args(&pids).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// The fields behind the command's name, which may hold anything.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace().collect())
}

fn parent(stat: &str) -> Option<u32> {
    fields(stat)?.get(1)?.parse().ok()
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    let fields = fields(stat)?;
    let (user, system) = (fields.get(11)?, fields.get(12)?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}
