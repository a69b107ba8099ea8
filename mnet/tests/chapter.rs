//! The code of docs/rust.md is that of the examples, which other tests run.

use std::fs;
use std::path::Path;

#[test]
fn every_block_of_code_is_in_an_example() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(package.join(path)).unwrap();
    let chapter = read("../docs/rust.md");
    let examples = ["common/mod.rs", "echo.rs", "web/service.rs"]
        .map(|name| read(&format!("examples/{name}")))
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
