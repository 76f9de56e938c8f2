//! The control plane: what the gateways ask, and what keeps the sessions.

use ai_warp_core::config::StorageType;
use serde_json::{Value, json};

use super::{Document, Part, Plan, confined, from_secret, one_by_one, probe};
use crate::server::DRAIN_DEADLINE;

/// Control planes where they share a store.
const REPLICAS: u32 = 2;

/// Seconds beyond its own deadline that a control plane has to end.
const GRACE_SECONDS: u64 = 10;

/// Seconds for the cluster to learn that a pod is leaving before it stops to accept connections.
const LEAVING_SECONDS: u64 = 5;

pub(super) fn documents(plan: &Plan<'_>) -> Vec<Document> {
    let part = Part::ControlPlane;
    let ports = &plan.loaded.config.control_plane;
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "targetPort": name});
    // Two that share nothing would know different sessions.
    let (replicas, strategy) = match plan.loaded.config.storage.kind {
        StorageType::Valkey => (REPLICAS, one_by_one()),
        StorageType::Memory | StorageType::None => (1, json!({"type": "Recreate"})),
    };
    vec![
        plan.deployment(part, replicas, strategy, pod(plan)),
        plan.service(part, json!([port("http", ports.port), port("xds", ports.xds_port)])),
        plan.disruption_budget(part),
        plan.network_policy(
            part,
            "Configuration and keys are for the gateways alone, sessions and status for this namespace.",
            json!([
                {
                    "from": [{"podSelector": {"matchLabels": plan.labels(Part::Gateway)}}],
                    "ports": [{"port": "xds"}],
                },
                {"from": [{"podSelector": {}}], "ports": [{"port": "http"}]},
            ]),
        ),
    ]
}

fn pod(plan: &Plan<'_>) -> Value {
    let ports = &plan.loaded.config.control_plane;
    let secrets = plan.name("secrets");
    let environment: Vec<Value> = plan.variables.iter().map(|name| from_secret(name, &secrets)).collect();
    json!({
        "terminationGracePeriodSeconds": LEAVING_SECONDS + DRAIN_DEADLINE.as_secs() + GRACE_SECONDS,
        "containers": [{
            "name": "control-plane",
            "image": plan.options.image,
            "args": [
                "serve",
                "--config", "/etc/ai-warp/ai-warp.yaml",
                "--filter", "/usr/share/ai-warp/filter.wasm",
                "--log-format", "json",
            ],
            "env": environment,
            "ports": [
                {"name": "http", "containerPort": ports.port},
                {"name": "xds", "containerPort": ports.xds_port},
            ],
            "startupProbe": probe("/ready", "http", 1, 60),
            "readinessProbe": probe("/ready", "http", 5, 2),
            "livenessProbe": probe("/live", "http", 10, 3),
            "lifecycle": {"preStop": {"exec": {"command": ["sleep", LEAVING_SECONDS.to_string()]}}},
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
            "securityContext": confined(),
            "volumeMounts": [{"name": "config", "mountPath": "/etc/ai-warp", "readOnly": true}],
        }],
        "volumes": [{"name": "config", "configMap": {"name": plan.name("config")}}],
    })
}
