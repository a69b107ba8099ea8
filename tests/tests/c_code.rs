//! Parts of the C examples that need no network, on Linux and with sanitizers: each with a program in
//! `tests/c` that has its cases.

use std::path::Path;
use std::process::Command;

use mnet_tests::prefix::workspace;

/// Compiles files of the workspace into one program and runs it.
fn passes(name: &str, sources: &[&str], include: &str) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(name);
    let root = workspace();
    let mut compile = Command::new("gcc");
    compile
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .args(["-g", "-O1", "-fno-sanitize-recover=all"])
        .arg("-fsanitize=address,undefined")
        .arg("-I")
        .arg(root.join(include))
        .arg("-I")
        .arg(root.join("include"))
        .args(sources.iter().map(|source| root.join(source)))
        .arg("-o")
        .arg(&program);
    run(&mut compile);
    run(Command::new(program).current_dir(Path::new(directory.path())));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        output.status
    );
}

#[test]
fn web_reads_requests_as_rfc_9112_has_them_and_never_beyond_their_end() {
    passes(
        "http_cases",
        &["tests/c/http_cases.c", "c-examples/web/http.c"],
        "c-examples/web",
    );
}

#[test]
fn formats_of_mnet_program_are_those_of_snprintf() {
    passes("format_cases", &["tests/c/format_cases.c"], "include");
}

#[test]
fn block_keeps_what_it_acknowledged_wherever_it_is_ended_or_damaged() {
    passes(
        "store_cases",
        &["tests/c/store_cases.c", "c-examples/block/store.c"],
        "c-examples/block",
    );
}
