//! What users are promised, tried with a real Envoy, a real Valkey and the provider simulator.
//!
//! One module per promise, one binary for all: linking many would take longer than running them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation of a test is a panic"
)]

mod access_log;
mod auth;
mod balance;
mod breaker;
mod browser;
mod budgets;
mod client;
mod console;
mod control_planes;
mod credentials;
mod dashboard;
mod disconnect;
mod endurance;
mod failures;
mod fallback;
mod formats;
mod input;
mod leaks;
mod limits;
mod listener;
mod metrics;
mod outage;
mod prompt;
mod readme;
mod reload;
mod remote_code;
mod render;
mod resume;
mod sdk;
mod secrets;
mod sessions;
mod stream;
mod tls;
mod traces;
mod upgrade;
mod xds_port;
