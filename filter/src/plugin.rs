//! The root contexts: which role this plugin has, and for attempts the worker's link to the control plane.

use std::rc::Rc;

use ai_warp_core::config::Gateway;
use ai_warp_core::plugin::PluginConfig;
use log::error;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::attempt::AttemptContext;
use crate::gateway::GatewayContext;
use crate::hop::HopContext;
use crate::{fleet, host, metrics, worker};

/// A root context.
pub(crate) struct Plugin {
    context_id: u32,
    role: Role,
}

enum Role {
    Unconfigured,
    Gateway(Rc<Gateway>),
    Attempt,
    Hop,
}

impl Plugin {
    pub(crate) fn new(context_id: u32) -> Self {
        Self { context_id, role: Role::Unconfigured }
    }
}

impl Context for Plugin {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _trailers: usize) {
        worker::on_reply(self.context_id, token, host::http_call_reply(headers, body_size));
    }
}

impl RootContext for Plugin {
    fn on_configure(&mut self, size: usize) -> bool {
        let json = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten();
        match serde_json::from_slice(&json.unwrap_or_default()) {
            Ok(PluginConfig::Gateway(gateway)) => {
                let gateway = Rc::new(gateway);
                metrics::configured(&gateway);
                fleet::set_shared(gateway.shared);
                self.role = Role::Gateway(gateway);
                true
            }
            Ok(PluginConfig::Attempt) => {
                self.role = Role::Attempt;
                worker::attach(self.context_id)
            }
            Ok(PluginConfig::Hop) => {
                self.role = Role::Hop;
                true
            }
            Err(error) => {
                error!("the plugin configuration cannot be read: {error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        worker::on_tick(self.context_id);
    }

    fn on_queue_ready(&mut self, queue_id: u32) {
        worker::on_queue_ready(self.context_id, queue_id);
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(match self.role {
            Role::Hop => ContextType::StreamContext,
            Role::Unconfigured | Role::Gateway(_) | Role::Attempt => ContextType::HttpContext,
        })
    }

    fn create_stream_context(&self, _context_id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(HopContext::default()))
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        match &self.role {
            Role::Unconfigured | Role::Hop => None,
            Role::Gateway(gateway) => Some(Box::new(GatewayContext::new(context_id, Rc::clone(gateway)))),
            Role::Attempt => Some(Box::new(AttemptContext::new(context_id))),
        }
    }
}
