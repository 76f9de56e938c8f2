//! Ending streams that would never end by themselves.
//!
//! An xDS stream lives as long as its gateway. Waiting for it would make every shutdown last until the deadline, so when the
//! control plane stops, each is told `UNAVAILABLE`: the gateway keeps serving on what it has and connects again.

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::middleware::map_response;
use axum::response::Response;
use futures_util::{StreamExt, future, stream};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use tokio::sync::watch;

/// gRPC's `UNAVAILABLE`: try again, elsewhere or later.
const GRPC_UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

/// Ends every response of `router` that is still being sent when `stop` becomes true.
pub(super) fn end_streams(router: Router, stop: watch::Receiver<bool>) -> Router {
    router.layer(map_response(move |response: Response| {
        let response = response.map(|body| until_stopped(body, stop.clone()));
        future::ready(response)
    }))
}

fn until_stopped(body: Body, stop: watch::Receiver<bool>) -> Body {
    let mut stopping = stop.clone();
    let stopped = async move {
        // A sender that is gone will never say stop.
        if stopping.wait_for(|stopping| *stopping).await.is_err() {
            future::pending::<()>().await;
        }
    };
    // Where the body ended by itself, its own end stays; after trailers nothing more is read.
    let farewell = stream::once(async move {
        let trailers =
            HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), GRPC_UNAVAILABLE)]);
        stop.borrow().then(|| Ok(Frame::trailers(trailers)))
    });
    let frames =
        BodyStream::new(body).take_until(Box::pin(stopped)).chain(farewell.filter_map(future::ready));
    Body::new(StreamBody::new(Box::pin(frames)))
}
