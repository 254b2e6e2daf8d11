//! `cargo verify`: every check of the project, in order, stopping at the first that fails.

pub(crate) mod needs;
mod paths;

use std::num::NonZero;
use std::process::ExitCode;

use crate::clock::Start;
use crate::leash::Leash;
use crate::program::{Program, workspace};
use crate::say;

/// What `tests/second` checks by itself; the tests hold it against our code, both ways.
const SECOND_CHECKS: &str = "cd tests/second && ../../target/second-venv/bin/python -m unittest discover -s checks -t .";

/// The browser tests' scripts, held against their types.
const SCRIPT_TYPES: &str = "tests/browser/node_modules/.bin/tsc -p tests/browser && tests/browser/node_modules/.bin/tsc -p client/desk/page && node tests/browser/page-types.mjs";

/// What the page says and shows: every key in every language, lengths, forbidden words, drawings.
const PAGE_PARTS: &str = "node --test client/web/strings/check.mjs client/web/pictures/check.mjs client/desk/strings/check.mjs";

/// Two files at once: most of their time is waiting for visits, disks and deadlines.
const BROWSER_WAITS: &str = "node tests/browser/harness/run.js 2 $(ls tests/browser/*.test.js | grep -E '/(leaving|leftovers|traces|board-(calm|door|files|locked|team|worst))[.]')";

/// One file after the other: what they measure, browsers of ten years ago, and three boards at once want the machine to themselves.
const BROWSER_TESTS: &str = "node tests/browser/harness/run.js 1 $(ls tests/browser/*.test.js | grep -vE '/(leaving|leftovers|traces|board-(calm|door|files|locked|team|worst))[.]')";

/// One check.
struct Step {
    name: &'static str,
    act: Act,
}

enum Act {
    /// Installs what the later steps stand on, or says what is missing.
    Provide,
    /// Ends well or has failed.
    Run(Program),
    /// Downloads: it may fail for want of a network, and is the only kind that may.
    Fetch(Program),
    /// Looks through the documents for paths of the machine they were written on.
    Paths,
}

/// Why a step did not pass, and what to type to see it again.
struct Failure {
    why: String,
    repeat: Option<String>,
}

/// Runs every check and says how it went.
pub(crate) fn everything() -> ExitCode {
    let leash = match Leash::take(&[]) {
        Ok(leash) => leash,
        Err(error) => {
            say::aside(&format!("verify: cannot start sh: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let start = Start::now();
    let steps = steps(&leash);
    let outcome = pass_all(&steps, &leash);
    leash.release();
    say::line(&format!("verify took {}", start.since()));
    match outcome {
        Ok(()) => {
            say::line(&format!("{} passed, 0 failed", steps.len()));
            ExitCode::SUCCESS
        }
        Err((passed_count, failure)) => {
            say::aside(&failure.why);
            failure.repeat.iter().for_each(|command| say::aside(&format!("To repeat this step alone:\n    {command}")));
            say::line(&format!("{passed_count} passed, 1 failed"));
            ExitCode::FAILURE
        }
    }
}

fn steps(leash: &Leash) -> Vec<Step> {
    vec![
        Step { name: "this machine has what the checks need", act: Act::Provide },
        Step { name: "dependencies, as Cargo.lock says", act: Act::Fetch(Program::typed("cargo fetch --locked")) },
        run("the page's core, which the relay carries", page_core()),
        run("format", Program::typed("cargo fmt --all --check")),
        run("lints", Program::typed("cargo clippy --workspace --all-targets --locked -- -D warnings")),
        run(
            "proto without an operating system",
            Program::typed("cargo build -p porchlight-proto --target wasm32v1-none --locked"),
        ),
        run("licences, bans, sources", Program::typed("cargo deny --offline --locked check licenses bans sources")),
        run("the second implementation's own checks", Program::shell(SECOND_CHECKS)),
        run("the programs that the tests start", programs()),
        run("tests", tests(leash)),
        run(
            "the page's core: its size, no machine's names, the same from any folder",
            Program::typed("cargo test -q -p porchlight-web-core --test built --locked -- --nocapture"),
        ),
        run("examples in the docs", Program::typed("cargo test --workspace --doc --locked")),
        run(
            "docs without warnings",
            Program::typed("cargo doc --workspace --no-deps --locked").set("RUSTDOCFLAGS", "-D warnings"),
        ),
        Step { name: "documents name no machine", act: Act::Paths },
        run("the page's and the board's sentences, and drawings", Program::shell(PAGE_PARTS)),
        run("types of the page, of the board and of the browser tests", Program::shell(SCRIPT_TYPES)),
        run("real browsers: what waits, and what is left behind", Program::shell(BROWSER_WAITS)),
        run("real browsers, old and new", Program::shell(BROWSER_TESTS)),
        run("demo", Program::typed("cargo demo --once")),
    ]
}

/// Builds the callers' page's core, which the relay's own build then takes in.
pub(crate) fn page_core() -> Program {
    Program::typed("cargo build -q --locked -p porchlight-web-core --target wasm32v1-none --profile wasm")
}

/// Builds the relay and the command as the tests from outside do (`tests/end_to_end/site.rs`), for which there is then nothing to compile
/// beside tests that go by the clock.
pub(crate) fn programs() -> Program {
    Program::typed("cargo build --locked -p porchlight-relay -p porchlight --bins")
}

fn run(name: &'static str, program: Program) -> Step {
    // What had to be downloaded has been: from here on a missing network changes nothing.
    Step { name, act: Act::Run(program.set("CARGO_NET_OFFLINE", "true")) }
}

/// nextest is quicker and ends what hangs; where it is not installed, cargo's own runner runs the same tests. One more at once than there are
/// processors: those from outside mostly wait for a line's pace.
fn tests(leash: &Leash) -> Program {
    if Program::typed("cargo nextest --version").succeeds(leash) {
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get) + 1;
        Program::typed(&format!(
            "cargo nextest run --config-file tests/nextest.toml --workspace --locked --test-threads {at_once}"
        ))
    } else {
        Program::typed("cargo test --workspace --lib --bins --tests --locked")
    }
}

fn pass_all(steps: &[Step], leash: &Leash) -> Result<(), (usize, Failure)> {
    for (index, step) in steps.iter().enumerate() {
        let start = Start::now();
        say::line(&format!("── {}/{}  {}", index + 1, steps.len(), step.name));
        pass(&step.act, leash).map_err(|failure| (index, failure))?;
        say::line(&format!("   passed: {} ({})", step.name, start.since()));
    }
    Ok(())
}

fn pass(act: &Act, leash: &Leash) -> Result<(), Failure> {
    let (program, hint) = match act {
        Act::Provide => {
            return needs::provide(&needs::of_verify(), leash).map_err(|why| Failure { why, repeat: None });
        }
        Act::Paths => {
            return paths::check(&workspace()).map_err(|why| Failure { why, repeat: None });
        }
        Act::Run(program) => (program, ""),
        Act::Fetch(program) => (program, needs::NETWORK_HINT),
    };
    let why = match program.run(leash) {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("verify: this step failed ({status}){hint}"),
        Err(error) => format!("verify: this step could not be started: {error}"),
    };
    Err(Failure { why, repeat: Some(program.to_string()) })
}
