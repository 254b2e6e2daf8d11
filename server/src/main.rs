//! `porchlight-relay`: reads a configuration, starts the relay, stops it at a signal.
//!
//! One line on stdout, `ready …`, when it accepts; everything else on stderr. SIGTERM and SIGINT stop it within five seconds, also where
//! a disk does not answer, a second one at once; SIGHUP reads the certificate again. Exit codes: [`EXITS`], and docs/CLI.md.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use porchlight_relay::config::{Listen, Mode, Settings, Tls};
use porchlight_relay::door::decoy::Decoy;
use porchlight_relay::door::listen::find_socket;
use porchlight_relay::door::tls::{Certificate, KeyKind, Renewal, TlsError, Until, kept_pin, leaf_of, pin_text};
use porchlight_relay::process::confine::{Held, Reach, confine};
use porchlight_relay::process::doctor::{Finding, Host, SOON_DAYS, Verdict, sealed};
use porchlight_relay::process::{fit, ranks, swap};
use porchlight_relay::relay::{Trouble, forget_dead, identity};
use porchlight_relay::store::holds_off_panics;
use porchlight_relay::{Relay, StartError, World, run};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio::sync::watch;
use zeroizing_alloc::ZeroAlloc;

/// Whatever is freed is wiped: cells, addresses and keys pass through many buffers that are not ours.
#[global_allocator]
static MEMORY: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

/// How long somebody who should read is waited for.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// How long the end is waited for after the first signal. Connections have four seconds of it.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// How long what may never end is waited for when all else has ended.
const LEFT_OVER: Duration = Duration::from_millis(200);
/// Between two reminders of a certificate that ends.
const DAY: Duration = Duration::from_secs(86_400);
/// Fewer connections serve nobody.
const CONNECTIONS_LEAST: usize = 64;

const USAGE: u8 = 1;
const BUG: u8 = 2;
const NETWORK: u8 = 3;

const EXITS: &str = "Exit codes: 0 done, or stopped as asked; 1 the arguments, the configuration, what it names or this machine cannot be used, \
                     doctor found something bad, or what was asked for cannot be written to standard output; 2 a bug of this program; 3 nothing can \
                     be accepted at listen or admin_listen.";

#[derive(Parser)]
#[command(name = "porchlight-relay", version, about = "Stores sealed cells for a short time and knows no callers", after_help = EXITS)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve until SIGTERM or SIGINT.
    #[command(after_help = EXITS)]
    Run(RunArguments),
    /// Say whether a configuration can be used, and with which pin. Makes nothing without --make-key.
    #[command(after_help = EXITS)]
    CheckConfig(CheckArguments),
    /// Look at this host: swap, core dumps, keyring, clock, certificate, permissions, logs. Changes nothing.
    #[command(after_help = EXITS)]
    Doctor(DoctorArguments),
}

#[derive(clap::Args)]
struct RunArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Start although this machine swaps: keys may then be written to a disk. Implied by --dev.
    #[arg(long)]
    allow_swap: bool,
}

#[derive(clap::Args)]
struct DoctorArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// A directory of logs besides /var/log: a web server's, or what its hoster keeps. As often as there are more.
    #[arg(long = "logs", value_name = "DIR")]
    logs: Vec<PathBuf>,
}

#[derive(clap::Args)]
struct CheckArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// With tls.self_signed: make the key now, so that its pin can be said before the first start. It belongs to whoever runs this: let that be
    /// the relay's own account.
    #[arg(long)]
    make_key: bool,
}

#[derive(clap::Args)]
struct ConfigArguments {
    /// The configuration file; deploy/relay.toml documents it.
    #[arg(long)]
    config: PathBuf,
    /// For trying out: a built-in decoy anywhere, and a keyring next to the data if none is named.
    #[arg(long)]
    dev: bool,
}

impl ConfigArguments {
    fn settings(&self) -> Result<Settings, Failure> {
        let mode = if self.dev { Mode::Dev } else { Mode::Serve };
        let settings = Settings::load(&self.config, mode).map_err(|error| Failure(USAGE, error.to_string()))?;
        settings.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
        Ok(settings)
    }
}

/// An exit code and what to say about it.
struct Failure(u8, String);

