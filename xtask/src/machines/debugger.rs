//! gdb with guests in the virtual machine: gdb runs on this machine, and the machine's second serial
//! line leads to the tender's port.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::report::Outcome;

/// The other end of the serial line, in the suite's folder.
const SOCKET: &str = "debugger.sock";

/// Options of the tender for each session: a guest in ring 3, and one in ring 0.
const SESSIONS: [&str; 2] = ["", "--ring0"];

/// How to build the guest.
pub(super) const GUEST: &str = "debug";
pub(super) const OPTIONS: &[&str] = &["-g", "-O0", "-fno-stack-protector"];

/// What gdb is told, and what it has to print, in order.
const COMMANDS: &[&str] = &[
    "break add",
    "continue",
    "print counter",
    "backtrace",
    "stepi",
    "finish",
    "delete",
    "continue",
];
const PRINTED: &[&str] = &[
    "Breakpoint 1, add (value=1)",
    "$1 = 41",
    "in solo5_app_main",
    "Value returned is $2 = 42",
    "exited with code 07",
];

/// What the machine prints when a session can begin; its number follows.
const READY: &str = "<<< gdb ";

/// Options for QEMU.
pub(super) fn serial_line() -> [String; 4] {
    [
        "-chardev".to_owned(),
        format!("socket,id=debugger,path={SOCKET},server=on,wait=off"),
        "-serial".to_owned(),
        "chardev:debugger".to_owned(),
    ]
}

/// What the machine does. A tender whose debugger does not end it is ended.
pub(super) fn script() -> String {
    let mut script = String::from("ip link set lo up\nstty -F /dev/ttyS1 raw -echo clocal\n");
    for (number, options) in SESSIONS.iter().enumerate() {
        script += &format!(
            "timeout 90 solo5-hvt-debug --mem=4 {options} --gdb --gdb-port=1234 -- /guests/{GUEST} \
             >/log 2>&1 &\n\
             tender=$!\n\
             while kill -0 $tender && ! grep -q localhost /log; do usleep 100000; done\n\
             nc 127.0.0.1 1234 </dev/ttyS1 >/dev/ttyS1 &\n\
             line=$!\n\
             echo; echo \"{READY}{number}\"\n\
             wait $tender; status=$?; kill $line; cat /log\n\
             echo; echo \">>> gdb {number} $status\"\n"
        );
    }
    script
}

/// Runs a session if this line of the machine's says that it can begin: what gdb printed.
pub(super) fn session(line: &str, directory: &Path, image: &Path) -> Result<Option<String>> {
    if !line.starts_with(READY) {
        return Ok(None);
    }
    let mut gdb = Command::new("timeout");
    gdb.args(["80", "gdb", "-nx", "-batch", "-ex"]);
    gdb.arg(format!("target remote {SOCKET}"));
    gdb.args(COMMANDS.iter().flat_map(|command| ["-ex", command]));
    gdb.current_dir(directory).arg(image).stdin(Stdio::null());
    let output = gdb.output().context("cannot run gdb")?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Compares what gdb printed in each session, and how its guest ended, with what has to be.
pub(super) fn judge(log: &str, sessions: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    for (number, options) in SESSIONS.iter().enumerate() {
        let printed = sessions.get(number).map_or("nothing", String::as_str);
        let rest = PRINTED.iter().try_fold(printed, |rest, part| {
            rest.split_once(part).map(|(_, behind)| behind)
        });
        if rest.is_some() && log.contains(&format!("\n>>> gdb {number} 7\n")) {
            outcome.passed += 1;
        } else {
            outcome.failed += 1;
            outcome.notes += &format!("gdb, {options}: not as it should be:\n{printed}\n");
        }
    }
    outcome
}
