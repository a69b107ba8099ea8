//! The programs, installed under a prefix of their own and run through links, with each compiler
//! that is there.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use solo5_cc::{Layout, TRIPLE, compiler_headers};

/// Stands in for the bindings: what the linker must find for an image to link.
const BINDINGS: &str = "extern int solo5_app_main(const void *) __attribute__((weak));
    void _start(void) { if (solo5_app_main) solo5_app_main(0); }
    unsigned long __stack_chk_guard = 1; void __stack_chk_fail(void) {}";
const SCRIPT: &str = "ENTRY(_start) SECTIONS { . = 0x100000; .text : { *(.text*) } \
    .data : { *(.data* .bss* .rodata*) } /DISCARD/ : { *(.note* .comment .eh_frame) } }";

/// An installation that holds everything the programs look for.
struct Installation {
    prefix: PathBuf,
}

impl Installation {
    fn new(name: &str) -> Self {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&prefix);
        let layout = Layout::under(&prefix);
        for dir in [
            &layout.solo5_headers,
            &layout.compiler_headers,
            &layout.bindings,
        ] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::create_dir_all(prefix.join("bin")).unwrap();
        for (tool, built) in [
            ("cc", env!("CARGO_BIN_EXE_x86_64-solo5-none-static-cc")),
            ("ld", env!("CARGO_BIN_EXE_x86_64-solo5-none-static-ld")),
            (
                "objcopy",
                env!("CARGO_BIN_EXE_x86_64-solo5-none-static-objcopy"),
            ),
        ] {
            fs::copy(built, prefix.join(format!("bin/{TRIPLE}-{tool}"))).unwrap();
        }
        let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include");
        for header in ["solo5.h", "mft_abi.h"] {
            fs::copy(include.join(header), layout.solo5_headers.join(header)).unwrap();
        }
        let headers = compiler_headers(&["cc".into()]).unwrap();
        for file in &headers.files {
            let to = layout.compiler_headers.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(headers.dir.join(file), to).unwrap();
        }
        let source = prefix.join("bindings.c");
        fs::write(&source, BINDINGS).unwrap();
        for abi in ["stub", "spt"] {
            let object = layout.bindings.join(format!("solo5_{abi}.o"));
            let mut compile = Command::new("cc");
            compile.args(["-c", "-ffreestanding", "-fno-stack-protector"]);
            assert!(
                compile
                    .arg("-o")
                    .arg(object)
                    .arg(&source)
                    .status()
                    .unwrap()
                    .success()
            );
            fs::write(layout.bindings.join(format!("solo5_{abi}.lds")), SCRIPT).unwrap();
        }
        Self { prefix }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.prefix.join(name)
    }

    /// Runs one of the programs from within the prefix.
    fn run(&self, tool: &str, compiler: &str, args: &[&str]) -> Output {
        Command::new(self.file(&format!("bin/{TRIPLE}-{tool}")))
            .args(args)
            .current_dir(&self.prefix)
            .env("SOLO5_CC", compiler)
            .env_remove("SOLO5_LD")
            .output()
            .unwrap()
    }

    #[track_caller]
    fn works(&self, tool: &str, compiler: &str, args: &[&str]) -> String {
        let output = self.run(tool, compiler, args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{tool} {compiler} {args:?}: {errors}"
        );
        String::from_utf8_lossy(&output.stdout).into_owned() + &errors
    }
}

/// `cc`, and the others where they are installed.
fn compilers() -> Vec<&'static str> {
    let there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    ["cc"]
        .into_iter()
        .chain(["gcc", "clang"].into_iter().filter(there))
        .collect()
}

const APPLICATION: &str = r#"
#include <solo5.h>
#include <float.h>
#include <stdatomic.h>
int solo5_app_main(const struct solo5_start_info *info)
{
    return info->cmdline[0] + (int)sizeof(atomic_int) + FLT_DIG;
}
"#;

