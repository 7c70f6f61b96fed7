//! The terminal's side: knows clap, knows nothing of HTTP or tar. One file per command: parse, call, summarise.

mod build;
mod completions;
mod diff;
mod export;
mod failure;
mod fetch;
mod image;
mod import;
mod init;
mod inspect;
mod lab;
mod lock;
mod node;
mod output;
mod progress;
mod project;
mod pull;
mod push;
mod recovery;
mod render;
mod sbom;
mod schema;
mod secrets;
mod serve;
mod show;
mod store;
mod token;
mod verify;

use clap::{Args, Parser, Subcommand};

pub use failure::Failure;
pub use output::Output;

/// One cluster file in, a highly available Kubernetes cluster on blank machines out.
///
/// khimg pins every byte that the nodes need, verifies it, and bakes a bundle per role and a seed per node.
#[derive(Debug, Parser)]
#[command(name = "khimg", bin_name = "khimg", version, max_term_width = 80)]
#[command(arg_required_else_help = true, after_long_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  ok                         4  lock missing or stale
  1  unexpected                 5  network or mirror
  2  bad input                  6  verification failed
  3  unsupported combination    7  local I/O";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print data as JSON on stdout and progress as JSON lines on stderr
    #[arg(long, global = true)]
    pub json: bool,

    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// Where fetched and made content is kept [default: the user's cache]
    #[arg(long, global = true, value_name = "DIR", env = "KHIMG_STORE")]
    pub store: Option<std::path::PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Lock(lock::LockArgs),
    Fetch(fetch::FetchArgs),
    Build(build::BuildArgs),
    Render(render::RenderArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::VerifyArgs),
    Diff(diff::DiffArgs),
    Sbom(sbom::SbomArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Image(image::ImageArgs),
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    Serve(Box<serve::ServeArgs>),
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    #[command(subcommand)]
    Store(store::StoreCommand),
    #[command(subcommand)]
    Lab(lab::LabCommand),
    #[command(subcommand)]
    Node(node::NodeCommand),
    #[command(subcommand)]
    Profile(show::ProfileCommand),
    #[command(subcommand)]
    Catalog(show::CatalogCommand),
    #[command(subcommand)]
    Overlay(show::OverlayCommand),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// Carries out one command.
pub fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Init(args) => init::run(&args, output),
        Command::Lock(args) => lock::run(&args, global, output),
        Command::Fetch(args) => fetch::run(&args, global, output),
        Command::Build(args) => build::run(&args, global, output),
        Command::Render(args) => render::run(&args, global, output),
        Command::Inspect(args) => inspect::run(&args, global, output),
        Command::Verify(args) => verify::run(&args, global, output),
        Command::Diff(args) => diff::run(&args, global, output),
        Command::Sbom(args) => sbom::run(&args, global, output),
        Command::Export(args) => export::run(&args, global, output),
        Command::Import(args) => import::run(&args, global, output),
        Command::Image(args) => image::run(&args, global, output),
        Command::Push(args) => push::run(&args, global, output),
        Command::Pull(args) => pull::run(&args, global, output),
        Command::Serve(args) => serve::run(&args, global, output),
        Command::Secrets(command) => secrets::run(&command, output),
        Command::Store(command) => store::run(&command, global, output),
        Command::Lab(command) => lab::run(&command, global, output),
        Command::Node(command) => node::run(&command, output),
        Command::Profile(command) => show::profile(&command, output),
        Command::Catalog(command) => show::catalog(&command, output),
        Command::Overlay(command) => show::overlay(&command, output),
        Command::Schema(args) => schema::run(&args, output),
        Command::Completions(args) => completions::run(&args, output),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
