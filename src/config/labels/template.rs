//! Templates of default host names, such as `{service}.{project}.docker.localhost`.

use crate::{
    config::diagnostic::{nearest, shown},
    model::{Compose, HostPattern, Workload},
};

/// A host name with places for what a container is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name,
    Service,
    Project,
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    #[error("a host template cannot be empty")]
    Empty,
    #[error("`{{{found}}}` in `{template}` is not known{}", suggestion(*.nearest))]
    UnknownPlaceholder { template: String, found: String, nearest: Option<&'static str> },
    #[error("`{{` and `}}` in `{0}` do not belong together")]
    Unbalanced(String),
    #[error("`{0}` holds neither `{{name}}` nor `{{service}}`: containers could not be told apart")]
    NoPlaceholder(String),
    #[error("`{template}` does not make host names: {why}")]
    NotAHost { template: String, why: crate::model::InvalidHost },
}

/// What a template makes of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// The template speaks of Compose and Compose did not make the container.
    NotApplicable,
    /// The text is not a host name.
    NotAHost(String),
    Host(HostPattern),
}

const PLACEHOLDERS: [(&str, Part); 3] =
    [("name", Part::Name), ("service", Part::Service), ("project", Part::Project)];

fn suggestion(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!(", did you mean `{{{name}}}`?"),
        None => ": there are `{name}`, `{service}` and `{project}`".to_owned(),
    }
}

// === impl Template ===

impl Template {
    /// What `--default-host-template` is where nobody says otherwise.
    pub const DEFAULTS: [&'static str; 3] =
        ["{name}.docker.localhost", "{name}.localhost", "{service}.{project}.docker.localhost"];

    /// Parses one template; `{name}` is the container's name, `{service}` and `{project}` are Compose's.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let text = text.trim();
        let unbalanced = || InvalidTemplate::Unbalanced(shown(text));
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(open);
            let after = after.strip_prefix('{').ok_or_else(unbalanced)?;
            let (found, behind) = after.split_once('}').ok_or_else(unbalanced)?;
            if found.contains('{') {
                return Err(unbalanced());
            }
            parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
            parts.push(placeholder(text, found)?);
            rest = behind;
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        let template = Self { parts };
        if template.parts.is_empty() {
            return Err(InvalidTemplate::Empty);
        }
        if !template.parts.iter().any(|part| matches!(part, Part::Name | Part::Service)) {
            return Err(InvalidTemplate::NoPlaceholder(shown(text)));
        }
        match HostPattern::parse(&template.write(|_| "x")) {
            Ok(_) => Ok(template),
            Err(why) => Err(InvalidTemplate::NotAHost { template: shown(text), why }),
        }
    }

    /// Parses templates with commas in between.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, InvalidTemplate> {
        text.split(',').map(Self::parse).collect()
    }

    pub(super) fn defaults() -> Vec<Self> {
        // A test parses them all.
        Self::DEFAULTS.iter().filter_map(|text| Self::parse(text).ok()).collect()
    }

    /// Whether it names single containers, not whole services.
    pub(super) fn is_per_container(&self) -> bool {
        self.parts.contains(&Part::Name)
    }

    pub(super) fn fill(&self, workload: &Workload) -> Filled {
        let compose: Option<Compose<'_>> = workload.compose();
        let is_composed = self.parts.iter().any(|part| matches!(part, Part::Service | Part::Project));
        if is_composed && compose.is_none() {
            return Filled::NotApplicable;
        }
        let text = self.write(|part| match (part, compose) {
            (Part::Name, _) => &workload.name,
            (Part::Service, Some(compose)) => compose.service,
            (Part::Project, Some(compose)) => compose.project,
            (Part::Text(_) | Part::Service | Part::Project, _) => "",
        });
        // What a container is called can hold `*` or a dot at its end; it must not turn into something else.
        match HostPattern::parse(&text) {
            Ok(host) if !text.ends_with('.') && text.contains('*') == self.has_wildcard() => {
                Filled::Host(host)
            }
            Ok(_) | Err(_) => Filled::NotAHost(text),
        }
    }

    fn has_wildcard(&self) -> bool {
        matches!(self.parts.first(), Some(Part::Text(text)) if text.starts_with("*."))
    }

    fn write<'a>(&'a self, word: impl Fn(&'a Part) -> &'a str) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Name | Part::Service | Part::Project => word(part),
            })
            .collect()
    }
}

fn placeholder(template: &str, found: &str) -> Result<Part, InvalidTemplate> {
    let known = PLACEHOLDERS.iter().find(|(name, _)| *name == found);
    known.map(|(_, part)| part.clone()).ok_or_else(|| InvalidTemplate::UnknownPlaceholder {
        template: shown(template),
        found: shown(found),
        nearest: nearest(found, PLACEHOLDERS.iter().map(|(name, _)| *name)),
    })
}
