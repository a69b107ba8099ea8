//! `include/solo5.h` as Rust declarations: the content of the `solo5-sys` crate.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use bindgen::{EnumVariation, Formatter, RustEdition, RustTarget};

/// The text of `bindings.rs`.
///
/// # Errors
///
/// libclang is not installed, or the header does not compile.
pub(crate) fn generate(root: &Path) -> Result<String> {
    // bindgen panics without libclang; ask first.
    clang_sys::load().map_err(|reason| {
        anyhow!(
            "libclang is needed to read C headers and cannot be loaded ({reason}); \
             Debian: apt-get install libclang-dev"
        )
    })?;
    let header = root.join("include/solo5.h");
    let header = header
        .to_str()
        .context("the path of the workspace is not UTF-8")?;
    let msrv = RustTarget::stable(85, 0).map_err(|error| anyhow!("{error}"))?;

    let bindings = bindgen::Builder::default()
        .header(header)
        // The image's target whatever the host is, and its own idea of stdint.h, not a libc's.
        .clang_args([
            "--target=x86_64-unknown-linux-gnu",
            "-ffreestanding",
            "-std=c11",
        ])
        // The header uses ordinary comments.
        .clang_arg("-fparse-all-comments")
        .allowlist_function("solo5_.*")
        .allowlist_type("solo5_.*")
        .allowlist_var("SOLO5_(EXIT|NET)_.*")
        // The one function that the application supplies.
        .blocklist_function("solo5_app_main")
        .default_enum_style(EnumVariation::NewType {
            is_bitfield: false,
            is_global: false,
        })
        .enable_function_attribute_detection()
        .derive_debug(true)
        .derive_eq(true)
        .merge_extern_blocks(true)
        .use_core()
        .rust_target(msrv)
        .rust_edition(RustEdition::Edition2024)
        .formatter(Formatter::Prettyplease)
        .disable_header_comment()
        .raw_line("// Generated from include/solo5.h by `cargo run -p mnet-codegen -- bindings`.")
        .raw_line("// Change the header, not this file.")
        .generate()
        .context("include/solo5.h")?;
    Ok(bindings.to_string())
}
