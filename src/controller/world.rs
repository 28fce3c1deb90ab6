//! What the controller knows: documents, containers, names, and how sure it is of each.

mod problems;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Input, Settings, drains::Drains, implicit, keeper::Keeper, reporter::Noted, state, turns::Turns,
    unix_seconds,
};
use crate::{
    config::{
        self,
        files::{Scan, Update},
        labels::{self, Considered, Translation, Translator},
        store::Store,
    },
    discovery::docker::{self, Locality, Notice, Own},
    model::{
        self, FailureReport, HostPattern, Kind, Origin, Phase, Placement, Problem, Resource, ResourceId,
        Snapshot, SourceReport, Workload, WorkloadId,
    },
    runtime::reflect,
};
use problems::{problem, shadowed};

/// How long a first full list of the engine is waited for before the remembered state serves.
const GRACE: Duration = Duration::from_secs(2);
/// How often an address that could not be bound is tried again.
const BIND_RETRY: Duration = Duration::from_secs(5);

pub(super) struct World {
    settings: Settings,
    started: Instant,
    documents: Store,
    files_seen: bool,
    writer: reflect::Writer<Workload>,
    store: reflect::Store<Workload>,
    /// What was known before the restart; served until the engine has spoken.
    remembered: BTreeMap<WorkloadId, Arc<Workload>>,
    /// Containers that are gone, and until when they are remembered.
    gone: BTreeMap<WorkloadId, (Instant, Arc<Workload>)>,
    /// Containers that are being drained.
    pub(super) drains: Drains,
    /// Requests that endpoints have failed: nothing is decided by them.
    pub(super) failures: Arc<FailureReport>,
    own: Own,
    locality: Locality,
    engine_lost: bool,
    /// Changes that no event told of, not counted in the metrics yet.
    drift: usize,
    /// What is planned; its resources and workloads are those of `translated`.
    snapshot: Snapshot,
    turns: Turns,
    retry_bind: Option<Instant>,
    sources: BTreeMap<&'static str, SourceReport>,
    translated: Option<Translated>,
    translator: Translator,
    keeper: Keeper,
    /// Since when the answers are waited for without which a first table would not be whole.
    asking: Option<Instant>,
}

/// All objects that follow from documents and labels.
struct Translated {
    objects: BTreeMap<ResourceId, Arc<config::Object>>,
    labels: BTreeMap<WorkloadId, Noted>,
    names: Considered,
}

// === impl World ===

