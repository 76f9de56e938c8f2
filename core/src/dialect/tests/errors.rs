//! Error bodies of the services beside the first three, and what each of them means.

use super::*;

/// Whole bodies in the shapes of the services, of which none tells all by its status.
#[test]
fn every_service_has_a_shape_of_its_own() {
    use DialectName::{Azure, Gemini, Groq, Mistral, Openai, Openrouter, Together, Vertex, Vllm, Xai};
    use FailureKind::{
        Credential, ModelMissing, QuotaExceeded, RateLimited, Rejected, ServerError, Unsupported,
    };
    for (name, status, body, kind, message, param) in [
        (
            Mistral,
            400,
            r#"{"object":"error","message":"bad order","type":"invalid_request_message_order","param":"messages","code":"3230","raw_status_code":400}"#,
            Rejected,
            "bad order",
            Some("messages"),
        ),
        (
            Mistral,
            400,
            r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500"}"#,
            ModelMissing,
            "does not exist",
            None,
        ),
        (
            Mistral,
            422,
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":true}]}"#,
            Unsupported,
            "does not take",
            Some("store"),
        ),
        (
            Mistral,
            422,
            r#"{"object":"error","message":{"detail":[{"type":"missing","loc":["body","messages",0,"content"],"msg":"Field required"}]},"type":"invalid_request_error","param":null,"code":null}"#,
            Rejected,
            "Field required",
            Some("messages.0.content"),
        ),
        (Mistral, 401, r#"{"message":"Unauthorized","request_id":"r"}"#, Credential, "refused", None),
        (
            Xai,
            400,
            r#"{"code":"Client specified an invalid argument","error":"too many"}"#,
            Rejected,
            "too many",
            None,
        ),
        (
            Xai,
            400,
            r#"{"code":"c","error":"Model grok-4 does not support parameter reasoningEffort."}"#,
            Unsupported,
            "does not take",
            None,
        ),
        (
            Xai,
            400,
            r#"{"code":"c","error":"Incorrect API key provided: xa***. Get one at https://console.x.ai."}"#,
            Credential,
            "refused",
            None,
        ),
        (
            Xai,
            403,
            r#"{"code":"c","error":"Your newly created team doesn't have any credits yet."}"#,
            QuotaExceeded,
            "has no quota",
            None,
        ),
        (
            Openrouter,
            403,
            r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["x"],"flagged_input":"p"}}}"#,
            Rejected,
            "flagged",
            None,
        ),
        (
            Openrouter,
            402,
            r#"{"error":{"code":402,"message":"m","metadata":{"error_type":"payment_required"}}}"#,
            QuotaExceeded,
            "has no quota",
            None,
        ),
        (
            Openrouter,
            400,
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"provider_name":"x","raw":"{\"error\":{\"message\":\"image too large\",\"code\":\"invalid_api_key\"}}"}}}"#,
            Rejected,
            "image too large",
            None,
        ),
        (
            Openrouter,
            404,
            r#"{"error":{"code":404,"message":"No endpoints found that support tool use."}}"#,
            Unsupported,
            "does not take",
            None,
        ),
        (
            Openrouter,
            404,
            r#"{"error":{"code":404,"message":"No endpoints found for x."}}"#,
            ModelMissing,
            "does not exist",
            None,
        ),
        (
            Groq,
            498,
            r#"{"error":{"message":"x","code":"capacity_exceeded"}}"#,
            RateLimited,
            "is rate limited",
            None,
        ),
        (
            Groq,
            413,
            r#"{"error":{"message":"Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Unsupported,
            "does not take",
            None,
        ),
        (
            Groq,
            400,
            r#"{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"<f>"}}"#,
            ServerError,
            "answered with",
            None,
        ),
        (
            Groq,
            400,
            r#"{"error":{"message":"'messages.0' : property 'x' is unsupported","type":"invalid_request_error"}}"#,
            Unsupported,
            "does not take",
            None,
        ),
        (
            Together,
            403,
            r#"{"error":{"message":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193","type":"invalid_request_error","param":null,"code":null}}"#,
            Rejected,
            "Input validation error",
            None,
        ),
        (Together, 403, r#"{"error":{"message":"no access"}}"#, Credential, "refused", None),
        (
            Vllm,
            404,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}"#,
            ModelMissing,
            "does not exist",
            None,
        ),
        (
            Vllm,
            400,
            r#"{"error":{"message":"too long","type":"BadRequestError","param":"messages","code":400}}"#,
            Rejected,
            "too long",
            Some("messages"),
        ),
        (Vllm, 401, r#"{"error":"Unauthorized"}"#, Credential, "refused", None),
        (
            Azure,
            401,
            r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key."}}"#,
            Credential,
            "refused",
            None,
        ),
        (
            Azure,
            400,
            r#"{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}}}"#,
            Rejected,
            "filtered",
            Some("prompt"),
        ),
        (
            Azure,
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"x"}}"#,
            ModelMissing,
            "does not exist",
            None,
        ),
        (
            Azure,
            429,
            r#"{"statusCode":429,"message":"Rate limit is exceeded. Try again in 12 seconds."}"#,
            RateLimited,
            "is rate limited",
            None,
        ),
        (
            Openai,
            400,
            r#"{"error":{"message":"Unrecognized request argument supplied: max_completion_tokens","type":"invalid_request_error"}}"#,
            Unsupported,
            "does not take",
            None,
        ),
        (
            Gemini,
            400,
            r#"{"error":{"code":400,"message":"Function calling with a response mime type: 'application/json' is unsupported","status":"INVALID_ARGUMENT"}}"#,
            Unsupported,
            "does not take",
            None,
        ),
        (
            Vertex,
            401,
            r#"[{"error":{"code":401,"message":"x","status":"UNAUTHENTICATED"}}]"#,
            Credential,
            "refused",
            None,
        ),
    ] {
        let failure = dialect(name).read_failure(status, None, body.as_bytes());
        assert_eq!((failure.kind, failure.param.as_deref()), (kind, param), "{name:?} {status} {body}");
        assert!(failure.message.starts_with(message), "{name:?} {status}: {}", failure.message);
    }
}

#[test]
fn a_wait_in_the_message_counts_where_nothing_else_tells_it() {
    for (message, wait_ms) in [
        ("Rate limit is exceeded. Try again in 12 seconds.", Some(12_000)),
        ("Rate limit reached for x: Limit 1, Used 2. Please try again in 2m59.56s. Visit y", Some(179_560)),
        ("Please retry in 38.92s.", Some(38_920)),
        ("Please retry after 2 minutes.", Some(120_000)),
        ("Please try again in 120ms", Some(120)),
        ("Please try again in a moment", None),
        ("Resource exhausted. Please try again later.", None),
    ] {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        let failure = dialect(DialectName::Groq).read_failure(429, None, body.as_bytes());
        assert_eq!(failure.retry_after_ms, wait_ms, "{message}");
    }
}
