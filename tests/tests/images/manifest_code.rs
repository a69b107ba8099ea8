//! Devices that a Rust program declares in its code, with `manifest!`: what the image has, what is
//! attached to it, and what is refused, by the compiler or by `cargo solo5`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mnet_tests::prefix::workspace;
use mnet_tests::process::run;

use crate::Test;
use crate::cargo_solo5::{BUILD_TIME, REACTION_TIME, ends_with, prints, project, targets};
use crate::fixture::Fixture;

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "a_network_and_a_disk_declared_in_code_work",
        network_and_disk,
    ),
    ("a_library_declares_for_program_and_tests", in_a_library),
    ("no_solo5_toml_is_needed", without_a_file),
    (
        "settings_are_for_devices_that_the_code_declares",
        settings_without_a_device,
    ),
    (
        "devices_are_declared_in_one_place_and_once",
        declared_in_two_places,
    ),
    (
        "what_is_wrong_with_a_declaration_is_an_error_of_the_compiler",
        refused_by_the_compiler,
    ),
    ("cargo_alone_can_make_an_image", without_cargo_solo5),
];

/// The example has no list of devices in its `solo5.toml`.
fn network_and_disk(fixture: &Fixture) -> Result<()> {
    let kv = workspace().join("rust-examples/kv");
    let text = ends_with(0, fixture, &kv, &["manifest", "-q"])?;
    ensure!(
        text == manifest(&[("service", "NET_BASIC"), ("storage", "BLOCK_BASIC")]),
        "{text}"
    );
    // Its settings are those of `[run.device.NAME]`: addresses of both ends, and a disk in memory.
    let client = "echo 'SET colour green' | nc -N 10.0.0.2 4000; ip neigh show 10.0.0.2";
    let text = ends_with(0, fixture, &kv, &["run", "--with", client])?;
    prints(&text, "OK\n")?;
    prints(&text, " lladdr 02:00:00:00:00:02 ")
}

/// `query-manifest` of these devices.
fn manifest(devices: &[(&str, &str)]) -> String {
    let lines: Vec<String> = devices
        .iter()
        .map(|(name, kind)| format!("    {{ \"name\": \"{name}\", \"type\": \"{kind}\" }}"))
        .collect();
    let list = match &lines[..] {
        [] => String::new(),
        lines => format!("\n{}", lines.join(",\n")),
    };
    format!(
        "{{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [{list}\n  ]\n}}\n"
    )
}

