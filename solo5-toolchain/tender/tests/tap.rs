//! TAP interfaces, in network namespaces that each test makes for itself (solo5-abi section 9.1).
//!
//! Needs root, or user namespaces and access to `/dev/net/tun`; `ip` and `unshare`. Where they are
//! missing a test says so and does nothing.

mod common;
#[path = "common/process.rs"]
mod process;

use std::process::{Command, Output, Stdio};

use common::{Arg, DATA, Elf, exit, print, syscall};
use process::{Start, dumper, file};
use solo5_abi::constants::SPT_BOOT_INFO;
use solo5_abi::manifest::{ManifestEntry, TYPE_NET_BASIC};
use solo5_abi::spt as abi;

const EPOLL_FD: u64 = SPT_BOOT_INFO + 32;

fn device() -> ManifestEntry {
    ManifestEntry::declare("service", TYPE_NET_BASIC)
}

/// A shell in a network namespace of its own. `$SPT` is the tender, `$1` the image, and the working
/// directory is that of this program's files.
fn namespace(script: &str, image: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", "unshare", "--net"]);
    // SAFETY: this call has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-euc", script, "sh", image]);
    command.env("SPT", env!("CARGO_BIN_EXE_solo5-spt"));
    command.current_dir(process::path(""));
    command
}

/// Runs a script in a network namespace; `None` if there cannot be one here.
fn run(script: &str, image: &std::path::Path) -> Option<Output> {
    let probe = "ip link set lo up && ip tuntap add probe mode tap && : <> /dev/net/tun";
    let probe = namespace(probe, "").stdin(Stdio::null()).output();
    match probe {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            eprintln!(
                "skipped: no TAP here: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            return None;
        }
        Err(error) => {
            eprintln!("skipped: cannot run unshare: {error}");
            return None;
        }
    }
    Some(
        namespace(script, image.to_str().unwrap())
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    )
}

#[track_caller]
fn refused(script: &str, want: &str) {
    let image = file("dumper", &dumper(&[device()]).bytes());
    let Some(output) = run(&format!("{script} $SPT --net:service=tap0 \"$1\""), &image) else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let first = errors.lines().next().unwrap();
    assert_eq!(
        first,
        format!("solo5-spt: Could not attach interface: tap0: {want}")
    );
}

#[test]
fn an_interface_is_never_created() {
    refused("", "No such file or directory");
}

#[test]
fn an_interface_must_be_up() {
    refused("ip tuntap add tap0 mode tap;", "Network is down");
}

#[test]
fn an_interface_must_be_a_tap() {
    let up = "ip link set tap0 up;";
    refused(
        &format!("ip tuntap add tap0 mode tun; {up}"),
        "Invalid argument",
    );
    refused(
        &format!("ip link add tap0 type veth peer name b; {up}"),
        "Invalid argument",
    );
}

#[test]
fn mtu_and_mac_address_reach_the_guest() {
    let script = "ip tuntap add tap0 mode tap; ip link set tap0 mtu 9000 up;
        $SPT --net-mac:service=02:00:00:00:00:2a --net:service=tap0 \"$1\"";
    let image = file("info", &dumper(&[device()]).bytes());
    let Some(output) = run(script, &image) else {
        return;
    };
    let entry = Start::parse(&output).entries[1];
    assert_eq!((entry.mtu(), entry.mac()), (9000, [2, 0, 0, 0, 0, 0x2a]));
}

#[test]
fn the_same_interface_can_be_named_twice() {
    let script = "ip tuntap add tap0 mode tap; ip link set tap0 up;
        $SPT --net:service=tap0 --net:service=tap0 \"$1\"";
    let image = file("twice", &dumper(&[device()]).bytes());
    let Some(output) = run(script, &image) else {
        return;
    };
    assert!(Start::parse(&output).entries[1].is_attached());
}

/// An image that says that it runs and then waits for a frame.
fn waiter() -> Elf {
    let wait = [
        Arg::Word(EPOLL_FD),
        DATA.into(),
        1.into(),
        u64::MAX.into(),
        0.into(),
        0.into(),
    ];
    let code = [
        print(SPT_BOOT_INFO, 1),
        syscall(abi::SYS_EPOLL_PWAIT, &wait),
        exit(0),
    ];
    Elf::guest(&code.concat(), &[device()])
}

#[test]
fn an_interface_that_is_in_use_is_busy() {
    // The first guest has the interface once it has said something. IPv6 is off, or the kernel
    // would send it frames.
    let script = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 || :
        ip tuntap add tap0 mode tap; ip link set tap0 up
        rm -f said; mkfifo said
        $SPT --mem=2 --net:service=tap0 \"$1\" > said &
        head -c 1 said > /dev/null
        $SPT --mem=2 --net:service=tap0 \"$1\" || echo second $?
        kill $!; wait $! || echo first $?";
    let image = file("busy", &waiter().bytes());
    let Some(output) = run(script, &image) else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    let want = "solo5-spt: Could not attach interface: tap0: Device or resource busy";
    assert!(errors.lines().any(|line| line == want), "{errors}");
    // No signal is handled: 143 is SIGTERM.
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "second 1\nfirst 143\n"
    );
}
