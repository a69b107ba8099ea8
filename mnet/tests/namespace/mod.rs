//! A network of the test's own, with a TAP device in it.
#![allow(unreachable_pub, reason = "a module of several test targets")]

use std::ffi::CString;
use std::io;
use std::process::Command;

/// Moves this process into namespaces of its own; an error says what is not possible here.
pub fn enter() -> Result<(), String> {
    // SAFETY: asks for identifiers only.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let flags = if user == 0 { 0 } else { libc::CLONE_NEWUSER } | libc::CLONE_NEWNET;
    // SAFETY: changes what this thread belongs to, no memory.
    if unsafe { libc::unshare(flags) } != 0 {
        return Err(format!(
            "no network namespace: {}",
            io::Error::last_os_error()
        ));
    }
    if user != 0 {
        let map = |file: &str, text: String| {
            std::fs::write(format!("/proc/thread-self/{file}"), text)
                .map_err(|error| format!("{file}: {error}"))
        };
        map("setgroups", "deny".to_owned())?;
        map("uid_map", format!("0 {user} 1"))?;
        map("gid_map", format!("0 {group} 1"))?;
    }
    for arguments in [
        "tuntap add dev tap0 mode tap",
        "address add 10.0.0.1/24 dev tap0",
        "link set dev tap0 up",
        // Programs of the test that talk to each other.
        "link set dev lo up",
    ] {
        let output = Command::new("ip")
            .args(arguments.split(' '))
            .output()
            .map_err(|error| format!("ip: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "ip {arguments}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    let tun = CString::new("/dev/net/tun").unwrap_or_default();
    // SAFETY: the path is a C string.
    if unsafe { libc::access(tun.as_ptr(), libc::R_OK | libc::W_OK) } != 0 {
        return Err(format!("/dev/net/tun: {}", io::Error::last_os_error()));
    }
    Ok(())
}
