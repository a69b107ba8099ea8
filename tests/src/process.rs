//! Children that are watched, awaited with a deadline, and never left behind.

use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::AsFd;

use crate::tap::check;

/// A running child. Dropping it kills and reaps it; so does the end of the thread that started it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Becomes readable when the child has ended.
    ended: OwnedFd,
    output: Arc<Output>,
}

/// How a child ended, and what it wrote.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// Both streams, in the order in which they were written.
    pub text: String,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// Whether that is all.
    complete: bool,
}

impl Process {
    /// Starts a child with no input, and with both output streams captured: they are one pipe, so that
    /// what was written first is there first.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (reader, writer) = std::io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        die_with_this_thread(command);
        hear_interrupts(command);
        let child = command.spawn();
        // The command would keep the pipe open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = child.with_context(|| format!("cannot start {name}"))?;

        let output = Arc::new(Output::default());
        collect(reader, &output);
        let pid: libc::pid_t = child.id().try_into()?;
        // SAFETY: the call takes two integers; the child is not reaped, so the number is its own.
        let ended = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let ended = check(ended.try_into()?).context("pidfd_open")?;
        // SAFETY: the descriptor is new and nobody else's.
        let ended = unsafe { OwnedFd::from_raw_fd(ended) };
        Ok(Self {
            name,
            child,
            ended,
            output,
        })
    }

    /// What it wrote so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.output).bytes).into_owned()
    }

    /// Waits until it has written `text`.
    ///
    /// # Errors
    ///
    /// When it closes its output, or the deadline passes, without having done so.
    pub fn wait_for(&self, text: &str, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let mut state = lock(&self.output);
        loop {
            if String::from_utf8_lossy(&state.bytes).contains(text) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.complete || left.is_zero() {
                let got = String::from_utf8_lossy(&state.bytes).into_owned();
                let name = &self.name;
                bail!("{name} did not print {text:?} within {within:?}; it printed:\n{got}");
            }
            state = self
                .output
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// When the deadline passes first. Then it is killed.
    pub fn wait(mut self, within: Duration) -> Result<Finished> {
        if !self.has_ended(within)? {
            let (name, text) = (&self.name, self.text());
            bail!("{name} still runs after {within:?}; it printed:\n{text}");
        }
        let status = self.child.wait()?;
        // What it wrote may still be on its way through the pipe; a grandchild may keep it open.
        let (state, _) = self
            .output
            .changed
            .wait_timeout_while(lock(&self.output), within, |state| !state.complete)
            .unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&state.bytes).into_owned();
        drop(state);
        Ok(Finished { status, text })
    }

    /// Whether it ends within that time.
    ///
    /// # Errors
    ///
    /// When the system call fails.
    pub fn has_ended(&self, within: Duration) -> Result<bool> {
        let mut fds = [PollFd::new(self.ended.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
        Ok(poll(&mut fds, timeout)? > 0)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// When it has ended and been reaped.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid()?, signal)?)
    }

    /// Its process number.
    ///
    /// # Errors
    ///
    /// Never on Linux, whose process numbers are small.
    pub fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(self.child.id().try_into()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has been reaped, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, for at most that long.
///
/// # Errors
///
/// When it cannot be started, or does not end in time.
pub fn run(command: &mut Command, within: Duration) -> Result<Finished> {
    Process::start(command)?.wait(within)
}

/// Has the kernel kill the child when the thread that starts it ends, however that happens.
pub fn die_with_this_thread(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs between fork and exec, makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            Ok(())
        })
    }
}

/// Has the child end by SIGINT also where that is ignored here: a shell starts what it does not wait for
/// like that.
fn hear_interrupts(command: &mut Command) {
    // SAFETY: the closure runs between fork and exec, makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| match libc::signal(libc::SIGINT, libc::SIG_DFL) {
            libc::SIG_ERR => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
}

fn lock(output: &Output) -> std::sync::MutexGuard<'_, State> {
    output.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies a stream into `output` until it ends.
fn collect(mut stream: impl Read + Send + 'static, output: &Arc<Output>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).unwrap_or(0);
            let mut state = lock(&output);
            state.bytes.extend_from_slice(&buffer[..read]);
            if read == 0 {
                state.complete = true;
            }
            output.changed.notify_all();
            if read == 0 {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_in_order() {
        let script = "for i in 1 2 3 4 5 6 7 8 9; do printf a; printf b >&2; done";
        let finished = run(&mut shell(script), SOON).unwrap();
        assert_eq!(finished.text, "ab".repeat(9));
    }

    #[test]
    fn output_and_status_of_a_child_are_kept() {
        let finished = run(&mut shell("echo one; echo two >&2; exit 3"), SOON).unwrap();
        assert_eq!(finished.status.code(), Some(3));
        assert!(finished.text.contains("one\n") && finished.text.contains("two\n"));
    }

    #[test]
    fn text_is_awaited_and_its_absence_noticed() {
        let process = Process::start(&mut shell("echo ready; exec sleep 1000")).unwrap();
        process.wait_for("ready", SOON).unwrap();
        let error = process.wait_for("never", Duration::from_millis(10));
        assert!(error.unwrap_err().to_string().contains("ready"));
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let process = Process::start(&mut shell("exec sleep 1000")).unwrap();
        let pid = process.pid().unwrap();
        assert!(!process.has_ended(Duration::ZERO).unwrap());
        drop(process);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        let forget = || {
            let process = Process::start(&mut shell("exec sleep 1000")).unwrap();
            std::mem::ManuallyDrop::new(process)
        };
        let process = thread::spawn(forget).join().unwrap();
        assert!(process.has_ended(SOON).unwrap());
        drop(std::mem::ManuallyDrop::into_inner(process));
    }
}
