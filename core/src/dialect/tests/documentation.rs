//! `docs/providers.md` shows what the code does.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

/// The services, where they are and how they are asked.
fn services() -> String {
    let mut text = "\
| dialect | base URL | the key goes into | embeddings |
|---|---|---|---|
"
    .to_owned();
    for name in DialectName::ALL {
        let dialect = dialect(name);
        let base_url = match (name, name.base_url()) {
            (_, Some(url)) => format!("`{url}`"),
            (DialectName::Bedrock, None) => "by `aws.region`".to_owned(),
            (DialectName::Vertex, None) => "by `gcp`".to_owned(),
            (_, None) => "must be said".to_owned(),
        };
        let Credential { header, prefix } = dialect.credential();
        let embeddings = if dialect.embedder().is_some() { "yes" } else { "no" };
        let _ = writeln!(text, "| `{}` | {base_url} | `{header}: {prefix}…` | {embeddings} |", name.name());
    }
    text
}

/// What becomes of what a provider does not simply have.
fn table() -> String {
    let mut text = "\
| dialect | left out | refused | translated |
|---|---|---|---|
"
    .to_owned();
    let list =
        |features: &[Feature]| features.iter().map(|feature| feature.what()).collect::<Vec<_>>().join(", ");
    for name in DialectName::ALL {
        let Support { translated, dropped, refused } = dialect(name).support();
        let translated: Vec<String> =
            translated.iter().map(|(feature, to)| format!("{} → {to}", feature.what())).collect();
        let (dropped, refused, translated) = (list(dropped), list(refused), translated.join("; "));
        let _ = writeln!(text, "| `{}` | {dropped} | {refused} | {translated} |", name.name());
    }
    text
}

#[test]
fn the_documentation_shows_the_providers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut wanted = text.clone();
    for (name, content) in [("services", services()), ("table", table())] {
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
        let (before, rest) = wanted.split_once(&start).expect("the table starts with its marker");
        let (_, after) = rest.split_once(&end).expect("the table ends with its marker");
        wanted = format!("{before}{start}{content}{end}{after}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    assert_eq!(
        text, wanted,
        "docs/providers.md shows another table; `UPDATE_DOCS=1 cargo test -p ai-warp-core documentation` writes this one"
    );
}
