//! Where a build may put things, and what happens while it does.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use khimg::arch::Arch;
use khimg::exit::{Exit, Explain};
use khimg::pack::Format;
use khimg::pipeline::Error;
use khimg::pipeline::{BuildOptions, PipelineError, Project, ProjectOptions};
use khimg::report::{Event, Reporter};

use super::roles::built;
use crate::support::sandbox::Sandbox;

/// A project whose lock and store are complete already.
fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["cluster.yaml", "khimg.lock"] {
        sandbox.write(name, built().read(name));
    }
    sandbox
}

const BUILD: [&str; 5] = ["build", "--profile", "lb", "--offline", "--locked"];

#[test]
fn never_into_the_store() {
    let sandbox = prepared();
    for out in [built().store().join("tmp/dist"), built().store()] {
        let out = out.to_str().expect("text").to_owned();
        let output =
            sandbox.khimg(BUILD).args(["--out", &out]).env("KHIMG_STORE", built().store()).output().expect("khimg");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("lies in the store") && told.contains("hint: "), "{told}");
    }
}

/// While it waits for another delivery below the same parent, no future is asked for anything.
#[test]
fn an_interrupt_ends_it_even_while_it_is_blocked() {
    let sandbox = prepared();
    let parent = std::fs::File::open(sandbox.root()).expect("a directory");
    parent.lock().expect("locked");
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("khimg"))
        .args(BUILD)
        .arg("--json")
        .current_dir(sandbox.root())
        .env_clear()
        .env("KHIMG_STORE", built().store())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("khimg");
    let mut told = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("\"deliver\"") {
        line.clear();
        assert!(told.read_line(&mut line).expect("text") > 0, "it ended before it could deliver");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("interrupted");
    let patience = Instant::now() + Duration::from_mins(1);
    while child.try_wait().expect("khimg").is_none() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    parent.unlock().expect("unlocked");
    let code = child.wait().expect("khimg").code();
    let mut rest = String::new();
    told.read_to_string(&mut rest).expect("text");
    assert!(code == Some(1) && rest.contains("interrupted"), "{code:?} {rest}");
}

/// Replaces the program as soon as the bundles are packed.
struct Replacing(std::path::PathBuf);

impl Reporter for Replacing {
    fn report(&self, event: Event) {
        if event == (Event::Stage { name: "deliver" }) {
            let mut program = std::fs::read(&self.0).expect("a program");
            program.push(0);
            std::fs::write(&self.0, program).expect("replaced");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_replaced_meanwhile_is_noticed() {
    let sandbox = prepared();
    let program = sandbox.path("khimg");
    // Not the one that the store has from other builds.
    let own = std::fs::read(assert_cmd::cargo::cargo_bin!("khimg")).expect("a program");
    std::fs::write(&program, [&own[..], b"!"].concat()).expect("written");
    let options = ProjectOptions {
        cluster: Some(sandbox.path("cluster.yaml")),
        offline: true,
        store: built().store(),
        ..ProjectOptions::default()
    };
    let project = Project::open(options, Arc::new(Replacing(program.clone()))).expect("a project");
    let options = BuildOptions {
        roles: Some(vec![khimg::cluster::Role::Lb]),
        out: sandbox.path("dist"),
        locked: true,
        format: Format::TarZst,
        check: false,
        programs: [(Arch::Amd64, program)].into(),
    };
    let error = khimg::pipeline::build(&project, &options).await.expect_err("two programs");
    assert!(matches!(error, Error::Pipeline(PipelineError::ProgramChanged { .. })), "{error}");
    assert!(error.exit() == Exit::LocalIo && !sandbox.path("dist").exists());
}
