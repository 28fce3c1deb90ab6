//! `/api/v1/plan`: what other documents would change. Nothing is changed by asking.

use std::{path::PathBuf, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::model::Difference;

/// A question to whoever plans.
#[derive(Debug)]
pub struct Preview {
    /// All documents that there would be, by path.
    pub files: Vec<(PathBuf, Arc<[u8]>)>,
    pub answer: oneshot::Sender<Vec<Difference>>,
}

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Path and text of each file.
    files: Vec<(PathBuf, String)>,
}

/// More than this is not read.
pub(super) const MAX_BODY: usize = 64 << 20;

/// Asks; `None` while nobody plans any more.
pub(super) async fn ask(previews: &mpsc::Sender<Preview>, asked: Asked) -> Option<Value> {
    let (answer, differences) = oneshot::channel();
    let files = asked.files.into_iter().map(|(path, text)| (path, text.into_bytes().into()));
    previews.send(Preview { files: files.collect(), answer }).await.ok()?;
    let differences = differences.await.ok()?;
    let render = |one: &Difference| {
        json!({
            "kind": one.kind.as_str(),
            "subject": one.subject,
            "origin": one.origin,
            "sentence": one.sentence,
            "details": one.details,
        })
    };
    Some(json!({"kind": "Plan", "differences": differences.iter().map(render).collect::<Vec<_>>()}))
}
