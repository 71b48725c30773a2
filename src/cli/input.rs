//! What is typed: passwords, from a terminal without an echo, or from a pipe.

use std::fs::File;
use std::io::{BufRead, Cursor, IsTerminal, Read, Stdin, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::Failure;
use crate::secret::Secret;

/// Bytes of a line that are read at all; a password has 256 at most.
const LINE_BYTES_MAX: u64 = 1_024;

/// Where passwords come from.
pub(super) struct Input {
    reader: Box<dyn BufRead>,
    terminal: bool,
}

impl Input {
    /// The process's standard input.
    pub(super) fn stdin() -> Self {
        let stdin: Stdin = std::io::stdin();
        let terminal = stdin.is_terminal();
        Self { reader: Box::new(stdin.lock()), terminal }
    }

    /// A text, as if it came through a pipe.
    pub(super) fn text(text: &str) -> Self {
        Self { reader: Box::new(Cursor::new(text.to_owned())), terminal: false }
    }

    /// Reads a new password: the first line of a pipe if `piped`, else twice from the terminal.
    pub(super) fn new_password(&mut self, piped: bool) -> Result<Secret, Failure> {
        if piped {
            return self.line();
        }
        if !self.terminal {
            let say = "a password is asked for on a terminal; say --password-stdin to pipe it in";
            return Err(Failure::Other(say.to_owned()));
        }
        let first = self.hidden("Password: ")?;
        if self.hidden("Once more: ")? == first {
            Ok(first)
        } else {
            Err(Failure::Other("the two passwords differ".to_owned()))
        }
    }

    /// Copies all of it to a file.
    pub(super) fn copy_to(&mut self, path: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::Other(format!("{}: {error}", path.display()));
        let mut file = File::create(path).map_err(failed)?;
        std::io::copy(&mut self.reader, &mut file).map_err(failed).map(drop)
    }

    fn hidden(&mut self, prompt: &str) -> Result<Secret, Failure> {
        let mut screen = std::io::stderr();
        write!(screen, "{prompt}")?;
        screen.flush()?;
        let quiet = Quiet::begin()?;
        let line = self.line();
        drop(quiet);
        writeln!(screen)?;
        line
    }

    fn line(&mut self) -> Result<Secret, Failure> {
        let mut line = String::new();
        (&mut self.reader).take(LINE_BYTES_MAX).read_line(&mut line)?;
        Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
    }
}

/// The terminal without its echo, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piped_password_is_one_line() {
        for (text, password) in [("hunter42\n", "hunter42"), ("a b \r\nrest", "a b "), ("", ""), ("x", "x")] {
            assert_eq!(Input::text(text).new_password(true).unwrap().reveal(), password);
        }
        assert_eq!(Input::text(&"x".repeat(1 << 20)).new_password(true).unwrap().reveal().len(), 1_024);
    }

    #[test]
    fn without_a_terminal_nothing_is_guessed() {
        let error = Input::text("hunter42\n").new_password(false).unwrap_err().to_string();
        assert!(error.contains("--password-stdin"), "{error}");
    }
}
