//! Every Kubernetes minor, runtime, endpoint and etcd: what comes out is taken by the real programs, or the reason is told.

mod cells;
mod examples;
mod fields;
mod fixture;
mod kubeadm;
mod manifests;
mod newcomer;
mod programs;
mod refusals;
