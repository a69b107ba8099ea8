//! Running cargo.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use mnet_relocatable::Workspace;
use mnet_tests::prefix;
use mnet_tests::process::die_with_this_thread;

/// The workspace that cargo runs this program for.
pub(crate) fn workspace() -> Workspace {
    Workspace::new(prefix::workspace(), prefix::target_dir())
}

/// A cargo command in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(prefix::workspace()).args(arguments);
    die_with_this_thread(&mut command);
    command
}

/// Runs a command that must succeed, in full view.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let status = command
        .status()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{command:?} failed with {status}");
    Ok(())
}

/// The commands that write the generated files, or compare them with what would be written.
pub(crate) fn generators(check: bool) -> Vec<Command> {
    ["bindings", "header"]
        .into_iter()
        .map(|what| {
            let mut command = cargo(&["run", "--quiet", "--package", "mnet-codegen", "--", what]);
            if check {
                command.arg("--check");
            }
            command
        })
        .collect()
}

/// What `cargo metadata` says.
pub(crate) fn metadata(arguments: &[&str]) -> Result<serde_json::Value> {
    let output = cargo(&["metadata", "--format-version", "1", "--locked"])
        .args(arguments)
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")
}
