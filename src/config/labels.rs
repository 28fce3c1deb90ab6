//! Containers become resources: what their labels and names say is written as the same documents that files hold.
//!
//! The steps, in order: a dialect ([`portolan`]) reads the labels of one container, [`claims`] adds its default names
//! and says which hosts and paths it wants, [`merge`] brings the claims of all containers together, [`documents`]
//! writes one `HTTPRoute` and one `Backend` for each group of equal claims. Other dialects are files beside
//! [`portolan`] with the same shape: `declare(&Workload) -> Declared`.
//!
//! Rules that are easy to overlook:
//! - Default names stay when there are other labels, and always lead to the whole container (`/`), unless the labels
//!   without a name say a path and no host. Only `portolan.enable=false` takes them away.
//! - A label that cannot be understood costs only itself, but nothing is guessed in its place: without a readable path
//!   there is no route, without a readable port the route has no endpoint.
//! - A container that was never started makes no route of its own; one that has exited keeps its routes, which
//!   answer 503.

mod claims;
mod documents;
mod manifest;
mod merge;
mod names;
mod portolan;
mod template;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use names::Considered;
pub use template::{InvalidTemplate, Template};

use self::template::Filled;
use super::Object;
use crate::model::{
    HostPattern, LeftAlone, Origin, Phase, Problem, ResourceId, Severity, Workload, WorkloadId,
};

/// What flags and `ControllerConfig` say about labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSettings {
    pub expose_by_default: Exposure,
    /// The names of containers that say nothing else.
    pub host_templates: Vec<Template>,
    /// Portolan's own container: it is never exposed.
    pub own: Option<WorkloadId>,
    /// Ids that files use already: resources made here get other names.
    pub taken: BTreeSet<ResourceId>,
}

/// Which containers are exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// All that do not say `portolan.enable=false`.
    #[default]
    All,
    /// Only those that say `portolan.enable=true`.
    Enabled,
}

/// The names by which this container alone is known, and no other that serves the same.
pub fn names_of_one(workload: &Workload, templates: &[Template]) -> Vec<HostPattern> {
    let of_one = templates.iter().filter(|template| template.is_per_container());
    let hosts = of_one.filter_map(|template| match template.fill(workload) {
        Filled::Host(host) => Some(host),
        Filled::NotApplicable | Filled::NotAHost(_) => None,
    });
    hosts.collect()
}

/// What follows from the labels and names of all containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// `HTTPRoute`s and `Backend`s, sorted by id.
    pub objects: Vec<Arc<Object>>,
    /// What is wrong or odd about a container's labels.
    pub problems: BTreeMap<WorkloadId, Vec<Problem>>,
    /// The objects that a container takes part in.
    pub resources: BTreeMap<WorkloadId, Vec<ResourceId>>,
    /// Containers that nothing is made of, as it should be.
    pub left_alone: BTreeMap<WorkloadId, LeftAlone>,
    /// The result is the same for other [`LabelSettings::taken`] that agree on these.
    pub names: Considered,
}

/// Turns containers into resources. Equal input gives equal output, and a bad label costs only itself.
pub fn translate(workloads: &BTreeMap<WorkloadId, Arc<Workload>>, settings: &LabelSettings) -> Translation {
    Translator::default().translate(workloads, settings)
}

/// Translates one world after the other. What was written for claims that are as before is kept, so that a container that
/// comes and goes among hundreds costs little. The outcome is that of [`translate`].
#[derive(Debug, Default)]
pub struct Translator {
    written: documents::Known,
}

// === impl Translator ===

impl Translator {
    /// See [`translate`].
    pub fn translate(
        &mut self,
        workloads: &BTreeMap<WorkloadId, Arc<Workload>>,
        settings: &LabelSettings,
    ) -> Translation {
        let (claims, left_alone, mut problems) = claims_of_all(workloads, settings);
        let groups = merge::merge(claims, &mut problems);
        Translation { left_alone, ..documents::write(groups, &settings.taken, problems, &mut self.written) }
    }
}

/// What all containers want, which of them are left alone, and what is wrong with them.
fn claims_of_all<'w>(
    workloads: &'w BTreeMap<WorkloadId, Arc<Workload>>,
    settings: &LabelSettings,
) -> (Vec<claims::Claim<'w>>, BTreeMap<WorkloadId, LeftAlone>, Problems) {
    let mut problems = Problems::default();
    let mut all = Vec::new();
    let mut left_alone = BTreeMap::new();
    for workload in workloads.values() {
        if let Some(why) = left_alone_by_nature(workload, settings) {
            left_alone.insert(workload.id.clone(), why);
            continue;
        }
        let declared = portolan::declare(workload);
        let enable = declared.enable;
        if is_exposed(workload, &declared, settings, &mut problems) {
            problems.extend(workload, declared.problems.iter().cloned());
            all.extend(claims::expand(workload, declared, &settings.host_templates, &mut problems));
        }
        if let Some(why) = left_alone_by_will(workload, enable, settings) {
            left_alone.insert(workload.id.clone(), why);
        }
    }
    (all, left_alone, problems)
}

