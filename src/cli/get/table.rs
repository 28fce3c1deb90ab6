//! Tables without borders, as `kubectl` prints them: one line an object, nothing wrapped.

pub mod columns;
#[cfg(test)]
mod tests;

use comfy_table::{ContentArrangement, presets};
use serde_json::Value;

use crate::admin::Collection;
pub use columns::{age, next_check, origin, text, with_failure};

/// A table of one collection. It keeps the widths of what it has printed.
#[derive(Debug)]
pub struct Table {
    columns: Vec<columns::Column>,
    widths: Vec<usize>,
    now: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Usual,
    /// More columns, and nothing shortened.
    Wide,
}

/// Between columns.
const GAP: usize = 3;

/// The name of an object.
pub fn name_of(item: &Value) -> String {
    text(&item["metadata"]["name"])
}

/// `namespace/name`, or the name alone where there is no namespace.
pub fn full_name(item: &Value) -> String {
    match item["metadata"]["namespace"].as_str() {
        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{}", name_of(item)),
        Some(_) | None => name_of(item),
    }
}

/// Lines of cells under headers, if there are any.
pub fn plain(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !headers.is_empty() {
        table.set_header(headers.iter().copied());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, u16::try_from(GAP).unwrap_or(3)));
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A cell has one line and nothing that steers a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

// === impl Table ===

impl Table {
    pub fn new(collection: Collection, width: Width) -> Self {
        let now = jiff::Timestamp::now().as_second();
        Self { columns: columns::of(collection, width), widths: Vec::new(), now }
    }

    /// The header and a line for each object.
    pub fn render(&mut self, items: &[Value]) -> String {
        let headers: Vec<_> = self.columns.iter().map(|column| column.header).collect();
        let rows: Vec<_> = items.iter().map(|item| self.cells(item)).collect();
        self.widths = headers.iter().map(|header| header.chars().count()).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        plain(&headers, &rows)
    }

    /// One more line under the columns of what was rendered.
    pub fn row(&mut self, item: &Value) -> String {
        self.now = jiff::Timestamp::now().as_second();
        let cells = self.cells(item);
        self.line(&cells)
    }

    /// The line of an object that is no more.
    pub fn gone(&self, item: &Value) -> String {
        let known = |column: &columns::Column| matches!(column.header, "NAMESPACE" | "NAME");
        let cells: Vec<_> = self
            .columns
            .iter()
            .map(|column| if known(column) { (column.cell)(item, self.now) } else { "-".to_owned() })
            .collect();
        let line = self.line(&cells);
        format!("{} (gone)\n", line.trim_end())
    }

    fn cells(&self, item: &Value) -> Vec<String> {
        self.columns.iter().map(|column| one_line(&(column.cell)(item, self.now))).collect()
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            line.push_str(cell);
            let width = self.widths.get(index).copied().unwrap_or_default() + GAP;
            let missing = width.saturating_sub(cell.chars().count()).max(1);
            line.extend(std::iter::repeat_n(' ', missing));
        }
        format!("{}\n", line.trim_end())
    }
}
