//! Compiles the load tool, the peers, and the unikernel that is measured.

use crate::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the compiled programs are.
pub(crate) struct Programs {
    pub(crate) load: PathBuf,
    pub(crate) linux: PathBuf,
    pub(crate) ceiling: PathBuf,
    pub(crate) image: PathBuf,
    pub(crate) tender: PathBuf,
}

/// Compiles everything into a folder beside the prefix.
pub(crate) fn all(prefix: &Path) -> Result<Programs> {
    let prefix = prefix.canonicalize().map_err(|e| {
        format!(
            "{}: {e} (fill it with `cargo xtask dist --prefix DIR`)",
            prefix.display()
        )
    })?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = prefix.with_extension("bench");
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    let host = |from: &str, to: &str| -> Result<PathBuf> {
        let program = out.join(to);
        check(
            Command::new("cc")
                .args(["-O2", "-Wall", "-Wextra", "-o"])
                .arg(&program)
                .arg(source.join(from)),
        )?;
        Ok(program)
    };
    let bin = prefix.join("bin");
    let manifest = out.join("manifest.c");
    check(
        Command::new(bin.join("solo5-elftool"))
            .arg("gen-manifest")
            .arg(source.join("image/manifest.json"))
            .arg(&manifest),
    )?;
    let image = out.join("services.spt");
    check(
        Command::new(bin.join("x86_64-solo5-none-static-cc"))
            .args(["-z", "solo5-abi=spt", "-O2", "-Wall", "-Wextra"])
            .arg("-o")
            .arg(&image)
            .arg(source.join("image/services.c"))
            .arg(&manifest)
            .arg("-lmnet"),
    )?;
    Ok(Programs {
        load: host("load/load.c", "load")?,
        linux: host("linux/services.c", "linux-services")?,
        ceiling: host("ceiling/nulltcp.c", "nulltcp")?,
        image,
        tender: bin.join("solo5-spt"),
    })
}

/// Runs a command to its end; what it printed is the error if it failed.
pub(crate) fn check(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}