#[test]
fn an_application_compiles_and_links_with_every_compiler() {
    let installed = Installation::new("application");
    fs::write(installed.file("app.c"), APPLICATION).unwrap();
    for compiler in compilers() {
        installed.works(
            "cc",
            compiler,
            &["-Wall", "-Werror", "-c", "app.c", "-o", "app.o"],
        );
        installed.works(
            "cc",
            compiler,
            &["-z", "solo5-abi=spt", "app.o", "-o", "app.spt"],
        );
        let header = fs::read(installed.file("app.spt")).unwrap();
        // An ELF executable at a fixed address, and not one that needs a dynamic linker.
        assert_eq!(header[16], 2, "{compiler}");
        installed.works(
            "ld",
            compiler,
            &["-z", "solo5-abi=spt", "app.o", "-o", "app2.spt"],
        );
        installed.works("objcopy", compiler, &["-S", "app2.spt", "app3.spt"]);
        assert!(installed.file("app3.spt").exists());
    }
}

#[test]
fn a_configure_test_links_without_an_application() {
    let installed = Installation::new("configure");
    fs::write(installed.file("conftest.c"), "int main(void) { return 0; }").unwrap();
    for compiler in compilers() {
        installed.works("cc", compiler, &["conftest.c", "-o", "conftest"]);
    }
}

#[test]
fn the_c_library_of_the_host_is_out_of_reach() {
    let installed = Installation::new("nolibc");
    fs::write(installed.file("app.c"), "#include <stdio.h>\n").unwrap();
    for compiler in compilers() {
        let output = installed.run("cc", compiler, &["-c", "app.c"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains("stdio.h"),
            "{compiler}: {errors}"
        );
    }
}

#[test]
fn questions_reach_the_compiler() {
    let installed = Installation::new("questions");
    for compiler in compilers() {
        let machine = installed.works("cc", compiler, &["-dumpmachine"]);
        assert!(machine.starts_with("x86_64-"), "{machine}");
        assert!(installed.works("cc", compiler, &["-v"]).contains("version"));
        installed.works("cc", compiler, &["-dM", "-E", "-x", "c", "/dev/null"]);
    }
}

#[test]
fn without_input_there_is_an_error() {
    let output = Installation::new("noinput").run("cc", "cc", &[]);
    assert_eq!(output.status.code(), Some(1));
    let want = format!("{TRIPLE}-cc: No input files. Compilation terminated.\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), want);
}

#[test]
fn the_installation_is_found_through_links() {
    let installed = Installation::new("links");
    let link = installed.file("link");
    symlink(installed.file(&format!("bin/{TRIPLE}-cc")), &link).unwrap();
    fs::write(installed.file("app.c"), "#include <solo5.h>\n").unwrap();
    let args: Vec<OsString> = vec!["-c".into(), installed.file("app.c").into(), "-o".into()];
    let output = Command::new(link)
        .args(args)
        .arg(installed.file("l.o"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_incomplete_installation_is_refused() {
    let installed = Installation::new("incomplete");
    fs::remove_dir_all(installed.file("lib")).unwrap();
    let output = installed.run("cc", "cc", &["-c", "app.c"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors.contains(&format!("lib/{TRIPLE}: missing")),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1);
}

#[test]
fn unknown_bindings_are_refused() {
    let installed = Installation::new("unknown");
    for tool in ["cc", "ld"] {
        let output = installed.run(tool, "cc", &["-z", "solo5-abi=nix", "a.o"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(errors.contains("no bindings for ABI 'nix'"), "{errors}");
    }
}

#[test]
fn a_compiler_that_is_not_there_is_named() {
    let output = Installation::new("nocompiler").run("cc", "/nonexistent/gcc", &["-c", "a.c"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("cannot run /nonexistent/gcc"), "{errors}");
}

#[test]
fn the_command_is_shown_on_request() {
    let installed = Installation::new("verbose");
    fs::write(installed.file("app.c"), "int x;\n").unwrap();
    let output = Command::new(installed.file(&format!("bin/{TRIPLE}-cc")))
        .args(["-c", "app.c"])
        .current_dir(&installed.prefix)
        .env("__V", "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("-nostdinc") && errors.contains("-c app.c"),
        "{errors}"
    );
}
