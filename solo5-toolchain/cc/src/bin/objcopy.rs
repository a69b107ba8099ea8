//! `x86_64-solo5-none-static-objcopy`: the host's objcopy under the name that build systems expect.

use std::process::ExitCode;

use solo5_cc::Tool;

fn main() -> ExitCode {
    solo5_cc::main(Tool::Objcopy)
}
