//! Every Kubernetes minor, runtime, endpoint and etcd: what comes out is taken by the real programs, or the reason is told.

mod fixture;
mod manifests;
