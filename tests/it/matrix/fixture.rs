//! A cluster file for each combination, and its way through the library as far as it goes without a network.

use std::path::Path;

use khimg::catalog::Catalog;
use khimg::cluster::{self, Cluster};
use khimg::inventory::Inventory;
use khimg::profile::{self, Profiles};
use khimg::render::{Inputs, Overlays, Rendered, render};
use khimg::secrets::Secrets;

/// What is built in, read once.
pub struct BuiltIn {
    pub catalog: Catalog,
    pub profiles: Profiles,
    pub overlays: Overlays,
}

impl BuiltIn {
    pub fn new() -> Self {
        let catalog = khimg::catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
        let profiles = profile::load(None, &catalog).unwrap_or_else(|problems| panic!("{problems}"));
        Self { catalog, profiles, overlays: Overlays::load(None).expect("the built-in overlays") }
    }

    /// The same with no combination refused: for what does not depend on the operating system.
    pub fn without_limits() -> Self {
        let mut built_in = Self::new();
        built_in.catalog.limits.clear();
        built_in
    }

    /// The cluster of a file, or everything that is said against it.
    pub fn cluster(&self, text: &str) -> Result<Cluster, khimg::config::Problems> {
        cluster::parse("cluster.yaml", text, Path::new("."), &self.catalog)
    }

    /// All files, and the names of the images that they may use.
    pub fn render(&self, cluster: &Cluster, secrets: &Secrets) -> (Rendered, Inventory) {
        let required = profile::require(cluster, &self.profiles, &self.catalog, None);
        let required = required.unwrap_or_else(|error| panic!("{error}"));
        let inventory = Inventory::of_requirements(&required, &self.catalog).expect("known variables");
        let Self { catalog, profiles, overlays } = self;
        let texts =
            cluster.addons.iter().map(|addon| (addon.name.clone(), addon.text.clone().expect("a file").into_bytes()));
        let addons = texts.collect();
        let inputs = Inputs { cluster, profiles, catalog, inventory: &inventory, overlays, secrets, addons: &addons };
        let rendered = render(&inputs, None, None).unwrap_or_else(|error| panic!("{error}"));
        (rendered, inventory)
    }
}

/// One cell of the matrix.
#[derive(Debug, Clone)]
pub struct Cell {
    pub minor: u16,
    pub os: &'static str,
    pub runtime: &'static str,
    pub endpoint: &'static str,
    pub etcd: &'static str,
    /// Further keys of `network`, each with a comma in front.
    pub network: String,
}

impl Cell {
    /// Stacked everything, on the runtime that every version has.
    pub fn plain(minor: u16, os: &'static str) -> Self {
        Self { minor, os, runtime: "containerd", endpoint: "stacked", etcd: "stacked", network: String::new() }
    }

    /// Three masters and a worker, with the nodes that the endpoint and etcd ask for.
    pub fn file(&self) -> String {
        let Self { minor, os, runtime, endpoint, etcd, network } = self;
        let address = match *endpoint {
            "external" => ", address: 192.168.30.200",
            "single-lb" => "",
            _ => ", vip: 192.168.30.200",
        };
        let mut nodes = vec![("master-1", "master", 11), ("master-2", "master", 12), ("master-3", "master", 13)];
        nodes.push(("worker-1", "worker", 21));
        match *endpoint {
            "dedicated" => nodes.extend([("lb-1", "lb", 31), ("lb-2", "lb", 32), ("lb-3", "lb", 33)]),
            "single-lb" => nodes.push(("lb-1", "lb", 31)),
            _ => {}
        }
        if *etcd == "external" {
            nodes.extend([("etcd-1", "etcd", 41), ("etcd-2", "etcd", 42), ("etcd-3", "etcd", 43)]);
        }
        let nodes: String = nodes
            .into_iter()
            .map(|(name, role, host)| {
                format!("  - {{name: {name}, role: {role}, address: 192.168.30.{host}/24, gateway: 192.168.30.1}}\n")
            })
            .collect();
        format!(
            "name: matrix\nkubernetes: '1.{minor}'\ntarget: {{os: {os}}}\nruntime: {runtime}\n\
             endpoint: {{mode: {endpoint}{address}, interface: ens160}}\netcd: {{mode: {etcd}}}\n\
             network: {{podSubnet: 10.244.0.0/16{network}}}\nnodes:\n{nodes}"
        )
    }
}
