//! What the gateway decides, without any I/O.
//!
//! Everything here is pure: no sockets, no hostcalls, no clock of its own. The filter feeds it headers and
//! bytes, the control plane feeds it files; both get values back. It compiles natively and for wasm32.

pub mod answer;
pub mod api;
pub mod auth;
pub mod chat;
pub mod commit;
pub mod config;
pub mod dialect;
pub mod embedding;
pub mod error;
pub mod event_stream;
pub mod exchange;
pub mod failure;
pub mod fleet;
pub mod health;
pub mod json;
pub mod native;
pub mod plan;
pub mod plugin;
mod quota;
pub mod relay;
pub mod sse;
pub mod stream_id;
pub mod sync;
pub mod task;
pub mod telemetry;
