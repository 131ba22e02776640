//! The command line.

mod check;
mod claims;
mod doctor;
mod evidence;
mod exit;
mod explain;
mod include;
mod init;
mod key;
mod moment;
mod pages;
mod push;
mod queue;
mod rebuild;
mod say;
mod serve;
mod status;
mod upload;
mod witness;

pub use check::check;
pub use exit::Exit;
pub use queue::{QueueCommand, Selection};

use crate::config::{self, Config, Environment, LoadError, Location, Style};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Nothing enters your Nix store on one party's word.
///
/// Countersign stands between the Nix daemon and the binary caches. For every store path it asks several
/// caches, checks who signed, compares what they say, and serves the path only if your policy is met; it
/// hashes the bytes before the daemon may have the last of them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = AFTER_HELP)]
pub struct Arguments {
    /// The configuration file.
    ///
    /// Without it $COUNTERSIGN_CONFIG, else /etc/countersign/config.toml if it is there, else the built-in
    /// policy: cache.nixos.org, its one key, one signature, dissent refused.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the caches' paths to Nix, as far as the policy endorses them.
    ///
    /// Listens on 127.0.0.1:8419 unless the configuration says otherwise. SIGHUP reads the configuration
    /// again: a faulty file is reported and the old configuration stays in force. SIGTERM and SIGINT stop,
    /// after the answers under way.
    Serve {
        /// Start no uploader: `countersign upload` is a unit of its own.
        #[arg(long)]
        without_upload: bool,
    },
    /// Draft a configuration from nix.conf: substituters become caches, trusted keys become signers.
    ///
    /// The draft admits what plain Nix admitted, in `mode = "observe"`, and lists what nix.conf does not say:
    /// who is independent of whom, who runs what, which packages each key is for. Reads nix.conf with its
    /// includes and the netrc file; asks neither Nix nor the network. For what Nix itself makes of all its
    /// files and its environment:
    ///
    ///   nix config show | countersign init --nix-conf /dev/stdin
    ///
    /// Exit status: 0 drafted, 2 nix.conf or the arguments are at fault, 3 a file could not be read or written.
    Init(init::Options),
    /// Check the configuration: all faults at once, each with its place and what would do.
    Check,
    /// Say why a path is served or not: every cache's claim side by side, who vouched, which rule applied,
    /// and what would lift a refusal.
    ///
    /// Asks the running service. Without one the evidence tells what was said last, and the caches are asked only of
    /// a path that it has nothing of. Exit status: 0 endorsed, 1 refused or absent, 3 undecided because caches did not
    /// answer.
    Explain {
        /// A store path, its base name, or its 32-character hash.
        #[arg(value_name = "PATH|HASH")]
        path: String,
        /// Ask the caches now and from here, whatever the service or the evidence knows.
        #[arg(long)]
        ask: bool,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Say what on this machine goes around the policy, why that matters and how to mend it.
    ///
    /// Looks at what Nix is told (by `nix config show`, with the daemon's environment where that can be read; without
    /// a `nix` by its files), at the service, its keys and the hook, and counts the installed paths by the way that
    /// they came. Changes nothing. Run it as root to have everything looked at.
    ///
    /// Exit status: 0 no way around and no weakness, 1 findings, 3 something could not be found out.
    Doctor(doctor::Options),
    /// Say how the running service is: mode, caches, verdicts.
    Status {
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Sign what this machine builds, and send it to every destination.
    ///
    /// A process of its own: it alone reads the signing keys. `serve` starts it where destinations are configured or
    /// the post-build hook has its spool, unless one runs already. Takes builds from the spool, and writes into the
    /// ledger what was built here, compared with what the caches claim; where no destination is configured it does
    /// that alone. SIGTERM and SIGINT stop it; being killed does no harm.
    Upload {
        /// Ends when standard input does.
        #[arg(long, hide = true)]
        child: bool,
    },
    /// Upload paths of the store now, with everything that they refer to.
    ///
    /// What was built here is signed; what was not goes with the signatures that it has. Nothing goes where
    /// `packages` of the destination does not match it. Without a running uploader this process is one for as
    /// long as it takes.
    ///
    /// With --since all that was built here from then on: builds from before the installation, and what is at a
    /// destination already and lacks the signature of a new key; bytes that are there are not sent again.
    ///
    /// Exit status: 0 all is there, 1 something was held back or given up.
    Push {
        #[command(flatten)]
        wanted: push::Wanted,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Build paths again, and compare the results with what is installed and with what the caches claim.
    ///
    /// Nix builds and compares (`nix-store --realise --check`); what is installed stays as it is. All installed outputs
    /// of a derivation are checked together. A path that is not installed is built from source: its inputs may come
    /// from caches, itself not. The derivation must be in the store; a PATH may also be a derivation. What came of it
    /// is written into the ledger. A result that differs stays beside the path, as PATH.check, until the next garbage
    /// collection.
    ///
    /// Exit status: 0 all the same, 1 something differs from what is installed or from what a cache claims, 3 something
    /// could not be built or found out and nothing differs.
    Rebuild {
        /// Store paths or base names.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Claim paths that this machine has built, and rebuild those that it has not: the word of a witness.
    ///
    /// What was merely downloaded is built again by Nix (`nix-store --realise --check`), here and not by a remote builder;
    /// where the result is what is installed, bit for bit, a narinfo signed with our keys is published at every destination
    /// with `publish = "claims"`. What was built here before needs no other build, so this may be interrupted and run again.
    /// Nothing is claimed of what differs; both hashes are shown, and what came of it is written into the ledger. A path
    /// whose name follows from its contents needs nobody's word. The derivation must be in the store.
    ///
    /// Exit status: 0 all is claimed, 1 something differs, was held back or given up, 3 something could not be rebuilt and
    /// nothing differs.
    Witness(witness::Options),
    /// What was said and what was decided: list it, look at one path, check it, take it elsewhere.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// What waits to be uploaded, and what to do about it.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Say what the caches claim of the paths on standard input, for the uploader.
    #[command(hide = true)]
    Claims,
    /// Print completions for a shell, to be put where it looks for them.
    #[command(hide = true)]
    Completions {
        /// bash, elvish, fish, powershell or zsh.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory.
    #[command(hide = true)]
    Man {
        /// The directory; it must exist.
        directory: PathBuf,
    },
    /// The keys that countersign, and signing keys for uploads.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// What to do with a key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print a public key, one bare `name:base64` line.
    ///
    /// Without FILE the key that the configured mode countersigns with: the one key that nix.conf should
    /// trust.
    Public {
        /// A secret key file.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print the lines of nix.conf that have Nix ask us and trust this key, and nothing else.
        ///
        /// To be put at the end of nix.conf: they override what stands above them.
        #[arg(long, conflicts_with = "file")]
        nix_conf: bool,
    },
    /// Write into FILE, which nix.conf includes, that Nix asks us and trusts our key; then see that it does.
    ///
    /// For the unit that runs as root when the key has changed: the file that Nix reads as root is written by root,
    /// and holds nothing of the service's but its public key. The file is replaced whole, and left alone if it says
    /// that already. `changed` or `unchanged` is printed.
    ///
    /// Where the policy is enforced Nix is to ask and trust nothing else; while observing, the others as well.
    ///
    /// Exit status: 0 nix.conf trusts the key, and if it is to be alone nothing else; 1 it does not, and why; 3 a file
    /// could not be read or written.
    Include {
        /// The file, as `!include FILE` at the end of nix.conf has it.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Add us to what nix.conf asks and trusts, whatever the mode.
        #[arg(long, conflicts_with = "alone")]
        beside: bool,
        /// Have nix.conf ask and trust us alone, whatever the mode.
        #[arg(long)]
        alone: bool,
        /// The nix.conf that must trust the key then.
        #[arg(long, value_name = "FILE", default_value = "/etc/nix/nix.conf")]
        nix_conf: PathBuf,
    },
    /// Make a signing key for uploads, and print what others must trust.
    Generate {
        /// The key's name; by custom the cache's host name and a number: cache.acme.example-1.
        #[arg(value_name = "NAME")]
        name: String,
        /// Where to write the secret key; it must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Replace a key by a new one.
    ///
    /// Without FILE the machine key (in observe mode the observe key): after a signer was revoked, so that
    /// what the old key countersigned is no longer trusted. Restart the service and put the new public key
    /// into nix.conf. With FILE a signing key: its successor is written beside it, and both should sign for a
    /// while; what is to be done, in which order, is said. Run again it makes no other.
    Rotate {
        /// A secret key file.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Exit {
        let environment = Environment::of_process();
        let location = self.config.map_or(Location::Usual, Location::File);
        let now = crate::clock::now();
        if let Some(exit) = self.command.run_without_configuration(&location, &environment, now) {
            return exit;
        }
        let loaded = match config::load(&location, &environment, now) {
            Ok(loaded) => loaded,
            Err(LoadError::Faulty(report)) => {
                eprint!("{}", report.render(style()));
                return Exit::Config;
            }
            Err(error) => return fail(Exit::Io, &error),
        };
        let config = &loaded.config;
        if let Some((file, written)) = state(config).newest() {
            crate::clock::raise(file, written);
        }
        match self.command {
            Command::Serve { without_upload } => {
                crate::telemetry::start(config.log_format);
                if let Some(behind) = crate::clock::fault() {
                    tracing::warn!("{behind}");
                }
                for warning in loaded.warnings.lines() {
                    tracing::warn!("{warning}");
                }
                let uploader = if without_upload { serve::Uploader::Unit } else { serve::Uploader::Child };
                serve::serve(loaded, location, environment, uploader)
            }
            Command::Doctor(options) => doctor::doctor(&loaded, &options),
            Command::Status { json } => status::status(config, json),
            Command::Upload { child } => {
                crate::telemetry::start(config.log_format);
                upload::upload(&loaded, child)
            }
            Command::Push { wanted, json } => push::push(&loaded, &wanted, json),
            Command::Evidence(command) => evidence::evidence(config, &command),
            Command::Queue(command) => queue::queue(config, &command),
            Command::Witness(options) => witness::witness(&loaded, &options),
            Command::Rebuild { paths, json } => rebuild::rebuild(config, &paths, json),
            Command::Claims => claims::claims(config),
            Command::Explain { path, ask, json } => {
                if let Some(behind) = crate::clock::fault() {
                    eprintln!("countersign: {behind}");
                }
                explain::explain(config, &path, ask, json)
            }
            Command::Key(KeyCommand::Rotate { .. }) => key::rotate(config),
            Command::Key(KeyCommand::Public { nix_conf: true, .. }) => key::nix_conf(config),
            Command::Key(KeyCommand::Include { file, beside, alone, nix_conf }) => {
                let beside = beside || (!alone && config.mode == config::Mode::Observe);
                include::include(config, &file, beside, &nix_conf)
            }
            // The others have run without a configuration.
            _ => key::public(config),
        }
    }
}

impl Command {
    /// Runs a command that reads no configuration, or reads it in its own way; `None` if it is another.
    fn run_without_configuration(
        &self,
        location: &Location,
        environment: &Environment,
        now: crate::trust::Timestamp,
    ) -> Option<Exit> {
        let exit = match self {
            Self::Check => {
                check(location, environment, now, style(), &mut std::io::stdout(), &mut std::io::stderr())
            }
            Self::Completions { shell } => pages::completions(*shell),
            Self::Init(options) => init::init(options, location, now),
            Self::Key(KeyCommand::Generate { name, file }) => key::generate(name, file),
            Self::Key(KeyCommand::Public { file: Some(file), .. }) => key::public_of(file),
            Self::Key(KeyCommand::Rotate { file: Some(file) }) => key::succeed(file),
            Self::Man { directory } => pages::man(directory),
            Self::Claims
            | Self::Doctor(_)
            | Self::Evidence(_)
            | Self::Explain { .. }
            | Self::Key(_)
            | Self::Push { .. }
            | Self::Queue(_)
            | Self::Rebuild { .. }
            | Self::Serve { .. }
            | Self::Status { .. }
            | Self::Upload { .. }
            | Self::Witness(_) => return None,
        };
        Some(exit)
    }
}

/// Runs what talks to the network, to its end and no longer: a thread on which the system's resolver hangs is not
/// waited for.
fn run_async<T>(work: impl Future<Output = T>) -> Result<T, Exit> {
    keep_freed_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fail(Exit::Io, &error))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(result)
}

/// Has glibc keep the memory that transfers free, which it else gives back to the kernel and faults in again,
/// some 80,000 pages for each GiB of NAR. No tunable of the environment and no call of our own is needed: when
/// a block that was mapped is freed, glibc moves its threshold for trimming to twice the block's size
/// (mallopt(3), M_MMAP_THRESHOLD). With another libc this does nothing.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(WORKING_SET)));
}

/// Colours on a terminal, unless the user wants none (<https://no-color.org>).
fn style() -> Style {
    use std::io::IsTerminal;
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    if wanted && std::io::stderr().is_terminal() { Style::Coloured } else { Style::Plain }
}

/// Says what went wrong, on stderr.
fn fail(exit: Exit, error: &(dyn std::error::Error + 'static)) -> Exit {
    eprintln!("countersign: {}", crate::upstream::Chain(error));
    exit
}

fn state(config: &Config) -> crate::state::StateDirectory {
    crate::state::StateDirectory::at(config.state_directory.clone())
}

/// Measured: with 2 MiB, four transfers of 1 GiB at a time still faulted 34,000 pages; with 4 MiB 2,300, as with 8.
const WORKING_SET: usize = 4 * 1024 * 1024;

const AFTER_HELP: &str = "\
Exit status: 0 fine; 1 refused, dissent or findings; 2 usage or configuration; 3 could not find out (I/O, network).

First steps:
  countersign init                     (a first configuration, from nix.conf; observes until you say enforce)
  countersign serve                    (in one terminal)
  countersign key public --nix-conf    (the lines to put at the end of nix.conf)
             narinfo-cache-negative-ttl = 0
             narinfo-cache-positive-ttl = 300";
