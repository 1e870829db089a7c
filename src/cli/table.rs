//! Tables: aligned columns on a terminal, tab-separated fields otherwise.

use prost::Name;

use super::exit::Failure;
use super::output::Output;
use super::style;

/// The maximum width of a column on a terminal, except the last.
const COLUMN_MAX: usize = 64;
/// The minimum width of the last column, however narrow the terminal is.
const LAST_COLUMN_MIN: usize = 20;
/// The number of spaces between two columns.
const GAP: usize = 2;

/// Writes messages: a line of JSON for each, or a table with a `row` for each.
pub(super) fn messages<M: Name, const N: usize>(
    messages: &[M],
    row: impl Fn(&M, &Output) -> [(String, anstyle::Style); N],
    out: &mut Output,
) -> Result<(), Failure> {
    if out.json {
        return messages.iter().try_for_each(|message| out.message(message));
    }
    let rows: Vec<_> = messages.iter().map(|message| row(message, out)).collect();
    table(&rows, out)
}

/// Writes the rows of a table. A column is as wide as its widest cell, up to [`COLUMN_MAX`].
pub(super) fn table<const N: usize>(rows: &[[(String, anstyle::Style); N]], out: &mut Output) -> Result<(), Failure> {
    if !out.is_terminal() {
        return rows.iter().try_for_each(|row| {
            let fields: Vec<&str> = row.iter().map(|(text, _)| text.as_str()).collect();
            out.line(fields.join("\t"))
        });
    }
    let mut widths = [0; N];
    for row in rows {
        for (width, (text, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(textwrap::core::display_width(text)).min(COLUMN_MAX);
        }
    }
    let painter = out.painter();
    for row in rows {
        let mut remaining = out.width.unwrap_or(usize::MAX);
        let mut line = String::new();
        for (index, ((text, style), width)) in row.iter().zip(widths).enumerate() {
            let is_last = index + 1 == N;
            let cell = style::truncate(text, if is_last { remaining.max(LAST_COLUMN_MIN) } else { width });
            line.push_str(&painter.paint(*style, &cell));
            if !is_last {
                line.push_str(&" ".repeat(width.saturating_sub(textwrap::core::display_width(&cell)) + GAP));
                remaining = remaining.saturating_sub(width + GAP);
            }
        }
        out.line(line)?;
    }
    Ok(())
}
