//! `portolan get`: what the running controller knows, as tables or documents.

pub mod name;
pub mod table;

use serde_json::Value;

use super::{
    args::{GetArgs, GetFormat},
    client::{Client, Lines, block_on, list_path},
    exit::{Advised, Exit},
    print,
};
use crate::{
    admin::Collection,
    config::{diagnostic::nearest, emit::emit},
};
use name::Wanted;
use table::Table;

/// So many mistakes are told beside a table.
const MAX_MISTAKES: usize = 5;

/// Lists, shows one, or follows.
pub fn get(args: &GetArgs) -> anyhow::Result<Exit> {
    let collection = name::collection(&args.kind)?;
    let wanted = Wanted::new(args.name.as_deref(), args.namespace.as_deref())?;
    let client = Client::new(args.server.admin.clone());
    block_on(async {
        if args.watch {
            follow(&client, collection, &wanted, args.output).await
        } else {
            list(&client, collection, &wanted, args.output).await
        }
    })
}

async fn list(
    client: &Client,
    collection: Collection,
    wanted: &Wanted,
    format: GetFormat,
) -> anyhow::Result<Exit> {
    let items = find(client, collection, wanted).await?;
    if matches!(format, GetFormat::Table | GetFormat::Wide) {
        for caveat in caveats(client).await {
            print::message(&caveat);
        }
    }
    if items.is_empty() && matches!(format, GetFormat::Table | GetFormat::Wide) {
        print::message(&nothing(collection, wanted));
        return Ok(Exit::Yes);
    }
    print::data(&render(&items, collection, wanted, format))?;
    Ok(Exit::Yes)
}

/// Why what is shown may not be how things are: sources that are lost, documents with mistakes.
async fn caveats(client: &Client) -> Vec<String> {
    // The list is what was asked for: it does not fail for want of this.
    let Ok(answer) = client.get("/api/v1/status").await else { return Vec::new() };
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let empty = Vec::new();
    let sources = status["sources"].as_array().unwrap_or(&empty).iter();
    let lost = sources.filter(|source| source["connected"] == false).map(|source| {
        let word = |field: &str| source[field].as_str().unwrap_or_default().to_owned();
        let (name, since, message) = (word("name"), word("since"), word("message"));
        format!("warning: source `{name}` is lost since {since}, its last known state is shown: {message}")
    });
    let problems = status["problems"].as_array().unwrap_or(&empty).iter();
    let errors: Vec<&Value> = problems.filter(|problem| problem["severity"] == "error").collect();
    let mistakes = errors.iter().take(MAX_MISTAKES).map(|problem| {
        let word = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        format!("warning: {}: {}", word("origin"), word("message"))
    });
    let more = errors.len().saturating_sub(MAX_MISTAKES);
    let rest = (more > 0).then(|| format!("warning: {more} more mistakes; `portolan check` lists them"));
    lost.chain(mistakes).chain(rest).collect()
}

fn nothing(collection: Collection, wanted: &Wanted) -> String {
    match &wanted.namespace {
        Some(namespace) => format!("No {} in namespace `{namespace}`", collection.plural()),
        None => format!("No {}", collection.plural()),
    }
}

/// The objects that are wanted. One that is named and is not there is an error, with the nearest name.
pub async fn find(client: &Client, collection: Collection, wanted: &Wanted) -> anyhow::Result<Vec<Value>> {
    let plural = collection.plural();
    let items = client.list(&list_path(&plural, &wanted.query())).await?;
    let Some(name) = wanted.name.as_deref().filter(|_| items.is_empty()) else { return Ok(items) };
    // Events of an object may be none.
    if collection == Collection::Events {
        return Ok(items);
    }
    let all = client.list(&list_path(&plural, &[])).await?;
    let names: Vec<String> = all.iter().map(table::name_of).collect();
    let message = format!("there is no `{}` in {plural}", wanted.shown());
    let elsewhere = all.iter().find(|item| item["metadata"]["name"] == name);
    let hint = if let Some(other) = elsewhere {
        format!("there is `{}`", table::full_name(other))
    } else if let Some(near) = nearest(name, names.iter().map(String::as_str)) {
        format!("did you mean `{near}`?")
    } else {
        format!("`portolan get {plural}` lists what there is")
    };
    Err(Advised::no(message, hint).into())
}

fn render(items: &[Value], collection: Collection, wanted: &Wanted, format: GetFormat) -> String {
    match format {
        GetFormat::Table => Table::new(collection, table::Width::Usual).render(items),
        GetFormat::Wide => Table::new(collection, table::Width::Wide).render(items),
        GetFormat::Yaml => items.iter().map(emit).collect::<Vec<_>>().join("---\n"),
        GetFormat::Json => match items {
            [one] if wanted.name.is_some() => format!("{one:#}\n"),
            items => {
                let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
                format!("{list:#}\n")
            }
        },
    }
}

async fn follow(
    client: &Client,
    collection: Collection,
    wanted: &Wanted,
    format: GetFormat,
) -> anyhow::Result<Exit> {
    let mut query = wanted.query();
    query.push(("watch", Some("true")));
    let mut lines = client.lines(&list_path(&collection.plural(), &query)).await?;
    match format {
        GetFormat::Table => follow_table(&mut lines, Table::new(collection, table::Width::Usual)).await?,
        GetFormat::Wide => follow_table(&mut lines, Table::new(collection, table::Width::Wide)).await?,
        GetFormat::Json => {
            while let Some(change) = lines.next().await? {
                if change["type"] != "BOOKMARK" {
                    print::data(&format!("{change}\n"))?;
                }
            }
        }
        GetFormat::Yaml => {
            while let Some(change) = lines.next().await? {
                match change["type"].as_str() {
                    Some("ADDED" | "MODIFIED") => print::data(&format!("---\n{}", emit(&change["object"])))?,
                    Some("DELETED") => {
                        print::data(&format!("---\n# {} is gone\n", table::full_name(&change["object"])))?;
                    }
                    Some(_) | None => {}
                }
            }
        }
    }
    print::message("the controller has ended the stream");
    Ok(Exit::Trouble)
}

/// What is there as one table, then a line for each change, under the same columns.
async fn follow_table(lines: &mut Lines, mut table: Table) -> anyhow::Result<()> {
    let mut first = Vec::new();
    while let Some(change) = lines.next().await? {
        if change["type"] == "BOOKMARK" {
            break;
        }
        first.push(change["object"].clone());
    }
    print::data(&table.render(&first))?;
    while let Some(change) = lines.next().await? {
        match change["type"].as_str() {
            Some("ADDED" | "MODIFIED") => print::data(&table.row(&change["object"]))?,
            Some("DELETED") => print::data(&table.gone(&change["object"]))?,
            Some(_) | None => {}
        }
    }
    Ok(())
}
