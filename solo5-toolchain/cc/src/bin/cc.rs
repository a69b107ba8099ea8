//! `x86_64-solo5-none-static-cc`: compiles and links C for Solo5. See `solo5_cc`.

use std::process::ExitCode;

use solo5_cc::Tool;

fn main() -> ExitCode {
    solo5_cc::main(Tool::Cc)
}
