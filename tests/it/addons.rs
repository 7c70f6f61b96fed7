//! Manifests of the user's: from the cluster file to the lock, the files of a master and the images of every node.

use khimg::lock::Lock;

use crate::support::lab::lab;
use crate::support::mirror::{Fault, Mirror};
use crate::support::sandbox::Sandbox;

/// A pod and what it starts.
fn manifest(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n        - {{name: web, image: '{image}'}}\n"
    )
}

/// A project with the tests' own mirror and these lines for `addons`.
fn project(addons: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("cluster.yaml", lab().cluster().replace("nodes:\n", &format!("addons:\n{addons}nodes:\n")));
    sandbox
}

fn locked(sandbox: &Sandbox) -> Lock {
    khimg::lock::read(&sandbox.path("khimg.lock")).expect("a lock")
}

#[test]
fn are_pinned_carried_and_applied() {
    let site = Mirror::start();
    site.put("web.yaml", manifest("registry.k8s.io/pause:3.2"));
    let sandbox = project(&format!(
        "  - {{name: web, url: '{}/web.yaml'}}\n  - {{name: own, file: addons/own.yaml, images: ['registry.k8s.io/etcd:3.4.13-0']}}\n",
        site.url()
    ));
    sandbox.write("addons/own.yaml", manifest("registry.k8s.io/kube-proxy:v1.20.2"));
    sandbox.khimg(["lock"]).assert().success();
    let lock = locked(&sandbox);
    let told: Vec<_> = lock.addons.iter().map(|addon| (addon.name.as_str(), addon.images.len())).collect();
    assert_eq!(told, [("own", 2), ("web", 1)]);
    // A worker runs what the addon starts: etcd's image is on it for no other reason.
    let etcd = lock.images.iter().find(|image| image.name == "registry.k8s.io/etcd:3.4.13-0").expect("locked");
    assert!(etcd.why.iter().any(|why| why.role == khimg::cluster::Role::Worker && why.component == "addon own"));

    // What was fetched for the lock is in the store, and nothing more is asked of anybody.
    site.fault("web.yaml", Fault::not_found());
    sandbox.khimg(["lock"]).assert().success();
    sandbox.khimg(["render", "--out", "files"]).assert().success();
    let first = sandbox.read("files/master-2/etc/khimg/manifests/50-00-web.yaml");
    assert_eq!(first, manifest("registry.k8s.io/pause:3.2"));
    let second = sandbox.read("files/master-2/etc/khimg/manifests/50-01-own.yaml");
    assert_eq!(second, manifest("registry.k8s.io/kube-proxy:v1.20.2"));
    assert!(!sandbox.path("files/worker-1/etc/khimg/manifests").exists());

    // A manifest that changed is another requirement.
    sandbox.write("addons/own.yaml", manifest("registry.k8s.io/pause:3.2"));
    let stale = sandbox.khimg(["build", "--locked"]).assert().code(4);
    let said = String::from_utf8_lossy(&stale.get_output().stderr).into_owned();
    assert!(said.contains("master-debian-12-amd64"), "{said}");
}

#[test]
fn what_cannot_run_without_a_route_ends_the_lock() {
    for (content, code, says) in [
        (manifest("nginx"), 2, "is pulled each time that it starts"),
        (manifest("registry.example.org/web:1"), 2, "has no source for images of registry.example.org"),
        (manifest("Web:1"), 2, "is not the name of an image"),
        ("<html>log in</html>".to_owned(), 2, "not a list of Kubernetes' objects"),
        (manifest("registry.k8s.io/nowhere:1"), 5, "registry.k8s.io/nowhere:1"),
    ] {
        let sandbox = project("  - {name: web, file: web.yaml}\n");
        sandbox.write("web.yaml", &content);
        let ended = sandbox.khimg(["lock"]).assert().code(code);
        let said = String::from_utf8_lossy(&ended.get_output().stderr).into_owned();
        assert!(said.contains(says) && said.contains("web"), "{says}: {said}");
        assert!(!sandbox.path("khimg.lock").exists());
    }
}
