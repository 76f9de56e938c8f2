//! `tidy`: the repository's own rules, as code, each message saying how to obey.
//!
//! These are the promises that rot first: paths named in documents, what a crate may depend on, that a file says
//! what it is for, that a version is pinned once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::versions::Versions;
use crate::workspace::{Metadata, Workspace};

/// Folders that are not the repository's own text.
const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", ".ai-warp"];

/// What a crate must not depend on directly, and why.
const FORBIDDEN: [(&str, &[&str], &str); 2] = [
    (
        "ai-warp-core",
        &["tokio", "axum", "proxy-wasm", "tonic"],
        "core decides and does no I/O, so that every rule can be tested without any; move the I/O to its caller",
    ),
    (
        "ai-warp-tests",
        &["ai-warp-filter"],
        "end-to-end tests see the filter as Envoy does; test its rules in core instead",
    ),
];

/// The only workspace crates each of these may depend on, and why.
const ONLY: [(&str, &[&str], &str); 6] = [
    ("ai-warp-sse", &[], "the decoder goes into browsers as well; it stands alone"),
    ("ai-warp-core", &["ai-warp-sse"], "core is what the others share; it stands alone"),
    ("ai-warp-filter", &["ai-warp-core"], "the filter is a thin adapter of core to Envoy"),
    ("ai-warp-client", &["ai-warp-sse"], "the client is loaded by pages; core is much larger than all of it"),
    ("ai-warp-client-package", &[], "it is given the client as a file"),
    ("ai-warp-simulator", &[], "the simulator must not share the code it is there to check"),
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let metadata = workspace.metadata()?;
    let mut problems = dependency_problems(&metadata);
    problems.extend(module_doc_problems(&workspace.root)?);
    problems.extend(document_path_problems(&workspace.root)?);
    problems.extend(pinned_version_problems(&workspace.root, &Versions::pinned()?));
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    bail!("{} repository rule{} broken", problems.len(), if problems.len() == 1 { " is" } else { "s are" })
}

fn dependency_problems(metadata: &Metadata) -> Vec<String> {
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut problems = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            for (crate_name, forbidden, why) in FORBIDDEN {
                if from == crate_name && forbidden.contains(&to) {
                    problems.push(format!("{from} depends on {to}: {why}"));
                }
            }
            for (crate_name, allowed, why) in ONLY {
                if from == crate_name && ours.contains(to) && !allowed.contains(&to) {
                    problems.push(format!("{from} depends on {to}: {why}"));
                }
            }
        }
    }
    problems
}

/// Every Rust file opens with what it is and why. Test files under `tests/tests` are named after what they check.
fn module_doc_problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in files_below(root, "rs")? {
        let shown = file.strip_prefix(root).unwrap_or(&file);
        if shown.starts_with("tests/tests") {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if !text.starts_with("//!") {
            problems.push(format!(
                "{}: start it with `//!` lines: what this file is, why it exists, what it leaves out",
                shown.display()
            ));
        }
    }
    Ok(problems)
}

/// Paths in backticks in the README and in `docs` exist.
fn document_path_problems(root: &Path) -> Result<Vec<String>> {
    let top_level: BTreeSet<String> = fs::read_dir(root)
        .with_context(|| format!("cannot list {}", root.display()))?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !SKIPPED_FOLDERS.contains(&name.as_str()))
        .collect();
    let readme = root.join("README.md");
    let mut documents =
        if root.join("docs").is_dir() { files_below(&root.join("docs"), "md")? } else { vec![] };
    documents.extend(readme.is_file().then_some(readme));

    let mut problems = Vec::new();
    for document in documents {
        let text =
            fs::read_to_string(&document).with_context(|| format!("cannot read {}", document.display()))?;
        for (line, path) in named_paths(&text, &top_level) {
            if !root.join(path).exists() {
                let shown = document.strip_prefix(root).unwrap_or(&document).display();
                problems.push(format!("{shown}:{line}: there is no `{path}`: correct the path, or drop it"));
            }
        }
    }
    Ok(problems)
}