impl World {
    pub(super) fn new(settings: Settings, now: Instant) -> Self {
        let (writer, store) = reflect::store();
        let remembered = settings.state_dir.as_deref().map_or_else(|| Ok(Vec::new()), state::load);
        let remembered = remembered.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last known state is not used");
            Vec::new()
        });
        let past = settings.state_dir.as_deref().map_or_else(|| Ok(BTreeMap::new()), state::load_documents);
        let past = past.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last good documents are not known");
            BTreeMap::new()
        });
        let mut world = Self {
            started: now,
            documents: Store::restore(&past),
            files_seen: !settings.has_files,
            writer,
            store,
            remembered: remembered
                .into_iter()
                .map(|workload| (workload.id.clone(), Arc::new(workload)))
                .collect(),
            gone: BTreeMap::new(),
            drains: Drains::default(),
            failures: Arc::default(),
            own: Own::read(),
            locality: Locality::Local,
            engine_lost: false,
            drift: 0,
            snapshot: Snapshot {
                settings: model::Settings {
                    http: settings.http,
                    placement: Placement::Host,
                    hold: settings.hold,
                },
                ..Snapshot::default()
            },
            turns: Turns::default(),
            retry_bind: None,
            sources: BTreeMap::new(),
            translated: None,
            translator: Translator::default(),
            keeper: Keeper::new(settings.state_dir.clone(), settings.claim.clone()),
            asking: None,
            settings,
        };
        if let Some(engine) = world.settings.engine.clone() {
            world.note_source("docker", (false, format!("connecting to {engine}")));
        }
        world
    }

    /// Takes what a source says; whether it may change what is served.
    pub(super) fn apply(&mut self, input: Input, now: Instant) -> bool {
        match input {
            Input::Files(update) => return self.read(update, now),
            Input::Docker(notice) => self.observe(notice, now),
            Input::Name(name, addresses) => {
                self.snapshot.names.insert(name, addresses);
            }
            Input::Certificate(id, issued) => {
                self.snapshot.issued.insert(id, issued);
            }
            Input::Locality(locality) => self.locality = locality,
            Input::Health(health) => self.snapshot.health = health,
            // Meant for the controller, which does not pass them on.
            Input::Preview(..) | Input::Drain(..) | Input::Failures(_) => return false,
        }
        true
    }

    fn read(&mut self, update: Update, now: Instant) -> bool {
        let change = self.documents.update(update);
        self.keeper.note_documents(now, self.documents.files());
        if !self.follow(&change.objects) {
            self.translated = None;
        }
        if !change.is_empty() {
            self.note_refused();
        }
        !(std::mem::replace(&mut self.files_seen, true) && change.is_empty())
    }

    /// Takes over documents that have changed. Says whether that was all that follows: they may decide what labels come
    /// to, and what is implicit.
    fn follow(&mut self, changed: &BTreeSet<ResourceId>) -> bool {
        let Some(translated) = &mut self.translated else { return false };
        let decides = |id: &ResourceId| {
            matches!(id.kind, Kind::Gateway | Kind::Certificate | Kind::Secret) || translated.names.has(id)
        };
        if changed.iter().any(decides) {
            return false;
        }
        for id in changed {
            if let Some(object) = self.documents.objects().get(id) {
                self.snapshot.resources.insert(id.clone(), object.resource.clone());
                translated.objects.insert(id.clone(), object.clone());
            } else {
                self.snapshot.resources.remove(id);
                translated.objects.remove(id);
            }
        }
        true
    }

    fn observe(&mut self, notice: Notice, now: Instant) {
        match notice {
            Notice::Event(event) => {
                let before = self.store.snapshot();
                self.writer.apply(event);
                self.remember_gone(&before, now);
            }
            Notice::Connected { version } => {
                self.engine_lost = false;
                let engine = self.settings.engine.as_deref().unwrap_or_default();
                self.note_source("docker", (true, format!("{engine}, API {version}")));
            }
            Notice::Lost { error } => {
                let never_reached = self.sources.get("docker").is_some_and(|source| !source.connected);
                if never_reached && !self.engine_lost {
                    tracing::warn!(source = "docker", "cannot be used: {error}; it is tried again for ever");
                }
                self.engine_lost = true;
                let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
                self.note_source("docker", (false, format!("{error}{remedy}")));
            }
            Notice::Degraded { error } => {
                tracing::warn!(
                    source = "docker",
                    "no events, containers are listed every few seconds instead: {error}"
                );
            }
            Notice::Unreadable { id, error } => {
                tracing::warn!(
                    source = "docker",
                    container = &*id.0,
                    "a container cannot be inspected: {error}"
                );
            }
            Notice::Resynced { drift } => {
                if drift > 0 {
                    tracing::warn!(source = "docker", drift, "the full list differs from what events told");
                }
                self.drift += drift;
            }
        }
    }

    /// Keeps containers that are gone for a while, so that their routes wait for a successor instead of vanishing.
    fn remember_gone(&mut self, before: &BTreeMap<WorkloadId, Arc<Workload>>, now: Instant) {
        let current = self.store.snapshot();
        let known = if self.remembered.is_empty() { before } else { &self.remembered };
        let lives = |id: &WorkloadId| current.get(id).is_some_and(|workload| has_a_life(workload));
        for (id, workload) in known.iter().filter(|(id, workload)| has_a_life(workload) && !lives(id)) {
            let gone = Arc::new(Workload { phase: Phase::Gone, ..(**workload).clone() });
            self.gone.insert(id.clone(), (now + self.settings.removal_delay, gone));
        }
        if self.store.is_ready() {
            self.remembered.clear();
        }
        self.gone.retain(|id, _| !lives(id));
        self.drains.keep_living(&current);
        self.snapshot.settings.placement = docker::placement(&self.own, self.locality, &current);
        self.translated = None;
        self.keeper.note_workloads(now);
    }

    fn note_source(&mut self, name: &'static str, (connected, message): (bool, String)) {
        let before = self.sources.get(name);
        if before.is_some_and(|before| before.connected == connected && before.message == message) {
            return;
        }
        match (before.map(|before| before.connected), connected) {
            (Some(false), true) => tracing::info!(source = name, "connected to {message}"),
            (Some(true), false) => {
                tracing::warn!(source = name, "lost: {message}; the last known state keeps serving");
            }
            (Some(false) | None, false) | (Some(true) | None, true) => {}
        }
        let since = before
            .filter(|before| before.connected == connected)
            .map_or_else(unix_seconds, |before| before.since);
        self.sources.insert(name, SourceReport { name: name.into(), connected, since, message });
    }

    pub(super) fn note_unbound(&mut self, unbound: BTreeMap<SocketAddr, Arc<str>>, now: Instant) {
        self.retry_bind = (!unbound.is_empty()).then(|| now + BIND_RETRY);
        self.snapshot.unbound = unbound;
    }

    /// Does what is due; says whether the world has changed by it.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.gone.len();
        self.gone.retain(|_, (until, _)| *until > now);
        let forgot = self.gone.len() != before;
        if forgot {
            self.translated = None;
        }
        let binds_again = self.retry_bind.is_some_and(|at| at <= now);
        if binds_again {
            self.retry_bind = Some(now + BIND_RETRY);
        }
        self.keeper.expire(now, &mut self.store, &self.documents);
        forgot || binds_again || self.turns.is_due(unix_seconds())
    }

    /// When something is due without any input.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let gone = self.gone.values().map(|(until, _)| *until).min();
        let grace = (!self.may_publish(self.started)).then_some(self.started + GRACE);
        let grace = grace.filter(|grace| *grace > Instant::now());
        let answers = self.asking.map(|since| since + GRACE);
        let turns = self.turns.deadline(unix_seconds());
        [gone, grace, answers, turns, self.retry_bind, self.keeper.due()].into_iter().flatten().min()
    }

    /// Whether every source has spoken once, or has had its chance.
    pub(super) fn may_publish(&self, now: Instant) -> bool {
        let engine_seen = self.settings.engine.is_none() || self.store.is_ready() || self.engine_lost;
        self.files_seen && (engine_seen || now >= self.started + GRACE)
    }

    /// Whether a first table would be whole: certificates that are read or made, and names that are resolved, come a moment
    /// after they were asked for. They are not waited for for long.
    pub(super) fn is_whole(&mut self, now: Instant) -> bool {
        let since = *self.asking.get_or_insert(now);
        let snapshot = &self.snapshot;
        let has_all = snapshot.certificates_to_issue().keys().all(|id| snapshot.issued.contains_key(id))
            && snapshot.names_to_resolve().iter().all(|name| snapshot.names.contains_key(name));
        if has_all || now >= since + GRACE {
            self.asking = None;
            return true;
        }
        false
    }

    /// Looks at the world as it would be with other files.
    pub(super) fn with_files<T>(&mut self, scan: Scan, look: impl FnOnce(&mut Self) -> T) -> T {
        let mut documents = self.documents.clone();
        documents.apply(scan);
        let documents = std::mem::replace(&mut self.documents, documents);
        let (translated, snapshot) = (self.translated.take(), self.snapshot.clone());
        let seen = look(self);
        self.documents = documents;
        (self.translated, self.snapshot) = (translated, snapshot);
        seen
    }

    /// The containers as the engine tells of them.
    pub(super) fn containers(&mut self) -> BTreeMap<WorkloadId, Arc<Workload>> {
        self.store.snapshot()
    }

    /// As if Portolan ran there.
    #[cfg(test)]
    pub(super) fn place(&mut self, placement: Placement) {
        self.snapshot.settings.placement = placement;
        self.translated = None;
    }

    pub(super) fn placement(&self) -> &Placement {
        &self.snapshot.settings.placement
    }

    /// See [`labels::names_of_one`].
    pub(super) fn names_of_one(&self, workload: &Workload) -> Vec<HostPattern> {
        labels::names_of_one(workload, &self.settings.labels.host_templates)
    }

    /// What was made of labels is made again.
    pub(super) fn forget_translation(&mut self) {
        self.translated = None;
    }

    fn workloads(&mut self) -> BTreeMap<WorkloadId, Arc<Workload>> {
        let mut workloads = self.store.snapshot();
        if !self.store.is_ready() {
            workloads.extend(self.remembered.iter().map(|(id, workload)| (id.clone(), workload.clone())));
        }
        for (id, (_, workload)) in &self.gone {
            workloads.insert(id.clone(), workload.clone());
        }
        self.drains.mark(&mut workloads);
        workloads
    }

    /// Brings the snapshot up to date.
    pub(super) fn refresh(&mut self) {
        self.snapshot.now = unix_seconds();
        if self.translated.is_none() {
            let workloads = self.workloads();
            let translated = self.translate(&workloads);
            let resources = translated.objects.iter();
            self.snapshot.resources =
                resources.map(|(id, object)| (id.clone(), object.resource.clone())).collect();
            self.note_refused();
            self.snapshot.workloads = workloads;
            self.translated = Some(translated);
        }
        self.turns = Turns::of(&self.snapshot);
    }

    /// What others refer to by name, and look for in vain.
    fn note_refused(&mut self) {
        const KINDS: [Kind; 3] = [Kind::Secret, Kind::ConfigMap, Kind::Certificate];
        self.snapshot.refused = self.documents.refused(&KINDS);
        self.snapshot.unsecured = self.documents.unsecured();
    }

    /// The world as it was refreshed last.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// All objects: of documents, of labels, and the implicit Gateway. A document wins over a label.
    fn translate(&mut self, workloads: &BTreeMap<WorkloadId, Arc<Workload>>) -> Translated {
        let settings = self.label_settings();
        let Translation { objects, mut problems, mut resources, mut left_alone, names } =
            self.translator.translate(workloads, &settings);
        let mut all = self.documents.objects().clone();
        for object in objects {
            let meta = object.resource.meta();
            if let Some(document) = all.get(&meta.id) {
                let Origin::Container { id, .. } = &meta.origin else { continue };
                problems.entry(WorkloadId(id.clone())).or_default().push(shadowed(meta, document));
                continue;
            }
            all.insert(meta.id.clone(), object);
        }
        if !all.keys().any(|id| id.kind == Kind::Gateway) {
            // Nothing listens for HTTPS before there is something to show.
            let https = self.settings.https.filter(|_| all.values().any(holds_certificate));
            all.extend(implicit::gateways(self.settings.http, https));
        }
        let mut note = |id: &WorkloadId| Noted {
            problems: problems.remove(id).unwrap_or_default(),
            resources: resources.remove(id).unwrap_or_default(),
            left_alone: left_alone.remove(id),
        };
        let notes = workloads.keys().map(|id| (id.clone(), note(id))).collect();
        Translated { objects: all, labels: notes, names }
    }

    fn label_settings(&self) -> labels::LabelSettings {
        let own = match &self.snapshot.settings.placement {
            Placement::Container { id, .. } => Some(id.clone()),
            Placement::Host | Placement::Remote { .. } => None,
        };
        let taken = self.documents.objects().keys().cloned().collect();
        labels::LabelSettings { own, taken, ..self.settings.labels.clone() }
    }
}

