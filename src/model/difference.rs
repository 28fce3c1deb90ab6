//! One difference between two reports.

/// One thing that is there, is not there any more, or is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    /// `HTTPRoute shop/books`, `endpoints of shop/web:80`, `container web`, `document`.
    pub subject: String,
    /// Where it is written; empty where it follows from something else.
    pub origin: String,
    /// The sentence that the log and the events have for it, where they have one.
    pub sentence: String,
    /// What exactly, a line each.
    pub details: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    Added,
    Changed,
    Removed,
    /// A document cannot be used: its last good version stays.
    Invalid,
}

// === impl DifferenceKind ===

impl DifferenceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Invalid => "invalid",
        }
    }
}
