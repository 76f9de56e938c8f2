//! The aggregated discovery service: one stream per Envoy.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::google::protobuf::value::Kind as Value;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::sync::watch::error::RecvError;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, debug, info, info_span, warn};

use super::push::{Heard, Push, Update};
use super::resources::{self, Destination, GATEWAY_FILTER, Inputs, Kind, NodeTraits, Resources, naming};
use super::retired::{self, Retired};
use super::{Fleet, XdsState, protocol};

/// Responses that may wait for a slow Envoy. Each kind has at most one outstanding, so there are never more.
const OUTBOX: usize = 8;

/// The service.
#[derive(Debug)]
pub(super) struct Ads {
    state: XdsState,
}

impl Ads {
    pub(super) fn new(state: XdsState) -> Self {
        Self { state }
    }
}

/// What an Envoy has from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything.
    Everything,
    /// The filter's configuration alone: clusters, routes and secrets are somebody else's, rendered once.
    Filter,
}

pub(super) type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        self.serve(request.into_inner(), Scope::Everything).await
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.serve(request.into_inner(), Scope::Everything).await
    }
}

impl Ads {
    /// Serves one Envoy for as long as it is connected.
    pub(super) async fn serve<R: protocol::Request>(
        &self,
        mut requests: Streaming<R>,
        scope: Scope,
    ) -> Result<Response<Responses<R::Response>>, Status> {
        let first = requests.message().await?.ok_or_else(|| Status::invalid_argument("no request"))?;
        let node = first
            .node()
            .cloned()
            .ok_or_else(|| Status::invalid_argument("the first request names no node"))?;
        let (outbox, responses) = mpsc::channel(OUTBOX);
        let span = info_span!("envoy", node = %node.id);
        // An Envoy that has its filters alone from here asks for each on a stream of its own: one of them stands for it.
        let stands_for_envoy = scope == Scope::Everything || first.asks_for(GATEWAY_FILTER);
        let fleet = stands_for_envoy.then(|| Arc::clone(&self.state.fleet));
        let membership = fleet.map(|fleet| Membership::new(fleet, &node));
        let session = Session::<R>::new(self.state.clone(), &node, scope, outbox, membership);
        tokio::spawn(session.run(first, requests).instrument(span));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}

/// One connected Envoy. Ends when its stream does.
struct Session<R: protocol::Request> {
    state: XdsState,
    traits: NodeTraits,
    scope: Scope,
    outbox: mpsc::Sender<Result<R::Response, Status>>,
    retired: Retired,
    /// When the resources change by themselves, because the first of the retired goes.
    expiry: Option<Instant>,
    /// Clusters that Envoy had before it connected.
    inherited: Vec<String>,
    membership: Option<Membership>,
}

/// A place in the fleet, given up when dropped.
struct Membership {
    fleet: Arc<Fleet>,
    key: u64,
}

impl Membership {
    fn new(fleet: Arc<Fleet>, node: &Node) -> Self {
        let key = fleet.join(&node.id, &envoy_version(node));
        Self { fleet, key }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.fleet.leave(self.key);
    }
}

impl<R: protocol::Request> Session<R> {
    fn new(
        state: XdsState,
        node: &Node,
        scope: Scope,
        outbox: mpsc::Sender<Result<R::Response, Status>>,
        membership: Option<Membership>,
    ) -> Self {
        Self {
            state,
            traits: node_traits(node),
            scope,
            outbox,
            retired: Retired::default(),
            expiry: None,
            inherited: Vec::new(),
            membership,
        }
    }

