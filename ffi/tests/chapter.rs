//! The code of docs/echo.md is that of the example, which other tests run.

use std::fs;
use std::path::Path;

#[test]
fn every_block_of_code_is_in_the_example() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(package.join(path)).unwrap();
    let chapter = read("../docs/echo.md");
    let example = read("../c-examples/echo/echo-fibers.c");
    let manifest = read("../c-examples/echo/manifest.json");
    let mut count = 0;
    for (language, source) in [("```c\n", example), ("```json\n", manifest)] {
        for rest in chapter.split(language).skip(1) {
            let block = rest.split("```").next().unwrap();
            assert!(source.contains(block), "not there:\n{block}");
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} blocks");
}
