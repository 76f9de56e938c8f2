//! The token endpoint of Google's OAuth 2: a service account presents a signed JWT and gets an access token.
//!
//! Only the shape of the JWT is checked; whether its signature is right is not, because the simulator knows no keys.
//! The query may ask for another lifetime (`expires=N`, in seconds) or another token (`token=T`).

use serde_json::{Value, json};

use crate::DEFAULT_API_KEY;
use crate::base64;
use crate::fault::percent_decode;

/// What the body must be.
pub(crate) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LIFETIME_SECONDS: u64 = 3600;
/// How far the clock of a caller may be ahead.
const SKEW_SECONDS: u64 = 300;

/// A request that gets no token: error code and description, both in the words of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) description: String,
}

impl Refused {
    /// The body of the response.
    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.code, "error_description": self.description })
    }
}

/// The request as records show it: the fields of the form, and header and claims of the JWT decoded.
pub(crate) fn record(body: &[u8]) -> Value {
    let form = form(body);
    let mut record: serde_json::Map<String, Value> =
        form.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let mut parts = field(&form, "assertion").unwrap_or_default().split('.').map(json_part);
    for name in ["header", "claims"] {
        if let Some(part) = parts.next().flatten() {
            record.insert(name.to_owned(), part);
        }
    }
    Value::Object(record)
}

/// The answer to a request at `now`, in seconds since 1970.
pub(crate) fn grant(body: &[u8], query: Option<&str>, now: u64) -> Result<Value, Refused> {
    let form = form(body);
    if field(&form, "grant_type") != Some(GRANT_TYPE) {
        return Err(refused("unsupported_grant_type", "Invalid grant_type"));
    }
    let assertion =
        field(&form, "assertion").ok_or_else(|| refused("invalid_request", "Missing assertion"))?;
    check_jwt(assertion, now)?;
    let asked = |name: &str| query_value(query, name);
    let lifetime = asked("expires").and_then(|value| value.parse().ok()).unwrap_or(LIFETIME_SECONDS);
    let token = asked("token").unwrap_or_else(|| DEFAULT_API_KEY.to_owned());
    Ok(json!({ "access_token": token, "expires_in": lifetime, "token_type": "Bearer" }))
}

/// The value of a parameter of a query.
pub(crate) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).and_then(|(_, value)| percent_decode(value))
}

fn check_jwt(assertion: &str, now: u64) -> Result<(), Refused> {
    let invalid = |description: &str| refused("invalid_grant", description);
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err(invalid("Bad Request: the assertion is no JWT of three parts"));
    };
    let header = json_part(header).ok_or_else(|| invalid("Invalid JWT header"))?;
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(invalid("Invalid JWT: Failed audience or algorithm check, expected RS256"));
    }
    if decode_part(signature).is_none_or(|signature| signature.is_empty()) {
        return Err(invalid("Invalid JWT Signature."));
    }
    let claims = json_part(claims).ok_or_else(|| invalid("Invalid JWT claims"))?;
    for name in ["iss", "scope", "aud"] {
        if claims.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(invalid(&format!("Invalid JWT: missing claim {name}")));
        }
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let (Some(issued), Some(expires)) = (time("iat"), time("exp")) else {
        return Err(invalid("Invalid JWT: iat and exp must be integers"));
    };
    let is_short = expires > issued && expires - issued <= LIFETIME_SECONDS;
    if !is_short || expires <= now || issued > now + SKEW_SECONDS {
        return Err(invalid(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your \
             iat and exp values in the JWT claim.",
        ));
    }
    Ok(())
}

fn refused(code: &'static str, description: &str) -> Refused {
    Refused { code, description: description.to_owned() }
}

/// Names and values of a form.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body).replace('+', " ");
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(name, value)| Some((percent_decode(name)?, percent_decode(value)?)))
        .collect()
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The JSON object in a part of a JWT.
fn json_part(part: &str) -> Option<Value> {
    serde_json::from_slice(&decode_part(part)?).ok().filter(Value::is_object)
}

/// Parts are base64 of the alphabet for URLs, without padding.
fn decode_part(part: &str) -> Option<Vec<u8>> {
    if part.contains(['+', '/', '=']) {
        return None;
    }
    let padding = "=".repeat(part.len().next_multiple_of(4) - part.len());
    base64::decode(&format!("{}{padding}", part.replace('-', "+").replace('_', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_420_800;

    fn encode(json: &Value) -> String {
        base64::encode(json.to_string().as_bytes()).trim_end_matches('=').replace('+', "-").replace('/', "_")
    }

    fn body(header: &Value, claims: &Value) -> String {
        let grant = GRANT_TYPE.replace(':', "%3A");
        format!("grant_type={grant}&assertion={}.{}.c2ln", encode(header), encode(claims))
    }

    fn claims() -> Value {
        json!({ "iss": "a@b", "scope": "s", "aud": "u", "iat": NOW, "exp": NOW + 3600 })
    }

    #[test]
    fn a_token_is_given_for_a_jwt_of_the_right_shape() {
        let body = body(&json!({ "alg": "RS256" }), &claims());
        let token = grant(body.as_bytes(), None, NOW).unwrap();
        assert_eq!(token, json!({ "access_token": "sim-key", "expires_in": 3600, "token_type": "Bearer" }));
        let token = grant(body.as_bytes(), Some("expires=5&token=t%201"), NOW).unwrap();
        assert_eq!((&token["access_token"], &token["expires_in"]), (&json!("t 1"), &json!(5)));
        assert_eq!(record(body.as_bytes())["claims"], claims());
        assert_eq!(record(body.as_bytes())["grant_type"], GRANT_TYPE);
    }

    #[test]
    fn everything_else_is_refused() {
        let rs256 = json!({ "alg": "RS256" });
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            body(&rs256, &claims)
        };
        let good = body(&rs256, &claims());
        let table = [
            (body(&json!({ "alg": "HS256" }), &claims()), NOW, "invalid_grant"),
            (with("iss", Value::Null), NOW, "invalid_grant"),
            (with("scope", "".into()), NOW, "invalid_grant"),
            (with("aud", 1.into()), NOW, "invalid_grant"),
            (with("iat", "now".into()), NOW, "invalid_grant"),
            (with("exp", (NOW + 3601).into()), NOW, "invalid_grant"),
            (good.clone(), NOW + 3600, "invalid_grant"),
            (good.clone(), NOW - 301, "invalid_grant"),
            (good.replace(".c2ln", ""), NOW, "invalid_grant"),
            (good.replace(".c2ln", "."), NOW, "invalid_grant"),
            (good.replace("jwt-bearer", "password"), NOW, "unsupported_grant_type"),
            (good.replace("assertion", "assert"), NOW, "invalid_request"),
            ("{}".to_owned(), NOW, "unsupported_grant_type"),
        ];
        for (body, now, code) in table {
            assert_eq!(grant(body.as_bytes(), None, now).unwrap_err().code, code, "{body}");
        }
    }
}
