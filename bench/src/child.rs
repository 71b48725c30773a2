//! Child processes: each pinned to a core, watched with a deadline, and ended with whoever started it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError::Disconnected, RecvTimeoutError::Timeout};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::CpuSet;

use crate::{Failure, native};

/// Open files that a process with 10,000 connections needs.
const FILES: u64 = 11_000;
/// Longest time that a process may take to end when asked to.
const ENDING: Duration = Duration::from_secs(20);

/// A command to run on some cores only.
#[derive(Clone, Debug, Args)]
pub struct Pinned {
    /// A core; may be given again.
    #[arg(long, required = true)]
    core: Vec<usize>,
    /// The process that starts it.
    #[arg(long)]
    parent: i32,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Becomes the command, with the process id that this process has.
///
/// # Errors
/// When it can't be started; otherwise it doesn't return.
pub fn pinned(options: &Pinned) -> Result<(), Failure> {
    let os = |e: rustix::io::Errno| Failure::Io(e.into());
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(os)?;
    // The parent may have ended before it was asked to tell.
    if rustix::process::getppid() != Pid::from_raw(options.parent) {
        return Err(Failure::new("the parent has ended"));
    }
    let mut cores = CpuSet::new();
    options.core.iter().for_each(|core| cores.set(*core));
    rustix::thread::sched_setaffinity(None, &cores).map_err(os)?;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let maximum = limit.maximum.map(|most| most.max(FILES));
    let raised = Rlimit { current: maximum, maximum };
    rustix::process::setrlimit(Resource::Nofile, raised)
        .map_err(|e| os(e).context(format!("{FILES} open files are needed")))?;
    let (program, args) = options.command.split_first().ok_or_else(|| Failure::new("no command"))?;
    Err(Failure::Io(Command::new(program).args(args).exec()).context(program.clone()))
}

/// The first two cores that this process may use: the server's and the generator's.
///
/// # Errors
/// When there is only one.
pub fn cores() -> Result<(usize, usize), Failure> {
    let allowed = rustix::thread::sched_getaffinity(None).map_err(|e| Failure::Io(e.into()))?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    match (cores.next(), cores.next()) {
        (Some(server), Some(generator)) => Ok((server, generator)),
        _ => Err(Failure::new("two cores are needed: one for the server, one for the generator")),
    }
}

/// A process that was started here. It is killed when this is dropped.
pub struct Child {
    process: process::Child,
    lines: Receiver<String>,
    errors: PathBuf,
    name: String,
}

impl Child {
    /// Starts a program on a core; what it says on standard error goes to a file in `scratch`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(core: usize, scratch: &Path, program: &Path, args: &[String]) -> Result<Self, Failure> {
        Self::start_on(&[core], scratch, program, args)
    }

    /// As [`Child::start`], on several cores.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_on(cores: &[usize], scratch: &Path, program: &Path, args: &[String]) -> Result<Self, Failure> {
        let file = program.file_name().unwrap_or_default().to_string_lossy();
        let name = args.first().filter(|a| !a.starts_with('-')).map_or(&*file, String::as_str).to_owned();
        let errors = scratch.join(format!("{name}.err"));
        let mut process = Command::new(std::env::current_exe()?)
            .args(["pinned", "--parent", &process::id().to_string()])
            .args(cores.iter().flat_map(|core| ["--core".to_owned(), core.to_string()]))
            .arg("--")
            .arg(program)
            .args(args)
            .envs(native::ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()?;
        let stdout = process.stdout.take().ok_or_else(|| Failure::new("no standard output"))?;
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // What nobody waits for is read all the same, so that the process never blocks on it.
                let _ = tell.send(line);
            }
        });
        Ok(Self { process, lines, errors, name })
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for a line of standard output that `pick` takes something from.
    ///
    /// # Errors
    /// When none came in time, or the process ended.
    pub fn line<T>(&mut self, wait: Duration, pick: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(found) = pick(&line) {
                        return Ok(found);
                    }
                }
                Err(Timeout) => return Err(self.failed("said nothing in time")),
                Err(Disconnected) => return Err(self.failed("ended")),
            }
        }
    }

    /// Waits until the process has ended well; everything that it said on standard output.
    ///
    /// # Errors
    /// When it hasn't in time, or ended badly.
    pub fn output(mut self, wait: Duration) -> Result<Vec<String>, Failure> {
        let deadline = Instant::now() + wait;
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => lines.push(line),
                Err(Disconnected) if self.process.wait()?.success() => return Ok(lines),
                Err(Disconnected) => return Err(self.failed("ended badly")),
                Err(Timeout) => return Err(self.failed("didn't end in time")),
            }
        }
    }

    /// Whether the process has ended.
    ///
    /// # Errors
    /// When the kernel doesn't tell.
    pub fn has_ended(&mut self) -> Result<bool, Failure> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Says how it failed, with the last that it said itself.
    pub fn failed(&self, how: &str) -> Failure {
        let said = fs::read_to_string(&self.errors).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Failure::new(format!("{} {how}: {}", self.name, tail.join(" | ")))
    }

    /// Asks the process to end, and waits until it has.
    ///
    /// # Errors
    /// When it doesn't in time; then it is killed.
    pub fn stop(mut self) -> Result<(), Failure> {
        rustix::process::kill_process(Pid::from_child(&self.process), Signal::TERM)
            .map_err(|e| Failure::Io(e.into()))?;
        let deadline = Instant::now() + ENDING;
        // Standard output is closed when the process ends, and not before.
        while self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) != Err(Disconnected) {
            if Instant::now() >= deadline {
                return Err(self.failed("didn't end when asked to"));
            }
        }
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Either fails only where the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder that is removed when this is dropped.
pub struct Scratch(PathBuf);

const SCRATCH: &str = "parlance-bench-";

impl Scratch {
    /// Makes a folder in `parent`, and removes what runs that were killed have left there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(parent: &Path) -> Result<Self, Failure> {
        for entry in fs::read_dir(parent)?.filter_map(Result::ok) {
            let name = entry.file_name();
            let owner =
                name.to_str().and_then(|name| name.strip_prefix(SCRATCH)).and_then(|pid| pid.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let dir = parent.join(format!("{SCRATCH}{}", process::id()));
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    /// Makes an empty folder in it, in place of one of the same name.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let dir = self.0.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir)?;
        Ok(dir)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.0);
    }
}
