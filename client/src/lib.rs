//! A client of the gateway's unified API for Node and browsers, compiled to WebAssembly.
//!
//! What decides is plain Rust, compiled and tested natively: what is sent ([`ask`]), what an event says ([`message`]),
//! when and how a broken stream is come back to ([`stream`], [`reconnect`]), which error is told ([`error`]). Only `web`
//! speaks with JavaScript, and does no more than carry out the steps it is given. Around it are a few lines of
//! JavaScript (`client/js`) with the classes and types that programs see.

pub mod ask;
pub mod config;
pub mod error;
pub mod message;
pub mod reconnect;
pub mod stream;
#[cfg(target_arch = "wasm32")]
pub mod web;