    async fn run(mut self, first: R, mut requests: Streaming<R>) {
        info!("connected");
        let resources = self.build();
        let grace = retired::grace(&self.state.config.borrow().gateway);
        let mut push = Push::new(resources, self.traits.filter_path.is_none(), grace);
        self.hear(&mut push, first);
        loop {
            while let Some(update) = push.next(Instant::now()) {
                let Update { kind, version, .. } = &update;
                debug!(kind = kind.label(), version, "push");
                self.note(|fleet, key| fleet.sent(key, *kind, version));
                self.state.metrics.push(kind.label(), "sent");
                if self.outbox.send(Ok(R::response(&update))).await.is_err() {
                    break;
                }
            }
            let wake_at = [push.wake_at(), self.expiry].into_iter().flatten().min();
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.hear(&mut push, request),
                    Ok(None) | Err(_) => break,
                },
                changed = changed(&mut self.state) => {
                    if changed.is_err() {
                        break;
                    }
                    push.update(self.build());
                }
                () = sleep_until(wake_at) => {
                    if self.expiry.is_some_and(|at| at <= Instant::now()) {
                        push.update(self.build());
                    }
                }
            }
        }
        info!("disconnected");
    }

    /// The resources for this Envoy now.
    fn build(&mut self) -> Resources {
        let loaded = Arc::clone(&self.state.config.borrow_and_update());
        let now = Instant::now();
        let tokens = Arc::clone(&self.state.tokens.borrow_and_update());
        let (gateway, destinations) = match self.scope {
            Scope::Everything => {
                let gateway = naming::by_content(&loaded.gateway, &self.state.filter);
                let mut destinations = Destination::all(&gateway, &loaded.secrets, &tokens);
                self.retired.update(&destinations, retired::grace(&gateway), now);
                let (retired, expiry) = self.retired.at(now);
                self.expiry = expiry;
                destinations.extend(retired);
                (gateway, destinations)
            }
            // What was rendered has the names as they are.
            Scope::Filter => (loaded.gateway.clone().without_streams(), Vec::new()),
        };
        let inputs = Inputs {
            gateway: &gateway,
            server: &loaded.config.server,
            stream_address: loaded.config.stream_address(),
            tls: loaded.secrets.listeners.server_tls.as_ref(),
            destinations: &destinations,
            inherited: &self.inherited,
            filter: &self.state.filter,
            token_keys: loaded.secrets.token_keys.as_ref(),
        };
        resources::build(inputs, &self.traits)
    }

    /// Tells the fleet of this Envoy, where the stream stands for it.
    fn note(&self, tell: impl FnOnce(&Fleet, u64)) {
        if let Some(Membership { fleet, key }) = &self.membership {
            tell(fleet, *key);
        }
    }

    fn hear(&mut self, push: &mut Push, request: R) {
        let said = request.said();
        if said.type_url == Kind::Cluster.type_url() && !said.has.is_empty() {
            // Until the filter has its new configuration, routes must still lead there.
            self.inherited = said.has.keys().cloned().collect();
            push.update(self.build());
        }
        let type_url = said.type_url.clone();
        match push.hear(said, Instant::now()) {
            Heard::Accepted { kind, version } => {
                debug!(kind = kind.label(), version, "accepted");
                self.note(|fleet, key| fleet.acknowledged(key, kind, &version));
                self.state.metrics.push(kind.label(), "accepted");
            }
            Heard::Refused { kind, version, reason } => {
                warn!(
                    kind = kind.label(),
                    version, reason, "Envoy refused a configuration; it keeps the last one"
                );
                self.note(|fleet, key| fleet.refused(key, kind, &version, &reason));
                self.state.metrics.push(kind.label(), "refused");
            }
            Heard::Unknown => {
                debug!(type_url, "asked for a type this server does not have")
            }
            Heard::Nothing => {}
        }
    }
}

/// Waits for another configuration or other tokens.
async fn changed(state: &mut XdsState) -> Result<(), RecvError> {
    tokio::select! {
        changed = state.config.changed() => changed,
        changed = state.tokens.changed() => changed,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn envoy_version(node: &Node) -> String {
    use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
    match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let version = build.version.as_ref();
            version.map(|v| format!("{}.{}.{}", v.major_number, v.minor_number, v.patch)).unwrap_or_default()
        }
        None => String::new(),
    }
}

/// Reads the traits from `node.metadata.ai_warp`, as [`crate::bootstrap`] writes them.
fn node_traits(node: &Node) -> NodeTraits {
    let fields = node.metadata.as_ref().and_then(|metadata| metadata.fields.get("ai_warp"));
    let Some(Value::StructValue(traits)) = fields.and_then(|value| value.kind.as_ref()) else {
        return NodeTraits::default();
    };
    let field = |name: &str| traits.fields.get(name).and_then(|value| value.kind.as_ref());
    let port = |name| match field(name) {
        Some(Value::NumberValue(port)) if (0.0..=65_535.0).contains(port) => Some(*port as u16),
        _ => None,
    };
    NodeTraits {
        port: port("port"),
        stream_port: port("streamPort"),
        filter_path: match field("filter") {
            Some(Value::StringValue(path)) => Some(path.clone()),
            _ => None,
        },
    }
}
