//! `cargo demo`: one exchange between a caller and a desk, played on this machine as it happens.
//!
//! Nothing in it is staged: the relay, the desk and the caller are the project's programs, each its own process, and what
//! is said about them is read from what they print, from the relay's files and from a watcher on the caller's network.
//! Where one of them does not do what the telling promises, the demo fails.

mod house;
mod live;
mod record;
mod relay;
mod scenes;
mod telling;
mod trouble;
mod wire;

use std::process::ExitCode;

use self::house::House;
use self::scenes::Stage;
use self::trouble::{Trouble, While};
use crate::clock::Start;
use crate::leash::Leash;
use crate::say;
use crate::verify::{needs, page_core, programs};

/// What happens when the exchange is over.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Afterwards {
    /// Everything stays up, to be tried by hand, until Ctrl-C.
    Stay,
    /// Everything ends.
    End,
}

/// Plays the exchange.
pub(crate) fn play(afterwards: Afterwards) -> ExitCode {
    match build().and_then(|()| perform(afterwards)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            say::aside(&format!("demo: {trouble}"));
            ExitCode::FAILURE
        }
    }
}

/// Builds the programs. As a development build: its dependencies are optimised all the same, it shares them with
/// `cargo verify`, and our own code waits for beats far longer than it computes.
fn build() -> Result<(), Trouble> {
    let leash = Leash::take(&[]).during("starting sh")?;
    needs::provide(&needs::of_demo(), &leash).map_err(Trouble::Lacking)?;
    let start = Start::now();
    say::aside("Building the relay and the command (a few minutes the first time) ...");
    for program in [page_core(), programs()] {
        let status = program.run(&leash).during(&program.to_string())?;
        if !status.success() {
            leash.release();
            let said = needs::NETWORK_HINT.trim_start().to_owned();
            return Err(Trouble::Failed { command: program.to_string(), status, said });
        }
    }
    leash.release();
    say::aside(&format!("Built in {}.", start.since()));
    Ok(())
}

fn perform(afterwards: Afterwards) -> Result<(), Trouble> {
    let house = House::build()?;
    let leash = Leash::take(&house.folders()).during("starting sh")?;
    let mut stage = Stage::set(&house, &leash)?;
    stage.exchange()?;
    if afterwards == Afterwards::Stay {
        stage.stay()?;
    }
    stage.strike()?;
    house.tear_down()?;
    leash.release();
    Ok(())
}
