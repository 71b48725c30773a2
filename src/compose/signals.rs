//! What a running server does when it gets a signal: end in good order, or read its settings again. None ends it by surprise.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a server listens to.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: [Signal; 2],
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
        })
    }

    /// Waits for SIGINT or SIGTERM. On SIGHUP the settings are read again. SIGUSR1 and SIGUSR2, which end a process that
    /// doesn't listen to them, do nothing here.
    pub async fn until_told(&mut self, mut reread: impl FnMut()) {
        let [first, second] = &mut self.user;
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => reread(),
                _ = first.recv() => tracing::info!("SIGUSR1 has no meaning here; nothing was done"),
                _ = second.recv() => tracing::info!("SIGUSR2 has no meaning here; nothing was done"),
            }
        }
    }

    /// Waits for another SIGINT or SIGTERM while the server ends.
    pub async fn told_again(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
