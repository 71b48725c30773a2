//! What came of an import: counts, a report of the rows that were refused or changed, and which id became which.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::job::{Job, Kept, Note, What};
use super::{Error, REPORT_ROWS_MAX, Summary};

/// Rows of the report that are shown at once.
const SHOWN: usize = 20;

/// Writes the files, and says what came of it.
pub(super) async fn write(
    job: &Job,
    folder: &Path,
    before: bool,
    out: &mut (dyn Write + Send),
) -> Result<Summary, Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    for (what, kind) in [(What::Users, Kept::User), (What::Chats, Kept::Chat), (What::Messages, Kept::Message)] {
        let changed = job.kept(kind).await?.into_iter().filter(|(old, new)| old != new);
        let lines = changed.map(|(old, new)| format!("{old},{new}"));
        lay_down(&folder.join(format!("{}.csv", what.word())), "old,new", lines)?;
    }
    let refused = notes(job, Kept::Refused).await?;
    let changed = notes(job, Kept::Changed).await?;
    let report = folder.join("report.csv");
    let lines = [("refused", &refused), ("changed", &changed)];
    let lines = lines.into_iter().flat_map(|(word, notes)| notes.iter().map(move |note| line(word, note)));
    lay_down(&report, "verdict,what,row,id,why", lines)?;
    let tallies = job.progress.tallies;
    let summary = Summary { tallies, before, report };
    say(job, &summary, &refused, out).map_err(|error| Error::io(Path::new("standard output"), error))?;
    Ok(summary)
}

async fn notes(job: &Job, kind: Kept) -> Result<Vec<Note>, Error> {
    let read = |bytes: &[u8]| rmp_serde::from_slice(bytes).map_err(|error| Error::Other(error.to_string()));
    job.records(kind).await?.iter().map(|record| read(&record.value)).collect()
}

/// A line of CSV. What is in it comes from the files, so that it is quoted and can't begin a formula.
fn line(verdict: &str, note: &Note) -> String {
    let id = note.id.map_or_else(String::new, |id| id.to_string());
    let why: String = note.why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{verdict},{},{},{id},\"{}\"", note.what.word(), note.row, why.replace('"', "\"\""))
}

/// Writes a file that appears whole, in the place of an older one.
fn lay_down(path: &Path, header: &str, lines: impl Iterator<Item = String>) -> Result<(), Error> {
    let partial = path.with_extension("csv.part");
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(&partial)?);
        writeln!(file, "{header}")?;
        for line in lines {
            writeln!(file, "{line}")?;
        }
        file.into_inner()?.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().map_err(|error| Error::io(path, error))
}

fn say(job: &Job, summary: &Summary, refused: &[Note], out: &mut (dyn Write + Send)) -> std::io::Result<()> {
    if summary.before {
        writeln!(out, "this import has come to its end before; nothing was written")?;
    }
    writeln!(out, "{:<13}{:>12}{:>12}{:>12}{:>12}", "", "read", "imported", "changed", "refused")?;
    for (what, tally) in What::ALL.iter().zip(&summary.tallies) {
        let [a, b, c, d] = [tally.read, tally.imported, tally.changed, tally.refused];
        writeln!(out, "{:<13}{a:>12}{b:>12}{c:>12}{d:>12}", what.word())?;
    }
    for note in refused.iter().take(SHOWN) {
        let id = note.id.map_or_else(String::new, |id| format!(" (id {id})"));
        writeln!(
            out,
            "refused: {} row {}{id}: {}",
            note.what.word(),
            note.row,
            note.why.replace(char::is_control, " ")
        )?;
    }
    if summary.refused() > SHOWN as u64 {
        writeln!(out, "… and {} more", summary.refused() - SHOWN as u64)?;
    }
    if job.progress.notes.iter().any(|count| *count > REPORT_ROWS_MAX) {
        writeln!(out, "the report has the first {REPORT_ROWS_MAX} rows of each kind")?;
    }
    writeln!(out, "report: {}", summary.report.display())
}
