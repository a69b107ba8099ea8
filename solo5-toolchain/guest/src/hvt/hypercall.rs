//! Making hypercalls (solo5-abi section 11).

use core::arch::asm;
use core::hint::black_box;

use solo5_abi::hvt::{Hypercall, PORT_RING};

/// Zero, for fields beside others that are zero. The compiler does not know what it is, and so does
/// not clear them all by one vector instruction: where ring 0 is interpreted by software, there is
/// none.
pub(super) fn zero<T: Default>() -> T {
    black_box(T::default())
}

/// Makes a hypercall with this argument.
///
/// # Safety
///
/// The call must not do anything that Rust does not expect, such as writing to memory that is
/// borrowed.
pub(super) unsafe fn call<T>(call: Hypercall, argument: &mut T) {
    let address = (&raw mut *argument).expose_provenance();
    // SAFETY: the tender reads and writes the argument and what the caller allows. All memory is
    // below 4 GiB, so the lower half of the address is all of it.
    unsafe {
        asm!(
            "out dx, eax",
            in("dx") call.port(),
            in("rax") address,
            options(nostack, preserves_flags),
        );
    }
}

/// Wakes the tender's side of the network ring.
pub(super) fn ring_doorbell() {
    // SAFETY: this changes nothing of ours.
    unsafe {
        asm!(
            "out dx, eax",
            in("dx") PORT_RING,
            in("eax") 0,
            options(nostack, preserves_flags),
        );
    }
}
