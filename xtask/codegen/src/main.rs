//! Generates files that are committed, or checks that what is committed is what would be generated.
//!
//!     cargo run -p mnet-codegen -- bindings            # writes solo5-toolchain/sys/src/bindings.rs
//!     cargo run -p mnet-codegen -- bindings --check    # compares instead, and prints the difference
//!     cargo run -p mnet-codegen -- header              # writes include/mnet.h
//!     cargo run -p mnet-codegen -- header --check
//!
//! One module for each generator; each returns the text of its file. A package of its own because
//! the generators are large, and most chores (`cargo xtask demo`) do without them.

mod bindings;
mod header;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use similar::TextDiff;

#[derive(Parser)]
#[command(about = "Generates the committed headers and bindings")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// solo5-toolchain/sys/src/bindings.rs from include/solo5.h (needs libclang)
    Bindings(Mode),
    /// include/mnet.h from the sources of mnet-ffi
    Header(Mode),
}

#[derive(Args)]
struct Mode {
    /// Compare with the committed file instead of writing it; differences are printed and fail
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnet-codegen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let root = workspace_root();
    match &cli.what {
        What::Bindings(mode) => {
            let text = bindings::generate(&root)?;
            deliver(&root, "solo5-toolchain/sys/src/bindings.rs", &text, mode)
        }
        What::Header(mode) => deliver(&root, "include/mnet.h", &header::generate(&root)?, mode),
    }
}

/// Writes the generated `text` to `path` in the workspace, or compares it with what is there.
fn deliver(root: &Path, path: &str, text: &str, mode: &Mode) -> Result<()> {
    let file = root.join(path);
    if !mode.check {
        return fs::write(&file, text).with_context(|| format!("cannot write {path}"));
    }
    let committed = fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
    if committed == text {
        return Ok(());
    }
    let difference = TextDiff::from_lines(committed.as_str(), text)
        .unified_diff()
        .header("committed", "generated")
        .to_string();
    bail!("{path} is not what its source generates; run this again without --check\n{difference}");
}

/// The directory with the workspace's `Cargo.toml`.
fn workspace_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest_dir.ancestors().nth(2);
    root.unwrap_or(manifest_dir).to_path_buf()
}
