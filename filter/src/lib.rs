//! The filter as Envoy loads it: one module, three roles.
//!
//! As `gateway` it is an HTTP filter of the listener; as `attempt` it is an upstream HTTP filter of every provider
//! cluster; as `hop` it is a network filter that streams pass. All run in one VM on each worker thread, so that an attempt
//! finds the exchange of its request in a `thread_local` map ([`exchanges`]). What is decided is decided in
//! `ai-warp-core`; here are only the callbacks and hostcalls ([`host`]) around it.

mod attempt;
mod bell;
mod caller;
mod exchanges;
mod fleet;
mod gateway;
mod hop;
mod host;
mod metrics;
mod pages;
mod plugin;
mod record;
mod seal;
mod traces;
mod turns;
mod waiting;
mod worker;

use proxy_wasm::types::LogLevel;

mod entry {
    proxy_wasm::main! {{ super::start() }}
}

fn start() {
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context_id| Box::new(plugin::Plugin::new(context_id)));
}
