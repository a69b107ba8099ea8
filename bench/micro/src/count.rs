//! Counting with valgrind's callgrind.
//!
//! A count is the difference between two runs, divided: set-up and warm-up cancel. The same
//! program gives the same count on every machine with the same compiler and C library.

use crate::Result;
use mnet_bench_micro::Work;
use mnet_bench_micro::styles::Style;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Operations of the shorter run; the longer one has twice as many. Whole batches.
const TIMES: u64 = 2_048;

/// What is counted, and what within it is not: `mnet_bench_micro::Subject`.
const TOGGLES: [&str; 2] = [
    "--toggle-collect=*measured_turn*",
    "--toggle-collect=*device_*",
];

/// Whether valgrind can be run.
pub(crate) fn valgrind_is_there() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// This program, built as an image is.
pub(crate) fn build_mnet() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let target = target_dir()?;
    let build = ["build", "--quiet", "--locked", "--profile", "image"];
    cargo(build, &manifest, &target)?;
    Ok(target.join("image/mnet-bench-micro"))
}

/// The same for smoltcp.
pub(crate) fn build_smoltcp() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../micro-smoltcp/Cargo.toml");
    let target = target_dir()?.join("micro-smoltcp");
    let build = ["build", "--quiet", "--locked", "--profile", "release"];
    cargo(build, &manifest, &target)?;
    Ok(target.join("release/mnet-bench-micro-smoltcp"))
}

/// The target folder that this program lies in.
fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = program.ancestors().nth(2);
    Ok(target.ok_or("not built by cargo")?.to_owned())
}

fn cargo(build: [&str; 5], manifest: &Path, target: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    output(
        Command::new(cargo)
            .args(build)
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(target),
    )?;
    Ok(())
}

/// Runs a command to its end and gives what it wrote, standard error last.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{command:?}: {}\n{text}", output.status))
}

fn callgrind(program: &Path, work: &[&str], times: u64, result: &Path) -> Result<u64> {
    let text = output(
        Command::new("valgrind")
            .args(["--tool=callgrind"])
            .args(TOGGLES)
            .arg(format!("--callgrind-out-file={}", result.display()))
            .arg(program)
            .args(work)
            .arg(times.to_string()),
    )?;
    text.lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
        .ok_or_else(|| format!("callgrind has counted nothing:\n{text}"))
}

/// Instructions per operation.
pub(crate) fn instructions(program: &Path, work: Work) -> Result<u64> {
    per_operation(program, &["run", work.name()])
}

/// Instructions per round trip with so many connections open.
pub(crate) fn round_trip_among(program: &Path, connections: usize) -> Result<u64> {
    per_operation(program, &["round-trips", &connections.to_string()])
}

/// Instructions per round trip of the echo service in a style.
pub(crate) fn echo(program: &Path, style: Style) -> Result<u64> {
    per_operation(program, &["echo", style.name()])
}

fn per_operation(program: &Path, work: &[&str]) -> Result<u64> {
    let nowhere = Path::new("/dev/null");
    let short = callgrind(program, work, TIMES, nowhere)?;
    let long = callgrind(program, work, 2 * TIMES, nowhere)?;
    Ok((long - short) / TIMES)
}

/// Callgrind's table of functions for many operations: exclusive counts.
pub(crate) fn profile(program: &Path, work: Work) -> Result<String> {
    let result = std::env::temp_dir().join(format!("mnet-callgrind-{}", std::process::id()));
    let work = ["run", work.name()];
    let table = callgrind(program, &work, 16 * TIMES, &result).and_then(|_| {
        output(
            Command::new("callgrind_annotate")
                .args(["--auto=no", "--threshold=99"])
                .arg(&result),
        )
    });
    let _ = std::fs::remove_file(&result);
    table
}
