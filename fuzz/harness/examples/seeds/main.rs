//! Writes the hand-made inputs of the corpora: `cargo run -p mnet-fuzz-harness --example seeds`. A
//! test compares what is committed with them.

mod inputs;

use std::fs;
use std::path::Path;

fn main() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (target, name, bytes) in inputs::all() {
        let directory = corpora.join(target);
        fs::create_dir_all(&directory).expect("the corpus can be written");
        fs::write(directory.join(name), bytes).expect("the corpus can be written");
    }
}
