//! `--relay URL [--relay-pin PIN]`, repeated: each pin belongs to the relay before it.

use clap::parser::ValuesRef;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, error::ErrorKind};
use porchlight_client::transport::{Address, Pin};

const RELAY: &str = "relay";
const PIN: &str = "relay_pin";
/// More relays than a card can hold (SPEC §10) are refused here already.
const MOST: usize = 8;

/// One relay of a line to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayChoice {
    pub(crate) address: Address,
    pub(crate) pin: Option<Pin>,
}

/// The relays in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relays(pub(crate) Vec<RelayChoice>);

impl Args for Relays {
    fn augment_args(command: Command) -> Command {
        let relay = Arg::new(RELAY)
            .long("relay")
            .value_name("URL")
            .required(true)
            .action(ArgAction::Append)
            .value_parser(|text: &str| Address::parse(text))
            .help("A relay, as https://HOST[:PORT]; repeat for more");
        let pin = Arg::new(PIN)
            .long("relay-pin")
            .value_name("SPKI")
            .action(ArgAction::Append)
            .value_parser(|text: &str| Pin::parse(text))
            .help("SHA-256 of the public key of the relay before it, in hex or base64, for a relay without a public certificate");
        command.arg(relay).arg(pin)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Relays {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut relays: Vec<(usize, RelayChoice)> = placed::<Address>(matches, RELAY).map(|(at, address)| (at, RelayChoice { address, pin: None })).collect();
        if relays.len() > MOST {
            return Err(Error::raw(ErrorKind::TooManyValues, "a line has eight relays at most\n"));
        }
        for (at, pin) in placed::<Pin>(matches, PIN) {
            let before = relays.iter_mut().rev().find(|(relay_at, _)| *relay_at < at);
            match before {
                Some((_, relay)) if relay.pin.is_none() => relay.pin = Some(pin),
                Some((_, relay)) => return Err(Error::raw(ErrorKind::ArgumentConflict, format!("{} has two pins\n", relay.address))),
                None => return Err(Error::raw(ErrorKind::ArgumentConflict, "--relay-pin comes after the --relay it belongs to\n")),
            }
        }
        Ok(Self(relays.into_iter().map(|(_, relay)| relay).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Every value of an option with its place on the command line.
fn placed<'a, T: Clone + Send + Sync + 'static>(matches: &'a ArgMatches, id: &str) -> impl Iterator<Item = (usize, T)> + use<'a, T> {
    let places = matches.indices_of(id).into_iter().flatten();
    let values: Option<ValuesRef<'a, T>> = matches.get_many(id);
    places.zip(values.into_iter().flatten().cloned())
}
