//! The runner behind `cargo demo` and `cargo verify`.
//!
//! It depends on nothing but the standard library, so that it builds in a second on a machine that has only Rust, and can
//! say from there what else is needed. The map:
//!
//! - [`verify`]: every check of the project, in order; [`verify::needs`] installs what they stand on.
//! - [`demo`]: one exchange between a caller and a desk, played as it happens.
//! - [`program`]: one command and how it is run; [`leash`]: why none outlives the runner.
//! - [`say`], [`clock`]: the only rooms that print and that look at a watch.

mod clock;
mod demo;
mod leash;
mod program;
mod say;
mod verify;

use std::process::ExitCode;

const USAGE: &str = "\
cargo demo             plays one exchange on this machine, then stays up to be tried by hand
cargo demo --once      the same, and ends with 0 after the exchange
cargo verify           runs every check of the project and stops at the first that fails";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .filter(|argument| argument != "--")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["verify"] => verify::everything(),
        ["demo"] => demo::play(demo::Afterwards::Stay),
        ["demo", "--once"] => demo::play(demo::Afterwards::End),
        ["help" | "--help" | "-h"] | [_, "help" | "--help" | "-h"] => {
            say::line(USAGE);
            ExitCode::SUCCESS
        }
        _ => {
            say::aside(&format!("porchlight-runner: not understood: {words:?}\n{USAGE}"));
            ExitCode::FAILURE
        }
    }
}
