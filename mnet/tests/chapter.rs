//! The code of docs/rust.md is that of the examples, which other tests run.

use std::fs;
use std::path::Path;

#[test]
fn every_block_of_code_is_in_an_example() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path| fs::read_to_string(package.join::<&str>(path)).unwrap();
    let chapter = read("../docs/rust.md");
    let examples = [
        "examples/common/mod.rs",
        "examples/echo.rs",
        "examples/web/service.rs",
        "../rust-examples/upload/src/main.rs",
        "../rust-examples/upload/src/service.rs",
    ]
    .map(read)
    .concat();
    let blocks: Vec<_> = chapter
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 7, "only {} blocks", blocks.len());
    for block in blocks {
        assert!(examples.contains(block), "in no example:\n{block}");
    }
}