/// A program that returns the size of its disk in MiB.
const SIZE: &str = "
#[solo5::main]
fn main() -> u8 {
    let disk = solo5::Block::acquire(\"storage\").unwrap();
    (disk.info().capacity >> 20) as u8
}
";

const STORAGE: &str = "solo5::manifest! { block \"storage\" }";

/// A project whose program has this in front of its `main`, and with this `solo5.toml`.
fn program(fixture: &Fixture, name: &str, code: &str, settings: &str) -> Result<PathBuf> {
    let path = project(fixture, name, &[])?;
    write(&path, code, settings)?;
    Ok(path)
}

fn write(path: &Path, code: &str, settings: &str) -> Result<()> {
    let main = format!("#![no_std]\n#![no_main]\n{code}\n{SIZE}");
    fs::write(path.join("src/main.rs"), main)?;
    fs::write(path.join("solo5.toml"), settings)?;
    Ok(())
}

/// In a library it is for the program and for tests, which use the library, and whether the
/// linker sees the crates one by one or as a whole.
fn in_a_library(fixture: &Fixture) -> Result<()> {
    let settings = "[run.device.storage]\nsize = 3\n";
    let path = program(fixture, "lib-manifest", "use lib_manifest as _;", settings)?;
    let library = format!(
        "#![no_std]\nconst NAME: &str = \"storage\";\n{}",
        STORAGE.replace("\"storage\"", "NAME")
    );
    fs::write(path.join("src/lib.rs"), library)?;
    let tests = "#![no_std]\n#![no_main]\nuse lib_manifest as _;\nsolo5::test_main!();\n\
        #[solo5::test]\nfn the_disk_is_there() {\n\
        let disk = solo5::Block::acquire(\"storage\").unwrap();\n\
        assert_eq!(disk.info().capacity, 3 << 20);\n}\n";
    fs::write(path.join("tests/guest.rs"), tests)?;
    for profile in ["--profile=dev", "--release"] {
        let text = ends_with(0, fixture, &path, &["manifest", "-q", profile])?;
        ensure!(text == manifest(&[("storage", "BLOCK_BASIC")]), "{text}");
        ends_with(3, fixture, &path, &["run", profile])?;
    }
    let text = ends_with(0, fixture, &path, &["test"])?;
    prints(&text, "\ntest the_disk_is_there ... ok\n")
}

fn without_a_file(fixture: &Fixture) -> Result<()> {
    let path = program(fixture, "no-file", STORAGE, "")?;
    fs::remove_file(path.join("solo5.toml"))?;
    fs::write(path.join("disk.img"), vec![0; 5 << 20])?;
    for target in targets() {
        let target = format!("--target={target}");
        ends_with(5, fixture, &path, &["run", "--block=disk.img", &target])?;
    }
    let text = ends_with(101, fixture, &path, &["run"])?;
    prints(
        &text,
        "error: the device storage needs a disk: --block FILE",
    )?;
    // It is the image that says so: what other tools see is the same.
    let image = path
        .parent()
        .unwrap_or(&path)
        .join("target/solo5/debug/no-file.spt");
    let mut query = fixture.prefix.tool("solo5-elftool");
    let queried = run(query.arg("query-manifest").arg(&image), BUILD_TIME)?;
    ensure!(
        queried.text == manifest(&[("storage", "BLOCK_BASIC")]),
        "{}",
        queried.text
    );

    // No devices is something that the code can say as well.
    write(&path, "solo5::manifest! {}", "")?;
    fs::remove_file(path.join("solo5.toml"))?;
    let text = ends_with(0, fixture, &path, &["manifest", "-q"])?;
    ensure!(text == manifest(&[]), "{text}");
    // That nobody says anything is a file that was forgotten.
    write(&path, "", "")?;
    let text = ends_with(0, fixture, &path, &["manifest", "-q"])?;
    ensure!(text == manifest(&[]), "{text}");
    fs::remove_file(path.join("solo5.toml"))?;
    let text = ends_with(101, fixture, &path, &["build"])?;
    prints(
        &text,
        "/no-file/solo5.toml: missing, and there is no `manifest!` in the code. One of them lists",
    )
}

fn settings_without_a_device(fixture: &Fixture) -> Result<()> {
    let path = program(fixture, "settings", STORAGE, "")?;
    let refusals = [
        (
            "[run]\nmemory = 2\n\n[run.device.storge]\nsize = 1\n",
            "settings/solo5.toml:4:13: the code declares no device storge; it declares storage",
        ),
        (
            "[run.device.storage]\nsize = 1\nmac = \"02:00:00:00:00:02\"\n",
            "settings/solo5.toml:3:7: `mac` is for devices of type \"net\"",
        ),
        (
            "[run.device.storage]\nsise = 1\n",
            "settings/solo5.toml:2:1: unknown field `sise`",
        ),
        (
            "[run.device.storage]\ntype = \"block\"\n",
            "settings/solo5.toml:2:8: `type` is for [[device]]",
        ),
    ];
    for (settings, wanted) in refusals {
        fs::write(path.join("solo5.toml"), settings)?;
        let text = ends_with(101, fixture, &path, &["run"])?;
        prints(&text, wanted)?;
    }
    Ok(())
}

fn declared_in_two_places(fixture: &Fixture) -> Result<()> {
    let listed = "# My disk.\n[[device]]\nname = \"storage\"\ntype = \"block\"\nsize = 1\n";
    let path = program(fixture, "twice", STORAGE, listed)?;
    let text = ends_with(101, fixture, &path, &["build"])?;
    prints(
        &text,
        "twice/solo5.toml:2:1: the devices are listed here, and in the code by `manifest!`: keep \
         one of the two\n",
    )?;
    let both = format!("{listed}[run.device.storage]\nsize = 2\n");
    write(&path, "", &both)?;
    let text = ends_with(101, fixture, &path, &["build"])?;
    prints(
        &text,
        "twice/solo5.toml:6:13: this is for devices that the code declares; for those of [[device]]",
    )?;
    // The program and its library.
    write(&path, &format!("use twice as _;\n{STORAGE}"), "")?;
    fs::write(path.join("src/lib.rs"), format!("#![no_std]\n{STORAGE}"))?;
    let text = ends_with(101, fixture, &path, &["build"])?;
    prints(
        &text,
        "it has two manifests: `manifest!` stands once in a program and what it uses\n",
    )
}

fn refused_by_the_compiler(fixture: &Fixture) -> Result<()> {
    let path = program(fixture, "refused", "", "")?;
    let many: String = (0..64)
        .map(|number| format!("net \"d{number}\";\n"))
        .collect();
    let refusals = [
        (
            "net \"service\";\nblock \"service\";",
            "error[E0080]: evaluation panicked: two devices are named service\n",
        ),
        (
            "block \"my-disk\"",
            "evaluation panicked: name is not alphanumeric: my-disk\n",
        ),
        (&many, "evaluation panicked: more than 63 devices\n"),
        (
            "disk \"a\"",
            "error: a device is `net` or `block`, not `disk`\n",
        ),
        (
            "net \"a\", block \"b\"",
            "error: devices are declared as in `net \"service\"; block \"storage\"`\n",
        ),
    ];
    for (devices, wanted) in refusals {
        write(&path, &format!("solo5::manifest! {{\n{devices}\n}}"), "")?;
        let text = ends_with(101, fixture, &path, &["build"])?;
        prints(&text, wanted)?;
        // The place is the user's.
        prints(&text, " --> src/main.rs:3:1\n")?;
    }
    Ok(())
}

/// As docs/cargo-solo5.md says, word for word: with the linker of C programs.
fn without_cargo_solo5(fixture: &Fixture) -> Result<()> {
    let page = fs::read_to_string(workspace().join("docs/cargo-solo5.md"))?;
    let (_, section) = page
        .split_once("\n## Without `cargo solo5`\n")
        .context("the page has no such section")?;
    let block = section.split("```").nth(1).context("it has no block")?;
    let config = block.strip_prefix("toml\n").context("it is not TOML")?;
    let path = program(fixture, "plain", STORAGE, "")?;
    fs::write(path.join(".cargo/config.toml"), config)?;

    let search = env::var_os("PATH").unwrap_or_default();
    let search = env::split_paths(&search);
    let search = env::join_paths([fixture.prefix.bin()].into_iter().chain(search))?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--offline"])
        .env("PATH", search)
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(&path);
    let built = run(&mut cargo, BUILD_TIME)?;
    ensure!(built.status.success(), "{}", built.text);

    let image = path.join("target/x86_64-unknown-linux-gnu/debug/plain");
    let disk = path.join("disk.img");
    fs::write(&disk, vec![0; 6 << 20])?;
    let guest = fixture.unikernel(&image).option("--mem=4");
    let guest = guest.option(format!("--block:storage={}", disk.display()));
    let finished = guest.start()?.wait(REACTION_TIME)?;
    ensure!(finished.status.code() == Some(6), "{}", finished.text);
    Ok(())
}
