//! What the integration tests share: real servers and daemons with the faults that are put in front of them, and a project
//! directory to run the program in.

pub mod apiserver;
pub mod base;
pub mod containerd;
pub mod daemon;
pub mod dockerd;
pub mod empty;
pub mod etcd;
pub mod fault;
pub mod golden;
pub mod images;
pub mod lab;
pub mod machine;
pub mod mirror;
pub mod proxy;
pub mod registry;
pub mod rehearsal;
pub mod sandbox;
pub mod tokens;
pub mod twin;
pub mod workshop;
