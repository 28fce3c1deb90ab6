//! What is asked for: a kind, a name, a namespace.

use super::super::exit::Advised;
use crate::{admin::Collection, config::diagnostic::nearest};

/// Which objects of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub namespace: Option<String>,
    pub name: Option<String>,
}

/// Plural, singular, kind or short form; with the nearest where it is none of them.
pub fn collection(word: &str) -> Result<Collection, Advised> {
    Collection::parse(word).ok_or_else(|| {
        let names = Collection::names();
        let hint = match nearest(word, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", Collection::plurals().join(", ")),
        };
        Advised::new(format!("`{word}` is nothing that can be listed"), hint)
    })
}

// === impl Wanted ===

impl Wanted {
    /// `name` may be `namespace/name`.
    pub fn new(name: Option<&str>, namespace: Option<&str>) -> Result<Self, Advised> {
        let (before, name) = match name.map(|name| name.split_once('/').ok_or(name)) {
            Some(Ok((before, name))) => (Some(before), Some(name)),
            Some(Err(name)) => (None, Some(name)),
            None => (None, None),
        };
        match (before, namespace) {
            (Some(one), Some(other)) if one != other => Err(Advised::new(
                format!("the namespace is `{one}` in the name and `{other}` in `--namespace`"),
                "name it once",
            )),
            (Some(namespace), _) | (None, Some(namespace)) => {
                Ok(Self { namespace: Some(namespace.to_owned()), name: name.map(str::to_owned) })
            }
            (None, None) => Ok(Self { namespace: None, name: name.map(str::to_owned) }),
        }
    }

    pub fn query(&self) -> Vec<(&'static str, Option<&str>)> {
        vec![("namespace", self.namespace.as_deref()), ("name", self.name.as_deref())]
    }

    /// `namespace/name`, as far as either was said.
    pub fn shown(&self) -> String {
        [&self.namespace, &self.name].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_its_namespace() {
        let wanted = |name: Option<&str>, namespace: Option<&str>| {
            Wanted::new(name, namespace).map(|wanted| wanted.shown()).map_err(|error| error.message)
        };
        assert_eq!(wanted(Some("shop/books"), None), Ok("shop/books".to_owned()));
        assert_eq!(wanted(Some("books"), Some("shop")), Ok("shop/books".to_owned()));
        assert_eq!(wanted(Some("shop/books"), Some("shop")), Ok("shop/books".to_owned()));
        assert_eq!(
            wanted(Some("shop/books"), Some("other")),
            Err("the namespace is `shop` in the name and `other` in `--namespace`".to_owned())
        );
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_name() {
        let hint = |word: &str| collection(word).unwrap_err().hint;
        assert_eq!(hint("rutes"), "did you mean `routes`?");
        assert_eq!(hint("httproute s"), "did you mean `httproutes`?");
        assert_eq!(
            hint("pods"),
            "there are gateways, routes, backends, endpoints, certificates, containers, events, gatewayclasses, \
             listenersets, httproutes, grpcroutes, tlsroutes, tcproutes, udproutes, backendtlspolicies, referencegrants, \
             secrets, configmaps, services, namespaces, filters, rollouts, controllerconfigs"
        );
    }
}