// === what is told ===

impl World {
    pub(super) fn objects(&self) -> &BTreeMap<ResourceId, Arc<config::Object>> {
        static NONE: BTreeMap<ResourceId, Arc<config::Object>> = BTreeMap::new();
        self.translated.as_ref().map_or(&NONE, |translated| &translated.objects)
    }

    pub(super) fn labels(&self) -> &BTreeMap<WorkloadId, Noted> {
        static NONE: BTreeMap<WorkloadId, Noted> = BTreeMap::new();
        self.translated.as_ref().map_or(&NONE, |translated| &translated.labels)
    }

    pub(super) fn stale(&self) -> &BTreeSet<ResourceId> {
        self.documents.stale()
    }

    pub(super) fn config_valid(&self) -> bool {
        self.documents.is_valid()
    }

    pub(super) fn sources(&self) -> Vec<SourceReport> {
        self.sources.values().cloned().collect()
    }

    /// What is wrong with documents.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.documents.diagnostics().iter().map(problem).collect()
    }

    /// How many changes no event told of since this was asked last.
    pub(super) fn take_drift(&mut self) -> usize {
        std::mem::take(&mut self.drift)
    }
}

fn holds_certificate(object: &Arc<config::Object>) -> bool {
    match &object.resource {
        Resource::Certificate(_) => true,
        Resource::Secret(secret) => secret.certificate.is_some(),
        Resource::GatewayClass(_)
        | Resource::Gateway(_)
        | Resource::HttpRoute(_)
        | Resource::ReferenceGrant(_)
        | Resource::BackendTlsPolicy(_)
        | Resource::Service(_)
        | Resource::Namespace(_)
        | Resource::Backend(_)
        | Resource::ListenerSet(_)
        | Resource::Unserved(_)
        | Resource::ConfigMap(_)
        | Resource::Passive(_) => false,
    }
}

/// Whether it has been started and not been given up: the engine calls a container dead while it removes it, before it
/// says that it is gone.
fn has_a_life(workload: &Workload) -> bool {
    !matches!(workload.phase, Phase::Created | Phase::Dead)
}