fn main() -> ExitCode {
    let open = close_ranks();
    let done = match Arguments::try_parse() {
        Ok(Arguments { verb: Verb::Run(arguments) }) => {
            open.iter().for_each(|open| say(&format!("warning: {open}")));
            serve(&arguments)
        }
        Ok(Arguments { verb: Verb::CheckConfig(arguments) }) => check(&arguments),
        Ok(Arguments { verb: Verb::Doctor(arguments) }) => examine(&arguments),
        Err(error) => {
            let is_told = error.print().and_then(|()| std::io::stdout().flush()).is_ok();
            return if error.use_stderr() || !is_told { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, text)) => {
            say(&text);
            ExitCode::from(code)
        }
    }
}

/// Before there is any thread or secret: no core dumps, no tracing by others, panics that say nothing. Gives back what could not be closed.
fn close_ranks() -> Vec<&'static str> {
    std::panic::set_hook(Box::new(|_| {
        // A damaged shelf may make sled panic; the store catches that and puts the shelf in quarantine.
        if !holds_off_panics() {
            say("stopped by a bug in this program; nothing about it was recorded");
            std::process::exit(i32::from(BUG));
        }
    }));
    ranks::close()
}

fn serve(arguments: &RunArguments) -> Result<(), Failure> {
    let hangups = hold_hangups();
    let settings = arguments.config.settings()?;
    let world = World::system().map_err(|error| Failure(USAGE, format!("cannot tell which boot this is: {error}")))?;
    let served = serve_with(arguments, settings.clone(), &world, hangups);
    if served.is_err() {
        forget_dead(&settings, &world);
    }
    served
}

/// Holds each SIGHUP from here on for whoever listens once the relay serves: until it is caught, a hangup ends the process.
///
/// A runtime of this thread alone: more threads there may only be once the process is confined. What is caught by one is heard in any other.
fn hold_hangups() -> std::io::Result<UnixSignal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    signal(SignalKind::hangup())
}

