//! What the kernel says about another process: its CPU time and resident memory.

use std::collections::HashMap;
use std::fs;
use std::io;

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// CPU time of a process at one moment.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Nanoseconds per thread.
    threads: HashMap<u64, u64>,
    /// User and system time of the whole process, ended threads included, in microseconds; in steps of a clock tick.
    whole_us: u64,
}

/// Linux fixes the unit of `/proc/PID/stat` at 100 ticks a second.
const TICK_US: u64 = 10_000;

impl Cpu {
    /// Reads a process's CPU time.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn read(pid: u32) -> io::Result<Self> {
        let mut threads = HashMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?;
            let tid = task.file_name().to_string_lossy().parse().map_err(|_| bad("task"))?;
            // A thread may end between the two reads; then it counts as ended.
            if let Ok(text) = fs::read_to_string(task.path().join("schedstat")) {
                let ns = text.split(' ').next().and_then(|n| n.parse().ok()).ok_or_else(|| bad("schedstat"))?;
                threads.insert(tid, ns);
            }
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is the command's name in brackets and may hold anything; utime and stime are 14 and 15.
        let rest = stat.rsplit(") ").next().ok_or_else(|| bad("stat"))?;
        let ticks: u64 = rest.split(' ').skip(11).take(2).map(|n| n.parse().unwrap_or(0)).sum();
        Ok(Self { threads, whole_us: ticks * TICK_US })
    }

    /// Microseconds of CPU that were used since `before`.
    pub fn since(&self, before: &Self) -> f64 {
        if before.threads.keys().any(|tid| !self.threads.contains_key(tid)) {
            // A thread that ended took its nanoseconds along: only the process's coarser sum is whole.
            return (self.whole_us - before.whole_us) as f64;
        }
        let ns: u64 = self.threads.iter().map(|(tid, ns)| ns - before.threads.get(tid).unwrap_or(&0)).sum();
        ns as f64 / 1000.0
    }
}

/// Microseconds that a core has been idle since the machine started; in steps of a clock tick.
///
/// # Errors
/// When there is no such core.
pub fn idle_us(core: usize) -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core}");
    let mut fields = stat.lines().map(|line| line.split(' ')).find_map(|mut f| (f.next() == Some(&name)).then_some(f));
    // user, nice, system, idle, iowait: a core that waits for a disk is idle as well.
    let fields = fields.as_mut().ok_or_else(|| bad("cpu"))?.skip(3).take(2);
    Ok(fields.map(|n| n.parse().unwrap_or(0)).sum::<u64>() * TICK_US)
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// When the process is gone.
pub fn resident_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(|| bad("VmRSS"))?;
    line.trim().trim_end_matches(" kB").parse().map_err(|_| bad("VmRSS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_work_and_memory() {
        let pid = std::process::id();
        let before = Cpu::read(pid).unwrap();
        let begun = std::time::Instant::now();
        let mut x = 1u64;
        // Where others use the machine, a while of work may be little work.
        while Cpu::read(pid).unwrap().since(&before) <= 10_000.0 {
            assert!(begun.elapsed().as_secs() < 30, "work is not seen");
            (0..100_000).for_each(|_| x = std::hint::black_box(x.wrapping_mul(31)));
        }
        assert!(resident_kib(pid).unwrap() > 500);
        assert!(idle_us(0).unwrap() > 0);
    }
}
