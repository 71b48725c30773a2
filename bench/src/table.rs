//! The table: a line a row, for people and, as JSON lines, for programs.

use serde::Serialize;

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was measured.
    pub row: &'static str,
    /// The server's value; absent where it could not be measured.
    pub value: Option<f64>,
    /// The unit of value and ceiling.
    pub unit: &'static str,
    /// The bare ceiling's value.
    pub ceiling: Option<f64>,
    /// The value over the ceiling.
    pub ratio: Option<f64>,
    /// What must hold.
    pub target: String,
    /// Whether it does.
    pub holds: bool,
    /// What belongs to the row besides, and why it fails if it does.
    pub note: String,
}

/// A figure, in about as many digits as mean something.
pub fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(v) if v.abs() >= 1000.0 => format!("{v:.0}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.3}"),
    }
}

/// Lays the lines out as a Markdown table.
pub fn markdown(lines: &[Line]) -> String {
    let head = ["row", "value", "unit", "ceiling", "ratio", "target", "holds", "note"].map(String::from);
    let mut cells = vec![head];
    cells.extend(lines.iter().map(|line| {
        [
            line.row.to_owned(),
            figure(line.value),
            line.unit.to_owned(),
            figure(line.ceiling),
            figure(line.ratio),
            line.target.clone(),
            if line.holds { "yes" } else { "NO" }.to_owned(),
            line.note.replace('|', "/").replace('\n', " "),
        ]
    }));
    lay_out(&cells)
}

/// Lays cells out as a Markdown table, the first row its head.
pub fn lay_out<const COLUMNS: usize>(cells: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|c| cells.iter().map(|row| row[c].chars().count()).max().unwrap_or_default());
    let mut out = String::new();
    for (at, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            out += &format!("| {cell:width$} ");
        }
        out += "|\n";
        if at == 0 {
            out += &widths.map(|w| format!("|{}", "-".repeat(w + 2))).concat();
            out += "|\n";
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_figures_and_gaps() {
        let line = Line {
            row: "a row",
            value: None,
            unit: "µs",
            ceiling: Some(12_345.6),
            ratio: Some(0.5),
            target: "≤ 1".to_owned(),
            holds: false,
            note: "one | two".to_owned(),
        };
        let text = markdown(std::slice::from_ref(&line));
        assert!(
            text.lines().nth(2).unwrap().starts_with("| a row | –     | µs   | 12346   | 0.500 | ≤ 1    | NO    |")
        );
        let widths: Vec<usize> = text.lines().map(|l| l.chars().count()).collect();
        assert!(widths.iter().all(|w| *w == widths[0]), "{text}");
        let json: serde_json::Value = serde_json::to_value(&line).unwrap();
        assert_eq!((json["ceiling"].as_f64(), json["holds"].as_bool()), (Some(12_345.6), Some(false)));
        assert!(json["value"].is_null());
    }
}