fn serve_with(
    arguments: &RunArguments,
    mut settings: Settings,
    world: &World,
    hangups: std::io::Result<UnixSignal>,
) -> Result<(), Failure> {
    refuse_swap(arguments)?;
    refuse_short_files()?;
    fit_connections(&mut settings)?;
    fit::look(&settings, &arguments.config.config).map_err(|error| Failure(USAGE, error.to_string()))?;
    fit::owns_keyring(&settings).map_err(|error| Failure(USAGE, error.to_string()))?;
    match confine(&Reach::of(&settings)).map_err(|error| Failure(USAGE, error.to_string()))? {
        Held::Whole => {}
        Held::Partly => say("warning: this kernel's Landlock is old: the process is confined to its files, but not in every way"),
        Held::CallsAlone => say("warning: this kernel has no Landlock: only the file permissions confine the process"),
    }
    // As many as tokio would take by itself, whatever the environment says.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if !ranks::has_room_for_threads(threads) {
        return Err(Failure(USAGE, "this account may have too few threads (ulimit -u, or TasksMax=600)".into()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.map_err(|error| Failure(USAGE, format!("cannot start threads: {error}")))?;
    let ready = |relay: &Relay| ready(relay, hangups);
    let served = runtime.block_on(async { run(&settings, world, ready, stop_signal()).await });
    // Whoever still reads a file that does not answer, or says something to somebody who does not listen, is not waited for.
    runtime.shutdown_timeout(LEFT_OVER);
    served.map_err(|error| match error {
        StartError::Listen(..) | StartError::HandedKind => Failure(NETWORK, error.to_string()),
        _ => Failure(USAGE, error.to_string()),
    })
}

/// Connections beyond the limit of open files could not be accepted, and so nobody be asked to make room.
fn fit_connections(settings: &mut Settings) -> Result<(), Failure> {
    let (files, room) = ranks::room_for_connections();
    if room < CONNECTIONS_LEAST {
        return Err(Failure(USAGE, format!("{files} open files are too few (ulimit -n, or LimitNOFILE=65536)")));
    }
    if room < settings.max_connections {
        say(&format!(
            "warning: {files} open files leave room for {room} connections instead of {} (ulimit -n, or LimitNOFILE=65536)",
            settings.max_connections
        ));
        settings.max_connections = room;
    }
    Ok(())
}

fn refuse_short_files() -> Result<(), Failure> {
    ranks::too_short_files().map_or(Ok(()), |bytes| {
        let text = format!("files may grow to {bytes} bytes here, which is too little (ulimit -f, or LimitFSIZE=infinity)");
        Err(Failure(USAGE, text))
    })
}

fn refuse_swap(arguments: &RunArguments) -> Result<(), Failure> {
    let names = swap::in_use().map_err(|error| Failure(USAGE, format!("cannot tell whether this machine swaps: {error}")))?;
    if names.is_empty() {
        return Ok(());
    }
    let text = format!("this machine swaps to {}, where keys would outlive their cells", names.join(", "));
    if arguments.allow_swap || arguments.config.dev {
        say(&format!("warning: {text}"));
        return Ok(());
    }
    Err(Failure(
        USAGE,
        format!(
            "{text}: swapoff -a, and take it out of /etc/fstab; or give --allow-swap if that is meant. If it is to stay as it is, destroy the \
             keys of what is held: docs/RUNBOOKS.md, The relay stays off"
        ),
    ))
}

fn examine(arguments: &DoctorArguments) -> Result<(), Failure> {
    let settings = arguments.config.settings()?;
    let root = std::path::Path::new("/");
    let found = Host { root, settings: &settings, config: &arguments.config.config, logs: &arguments.logs }.examine();
    let line = |finding: &Finding| {
        let verdict = match finding.verdict {
            Verdict::Fine => "fine    ",
            Verdict::Doubtful => "doubtful",
            Verdict::Bad => "BAD     ",
        };
        format!("{verdict} {}: {}\n", finding.what, finding.says)
    };
    tell_all(&found.iter().map(line).collect::<String>())?;
    match found.iter().filter(|finding| finding.verdict == Verdict::Bad).count() {
        0 => Ok(()),
        count => {
            let (are, they) = if count == 1 { ("is", "it is") } else { ("are", "they are") };
            Err(Failure(USAGE, format!("{count} of {} {are} bad: no relay should run here before {they} mended", found.len())))
        }
    }
}

fn ready(relay: &Relay, hangups: std::io::Result<UnixSignal>) {
    if let Some(certificate) = relay.certificate() {
        drawbacks(&certificate.until(), certificate.kind()).iter().for_each(|text| say(text));
        tokio::spawn(remind(certificate));
    }
    if let Some(spki) = relay.spki() {
        say(&format!("pin {}", pin_text(spki)));
    }
    if relay.forgotten_shelf_count() > 0 {
        say(
            "what was stored before has no key any more, or some of it, and was removed: so after a restart of the machine, or hours off",
        );
    }
    // Whoever closed stdout does not want to know.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "ready {}", relay.bound()).and_then(|()| out.flush());
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    // What was held since the start is answered now.
    match hangups {
        Ok(hangups) => _ = tokio::spawn(renew(hangups, relay.certificate())),
        Err(_) => say("warning: SIGHUP cannot be caught: a renewed certificate wants a restart"),
    }
    tokio::spawn(tell(relay.trouble()));
}

/// What to say of a certificate that callers' browsers do not take, or soon will not.
fn drawbacks(until: &Until, kind: KeyKind) -> Vec<String> {
    ending(until).into_iter().chain(kind.warning().map(|text| format!("warning: {text}"))).collect()
}

/// What to say of a certificate that has ended or soon will.
fn ending(until: &Until) -> Option<String> {
    if until.is_over() {
        return Some(format!("warning: the certificate ended on {until}: browsers turn away"));
    }
    (until.days() < SOON_DAYS).then(|| format!("warning: the certificate ends on {until}: renew it, with its key"))
}

/// Says once a day that the certificate ends soon: else nobody hears of it before callers do.
async fn remind(certificate: Arc<Certificate>) {
    loop {
        tokio::time::sleep(DAY).await;
        let said = ending(&certificate.until());
        apart(move || said.iter().for_each(|text| say(text))).await;
    }
}

/// Reads the certificate again at each SIGHUP.
async fn renew(mut hangups: UnixSignal, certificate: Option<Arc<Certificate>>) {
    while hangups.recv().await.is_some() {
        let certificate = certificate.clone();
        // A disk may not answer, and nobody may listen.
        tokio::task::spawn_blocking(move || {
            say(&renewed(certificate.map_or(Ok(Renewal::Nothing), |certificate| certificate.renew())));
        });
    }
}

fn renewed(renewal: Result<Renewal, TlsError>) -> String {
    match renewal {
        Ok(Renewal::Done(until)) if until.is_over() => {
            format!("warning: SIGHUP: new connections get a certificate that ended on {until}: browsers turn away")
        }
        Ok(Renewal::Done(until)) => format!("SIGHUP: new connections get the certificate that ends on {until}"),
        Ok(Renewal::Same(until)) => format!(
            "SIGHUP changes nothing: the file holds the certificate that is in use, which ends on {until}. As a systemd credential it is a \
             copy made at the start: restart the relay"
        ),
        Ok(Renewal::Nothing) => {
            "SIGHUP changes nothing here, where there is no certificate file: restart the relay to use another configuration"
                .into()
        }
        Ok(Renewal::OtherKey) => {
            "SIGHUP changes nothing: the certificate has another key, and desks and cards know the old one. Renew it with its key"
                .into()
        }
        Err(error) => format!("SIGHUP changes nothing: {error}"),
    }
}

/// Does what may wait for a disk or for whoever reads what is said, on a thread that serves nobody.
async fn apart(what: impl FnOnce() + Send + 'static) {
    let _ = tokio::task::spawn_blocking(what).await;
}

/// Says what an operator should hear about, each time it changes.
async fn tell(mut trouble: watch::Receiver<Trouble>) {
    let mut before = Trouble::default();
    // What stood before anybody listened is told as well.
    loop {
        let now = *trouble.borrow_and_update();
        let said = changes(&before, &now);
        apart(move || said.iter().for_each(|text| say(text))).await;
        before = now;
        if trouble.changed().await.is_err() {
            return;
        }
    }
}

fn changes(before: &Trouble, now: &Trouble) -> Vec<String> {
    let mut said = Vec::new();
    if now.unreadable_shelf_count > before.unreadable_shelf_count {
        let count = now.unreadable_shelf_count;
        let (are, they) = if count == 1 { ("is", "it") } else { ("are", "they") };
        said.push(format!(
            "warning: {count} of the store's directories cannot be read and {are} set aside: what {they} held is not served, everything \
             else is. Check the disk"
        ));
    }
    if now.has_skipped && !before.has_skipped {
        said.push("warning: something that was stored, or that the disk refused before a restart, is altered or lost and is left out. Check the disk".into());
    }
    if now.has_lost_keyring && !before.has_lost_keyring {
        said.push(
            "warning: somebody removed the keyring's file, or wrote over it: once this relay stops, nothing that it holds can be opened. Have \
             desks on watch fetch all, and give keyring_dir a place where nobody tidies up (/run/porchlight)"
                .into(),
        );
    }
    if now.has_lost_data && !before.has_lost_data {
        said.push(
            "warning: data_dir was removed, moved or unmounted: posts are refused. Put it back where it was and restart the relay".into(),
        );
    }
    if now.has_damaged_board && !before.has_damaged_board {
        said.push(
            "warning: what a line says in public was altered or torn on the disk: its newest statement, a device that was put out, or its \
             notice may be missing here. A lead's watch hands the statements in again, or `porchlight line publish`; a notice has to be \
             raised once more. Check the disk"
                .into(),
        );
    }
    for (was, is, begins, ends) in [
        (
            before.is_full,
            now.is_full,
            "warning: the disk or quota_bytes is full, or nearly: posts are refused until cells die. Make room, or raise quota_bytes",
            "there is room again: posts are taken",
        ),
        (
            before.is_scarce,
            now.is_scarce,
            "warning: half of the room that callers have is taken: what they send is let in at a slower rate, shared fairly, until cells die. \
             Where this is no flood, make room on the disk or raise quota_bytes",
            "there is room enough again: callers may send as fast as cap_per_minute says",
        ),
        (
            before.is_failing,
            now.is_failing,
            "warning: the disk or the keyring refuses to be written or read, or does not answer: posts may be refused meanwhile, and what lies there waits. Check both",
            "the disk and the keyring have refused nothing for a minute",
        ),
        (
            before.unforgotten_count > 0,
            now.unforgotten_count > 0,
            "warning: the disk or the keyring refuses to let go of what is dead; a dead key that stays in the keyring opens cells that should \
             be gone. It is tried again each second. Check both, and switch the machine off if the keyring's memory is in doubt",
            "what was dead is gone",
        ),
        (
            before.swaps,
            now.swaps,
            "warning: this machine swaps now, and did not when the relay started: keys may be written to a disk. swapoff -a, and restart the \
             machine if the disk is not to keep them",
            "this machine does not swap any more; what was written to the disk meanwhile may still lie there",
        ),
    ] {
        if was != is {
            said.push((if is { begins } else { ends }).to_owned());
        }
    }
    said
}

/// Catches signals from here on. The future ends at the first one to stop; a second one ends the process at once, and so does a disk that does
/// not answer: whatever was acknowledged is on the medium.
fn stop_signal() -> impl Future<Output = ()> {
    let (stop, mut stopped) = watch::channel(false);
    match [SignalKind::terminate(), SignalKind::interrupt()].map(signal) {
        [Ok(terminate), Ok(interrupt)] => {
            tokio::spawn(heed([terminate, interrupt], stop));
        }
        _ => say("warning: signals cannot be caught; stopping will not be clean"),
    }
    async move {
        if stopped.wait_for(|stops| *stops).await.is_err() {
            std::future::pending().await
        }
    }
}

async fn heed([mut terminate, mut interrupt]: [UnixSignal; 2], stop: watch::Sender<bool>) {
    let mut next = async || {
        tokio::select! {
            Some(()) = terminate.recv() => true,
            Some(()) = interrupt.recv() => true,
            else => false,
        }
    };
    if !next().await {
        return;
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    stop.send_replace(true);
    let text = match tokio::time::timeout(STOPPED_WITHIN, next()).await {
        Ok(true) => "stopped at once, at the second signal",
        Ok(false) => return,
        Err(_) => "warning: stopped without waiting any longer for what does not end: does the disk answer?",
    };
    let _ = tokio::time::timeout(LEFT_OVER, apart(move || say(text))).await;
    std::process::exit(0);
}

fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let settings = arguments.config.settings()?;
    let usage = |error: &dyn std::error::Error| Failure(USAGE, error.to_string());
    fit::look(&settings, &arguments.config.config).map_err(|error| usage(&error))?;
    Decoy::load(&settings.decoy).map_err(|error| usage(&error))?;
    if let Listen::Unix(path) = &settings.listen {
        let cannot = |error| StartError::Listen("listen", format!("unix:{}", path.display()), error);
        find_socket(path).map_err(|error| Failure(NETWORK, cannot(error).to_string()))?;
    }
    let (pin, said) = served(arguments, &settings).map_err(|error| usage(&error))?;
    said.iter().for_each(|text| say(text));
    let pin = match (pin, &settings.tls) {
        (Some(spki), _) => pin_text(&spki),
        (None, Tls::SelfSigned) => "none yet: the first start makes the key, or --make-key now".into(),
        (None, _) => "unknown".into(),
    };
    let (lines, store) = (settings.lines.len(), settings.store);
    tell_all(&format!("the configuration can be used\nlines {lines}\nstore {store:?}\npin {pin}\n"))
}

/// The pin of what would be served with, as far as it can be known; and what to say of its certificate, as `run` does.
fn served(arguments: &CheckArguments, settings: &Settings) -> Result<(Option<[u8; 32]>, Vec<String>), TlsError> {
    match &settings.tls {
        Tls::Front(spki) => Ok((*spki, Vec::new())),
        // The unit takes the key from beside there: the pin is the certificate's all the same.
        Tls::Files { cert, key } if !key.exists() && sealed(key).exists() => {
            say("the key is sealed (.cred) and was not tried: whether it is the certificate's, the start says");
            leaf_of(cert).map(|leaf| (Some(leaf.spki), drawbacks(&leaf.until, leaf.kind)))
        }
        // It would not end, and its key is a common one.
        Tls::SelfSigned if !arguments.make_key => Ok((kept_pin(&settings.data_dir.join("tls"))?, Vec::new())),
        Tls::SelfSigned | Tls::Files { .. } => {
            let identity = identity(settings)?;
            let said = identity.as_ref().map(|identity| drawbacks(&identity.until, identity.kind));
            Ok((identity.map(|identity| identity.spki), said.unwrap_or_default()))
        }
    }
}

/// Writes what was asked for to stdout, whole: whoever reads half of it, or nothing, must not be told that all is well.
fn tell_all(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let told = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    told.map_err(|error| Failure(USAGE, format!("standard output cannot be written: {error}")))
}

/// Says something on stderr, if there is room for it within a moment: whoever should read may have stopped to.
fn say(text: &str) {
    let stderr = std::io::stderr();
    let mut ends = [PollFd::new(&stderr, PollFlags::OUT)];
    if matches!(poll(&mut ends, Some(&MOMENT)), Ok(1..)) {
        let _ = writeln!(std::io::stderr(), "porchlight-relay: {text}");
    }
}
