//! What Azure OpenAI, AWS Bedrock and Vertex AI need beside a key: which dialect takes which of `apiVersion`, `aws` and
//! `gcp`, and what they make of an endpoint, its URL and its access.
//!
//! There is one way in for each endpoint. What would be a second one is refused, since nobody could tell from the
//! configuration which identity the provider sees.

use super::Problems;
use crate::config::{Access, AwsConfig, BaseUrl, DialectName, EndpointConfig, GcpConfig};

/// Where Vertex AI is asked unless `gcp.location` says otherwise.
const DEFAULT_LOCATION: &str = "global";

/// Where an endpoint at `path` is; `None` where that is wrong, which is told.
pub(super) fn base_url(
    path: &str,
    dialect: Option<DialectName>,
    config: &EndpointConfig,
    problems: &mut Problems,
) -> Option<BaseUrl> {
    let url = config.base_url.clone().or_else(|| preset(dialect?, config));
    let mut base_url = match url.as_deref().map(BaseUrl::parse) {
        Some(Ok(base_url)) => base_url,
        Some(Err(error)) => {
            problems.add(format!("{path}.baseUrl"), error.to_string());
            return None;
        }
        None => {
            if let Some((key, text)) = missing(dialect) {
                problems.add(format!("{path}.{key}"), text);
            }
            return None;
        }
    };
    if dialect == Some(DialectName::Vertex) {
        let gcp = config.gcp.as_ref()?;
        base_url.path.push_str(&format!("/projects/{}/locations/{}", gcp.project, location(gcp)));
    }
    Some(base_url)
}

/// What the endpoint asks for. Only for one that [`check`] has found nothing wrong with.
pub(super) fn access(dialect: Option<DialectName>, config: &EndpointConfig) -> Access {
    if config.api_key.is_some() {
        return Access::Key;
    }
    match (dialect, &config.aws, &config.gcp) {
        (Some(DialectName::Bedrock), Some(aws), _) if aws.access_key_id.is_some() => {
            Access::AwsKeys { region: aws.region.clone() }
        }
        (Some(DialectName::Bedrock), Some(aws), _) => Access::AwsAmbient { region: aws.region.clone() },
        (Some(DialectName::Vertex), _, Some(gcp)) if gcp.service_account.is_some() => {
            Access::GoogleServiceAccount
        }
        (Some(DialectName::Vertex), _, Some(_)) => Access::GoogleMetadata,
        _ => Access::Key,
    }
}

/// Checks what is special to some dialects. Silent where the dialect itself is not known.
pub(super) fn check(
    path: &str,
    dialect: Option<DialectName>,
    config: &EndpointConfig,
    problems: &mut Problems,
) {
    let Some(dialect) = dialect else { return };
    for (key, is_there, owner) in [
        ("apiVersion", config.api_version.is_some(), DialectName::Azure),
        ("aws", config.aws.is_some(), DialectName::Bedrock),
        ("gcp", config.gcp.is_some(), DialectName::Vertex),
    ] {
        if is_there && dialect != owner {
            let text = format!("is only for dialect {}; leave it out", owner.name());
            problems.add(format!("{path}.{key}"), text);
        }
    }
    match (dialect, &config.api_version, &config.aws, &config.gcp) {
        (DialectName::Azure, Some(version), _, _) => check_api_version(path, version, problems),
        (DialectName::Bedrock, _, Some(aws), _) => check_aws(path, aws, config.api_key.is_some(), problems),
        (DialectName::Vertex, _, _, Some(gcp)) => check_gcp(path, gcp, config.api_key.is_some(), problems),
        (DialectName::Vertex, _, _, None) => {
            problems.add(format!("{path}.gcp"), "is missing; such as {project: \"my-project\"}");
        }
        _ => {}
    }
}

fn check_api_version(path: &str, version: &str, problems: &mut Problems) {
    if version.is_empty() || !version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        let text = "is a version of Azure's API, such as \"2024-10-21\"; leave it out for the v1 API";
        problems.add(format!("{path}.apiVersion"), text);
    }
}

fn check_aws(path: &str, aws: &AwsConfig, has_api_key: bool, problems: &mut Problems) {
    check_word(&format!("{path}.aws.region"), &aws.region, "us-east-1", "-", problems);
    let (has_id, has_secret) = (aws.access_key_id.is_some(), aws.secret_access_key.is_some());
    for (key, other, is_missing) in [
        ("accessKeyId", "secretAccessKey", has_secret && !has_id),
        ("secretAccessKey", "accessKeyId", has_id && !has_secret),
    ] {
        if is_missing {
            problems.add(
                format!("{path}.aws.{key}"),
                format!("is missing beside {other}; set both, or neither for the credentials Envoy finds"),
            );
        }
    }
    if aws.session_token.is_some() && !has_id && !has_secret {
        let text = "belongs to an access key; set accessKeyId and secretAccessKey as well, or leave it out";
        problems.add(format!("{path}.aws.sessionToken"), text);
    }
    if has_api_key && (has_id || has_secret) {
        problems.add(
            format!("{path}.apiKey"),
            "cannot stand beside aws.accessKeyId and aws.secretAccessKey; keep one of the two",
        );
    }
}

fn check_gcp(path: &str, gcp: &GcpConfig, has_api_key: bool, problems: &mut Problems) {
    // The names of old projects begin with a domain and a colon.
    check_word(&format!("{path}.gcp.project"), &gcp.project, "my-project", "-.:", problems);
    if let Some(location) = &gcp.location {
        check_word(&format!("{path}.gcp.location"), location, "europe-west4", "-", problems);
    }
    if has_api_key && gcp.service_account.is_some() {
        problems.add(format!("{path}.apiKey"), "cannot stand beside gcp.serviceAccount; keep one of the two");
    }
}

/// Checks what becomes a part of a URL: letters, digits and `more`.
fn check_word(path: &str, word: &str, example: &str, more: &str, problems: &mut Problems) {
    if word.is_empty() {
        problems.add(path, format!("is missing; such as \"{example}\""));
    } else if !word.bytes().all(|b| b.is_ascii_alphanumeric() || more.as_bytes().contains(&b)) {
        problems.add(path, format!("holds what cannot stand in a URL; it looks like \"{example}\""));
    }
}

/// The base URL of the service.
fn preset(dialect: DialectName, config: &EndpointConfig) -> Option<String> {
    match dialect {
        DialectName::Bedrock => {
            let region = &config.aws.as_ref()?.region;
            Some(format!("https://bedrock-runtime.{region}.amazonaws.com"))
        }
        DialectName::Vertex => Some(match location(config.gcp.as_ref()?) {
            DEFAULT_LOCATION => "https://aiplatform.googleapis.com/v1".to_owned(),
            location => format!("https://{location}-aiplatform.googleapis.com/v1"),
        }),
        _ => dialect.base_url().map(str::to_owned),
    }
}

fn location(gcp: &GcpConfig) -> &str {
    gcp.location.as_deref().unwrap_or(DEFAULT_LOCATION)
}

/// The key that should have said where an endpoint is, and what it could say. `None` where [`check`] has told.
fn missing(dialect: Option<DialectName>) -> Option<(&'static str, &'static str)> {
    match dialect {
        Some(DialectName::Azure) => {
            Some(("baseUrl", "is missing; such as \"https://my-resource.openai.azure.com\""))
        }
        Some(DialectName::Bedrock) => {
            Some(("aws", "is missing; such as {region: \"us-east-1\"}, or set baseUrl and apiKey"))
        }
        Some(DialectName::Vertex) => None,
        _ => Some(("baseUrl", "is missing; such as \"https://api.example.com/v1\"")),
    }
}
