//! Tables: aligned columns on a terminal, tab-separated fields otherwise.

use super::exit::Failure;
use super::output::Output;
use super::style;

/// The maximum width of a column on a terminal, except the last.
const COLUMN_MAX: usize = 64;

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
        let mut left = out.width.unwrap_or(usize::MAX);
        let mut line = String::new();
        for (at, ((text, style), width)) in row.iter().zip(widths).enumerate() {
            let last = at + 1 == N;
            let room = if last { left.max(20) } else { width };
            let cell = style::truncate(text, room);
            line.push_str(&painter.paint(*style, &cell));
            if !last {
                line.push_str(&" ".repeat(width.saturating_sub(textwrap::core::display_width(&cell)) + 2));
                left = left.saturating_sub(width + 2);
            }
        }
        out.line(line)?;
    }
    Ok(())
}
