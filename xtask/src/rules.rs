//! Rules about the workspace that `cargo metadata` can show.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::report::Outcome;

/// What each crate that ships may depend on, directly or not, of this workspace.
///
/// Edges point one way: the library knows nothing of the tender, and `solo5-abi` is the only crate
/// that both sides of the boundary share.
const LAYERS: &[(&str, &[&str])] = &[
    ("mnet-core", &[]),
    (
        "mnet-cli",
        &[
            "mnet-core",
            "solo5",
            "solo5-abi",
            "solo5-macros",
            "solo5-mem",
            "solo5-sys",
        ],
    ),
    ("solo5-abi", &[]),
    ("solo5-mem", &[]),
    ("solo5-sys", &[]),
    ("solo5-macros", &[]),
    (
        "solo5",
        &["solo5-abi", "solo5-macros", "solo5-mem", "solo5-sys"],
    ),
    (
        "mnet",
        &[
            "mnet-cli",
            "mnet-core",
            "solo5",
            "solo5-abi",
            "solo5-macros",
            "solo5-mem",
            "solo5-sys",
        ],
    ),
    (
        "mnet-ffi",
        &[
            "mnet",
            "mnet-cli",
            "mnet-core",
            "solo5",
            "solo5-abi",
            "solo5-macros",
            "solo5-mem",
            "solo5-sys",
        ],
    ),
    ("solo5-guest", &["solo5-abi", "solo5-mem", "solo5-sys"]),
    ("solo5-tender", &["solo5-abi"]),
    ("solo5-debug", &["solo5-abi", "solo5-tender"]),
    ("solo5-elftool", &["solo5-abi", "solo5-tender"]),
    ("solo5-cc", &[]),
    ("solo5-embed", &[]),
    ("solo5-network", &[]),
    (
        "cargo-solo5",
        &[
            "mnet-relocatable",
            "solo5-abi",
            "solo5-cc",
            "solo5-elftool",
            "solo5-network",
            "solo5-tender",
        ],
    ),
];

/// Checks the dependencies between the crates of the workspace against [`LAYERS`].
pub(crate) fn layers(metadata: &Value) -> Result<Outcome> {
    let edges = edges(metadata)?;
    let mut wrong = String::new();
    for (package, allowed) in LAYERS {
        if !edges.contains_key(*package) {
            wrong += &format!("{package} is not in the workspace\n");
        }
        for reached in closure(&edges, package) {
            if !allowed.contains(&reached) {
                wrong += &format!("{package} must not depend on {reached}\n");
            }
        }
    }
    Ok(verdict(wrong))
}

/// Direct dependencies of each workspace member on others. Those of tests do not count.
fn edges(metadata: &Value) -> Result<BTreeMap<&str, BTreeSet<&str>>> {
    let mut edges = BTreeMap::new();
    for package in packages(metadata)? {
        let dependencies = package["dependencies"].as_array();
        let dependencies = dependencies.context("a package without dependencies")?;
        let paths = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_string())
            .filter_map(|dependency| dependency["name"].as_str());
        edges.insert(name(package)?, paths.collect());
    }
    Ok(edges)
}

/// Everything that `package` reaches.
fn closure<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, package: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![package];
    while let Some(next) = open.pop() {
        for dependency in edges.get(next).into_iter().flatten() {
            if reached.insert(*dependency) {
                open.push(dependency);
            }
        }
    }
    reached
}

/// Checks that no dependency needs a newer compiler than the workspace promises to work with.
pub(crate) fn rust_version(metadata: &Value) -> Result<Outcome> {
    let packages = packages(metadata)?;
    let promised = packages
        .iter()
        .find(|package| package["name"] == "mnet-core")
        .and_then(version)
        .context("mnet-core has no rust-version")?;
    let mut wrong = String::new();
    for package in packages {
        match version(package) {
            Some(needed) if needed > promised => {
                wrong += &format!("{} needs Rust 1.{}\n", name(package)?, needed.1);
            }
            Some(_) => {}
            // A crate that does not say is believed to be old. The compiler has the last word.
            None => {}
        }
    }
    Ok(verdict(wrong))
}

/// The `rust-version` of a package, as major and minor number.
fn version(package: &Value) -> Option<(u32, u32)> {
    let mut parts = package["rust_version"].as_str()?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn packages(metadata: &Value) -> Result<&Vec<Value>> {
    metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")
}

fn name(package: &Value) -> Result<&str> {
    package["name"].as_str().context("a package without a name")
}

fn verdict(wrong: String) -> Outcome {
    if wrong.is_empty() {
        Outcome::pass()
    } else {
        Outcome::fail(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dependency_that_needs_a_newer_compiler_is_reported() {
        let metadata = json!({"packages": [
            {"name": "mnet-core", "rust_version": "1.92"},
            {"name": "old", "rust_version": "1.9.2"},
            {"name": "silent"},
            {"name": "new", "rust_version": "1.100.0"},
        ]});
        let outcome = rust_version(&metadata).unwrap();
        assert_eq!(outcome, Outcome::fail("new needs Rust 1.100\n".to_owned()));
    }

    #[test]
    fn an_edge_that_points_upwards_is_reported() {
        let mut packages: Vec<Value> = LAYERS
            .iter()
            .map(|(name, _)| json!({"name": name, "dependencies": []}))
            .collect();
        let path = |name: &str| json!({"name": name, "kind": null, "path": "/"});
        packages[0]["dependencies"] = json!([path("middle"), {"name": "rand", "kind": null}]);
        packages.push(json!({"name": "middle", "dependencies": [path("solo5-tender")]}));
        let outcome = layers(&json!({"packages": packages})).unwrap();
        assert!(
            outcome
                .notes
                .contains("mnet-core must not depend on middle")
        );
        assert!(
            outcome
                .notes
                .contains("mnet-core must not depend on solo5-tender")
        );
        assert_eq!(outcome.notes.lines().count(), 2);
    }
}
