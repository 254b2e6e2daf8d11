//! `porchlight`: callers, desks and lines from a terminal.
//!
//! `main` is a table of verbs. Results go to stdout, everything else to stderr; secrets come from files, stdin or the terminal,
//! never from arguments or the environment. `docs/CLI.md` documents every option, field and exit code.

mod caller;
mod chance;
mod command;
mod desk;
mod duration;
mod exit;
mod input;
mod line;
mod moment;
mod output;
mod sentences;
mod stop;
mod trouble;
mod way;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use command::{CallerVerb, Command, DeskVerb, LeadVerb, LineVerb, Noun, SafeguardVerb, Tongue};
use exit::Exit;
use input::Inputs;
use output::{Output, remark};
use trouble::Trouble;
use way::Way;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_bug));
    let exit = match Command::try_parse() {
        Ok(command) => run(command).unwrap_or_else(|trouble| {
            remark(&trouble.to_string());
            trouble.exit()
        }),
        Err(error) => explain(&error),
    };
    let exit = if output::failed() && exit == Exit::Done { not_written() } else { exit };
    ExitCode::from(exit as u8)
}

/// Ends with the code for a fault of ours. Says where, never what: a message could hold a person's words.
fn report_bug(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
    remark(&sentences::bug(&place));
    std::process::exit(i32::from(Exit::Bug as u8));
}

/// Prints what clap has to say: help and version are results, everything else is a usage error.
fn explain(error: &clap::Error) -> Exit {
    let printed = error.print().or_else(|error| if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) });
    match error.kind() {
        _ if printed.is_err() => not_written(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

/// What was done is done, but whoever asked does not know it.
fn not_written() -> Exit {
    let trouble = sentences::not_written();
    remark(&trouble.to_string());
    trouble.exit()
}

fn run(command: Command) -> Result<Exit, Trouble> {
    if command.lang != Tongue::En {
        remark(sentences::ONLY_ENGLISH);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| sentences::no_runtime(&error))?;
    let outcome = runtime.block_on(verb(command));
    // A request still on its way is nobody's business any more.
    runtime.shutdown_background();
    outcome
}

async fn verb(command: Command) -> Result<Exit, Trouble> {
    let inputs = Inputs::default();
    let mailbox = matches!(command.noun, Noun::Safeguard(_));
    let way = Way { output: Output::new(command.json), inputs: &inputs, socks5: command.socks5, mailbox };
    match command.noun {
        Noun::Line(verb) => match verb {
            LineVerb::Init(args) => line::init(&args, &way),
            LineVerb::Publish(args) => line::publish(&args, &way).await,
            LineVerb::Rotate(args) => line::rotate(&args, &way).await,
            LineVerb::Renew(args) => line::renew(&args, &way).await,
            LineVerb::Lead(LeadVerb::Add(args)) => line::add_lead(&args, &way).await,
            LineVerb::Revoke(args) => line::revoke(&args, &way).await,
            LineVerb::Show(args) => line::show(&args, &way),
            LineVerb::Bulletin(args) => line::bulletin(&args, &way).await,
            LineVerb::Keep(args) => desk::team::keep(&args, &way),
            LineVerb::Card(args) => line::moving::card(&args, &way),
            LineVerb::Move(args) => line::moving::to(&args, &way),
        },
        Noun::Safeguard(verb) => match verb {
            SafeguardVerb::Join(args) => desk::join(&args, &way),
            SafeguardVerb::Renew(args) => desk::renew(&args, &way),
            SafeguardVerb::Sync(args) => desk::sync(args, &way).await,
            SafeguardVerb::List(args) => desk::list(&args, &way),
            SafeguardVerb::Show(args) => desk::show(&args, &way),
            SafeguardVerb::Answer(args) => desk::answer(args, &way).await,
            SafeguardVerb::Burn(args) => desk::burn(&args, &way).await,
            SafeguardVerb::Watch(args) => desk::watch(args, &way).await,
        },
        Noun::Desk(verb) => match verb {
            DeskVerb::Join(args) => desk::join(&args, &way),
            DeskVerb::Admit(args) => desk::admit(&args, &way).await,
            DeskVerb::Sync(args) => desk::sync(args, &way).await,
            DeskVerb::List(args) => desk::list(&args, &way),
            DeskVerb::Show(args) => desk::show(&args, &way),
            DeskVerb::Claim(args) => desk::claim(&args, &way),
            DeskVerb::Release(args) => desk::release(&args, &way),
            DeskVerb::HandOver(args) => desk::hand_over(&args, &way),
            DeskVerb::Accept(args) => desk::accept(&args, &way),
            DeskVerb::Note(args) => desk::note(&args, &way),
            DeskVerb::Answer(args) => desk::answer(args, &way).await,
            DeskVerb::Compose(args) => desk::team::compose(&args, &way),
            DeskVerb::Know(args) => desk::team::know(&args, &way),
            DeskVerb::Question(args) => desk::team::question(&args, &way),
            DeskVerb::Wish(args) => desk::team::wish(&args, &way),
            DeskVerb::Duress(args) => desk::team::duress(&args, &way),
            DeskVerb::Propose(args) => desk::team::propose(&args, &way),
            DeskVerb::Proposals(args) => desk::team::proposals(&args, &way),
            DeskVerb::Agree(args) => desk::team::agree(&args, &way),
            DeskVerb::Object(args) => desk::team::object(&args, &way),
            DeskVerb::Say(args) => desk::team::say(args, &way).await,
            DeskVerb::Part(args) => desk::team::part(&args, &way),
            DeskVerb::Rota(args) => desk::team::rota(&args, &way),
            DeskVerb::Shift(args) => desk::team::shift(&args, &way),
            DeskVerb::Strike(args) => desk::team::strike(&args, &way),
            DeskVerb::Off(args) => desk::team::off(&args, &way),
            DeskVerb::Audit(args) => desk::team::audit(&args, &way),
            DeskVerb::Burn(args) => desk::burn(&args, &way).await,
            DeskVerb::Watch(args) => desk::watch(args, &way).await,
            DeskVerb::Open(args) => desk::open_board(args, &way).await,
        },
        Noun::Caller(verb) => match verb {
            CallerVerb::New(args) => caller::new(&args, &way),
            CallerVerb::Words(args) => caller::words(&args, &way),
            CallerVerb::Checkin(args) => caller::checkin(args, &way).await,
            CallerVerb::Write(args) => caller::write(args, &way).await,
            CallerVerb::Read(args) => caller::read(args, &way).await,
            CallerVerb::Withdraw(args) => caller::withdraw(args, &way).await,
        },
    }
}
