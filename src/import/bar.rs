//! How far it is: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Calls between two looks at the clock.
const CALLS: u64 = 1_024;

/// What is shown.
enum Shown {
    Bar(ProgressBar),
    Lines { next: Instant },
}

/// How far one thing is.
pub(super) struct Bar {
    label: &'static str,
    total: u64,
    calls: u64,
    shown: Shown,
}

impl Bar {
    /// Begins with nothing of `total` done.
    pub fn new(label: &'static str, total: u64) -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            // The template is a constant; the plain style serves as well.
            let style = ProgressStyle::with_template("{msg:<24} {wide_bar} {percent:>3} % {eta:>6}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(label);
            Shown::Bar(bar)
        } else {
            Shown::Lines { next: Instant::now() + LINE_EVERY }
        };
        Self { label, total: total.max(1), calls: 0, shown }
    }

    /// Shows that so much is done.
    pub fn at(&mut self, done: u64) {
        self.calls += 1;
        if self.calls % CALLS != 1 {
            return;
        }
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines { next } if Instant::now() >= *next => {
                *next = Instant::now() + LINE_EVERY;
                let percent = done.min(self.total) * 100 / self.total;
                // Where standard error is gone nobody watches.
                let _ = writeln!(std::io::stderr(), "{}: {percent} %", self.label);
            }
            Shown::Lines { .. } => {}
        }
    }

    /// Shows how far it is at once, for what is called seldom.
    pub fn now_at(&mut self, done: u64) {
        self.calls = 0;
        self.at(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
