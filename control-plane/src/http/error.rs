//! Errors as clients get them: `{"code", "message"}`, with nothing internal. The cause goes to the log.

use ai_warp_core::error::{ErrorCode, GatewayError};
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::store::StoreError;

/// A failed request.
#[derive(Debug)]
pub(super) struct ApiError(GatewayError);

impl ApiError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(GatewayError::new(code, message))
    }

    /// The same for an unknown session, an expired one, and an id that is none.
    pub(super) fn no_session() -> Self {
        Self::new(ErrorCode::NotFound, "There is no such session")
    }

    /// A body that could not be read whole, of which `max_bytes` are allowed.
    pub(super) fn body(rejection: BytesRejection, max_bytes: usize) -> Self {
        match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(ErrorCode::RequestTooLarge, format!("The body may be at most {max_bytes} bytes"))
            }
            _ => Self::new(ErrorCode::OptionError, "The body was cut off"),
        }
    }

    /// The store failed at a session.
    pub(super) fn store(error: &StoreError) -> Self {
        tracing::warn!("a session could not be read or deleted: {error}");
        Self::new(ErrorCode::HistoryGetError, "The session store is not available")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, "application/json")], self.0.body()).into_response()
    }
}

pub(super) async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("There is nothing at {}", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, format!("{} does not know {method}", uri.path()))
}
