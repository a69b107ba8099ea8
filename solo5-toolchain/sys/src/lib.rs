//! The Solo5 API of `include/solo5.h`, as `bindgen` sees it.
//!
//! Declarations only. The definitions are in the bindings object that an image is linked with
//! (`solo5_spt.o`, from the `solo5-guest` crate), so nothing that calls these functions can be
//! linked into an ordinary program. `solo5_app_main`, which the application supplies, is left out.
//!
//! Rust code uses the crate `solo5`, which makes these safe.
#![no_std]

#[rustfmt::skip]
#[allow(missing_docs, non_camel_case_types, reason = "names and text are the header's")]
#[allow(clippy::undocumented_unsafe_blocks, reason = "layout checks emitted by bindgen")]
mod bindings;

pub use bindings::*;
