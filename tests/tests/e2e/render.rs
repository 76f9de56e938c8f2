//! What is rendered is served: by an Envoy without a control plane, by one that serves another site as well, and by one that
//! has a control plane for what Envoys share.

mod alone;
mod fragment;
mod shared;
