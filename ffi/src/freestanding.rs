//! What `libmnet.a` has because no std is there: the allocator and the panic handler.

use core::fmt::Write;
use core::panic::PanicInfo;

use solo5::Console;

use crate::arena::ArenaAllocator;

#[global_allocator]
static ALLOCATOR: ArenaAllocator = ArenaAllocator;

/// Prints where and why, in one line, and ends the program (exit status 255).
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Nothing can be done about a console that fails.
    let _ = match info.location() {
        Some(place) => writeln!(
            Console,
            "mnet: panic at {}:{}: {}",
            place.file(),
            place.line(),
            info.message()
        ),
        None => writeln!(Console, "mnet: panic: {}", info.message()),
    };
    solo5::abort()
}