/// Why a container never gets requests, whatever its labels say.
fn left_alone_by_nature(workload: &Workload, settings: &LabelSettings) -> Option<LeftAlone> {
    let (reason, message) = if settings.own.as_ref() == Some(&workload.id) {
        ("Own", "it is Portolan's own container, which is never exposed")
    } else if workload.is_one_off() {
        (
            "OneOff",
            "`docker compose run` made it: such containers never get requests; `docker compose up` makes those that do",
        )
    } else {
        return None;
    };
    Some(LeftAlone { reason, message: message.into() })
}

/// Why nothing is made of a container's labels and name, if that is so.
fn left_alone_by_will(
    workload: &Workload,
    enable: Option<bool>,
    settings: &LabelSettings,
) -> Option<LeftAlone> {
    let name = &workload.name;
    let (reason, message) = match (enable, settings.expose_by_default, workload.phase) {
        (Some(false), _, _) => (
            "Disabled",
            "its label `portolan.enable` is `false`; recreate it without to expose it".to_owned(),
        ),
        (None, Exposure::Enabled, _) => {
            let words =
                "containers are not exposed by default here; the label `portolan.enable=true` exposes it";
            ("NotEnabled", words.to_owned())
        }
        (_, _, Phase::Created) => {
            ("NotStarted", format!("it has not been started; `docker start {name}` starts it"))
        }
        (_, _, Phase::Dead) => {
            let words =
                format!("it is dead or being removed; `docker rm --force {name}` removes what is left of it");
            ("Dead", words)
        }
        (
            _,
            _,
            Phase::Running
            | Phase::Paused
            | Phase::Draining
            | Phase::Restarting
            | Phase::Terminating
            | Phase::Exited
            | Phase::Gone,
        ) => return None,
    };
    Some(LeftAlone { reason, message })
}

/// Whether the container is routed at all; says so where its labels have no effect.
fn is_exposed(
    workload: &Workload,
    declared: &claims::Declared,
    settings: &LabelSettings,
    problems: &mut Problems,
) -> bool {
    match (declared.enable, settings.expose_by_default) {
        (Some(enable), _) => enable,
        (None, Exposure::All) => true,
        (None, Exposure::Enabled) => {
            if !declared.routes.is_empty() || !declared.problems.is_empty() {
                problems.extend(workload, declared.problems.iter().cloned());
                let message = format!(
                    "container `{}` has labels for Portolan but is left alone: containers are not exposed by default here",
                    workload.name
                );
                let hint = Some("add the label `portolan.enable=true`".to_owned());
                problems.add(workload, None, (Severity::Warning, "NotEnabled"), (message, hint));
            }
            false
        }
    }
}

/// What is wrong, by container.
#[derive(Debug, Default)]
struct Problems(BTreeMap<WorkloadId, Vec<Problem>>);

// === impl Problems ===

impl Problems {
    /// One container's labels cannot make more noise than this.
    const MOST: usize = 64;

    fn extend(&mut self, workload: &Workload, more: impl IntoIterator<Item = Problem>) {
        for problem in more {
            self.push(workload, problem);
        }
    }

    fn push(&mut self, workload: &Workload, problem: Problem) {
        let list = self.0.entry(workload.id.clone()).or_default();
        if list.len() < Self::MOST && !list.contains(&problem) {
            list.push(problem);
        }
    }

    fn add(
        &mut self,
        workload: &Workload,
        label: Option<&str>,
        what: (Severity, &'static str),
        words: (String, Option<String>),
    ) {
        self.push(workload, problem(workload, label, what, words));
    }
}

/// A problem with a container or one of its labels.
fn problem(
    workload: &Workload,
    label: Option<&str>,
    (severity, reason): (Severity, &'static str),
    (message, hint): (String, Option<String>),
) -> Problem {
    Problem { severity, reason, message, hint, origin: origin(workload, label) }
}

fn origin(workload: &Workload, label: Option<&str>) -> Origin {
    Origin::Container { id: workload.id.0.clone(), name: workload.name.clone(), label: label.map(Into::into) }
}

// === impl LabelSettings ===

impl Default for LabelSettings {
    fn default() -> Self {
        Self {
            expose_by_default: Exposure::All,
            host_templates: Template::defaults(),
            own: None,
            taken: BTreeSet::new(),
        }
    }
}
