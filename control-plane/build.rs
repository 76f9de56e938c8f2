//! Compiles the protobuf descriptors of Envoy's configuration.
//!
//! `ai-warp render` writes Envoy's messages as YAML, for which it must know their fields by name. The generated types do not
//! tell them; but the crate that holds these types ships the files they were generated from.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use protox::prost::Message as _;
use protox::prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};
use serde_json::Value;

/// The crate with the protobuf files.
const ENVOY_TYPES: &str = "envoy-types";

/// Where imports are looked for, below that crate's folder of protobuf files.
const ROOTS: [&str; 7] = [
    "data-plane-api",
    "xds",
    "googleapis",
    "protoc-gen-validate",
    "opentelemetry-proto",
    "client_model",
    "cel-spec/proto",
];

/// The whole of a configuration, without what stands in an `Any`.
const BOOTSTRAP: &str = "envoy/config/bootstrap/v3/bootstrap.proto";

/// What may stand in an `Any`, by folder: whatever is below, so that another filter does not need a word here.
const EXTENSIONS: [&str; 2] = ["envoy/extensions", "envoy/config/trace"];

/// Names in it mean something else to the compiler even so, and nobody here needs it.
const LEFT_OUT: &str = "envoy/extensions/clusters/dynamic_forward_proxy";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let protos = proto_folder()?;
    let mut files = vec![PathBuf::from(BOOTSTRAP)];
    let api = protos.join("data-plane-api");
    for folder in EXTENSIONS {
        add_files(&api.join(folder), &api, &mut files)?;
    }
    files.sort();
    let roots = ROOTS.map(|root| protos.join(root));
    let mut descriptors: BTreeMap<String, FileDescriptorProto> = BTreeMap::new();
    // One by one: in a file's relative names the compiler would find packages of files that it does not import.
    for file in files {
        if descriptors.contains_key(&*file.to_string_lossy()) || file.starts_with(LEFT_OUT) {
            continue;
        }
        let mut compiler = protox::Compiler::new(&roots)?;
        compiler.include_imports(true).include_source_info(false).open_file(&file)?;
        for file in compiler.file_descriptor_set().file {
            descriptors.insert(file.name().to_owned(), file);
        }
    }
    let set = FileDescriptorSet { file: descriptors.into_values().collect() };
    let out = PathBuf::from(env::var("OUT_DIR")?).join("envoy.binpb");
    fs::write(out, set.encode_to_vec())?;
    Ok(())
}

/// Adds all protobuf files below `folder`, by their paths from `root`.
fn add_files(folder: &Path, root: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_files(&path, root, files)?;
        } else if path.extension() == Some(OsStr::new("proto")) {
            files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
    }
    Ok(())
}

/// Where cargo keeps the protobuf files: it alone knows, whether they are vendored, cached or mirrored.
fn proto_folder() -> Result<PathBuf, Box<dyn Error>> {
    let target = env::var("TARGET")?;
    // Without the network first, which is there for whoever has just built the dependencies.
    let metadata = metadata(&["--offline", "--filter-platform", &target])
        .or_else(|_| metadata(&["--filter-platform", &target]))?;
    let packages = metadata.get("packages").and_then(Value::as_array).ok_or("cargo names no packages")?;
    let envoy_types = packages.iter().find(|package| package.get("name") == Some(&ENVOY_TYPES.into()));
    let manifest = envoy_types.and_then(|package| package.get("manifest_path")).and_then(Value::as_str);
    let folder =
        manifest.and_then(|path| Path::new(path).parent()).ok_or("cargo does not know envoy-types")?;
    Ok(folder.join("proto"))
}

fn metadata(arguments: &[&str]) -> Result<Value, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.args(["metadata", "--format-version", "1", "--locked"]).args(arguments);
    let output = cargo.current_dir(env::var("CARGO_MANIFEST_DIR")?).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