/// The inline code spans of a Markdown text that look like paths of this repository, with their line numbers.
/// Fenced blocks are left out: they show commands and configurations, whose paths are the reader's.
fn named_paths<'a>(text: &'a str, top_level: &BTreeSet<String>) -> Vec<(usize, &'a str)> {
    let mut paths = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        for span in line.split('`').skip(1).step_by(2) {
            // `path:line` and `path#anchor` name the file as well.
            let path = span.split([':', '#']).next().unwrap_or(span);
            let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let folder = path.split_once('/').map(|(folder, _)| folder);
            if is_plain && folder.is_some_and(|folder| top_level.contains(folder)) {
                paths.push((index + 1, path));
            }
        }
    }
    paths
}

/// The container files use the versions of `versions.toml`.
fn pinned_version_problems(root: &Path, versions: &Versions) -> Vec<String> {
    let images = [
        ("docker-compose.yml", "envoyproxy/envoy:", format!("v{}", versions.envoy.version)),
        ("docker-compose.yml", "valkey/valkey:", versions.valkey.major.to_string()),
        ("docker-compose.yml", "prom/prometheus:", versions.observability.prometheus.clone()),
        ("docker-compose.yml", "grafana/grafana:", versions.observability.grafana.clone()),
        ("Dockerfile", "FROM rust:", versions.rust.image.clone()),
    ];
    let mut problems = Vec::new();
    for (file, image, version) in images {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for (_, rest) in text.match_indices(image).map(|(at, found)| text.split_at(at + found.len())) {
            let tag = rest.split_whitespace().next().unwrap_or_default();
            if tag != version {
                problems.push(format!(
                    "{file}: {image}{tag}, but versions.toml pins {version}: change one of them, so that both agree"
                ));
            }
        }
    }
    problems
}

/// The files below `folder` with this extension, in order.
fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if path.is_dir() && !SKIPPED_FOLDERS.contains(&name) {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new(extension)) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Metadata {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_wrong_dependency_is_told_with_its_reason() {
        let metadata = metadata(
            r#"{"target_directory":"/t","packages":[
                {"name":"ai-warp-core","dependencies":[{"name":"serde"},{"name":"tokio"}]},
                {"name":"ai-warp-filter","dependencies":[{"name":"ai-warp-core"},{"name":"proxy-wasm"}]},
                {"name":"ai-warp-simulator","dependencies":[{"name":"tokio"},{"name":"ai-warp-core"}]},
                {"name":"ai-warp-tests","dependencies":[{"name":"ai-warp-core"}]}]}"#,
        );
        let problems = dependency_problems(&metadata);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("ai-warp-core depends on tokio: "), "{problems:?}");
        assert!(problems[1].starts_with("ai-warp-simulator depends on ai-warp-core: "), "{problems:?}");
    }

    #[test]
    fn paths_are_found_in_spans_but_not_in_fences_or_prose() {
        let folders = BTreeSet::from(["core".to_owned(), ".ci".to_owned()]);
        let text = "See `core/src/plan.rs:12` and `.ci/run`.\n```\n`core/none.rs`\n```\ncore/x `api/v1` `core/*.rs`\n";
        assert_eq!(named_paths(text, &folders), [(1, "core/src/plan.rs"), (1, ".ci/run")]);
    }

    #[test]
    fn a_missing_path_and_a_missing_module_doc_are_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("core/src")).unwrap();
        fs::create_dir_all(root.path().join("tests/tests")).unwrap();
        fs::write(root.path().join("core/src/lib.rs"), "fn f() {}\n").unwrap();
        fs::write(root.path().join("tests/tests/a.rs"), "fn f() {}\n").unwrap();
        fs::write(root.path().join("README.md"), "`core/src/lib.rs` and `core/src/gone.rs`\n").unwrap();
        let docs = module_doc_problems(root.path()).unwrap();
        assert!(matches!(docs.as_slice(), [one] if one.starts_with("core/src/lib.rs: ")), "{docs:?}");
        let paths = document_path_problems(root.path()).unwrap();
        assert!(matches!(paths.as_slice(), [one] if one.starts_with("README.md:1: ")), "{paths:?}");
    }

    #[test]
    fn an_image_that_differs_from_the_pin_is_told() {
        let root = tempfile::tempdir().unwrap();
        let versions = Versions::pinned().unwrap();
        fs::write(root.path().join("docker-compose.yml"), "image: envoyproxy/envoy:v1.2.3\n").unwrap();
        let problems = pinned_version_problems(root.path(), &versions);
        assert!(matches!(problems.as_slice(), [one] if one.contains("v1.2.3")), "{problems:?}");
    }
}
