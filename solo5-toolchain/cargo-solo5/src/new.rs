//! `cargo solo5 new`: the examples of this project, under another name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cli::NewOptions;
use crate::settings;
use crate::toolchain::{Toolchain, cargo};

/// An example, and what it is made of.
struct Template {
    /// The name of its package.
    package: &'static str,
    /// Its crates of ours, and where they are below the sources.
    dependencies: &'static [(&'static str, &'static str)],
    /// Paths and contents.
    files: &'static [(&'static str, &'static str)],
}

/// The files of `rust-examples/NAME`.
macro_rules! files {
    ($name:literal) => {
        &[
            files!($name, "src/main.rs"),
            files!($name, "src/lib.rs"),
            files!($name, "tests/guest.rs"),
            files!($name, "solo5.toml"),
        ]
    };
    ($name:literal, $file:literal) => {
        (
            $file,
            include_str!(concat!("../../../rust-examples/", $name, "/", $file)),
        )
    };
}

const SOLO5: (&str, &str) = ("solo5", "solo5-toolchain/solo5");

const HELLO: Template = Template {
    package: "hello-rust",
    dependencies: &[SOLO5],
    files: files!("hello"),
};

const ECHO: Template = Template {
    package: "echo-rust",
    dependencies: &[("mnet", "mnet"), SOLO5],
    files: files!("echo"),
};

/// Makes the project.
pub(crate) fn new(options: &NewOptions) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let template = if options.net { ECHO } else { HELLO };
    let mut dependencies = Vec::new();
    for (name, folder) in template.dependencies {
        dependencies.push((*name, toolchain.package(folder)?));
    }
    // Cargo knows which names are possible, which repositories and workspaces there are.
    let mut command = cargo();
    command.args(["new", "--quiet", "--bin", "--edition", "2024"]);
    let status = command
        .arg(&options.path)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo has not made the project");
    let path = fs::canonicalize(&options.path)?;
    let package = path
        .file_name()
        .and_then(|name| name.to_str())
        .context("a directory has a name")?;

    write(&path, "Cargo.toml", &manifest(package, &dependencies))?;
    for (file, content) in template.files {
        let mut content = rename(content, template.package, package);
        if *file == settings::FILE {
            let target = format!("target = \"{}\"", options.target.name());
            content = content.replace("target = \"spt\"", &target);
        }
        write(&path, file, &content)?;
    }
    let page = page(package, options.net);
    write(&path, "README.md", &page)?;
    // Versions that were tested together, and nothing to be looked up for them.
    let lock = path.join("Cargo.lock");
    fs::copy(toolchain.lock_file(), &lock)
        .with_context(|| format!("cannot make {}", lock.display()))?;

    let directory = options.path.display();
    eprintln!(
        "     Created {package}: a unikernel for {}",
        options.target.name()
    );
    eprintln!("        Next cd {directory} && cargo solo5 run");
    Ok(())
}

fn write(directory: &Path, file: &str, content: &str) -> Result<()> {
    let path = directory.join(file);
    let parent = path.parent().unwrap_or(directory);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&path, content))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// An example's file with the name of another package.
fn rename(content: &str, from: &str, to: &str) -> String {
    let krate = |package: &str| package.replace('-', "_");
    content.replace(from, to).replace(&krate(from), &krate(to))
}

/// `Cargo.toml`.
fn manifest(package: &str, dependencies: &[(&str, PathBuf)]) -> String {
    let list: String = dependencies
        .iter()
        .map(|(name, path)| {
            let path = toml::Value::from(path.display().to_string());
            format!("{name} = {{ path = {path}, features = [\"image\"] }}\n")
        })
        .collect();
    format!(
        "[package]
name = \"{package}\"
version = \"0.1.0\"
edition = \"2024\"

[dependencies]
{list}
# Programs and tests of guests: `cargo solo5 run` and `cargo solo5 test`, not the host's.
[lib]
test = false
doctest = false

[[bin]]
name = \"{package}\"
path = \"src/main.rs\"
test = false

[[test]]
name = \"guest\"
harness = false

# What is an image does not unwind. `cargo solo5` sees to that; this is for editors and `cargo check`.
[profile.dev]
panic = \"abort\"

[profile.release]
panic = \"abort\"
lto = \"fat\"
codegen-units = 1
"
    )
}

/// `README.md`.
fn page(package: &str, net: bool) -> String {
    let (what, output) = if net {
        (
            "A unikernel that returns what it is sent over TCP.",
            "$ cargo solo5 run --with 'echo Hello | nc -N 10.0.0.2 7'\n\
             listening on 10.0.0.2:7\n\
             10.0.0.1:... is there\n\
             Hello\n",
        )
    } else {
        (
            "A unikernel that says hello.",
            "$ cargo solo5 run\n\
             Hello, world, from a unikernel!\n",
        )
    };
    format!(
        "# {package}

{what}

```console
{output}$ cargo solo5 test
$ cargo solo5 build --release
```

- `src/main.rs` is the program, `src/lib.rs` what is tested in `tests/guest.rs`.
- `solo5.toml` lists the devices of the image, and what `cargo solo5 run` starts it with.
- `cargo solo5 run --help` says what else there is.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_and_crates_are_replaced() {
        let text = rename("use hello_rust::x; // hello-rust", "hello-rust", "my-own");
        assert_eq!(text, "use my_own::x; // my-own");
    }

    #[test]
    fn the_manifest_is_a_manifest() {
        let path = PathBuf::from("/a \"b\"/solo5");
        let text = manifest("x", &[("solo5", path.clone())]);
        let value: toml::Value = toml::from_str(&text).unwrap();
        let read = value["dependencies"]["solo5"]["path"].as_str();
        assert_eq!(read, path.to_str());
    }
}
