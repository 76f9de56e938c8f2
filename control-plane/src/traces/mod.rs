//! The control plane's part of a trace: a span for each session that is read and each turn that is stored, below the span
//! of the gateway that asked for it.
//!
//! Only what a gateway traces is traced here, so there is no sampling. Spans are exported by a thread of the SDK, from a
//! bounded queue; a collector that is away costs spans and nothing else.

mod export;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ai_warp_core::config::Tracing;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use uuid::Uuid;

/// Longest wait for the last spans once the control plane ends.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// The exporter by the configuration in force.
#[derive(Debug, Default)]
pub struct Traces(Mutex<Option<Exporting>>);

#[derive(Debug)]
struct Exporting {
    to: Tracing,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A span under way; it ends when dropped.
#[derive(Debug)]
pub struct Span(opentelemetry_sdk::trace::Span);

impl Traces {
    /// Begins a span below `parent`, a `traceparent`; `None` where nothing is traced. Needs a Tokio runtime.
    pub fn span(
        &self,
        tracing: Option<&Tracing>,
        name: &'static str,
        parent: Option<&str>,
        session: Uuid,
    ) -> Option<Span> {
        let parent = parse(parent?)?;
        let tracer = self.tracer(tracing?)?;
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("ai_warp.session", session.to_string())]);
        let context = Context::new().with_remote_span_context(parent);
        Some(Span(tracer.build_with_context(builder, &context)))
    }

    /// The tracer that exports to `to`, made anew where that has changed.
    fn tracer(&self, to: &Tracing) -> Option<SdkTracer> {
        // A panic while it was held left nothing half done.
        let mut exporting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if exporting.as_ref().is_none_or(|exporting| exporting.to != *to) {
            let provider = match export::provider(to) {
                Ok(provider) => provider,
                Err(error) => {
                    tracing::debug!("no traces: {error}");
                    return None;
                }
            };
            let tracer = provider.tracer("ai-warp");
            if let Some(before) = exporting.replace(Exporting { to: to.clone(), provider, tracer }) {
                tokio::task::spawn_blocking(move || before.provider.shutdown_with_timeout(FLUSH_DEADLINE));
            }
        }
        exporting.as_ref().map(|exporting| exporting.tracer.clone())
    }

    /// Exports what is left, within a deadline.
    pub async fn stop(self: Arc<Self>) {
        let flush = move || {
            let exporting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            exporting.map(|exporting| exporting.provider.shutdown_with_timeout(FLUSH_DEADLINE))
        };
        let _ = tokio::time::timeout(FLUSH_DEADLINE, tokio::task::spawn_blocking(flush)).await;
    }
}

impl Span {
    /// Says that what it stands for did not work.
    pub fn fail(&mut self, error: &'static str) {
        self.0.set_attribute(KeyValue::new("error.type", error));
        self.0.set_status(Status::error(error));
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, number: usize) {
        self.0.set_attribute(KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX)));
    }
}

/// The span of a `traceparent` whose sender traces (W3C Trace Context, section 3.2).
fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_well_formed = [(version, 2), (trace, 32), (span, 16), (flags, 2)]
        .into_iter()
        .all(|(part, len)| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit()));
    if !is_well_formed || version == "ff" {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    (context.is_valid() && context.is_sampled()).then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_only_from_a_parent_that_traces() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let parent = parse(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!(
            (parent.trace_id().to_string(), parent.span_id().to_string()),
            (trace.into(), span.into())
        );
        for other in [
            format!("00-{trace}-{span}-00"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{span}"),
            format!("00-{trace}x-{span}-01"),
            "00--+-01".to_owned(),
        ] {
            assert!(parse(&other).is_none(), "{other}");
        }
    }
}
