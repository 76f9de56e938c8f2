//! The control plane of AI Warp for Envoy.
//!
//! It keeps what must outlive a request (sessions, configuration, the state of the fleet) and pushes configuration
//! to Envoy over xDS. It asks no model itself: what it does in the place of clients that may leave ([`streams`]), it does
//! through their gateway.

pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod filter_code;
pub mod host_port;
pub mod http;
pub mod metrics;
pub mod render;
pub mod server;
pub mod shared;
pub mod stats;
pub mod store;
pub mod streams;
pub mod tokens;
pub mod traces;
pub mod xds;
pub mod yaml;
