//! Model names as parts of request paths: they hold slashes and colons.

use std::fmt::Write as _;

/// Appends `text` percent-encoded as one path segment (RFC 3986 `unreserved` stays).
pub(super) fn push_segment(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}
