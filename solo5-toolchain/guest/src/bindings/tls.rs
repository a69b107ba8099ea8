//! Thread-local storage (solo5-abi section 15.4).

use core::ptr;

use solo5_sys::solo5_result_t;

use crate::platform;
use crate::tls::Tls;

unsafe extern "C" {
    /// Where the linker put the initial values.
    static _stdata: u8;
    /// The address of this symbol is the size of the initial values.
    static _ltdata: u8;
    /// The address of this symbol is the size of the zeroed variables.
    static _ltbss: u8;
}

fn layout() -> Tls {
    Tls {
        data: (&raw const _ltdata).addr(),
        bss: (&raw const _ltbss).addr(),
    }
}

/// `solo5_tls_size`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_tls_size() -> usize {
    layout().size()
}

/// `solo5_tls_tp_offset`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_tls_tp_offset(tls: usize) -> usize {
    layout().thread_pointer(tls)
}

/// `solo5_tls_init`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_tls_init(tls: usize) -> solo5_result_t {
    if tls == 0 {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    let layout = layout();
    let thread_pointer = layout.thread_pointer(tls);
    // SAFETY: the caller hands in a block of `solo5_tls_size()` bytes, which are the initial
    // values, zeroed variables and one word; the linker vouches for the initial values.
    unsafe {
        let block = ptr::with_exposed_provenance_mut::<u8>(tls);
        block.copy_from_nonoverlapping(&raw const _stdata, layout.data);
        let word = ptr::with_exposed_provenance_mut::<usize>(thread_pointer);
        word.write_unaligned(thread_pointer);
    }
    solo5_result_t::SOLO5_R_OK
}

/// `solo5_set_tls_base`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_set_tls_base(base: usize) -> solo5_result_t {
    if platform::set_thread_pointer(base) {
        solo5_result_t::SOLO5_R_OK
    } else {
        solo5_result_t::SOLO5_R_EINVAL
    }
}
