//! The bindings: our implementation of `include/solo5.h`, which is linked into every image.
//!
//! Built with the feature `spt`, `hvt` or `stub`, this crate becomes `solo5_spt.o`, `solo5_hvt.o` or
//! `solo5_stub.o`: one relocatable object that shows `_start`, the functions of `solo5.h` and the two
//! symbols of the stack protector, and needs `solo5_app_main` and what the linker scripts in `lds/`
//! define (solo5-abi sections 3.3 and 15.5; `mnet_relocatable::recipes` builds and checks it).
//!
//! - `spt`: an ordinary process under seccomp. The tender has mapped the image and left a boot
//!   information block; from then on there are nine system calls and nothing else.
//! - `hvt`: a virtual machine. There are eight hypercalls, a ring for frames, and nothing else.
//! - `stub`: functions that do nothing, so that a configure script can link its test programs.
//!
//! What spt and hvt have in common is in `bindings`. What can be decided without the machine is in
//! modules of its own, which are always there and tested on the host.
#![no_std]

#[cfg(any(
    all(feature = "spt", feature = "hvt"),
    all(feature = "spt", feature = "stub"),
    all(feature = "hvt", feature = "stub")
))]
compile_error!("the features spt, hvt and stub exclude each other");

#[cfg(test)]
extern crate std;

pub mod clock;
pub mod devices;
pub mod guard;
pub mod line;
pub mod memory;
pub mod options;
pub mod ring;
pub mod tls;
pub mod tsc;

#[cfg(any(feature = "spt", feature = "hvt"))]
mod bindings;
#[cfg(feature = "hvt")]
mod hvt;
#[cfg(feature = "spt")]
mod spt;
#[cfg(feature = "hvt")]
use hvt as platform;
#[cfg(feature = "spt")]
use spt as platform;
#[cfg(feature = "stub")]
mod stub;
