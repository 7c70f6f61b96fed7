//! The lists of images are closed: without any one of them there is no bundle, rather than a node that looks for it in vain.

use super::roles::built;
use crate::support::sandbox::Sandbox;

/// Names of the images of the cluster that all tests share.
fn images() -> Vec<String> {
    let lock = khimg::lock::read(&built().path("khimg.lock")).expect("a lock");
    assert_eq!(lock.images.len(), 6);
    lock.images.into_iter().map(|image| image.name).collect()
}

/// The project that all tests share; something of it is about to be missing.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["cluster.yaml", "khimg.lock"] {
        sandbox.write(name, built().read(name));
    }
    sandbox
}

/// `registry.k8s.io/etcd:3.4.13-0` without its tag, and what is left without its registry.
fn parts(image: &str) -> (&str, &str) {
    let (name, _) = image.rsplit_once(':').expect("a tag");
    (name, name.rsplit('/').next().expect("a name"))
}

/// The build fails, says `word`, and leaves no bundle.
fn refuses(sandbox: &Sandbox, arguments: &[&str], image: &str, word: &str) {
    let output = sandbox.khimg(arguments).env("KHIMG_STORE", built().store()).output().expect("khimg");
    let told = String::from_utf8_lossy(&output.stderr);
    // Bad input, where it is a template that names the image; the lock's fault, where it is kubeadm.
    assert!(matches!(output.status.code(), Some(2 | 4)), "without {image}: {told}");
    assert!(told.contains(word), "without {image}: {told}");
    assert!(!sandbox.path("dist").exists());
}

#[test]
fn without_an_image_in_the_lock_there_is_no_bundle() {
    for image in images() {
        let sandbox = project();
        let lock = built().read("khimg.lock");
        let (before, entries) = lock.split_once("\nimages:\n").expect("images");
        let kept: Vec<&str> =
            entries.split("- arch:").filter(|entry| !entry.contains(&format!("\n  name: {image}\n"))).collect();
        sandbox.write("khimg.lock", format!("{before}\nimages:\n{}", kept.join("- arch:")));
        refuses(&sandbox, &["build", "--locked", "--offline"], &image, "hint: run `khimg lock`");
    }
}

#[test]
fn without_an_image_in_the_catalogue_there_is_no_bundle() {
    let shown = Sandbox::new().khimg(["catalog", "show", "components.yaml"]).output().expect("khimg");
    let components = String::from_utf8(shown.stdout).expect("text");
    for image in images() {
        let sandbox = project();
        let name = parts(&image).0;
        let is_it = |line: &&str| line.contains(&format!("name: {name},")) || line.contains(&format!("name: {name}}}"));
        assert_eq!(components.lines().filter(is_it).count(), 1, "{name}");
        let kept: Vec<&str> = components.lines().filter(|line| !is_it(line)).collect();
        sandbox.write("catalog/components.yaml", kept.join("\n"));
        refuses(&sandbox, &["build"], &image, parts(&image).1);
    }
}
