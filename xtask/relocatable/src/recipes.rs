//! The objects of this project.

use crate::Recipe;

/// What every bindings object exports: the entry point, the stack protector's two symbols, and the
/// functions of `solo5.h` other than `solo5_app_main`. Exactly this set (solo5-abi section 15.5).
pub const BINDINGS_EXPORTS: &[&str] = &[
    "_start",
    "__stack_chk_guard",
    "__stack_chk_fail",
    "solo5_abort",
    "solo5_block_acquire",
    "solo5_block_read",
    "solo5_block_write",
    "solo5_clock_monotonic",
    "solo5_clock_wall",
    "solo5_console_write",
    "solo5_exit",
    "solo5_net_acquire",
    "solo5_net_read",
    "solo5_net_write",
    "solo5_set_tls_base",
    "solo5_tls_init",
    "solo5_tls_size",
    "solo5_tls_tp_offset",
    "solo5_yield",
];

/// What the linker script of an image defines and bindings use.
const SCRIPT_SYMBOLS: [&str; 7] = [
    "_stext", "_etext", "_erodata", "_end", "_stdata", "_ltdata", "_ltbss",
];

/// What bindings need from elsewhere.
const BINDINGS_IMPORTS: [&str; 8] = {
    let [a, b, c, d, e, f, g] = SCRIPT_SYMBOLS;
    ["solo5_app_main", a, b, c, d, e, f, g]
};

/// Keeps the compiler from computing with vector registers: where ring 0 of a virtual machine is
/// interpreted by software, moves are all there is.
const MOVES_ONLY: &[&str] = &["-Cno-vectorize-loops", "-Cno-vectorize-slp"];

/// `solo5_hvt.o`: the bindings for the hvt target.
pub const SOLO5_HVT: Recipe<'static> = Recipe {
    package: "solo5-guest",
    library: "solo5_guest",
    features: &["hvt"],
    compiler_options: MOVES_ONLY,
    exports: BINDINGS_EXPORTS,
    imports: &BINDINGS_IMPORTS,
    weak: false,
};

/// `solo5_spt.o`: the bindings for the spt target.
pub const SOLO5_SPT: Recipe<'static> = Recipe {
    package: "solo5-guest",
    library: "solo5_guest",
    features: &["spt"],
    compiler_options: &[],
    exports: BINDINGS_EXPORTS,
    imports: &BINDINGS_IMPORTS,
    weak: false,
};

/// `solo5_stub.o`: bindings that do nothing, so that a configure script can link its tests.
pub const SOLO5_STUB: Recipe<'static> = Recipe {
    package: "solo5-guest",
    library: "solo5_guest",
    features: &["stub"],
    compiler_options: &[],
    exports: BINDINGS_EXPORTS,
    imports: &[],
    weak: false,
};

/// `libmnet.a`: the library for C (design section 5). Only `mnet_*` is visible, and nothing is
/// needed but `solo5_*`.
pub const LIBMNET: Recipe<'static> = Recipe {
    package: "mnet-ffi",
    library: "mnet_ffi",
    features: &["freestanding"],
    compiler_options: &[],
    exports: &["mnet_*"],
    imports: &["solo5_*"],
    weak: false,
};

/// `libsolo5_mem.a`: what compilers call on their own, for programs without a C library.
pub const SOLO5_MEM: Recipe<'static> = Recipe {
    package: "solo5-mem",
    library: "solo5_mem",
    features: &["alone"],
    compiler_options: &[],
    exports: &["bcmp", "memcmp", "memcpy", "memmove", "memset", "strlen"],
    imports: &[],
    weak: true,
};
