//! Replays the committed corpora: every input that was ever interesting must pass.

#[path = "../examples/seeds/inputs/mod.rs"]
mod inputs;

use mnet_fuzz_harness::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz_directory().join(directory)).unwrap();
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries.map(|entry| name(entry.unwrap().path())).collect()
}

#[test]
fn every_target_has_a_file_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let manifest = fs::read_to_string(fuzz_directory().join("Cargo.toml")).unwrap();
    for target in &targets {
        assert!(
            manifest.contains(&format!("fuzz_targets/{target}.rs")),
            "{target} is not built"
        );
    }
}

/// `cargo run -p mnet-fuzz-harness --example seeds` writes them.
#[test]
fn the_hand_made_inputs_are_those_that_are_committed() {
    for (target, name, bytes) in inputs::all() {
        let path = fuzz_directory().join("corpus").join(target).join(&name);
        let committed = fs::read(&path).unwrap_or_default();
        assert!(committed == bytes, "{} is out of date", path.display());
    }
}

#[test]
fn every_input_of_every_corpus_passes() {
    for (name, target) in TARGETS {
        let directory = fuzz_directory().join("corpus").join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            // The name of the input that fails is the last one printed.
            println!("{}", path.display());
            target(&input);
            inputs += 1;
        }
        assert!(inputs >= 4, "{name} has only {inputs} inputs");
    }
}

#[test]
fn empty_and_uniform_inputs_pass() {
    for (name, target) in TARGETS {
        println!("{name}");
        target(&[]);
        for byte in [0x00, 0x01, 0x41, 0x7f, 0x80, 0xff] {
            for len in [1, 4, 20, 64, 300] {
                target(&vec![byte; len]);
            }
        }
    }
}
