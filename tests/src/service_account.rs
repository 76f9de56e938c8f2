//! The JSON key of a service account that exists nowhere.

use serde_json::json;

/// A private key made for tests alone.
const PRIVATE_KEY: &str = include_str!("../../control-plane/testdata/service_account_key.pem");

/// A key whose tokens come from a server of the test.
#[derive(Debug)]
pub struct ServiceAccountKey {
    token_uri: String,
}

impl ServiceAccountKey {
    /// `token_uri` is where assertions become tokens.
    pub fn new(token_uri: &str) -> Self {
        Self { token_uri: token_uri.to_owned() }
    }

    /// The content of the file that Google Cloud's console would have written.
    pub fn json(&self) -> String {
        json!({
            "type": "service_account",
            "client_email": "tester@my-project.iam.gserviceaccount.com",
            "private_key_id": "a-key-id",
            "private_key": PRIVATE_KEY,
            "token_uri": self.token_uri,
        })
        .to_string()
    }

    /// A piece of the private key, to look for where it must not be.
    pub fn piece(&self) -> &'static str {
        PRIVATE_KEY.lines().nth(3).expect("a key has many lines")
    }
}
