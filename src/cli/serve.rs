//! `khimg serve`.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use khimg::cluster::Cluster;
use khimg::serve::dhcp::answer::Dhcp;
use khimg::serve::{Hosting, HostingOptions, Netboot, ServeOptions, Server, Tls, host, rearm, serve};
use tokio::signal::unix::{SignalKind, signal};

use super::failure::CommandError;
use super::project::ProjectArgs;
use super::{Failure, Global, Output};

/// How often the table on a terminal is drawn again, at most.
const REDRAW: Duration = Duration::from_millis(500);

/// Serve dist/ to machines: the depot to everybody, its own seed to each node, once
///
/// Nodes are those of the cluster file, known by `mac`, `uuid`, `serial` or name; others get what is public and nothing else.
/// A seed can be fetched once: then the answer is 410 until `khimg serve --rearm NODE`. What was handed out is on record before
/// it leaves, and stays so when khimg is started again. A new build with another seed begins anew.
///
///   depots: ["http://ADDRESS/public"]                  in the cluster file
///   ds=nocloud;s=http://ADDRESS/secret/NODE/           on a kernel's command line
///   ds=nocloud;s=http://ADDRESS/secret/__dmi.chassis-serial-number__/    one line for all machines
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ServeArgs {
    /// The delivered directory
    #[arg(long, value_name = "DIR", default_value = "dist")]
    dist: PathBuf,

    /// Serve HTTP here [default with --interface: port 8080 there]
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present_any = ["tls_listen", "interface", "hosting", "rearm"])]
    listen: Option<SocketAddr>,

    /// Serve HTTPS here, and hand out seeds nowhere else
    #[arg(long, value_name = "ADDRESS:PORT", requires_all = ["tls_cert", "tls_key"])]
    tls_listen: Option<SocketAddr>,

    /// The certificate for HTTPS with its chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_cert: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_key: Option<PathBuf>,

    /// Show who has fetched what, and how far nodes are, on a web page here (and as /status.json)
    #[arg(long, value_name = "ADDRESS:PORT")]
    status: Option<SocketAddr>,

    /// What machines boot over the network: ROLE-ARCH/ or ARCH/ with kernel, initrd, further files and, if need be, cmdline
    #[arg(long, value_name = "DIR")]
    boot: Option<PathBuf>,

    /// Let the machines on this interface boot over the network: DHCP and TFTP, here and nowhere else; needs root
    #[arg(long, value_name = "INTERFACE", requires = "boot", group = "wire")]
    interface: Option<String>,

    /// `proxy`: beside a DHCP server that gives addresses; `full`: alone, each node gets its own address
    #[arg(long, value_name = "HOW", default_value = "proxy", value_parser = parse_dhcp, requires = "wire")]
    dhcp: Dhcp,

    /// Where iPXE is: undionly.kpxe for BIOS, ipxe.efi for UEFI, ipxe-arm64.efi for Arm
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/ipxe", requires = "wire")]
    ipxe: PathBuf,

    /// Serve nothing: write this directory for a web server (nginx) and a DHCP server (dnsmasq) that are there already, and end. Seeds can
    /// then be fetched by their nodes' addresses, and more than once
    #[arg(long = "static", value_name = "DIR", requires = "url", group = "wire")]
    #[arg(conflicts_with_all = ["listen", "tls_listen", "status", "record", "rearm"])]
    hosting: Option<PathBuf>,

    /// Where that web server will be, such as http://192.168.30.2
    #[arg(long, value_name = "URL", requires = "hosting")]
    url: Option<String>,

    /// Keep the record of what was handed out in this file [default: DIST.served, beside the delivered directory]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Let this node fetch its seed once more, and end; a server that is running learns of it (may be repeated)
    #[arg(long, value_name = "NODE")]
    rearm: Vec<String>,

    #[command(flatten)]
    project: ProjectArgs,
}

impl ServeArgs {
    fn record(&self) -> PathBuf {
        self.record.clone().unwrap_or_else(|| {
            let mut name = self.dist.components().as_path().as_os_str().to_owned();
            name.push(".served");
            PathBuf::from(name)
        })
    }

    fn netboot(&self) -> Option<Netboot> {
        let interface = self.interface.clone()?;
        Some(Netboot { interface, dhcp: self.dhcp, ipxe: self.ipxe.clone() })
    }

    fn tls(&self) -> Option<Tls> {
        let (listen, certificate, key) = (self.tls_listen?, self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(Tls { listen, certificate, key })
    }
}

fn parse_dhcp(text: &str) -> Result<Dhcp, String> {
    match text {
        "proxy" => Ok(Dhcp::Proxy),
        "full" => Ok(Dhcp::Full),
        _ => Err("one of: proxy, full".to_owned()),
    }
}

pub fn run(args: &ServeArgs, global: &Global, output: &Output) -> Result<(), Failure> {
    let project = args.project.open(global, output)?;
    let cluster = project.cluster();
    if !args.rearm.is_empty() {
        rearm(cluster, &args.record(), &args.rearm)?;
        output.note(&format!("{}: may fetch their seeds once more", args.rearm.join(", ")));
        return Ok(());
    }
    if let (Some(directory), Some(url)) = (&args.hosting, &args.url) {
        return host_by_others(args, cluster, directory, url, output);
    }
    let options = ServeOptions {
        dist: args.dist.clone(),
        record: args.record(),
        boot: args.boot.clone(),
        listen: args.listen,
        tls: args.tls(),
        status: args.status,
        netboot: args.netboot(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let served = runtime.block_on(async {
        let server = serve(cluster, &options, output.reporter())?;
        for place in &server.places {
            output.note(&format!("serving {place}"));
        }
        output.note("ready");
        until_told(server, output).await
    });
    // Whoever is in the middle of a download resumes it elsewhere or later.
    runtime.shutdown_background();
    served
}

fn host_by_others(
    args: &ServeArgs,
    cluster: &Cluster,
    directory: &Path,
    url: &str,
    output: &Output,
) -> Result<(), Failure> {
    let Hosting { unknown } = host(
        cluster,
        &HostingOptions {
            dist: args.dist.clone(),
            boot: args.boot.clone(),
            directory: directory.to_path_buf(),
            url: url.trim_end_matches('/').to_owned(),
            dhcp: args.dhcp,
            ipxe: args.ipxe.clone(),
        },
    )?;
    let at = directory.display();
    output.note(&format!("include {at}/nginx.conf in the http block of nginx, and {at}/dnsmasq.conf in dnsmasq"));
    output.note(&format!("let the web server's group read the seeds: chgrp -R www-data {at}/www/secret"));
    output.note("seeds can be fetched more than once now: remove each when its node has come up");
    if args.boot.is_some() && !unknown.is_empty() {
        output.note(&format!("dnsmasq does not know nodes without `mac`: {}", unknown.join(", ")));
    }
    Ok(())
}

/// Serves until Ctrl-C or SIGTERM, which is how it is meant to end.
async fn until_told(server: Server, output: &Output) -> Result<(), Failure> {
    let mut term = signal(SignalKind::terminate()).map_err(CommandError::Runtime)?;
    let board = server.board();
    let mut changes = board.watch();
    let shows = std::io::stdout().is_terminal();
    let table = async {
        while changes.changed().await.is_ok() {
            if shows && !output.json() {
                output.screen(&board.text());
            }
            tokio::time::sleep(REDRAW).await;
        }
    };
    tokio::select! {
        () = server.run() => {}
        () = table => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
    if output.json() {
        output.data(&board.now());
    } else if !shows {
        output.text(&board.text());
    }
    Ok(())
}
