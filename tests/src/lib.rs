//! The harness of the end-to-end tests: one call starts a simulator, a control plane and Envoys, one drop ends them.
//!
//! A test reads `Stack::builder().models(["openai:ok"]).start().await`, asks [`Stack::prompt`] or [`Stack::stream`],
//! and looks at the answer on one side and at [`Stack::simulator`] on the other. Every process has ephemeral ports and
//! a folder of its own; every wait is for an event and has a deadline. Where a test fails, the logs of its processes
//! and what the simulator saw are printed.
//!
//! The harness panics where something is wrong: it is only ever called from tests, and a panic with its place is what a
//! failing test shows best.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation of a test is a panic"
)]

mod address;
mod authority;
mod browser;
mod client;
mod config;
mod connection;
mod control_plane;
mod cutting;
mod environment;
mod envoy;
mod events;
pub mod failures;
mod formats;
mod load;
mod metrics;
mod node;
mod otlp;
mod process;
mod prometheus;
mod rendered;
mod sdk;
mod service_account;
mod sigv4;
mod stack;
mod tls_client;
mod token;
mod upstream;
mod valkey;
mod wait;

pub use address::{Full, Refusing, Strange};
pub use authority::{Authority, Identity};
pub use browser::{Browser, Key, Page};
pub use client::{Gateway, Reply};
pub use config::Config;
pub use connection::OneConnection;
pub use control_plane::{ControlPlane, ModelState, cli};
pub use cutting::Cutting;
pub use environment::filter;
pub use envoy::Envoy;
pub use events::{Ending, Event, EventStream, Transcript};
pub use formats::{Call, ClientFormat, Question, Said, ServerEvent, dropped, server_events};
pub use load::Load;
pub use metrics::{Samples, promtool_complaints};
pub use node::{client_page, expect_types, node_checks};
pub use otlp::{Collector, Span};
pub use process::Process;
pub use prometheus::Prometheus;
pub use rendered::{Rendering, Started, render, rendered, serve, start_rendered, validate};
pub use sdk::{SdkTarget, expect_checks};
pub use service_account::ServiceAccountKey;
pub use sigv4::Signature;
pub use stack::{Builder, Stack};
pub use tls_client::TlsClient;
pub use token::{Signer, hour_from_now, seconds_now, unsigned};
pub use upstream::{Answered, AnsweredWithHeaders, Seen, Upstream};
pub use valkey::Valkey;
pub use wait::{PATIENCE, eventually, within};
