//! The paths of one host: exact ones by hash, prefixes by a tree of path elements, regular expressions one by one.

use std::{collections::BTreeMap, sync::Arc};

use super::index::{HashIndex, hash};
use crate::model::PathMatch;

/// Finds entries (positions in their listener's list, which is in order of precedence) by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PathTree {
    exact: Vec<(Arc<str>, Vec<u32>)>,
    exact_index: HashIndex,
    regex: Vec<u32>,
    /// The first is the root, which stands for the prefix `/`.
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    edge_index: HashIndex,
}

/// A prefix of whole elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    parent: Option<u32>,
    entries: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    parent: u32,
    element: Box<str>,
    child: u32,
}

// === impl PathTree ===

impl PathTree {
    /// `paths` holds each entry's path, in order of precedence.
    pub(super) fn new<'p>(paths: impl IntoIterator<Item = (u32, &'p PathMatch)>) -> Self {
        let mut tree = Self { nodes: vec![Node::default()], ..Self::default() };
        let mut exact: BTreeMap<Arc<str>, Vec<u32>> = BTreeMap::new();
        let mut edges: BTreeMap<(u32, &str), u32> = BTreeMap::new();
        for (entry, path) in paths {
            match path {
                PathMatch::Exact(path) => exact.entry(path.clone()).or_default().push(entry),
                PathMatch::Regex(_) => tree.regex.push(entry),
                PathMatch::Method(_) => tree.nodes[0].entries.push(entry),
                PathMatch::Prefix(prefix) => {
                    let mut node = 0;
                    for element in prefix.split('/').skip(1) {
                        node = *edges.entry((node, element)).or_insert_with(|| tree.add_node(node));
                    }
                    tree.nodes[node as usize].entries.push(entry);
                }
            }
        }
        tree.exact = exact.into_iter().collect();
        tree.edges = edges
            .into_iter()
            .map(|((parent, element), child)| Edge { parent, element: element.into(), child })
            .collect();
        tree.exact_index = HashIndex::new(tree.exact.len(), |at| hash(tree.exact[at].0.as_bytes()));
        tree.edge_index =
            HashIndex::new(tree.edges.len(), |at| edge_hash(tree.edges[at].parent, &tree.edges[at].element));
        tree
    }

    fn add_node(&mut self, parent: u32) -> u32 {
        self.nodes.push(Node { parent: Some(parent), entries: Vec::new() });
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    /// The entries to try for `path`, in order of precedence: exact, regular expressions (which are still to be held
    /// against the path), then the longest prefix first.
    pub(super) fn candidates(&self, path: &str) -> impl Iterator<Item = u32> {
        let exact = self
            .exact_index
            .find(hash(path.as_bytes()), |at| &*self.exact[at].0 == path)
            .map_or(&[][..], |at| &self.exact[at].1);
        let mut node = Some(self.deepest(path));
        let prefixes = std::iter::from_fn(move || {
            let current = self.nodes.get(node? as usize)?;
            node = current.parent;
            Some(&current.entries)
        });
        exact.iter().chain(&self.regex).chain(prefixes.flatten()).copied()
    }

    /// The entries of each path, in order of precedence; all regular expressions are one group.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[u32]> {
        let exact = self.exact.iter().map(|(_, entries)| &**entries);
        let nodes = self.nodes.iter().map(|node| &*node.entries);
        exact.chain(nodes).chain([&*self.regex])
    }

    /// The node of the longest prefix of `path`.
    fn deepest(&self, path: &str) -> u32 {
        let mut node = 0;
        for element in path.split('/').skip(1) {
            let is_it = |at: usize| self.edges[at].parent == node && &*self.edges[at].element == element;
            match self.edge_index.find(edge_hash(node, element), is_it) {
                Some(at) => node = self.edges[at].child,
                None => break,
            }
        }
        node
    }
}

fn edge_hash(parent: u32, element: &str) -> u64 {
    hash(element.as_bytes()).wrapping_add(u64::from(parent).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
