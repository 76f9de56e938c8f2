//! Makes the npm package: the client's WebAssembly module with the JavaScript that speaks with it, and what is written by
//! hand around both.
//!
//! The module is inside a script, compressed, as base64. So the package works as it is in Node, in browsers without a
//! bundler, from any place it is copied to, and under a Content-Security-Policy that allows scripts of the page's own
//! origin and `'wasm-unsafe-eval'`, and no connection but that to the gateway.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use wasm_bindgen_cli_support::Bindgen;

/// Most bytes of what a page loads, each script compressed by itself as servers do it.
const MAX_COMPRESSED: usize = 150 << 10;

/// What is written by hand, and goes into the package as it is: its place in the client's folder, its name in the package.
const BY_HAND: [(&str, &str); 4] = [
    ("js/index.js", "index.js"),
    ("js/index.d.ts", "index.d.ts"),
    ("js/error.js", "error.js"),
    ("README.md", "README.md"),
];

/// Makes the npm package of the client.
#[derive(Parser)]
struct Cli {
    /// The client's module, as cargo built it.
    #[arg(long)]
    module: PathBuf,
    /// The repository.
    #[arg(long)]
    repository: PathBuf,
    /// Where the package is written; what was there is replaced.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let (glue, wasm) = generate(&cli.module)?;
    let client = cli.repository.join("client");
    let mut files = vec![
        ("glue.js", glue.into_bytes()),
        ("wasm.js", embed(&wasm)?.into_bytes()),
        ("package.json", manifest().into_bytes()),
        ("LICENSE", read(&cli.repository.join("LICENSE"))?),
    ];
    for (source, name) in BY_HAND {
        files.push((name, read(&client.join(source))?));
    }
    let scripts = files.iter().filter(|(name, _)| is_script(name));
    let sizes: Vec<usize> =
        scripts.map(|(_, content)| Ok(compressed(content)?.len())).collect::<Result<_>>()?;
    let size: usize = sizes.iter().sum();
    ensure!(size <= MAX_COMPRESSED, "the package is {size} bytes compressed, more than {MAX_COMPRESSED}");
    write(&cli.out, &files)?;
    println!("{}: {} bytes of WebAssembly, {size} bytes compressed", cli.out.display(), wasm.len());
    Ok(())
}

/// The script that speaks with the module, and the module as it then is.
fn generate(module: &Path) -> Result<(String, Vec<u8>)> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("glue").typescript(false).web(true)?;
    bindgen.omit_default_module_path(true).remove_name_section(true).remove_producers_section(true);
    let mut output = bindgen.generate_output().context("the module cannot be bound to JavaScript")?;
    let wasm = output.wasm_mut().emit_wasm();
    Ok((output.js().to_owned(), wasm))
}

/// A script that has the module in it.
fn embed(wasm: &[u8]) -> Result<String> {
    let text = STANDARD.encode(compressed(wasm)?);
    Ok(format!(
        "// The WebAssembly module of the client, compressed.\nconst base64 = '{text}'\n\n\
         export async function bytes () {{\n  \
           const compressed = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))\n  \
           const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream('gzip'))\n  \
           return new Response(stream).arrayBuffer()\n}}\n"
    ))
}

fn manifest() -> String {
    let manifest = json!({
        "name": "ai-warp-client",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Client of the AI Warp gateway: streams that survive a broken connection, in Node and in browsers.",
        "license": "Apache-2.0",
        "type": "module",
        "main": "./index.js",
        "types": "./index.d.ts",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}, "./package.json": "./package.json"},
        "files": ["*.js", "index.d.ts", "README.md", "LICENSE"],
        "sideEffects": false,
        "engines": {"node": ">=20"},
    });
    format!("{manifest:#}\n")
}

fn is_script(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "js")
}

fn compressed(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes the package beside its place and moves it there, so that nobody meets half of it.
fn write(out: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let fresh = out.with_extension(format!("new-{}", std::process::id()));
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    for (name, content) in files {
        let path = fresh.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot replace {}", out.display()))?;
    }
    fs::rename(&fresh, out).with_context(|| format!("cannot write {}", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("client");
        write(&out, &[("a.js", b"1".to_vec()), ("b.js", b"2".to_vec())]).unwrap();
        write(&out, &[("a.js", b"3".to_vec())]).unwrap();
        assert_eq!(fs::read(out.join("a.js")).unwrap(), b"3");
        assert!(!out.join("b.js").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn every_file_of_the_package_is_one_that_npm_publishes() {
        let manifest: serde_json::Value = serde_json::from_str(&manifest()).unwrap();
        let published = manifest["files"].as_array().unwrap();
        for name in BY_HAND.iter().map(|(_, name)| *name).chain(["glue.js", "wasm.js", "LICENSE"]) {
            let is_published = is_script(name) || published.iter().any(|file| file == name);
            assert!(is_published, "{name}");
        }
    }
}
