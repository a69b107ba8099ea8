//! What `cargo xtask dist` installs is complete, and what is built with it is small.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use mnet_tests::prefix::succeed;
use mnet_tests::process::run;

use crate::Test;
use crate::fixture::Fixture;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("has_the_layout_of_solo5", has_the_layout_of_solo5),
    ("hello_runs_without_a_network", hello_runs),
    ("a_program_without_memcpy_is_given_one", is_given_memcpy),
    ("echo_is_under_504_kib_stripped", echo_is_small),
];

fn has_the_layout_of_solo5(fixture: &Fixture) -> Result<()> {
    let files = [
        "bin/cargo-solo5",
        "bin/solo5-elftool",
        "bin/solo5-embed",
        "bin/solo5-hvt",
        "bin/solo5-hvt-debug",
        "bin/solo5-spt",
        "bin/x86_64-solo5-none-static-cc",
        "bin/x86_64-solo5-none-static-ld",
        "bin/x86_64-solo5-none-static-objcopy",
        "include/mnet-posix/sys/socket.h",
        "include/solo5/elf_abi.h",
        "include/solo5/hvt_abi.h",
        "include/solo5/hvt_ring.h",
        "include/solo5/mft_abi.h",
        "include/solo5/mnet.h",
        "include/solo5/mnet_program.h",
        "include/solo5/solo5.h",
        "include/solo5/solo5_embed.h",
        "include/solo5/spt_abi.h",
        "include/x86_64-solo5-none-static/stdarg.h",
        "include/x86_64-solo5-none-static/stddef.h",
        "include/x86_64-solo5-none-static/stdint.h",
        "lib/cmake/mnet/mnet-config-version.cmake",
        "lib/cmake/mnet/mnet-config.cmake",
        "lib/pkgconfig/libmnet.pc",
        "lib/pkgconfig/libmnet-posix.pc",
        "lib/x86_64-solo5-none-static/libmnet-posix.a",
        "lib/x86_64-solo5-none-static/libmnet.a",
        "lib/x86_64-solo5-none-static/libsolo5_mem.a",
        "lib/x86_64-solo5-none-static/solo5_hvt.lds",
        "lib/x86_64-solo5-none-static/solo5_hvt.o",
        "lib/x86_64-solo5-none-static/solo5_spt.lds",
        "lib/x86_64-solo5-none-static/solo5_spt.o",
        "lib/x86_64-solo5-none-static/solo5_stub.lds",
        "lib/x86_64-solo5-none-static/solo5_stub.o",
        "share/mnet/mnet.mk",
        "share/mnet/toolchain.cmake",
        "src/mnet/Cargo.lock",
        "src/mnet/Cargo.toml",
        "src/mnet/mnet/src/lib.rs",
        "src/mnet/solo5-toolchain/solo5/src/lib.rs",
    ];
    for file in files {
        let path = fixture.prefix.root().join(file);
        ensure!(path.is_file(), "{} is missing", path.display());
    }
    Ok(())
}

/// The example is copied and built where nothing but the installation is.
fn hello_runs(fixture: &Fixture) -> Result<()> {
    let directory = fixture.directory("dist-hello")?;
    let image = fixture.prefix.build_example("hello", &directory)?;
    let unikernel = fixture.unikernel(&image).argument("--solo5:quiet");
    let finished = run(&mut unikernel.command(), Duration::from_secs(10))?;
    ensure!(
        finished.status.success() && finished.text.to_lowercase().contains("hello"),
        "{}: {}",
        finished.status,
        finished.text
    );
    Ok(())
}

/// A program that needs what compilers call on their own. One of these functions is its own, and it is
/// that which is called.
fn is_given_memcpy(fixture: &Fixture) -> Result<()> {
    const PROGRAM: &str = r#"
#include <solo5.h>
struct large { char bytes[4096]; };
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);
size_t strlen(const char *text);
static int own;
void *memset(void *to, int value, size_t count)
{
    own++;
    for (volatile char *byte = to; count > 0; count--)
        *byte++ = (char)value;
    return to;
}
int solo5_app_main(const struct solo5_start_info *info)
{
    struct large *heap = (struct large *)info->heap_start;
    memset(&heap[0], 'x', sizeof heap[0]);
    heap[1] = heap[0];
    heap[2].bytes[0] = 'y';
    memcpy(&heap[2], &heap[1], strlen(info->cmdline));
    return own == 1 && memcmp(&heap[1], &heap[0], 4096) == 0 && heap[2].bytes[0] == 'x' ? 0 : 1;
}
"#;
    let directory = fixture.directory("dist-memcpy")?;
    fs::write(directory.join("program.c"), PROGRAM)?;
    fs::write(
        directory.join("manifest.json"),
        r#"{ "type": "solo5.manifest", "version": 1, "devices": [] }"#,
    )?;
    let sources = ["program.c"];
    let image = fixture
        .prefix
        .build_there("spt", "program", &sources, &directory)?;
    let unikernel = fixture.unikernel(&image).argument("four");
    let finished = run(&mut unikernel.command(), Duration::from_secs(10))?;
    ensure!(finished.status.success(), "{}", finished.text);
    Ok(())
}

fn echo_is_small(fixture: &Fixture) -> Result<()> {
    // The aim is 400 KiB. What is above it is code of the core that is compiled for speed although it
    // runs seldom: DHCP, neighbours, groups, fragments, interfaces. It is to move into a crate that
    // is compiled for size.
    const LIMIT: u64 = 504 << 10;
    let stripped = fixture.directory("dist-size")?.join("echo.spt");
    let mut strip = fixture.prefix.tool("x86_64-solo5-none-static-objcopy");
    strip.arg("--strip-all").arg(&fixture.echo).arg(&stripped);
    succeed(&mut strip)?;
    let size = fs::metadata(&stripped)?.len();
    println!("echo.spt stripped: {} KiB", size >> 10);
    ensure!(size < LIMIT, "the stripped image has {size} bytes");
    Ok(())
}
