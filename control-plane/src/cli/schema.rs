//! `ai-warp schema`: the configuration's JSON Schema, made from the types that read it.

use ai_warp_core::config::Config;

use super::{Failure, print};

pub(super) fn run() -> Result<(), Failure> {
    print(&text()?)
}

fn text() -> Result<String, Failure> {
    let schema = schemars::schema_for!(Config);
    let json = serde_json::to_string_pretty(&schema).map_err(Failure::failed)?;
    Ok(json + "\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn knows_the_keys_and_refuses_others() {
        let schema: serde_json::Value = serde_json::from_str(&super::text().unwrap()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        for key in
            ["server", "controlPlane", "providers", "models", "limits", "restore", "storage", "promptPath"]
        {
            assert!(schema["properties"][key]["description"].is_string(), "{key}");
        }
    }
}
