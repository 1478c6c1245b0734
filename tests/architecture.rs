//! The invariants of docs/ARCHITECTURE.md, checked against what cargo knows of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use tests::repository;

/// Direct dependencies of each package of the workspace, those of its tests left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let names = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

fn ours(of: &BTreeSet<String>, all: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    of.iter().filter(|name| all.contains_key(*name)).cloned().collect()
}

#[test]
fn knowledge_goes_one_way() {
    let all = dependencies();
    for (package, allowed) in [
        ("wire", vec![]),
        ("optimizer", vec![]),
        ("runtime", vec!["wire"]),
        ("local-backend", vec!["wire"]),
        ("platform", vec!["optimizer", "wire"]),
        ("fuseline", vec!["local-backend", "optimizer", "platform"]),
        // Users' code: it knows nothing of us.
        ("stock", vec![]),
        ("trainticket", vec![]),
        ("workloads-common", vec![]),
        ("chatbot", vec!["workloads-common"]),
        ("ml-pipeline", vec!["workloads-common"]),
        ("video-analysis", vec!["workloads-common"]),
    ] {
        let allowed: BTreeSet<String> = allowed.into_iter().map(str::to_owned).collect();
        assert_eq!(ours(&all[package], &all), allowed, "{package} depends on others of ours");
    }
}

#[test]
fn the_optimizer_is_pure() {
    let impure = ["tokio", "fs-err", "jiff", "reqwest", "hyper", "tracing", "tempfile"];
    let all = dependencies();
    for name in impure {
        assert!(!all["optimizer"].contains(name), "the optimizer depends on {name}");
    }
    // The standard library's impure parts, which no manifest lists.
    let forbidden = [
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "rand::rng()",
        "thread_rng",
        "println!",
        "async fn",
    ];
    let mut waiting = vec![repository().join("optimizer/src")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for word in forbidden {
            assert!(!text.contains(word), "{} contains {word}", path.display());
        }
    }
}

#[test]
fn only_one_crate_names_each_outside_world() {
    let all = dependencies();
    let functions = ["runtime-bench", "stock", "trainticket", "test-functions"];
    for (package, names) in all.iter().filter(|(name, _)| !functions.contains(&name.as_str())) {
        let sdk = names.iter().any(|name| name.starts_with("aws-sdk-") || name == "aws-config");
        assert_eq!(sdk, package == "platform", "{package} and the AWS SDK");
        assert_eq!(names.contains("bollard"), package == "local-backend", "{package} and Docker");
        let terminal =
            ["clap", "indicatif", "comfy-table"].iter().any(|name| names.contains(*name));
        assert_eq!(terminal, package == "fuseline", "{package} and the terminal");
    }
}

#[test]
fn every_crate_is_under_the_workspaces_lints_and_forbids_unsafe_code() {
    let root = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    for lint in ["unsafe_code = \"forbid\"", "print_stdout = \"warn\"", "print_stderr = \"warn\""] {
        assert!(root.contains(lint), "{lint}");
    }
    let members = root.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    for member in members.split('"').filter(|part| !part.trim_matches([',', ' ', '\n']).is_empty())
    {
        let manifest = repository().join(member).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{}", manifest.display());
    }
}

#[test]
fn files_stay_small_enough_to_be_about_one_subject() {
    let output =
        Command::new("git").args(["ls-files", "*.rs"]).current_dir(repository()).output().unwrap();
    let files = String::from_utf8(output.stdout).unwrap();
    for file in files.lines() {
        let Ok(text) = std::fs::read_to_string(repository().join(file)) else { continue };
        assert!(text.lines().count() <= 800, "{file} has {} lines", text.lines().count());
        let documented = text.starts_with("//!") || text.starts_with("#![");
        assert!(documented, "{file} does not say what it is about");
    }
}
