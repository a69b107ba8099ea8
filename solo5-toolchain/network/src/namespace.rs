//! Networks of one's own.
//!
//! A network namespace belongs to the threads in it and to what they start. It has no link to the
//! outside, so whatever happens in it disturbs nobody, and it vanishes with its last thread.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Uid, getgid, getuid};

use crate::tap;

/// A network that threads may enter and leave. It lasts as long as this value, the threads in it,
/// and what they have opened there.
#[derive(Debug)]
pub struct Network(fs::File);

impl Network {
    /// A new network, with the loopback device up. The calling thread stays where it is.
    ///
    /// # Errors
    ///
    /// Says what this machine does not allow, and how to allow it.
    pub fn new() -> Result<Self> {
        let here = Self::current()?;
        enter_new_network()?;
        let new = Self::current();
        here.enter()?;
        new
    }

    /// The calling thread's.
    ///
    /// # Errors
    ///
    /// When /proc is not there.
    pub fn current() -> Result<Self> {
        const PATH: &str = "/proc/thread-self/ns/net";
        Ok(Self(
            fs::File::open(PATH).with_context(|| format!("cannot open {PATH}"))?,
        ))
    }

    /// Where programs that this one starts find it, as `ip` wants it: `ip link set DEVICE netns PATH`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let descriptor = self.0.as_raw_fd();
        PathBuf::from(format!("/proc/{}/fd/{descriptor}", std::process::id()))
    }

    /// Moves the calling thread there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn enter(&self) -> Result<()> {
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("cannot change the network")
    }

    /// Does something there. The calling thread is back afterwards; what it opened or started
    /// stays there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or with what `act` returns.
    ///
    /// # Panics
    ///
    /// When the way back is closed: the thread would go on in the wrong network.
    pub fn within<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let here = Self::current()?;
        self.enter()?;
        let result = act();
        here.enter().expect("the network is still there");
        result
    }
}

/// Makes this process able to make networks: root already is, anybody else moves into a user
/// namespace in which they are root.
///
/// Call it before the process has a second thread: the kernel moves only processes with one.
///
/// # Errors
///
/// Says what this machine does not allow, and how to allow it.
pub fn become_capable() -> Result<()> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    let (uid, gid) = (getuid(), getgid());
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => {}
        Err(Errno::ENOSPC) => bail!(
            "this kernel allows no more user namespaces: as root, \
             `sysctl -w user.max_user_namespaces=1000`, or run this as root"
        ),
        Err(error) => bail!(
            "a user namespace is not allowed here ({error}): as root, \
             `sysctl -w kernel.unprivileged_userns_clone=1` (Debian), or run this as root"
        ),
    }
    // The order is the kernel's rule: a group map may be written after `setgroups` is denied.
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ];
    for (file, text) in maps {
        fs::write(file, text).with_context(|| {
            format!(
                "{file} cannot be written, so the user namespace has no root: as root, \
                 `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), \
                 or run this as root"
            )
        })?;
    }
    Ok(())
}

/// Moves the calling thread into a new network, with the loopback device up.
///
/// What the thread opens and starts from here on, further threads included, is in that network.
///
/// # Errors
///
/// Says what this machine does not allow, and how to allow it.
pub fn enter_new_network() -> Result<()> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {}
        Err(Errno::EPERM) => bail!(
            "a network namespace is not allowed here: in a container, allow it with \
             `--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined`"
        ),
        Err(error) => bail!("cannot make a network namespace: {error}"),
    }
    tap::set_up("lo").context("cannot bring up lo")
}

/// Whether TAP devices can be made at all.
///
/// # Errors
///
/// Says what is missing, and how to get it.
pub fn check_tun() -> Result<()> {
    const TUN: &str = "/dev/net/tun";
    match fs::OpenOptions::new().read(true).write(true).open(TUN) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            bail!("{TUN} is not open to this user: as root, `chmod 0666 {TUN}`")
        }
        Err(error) if Path::new(TUN).exists() => bail!(
            "{TUN} does not work ({error}): as root, `modprobe tun`; in a container, \
             `--device {TUN}`"
        ),
        Err(_) => {
            bail!("{TUN} is missing: as root, `modprobe tun`; in a container, `--device {TUN}`")
        }
    }
}
