use super::relays::RelayChoice;
use super::*;
use clap::CommandFactory;

fn parse(words: &[&str]) -> Result<Command, clap::Error> {
    Command::try_parse_from([&["porchlight"], words].concat())
}

#[test]
fn the_command_line_is_sound() {
    Command::command().debug_assert();
}

fn relays(words: &[&str]) -> Result<Vec<RelayChoice>, clap::Error> {
    let Noun::Line(LineVerb::Init(init)) = parse(&[&["line", "init", "--dir", "d"], words].concat())?.noun else { unreachable!() };
    Ok(init.relays.0)
}

#[test]
fn a_pin_belongs_to_the_relay_before_it() {
    let pin = "ab".repeat(32);
    let found = relays(&["--relay", "https://a.example", "--relay", "https://b.example", "--relay-pin", &pin, "--relay", "https://c.example"]).expect("parses");
    let pins: Vec<_> = found.iter().map(|relay| (relay.address.host(), relay.pin.is_some())).collect();
    assert_eq!(pins, [("a.example", false), ("b.example", true), ("c.example", false)]);
}

#[test]
fn relays_and_pins_that_do_not_fit_are_usage_errors() {
    let pin = "ab".repeat(32);
    for (name, words) in [
        ("none", vec![]),
        ("no address", vec!["--relay", "relay.example"]),
        ("a path", vec!["--relay", "https://relay.example/gate"]),
        ("no pin", vec!["--relay", "https://relay.example", "--relay-pin", "abc"]),
        ("a pin first", vec!["--relay-pin", &pin, "--relay", "https://relay.example"]),
        ("two pins", vec!["--relay", "https://relay.example", "--relay-pin", &pin, "--relay-pin", &pin]),
        ("nine relays", ["--relay", "https://relay.example"].repeat(9)),
    ] {
        assert!(relays(&words).is_err(), "{name}");
    }
}

#[test]
fn every_verb_of_the_issue_is_there() {
    let pin = "ab".repeat(32);
    for line in [
        &format!("line init --dir D --relay https://a.example --relay-pin {pin} --beat-ms 100 --slow-s 1 --slow-days 2 --up-ttl-s 5 --up-beat-ms 50 --fast-slots 4 --gate abcd --answer-within hour --passphrase-file F"),
        "line publish --dir D",
        "line rotate --dir D",
        "line renew --dir D --root-words-file F",
        "line show --dir D --json",
        "line bulletin --dir D --code 1",
        "line bulletin --dir D --none",
        "desk sync --dir D",
        "desk list --dir D --json",
        "desk show abcd --dir D",
        "desk claim abcd --dir D",
        "desk release abcd --dir D",
        "desk note abcd --text T --dir D",
        "desk answer abcd --text T --good-until 3d --dir D",
        "desk answer abcd --text - --dir D --passphrase-file F",
        "desk watch --exec true --dir D",
        "caller new --card C --language zh --phrase-file P",
        "caller checkin --card C --phrase-file F --status safe --text T --next 3d --quiet --relative --wait 90s",
        "caller write --card C --phrase-file F --text - --wait 10m --fast-beats",
        "caller read --card C --phrase-file - --wait 1m",
        "caller withdraw --card C --phrase-file F",
        "caller withdraw --card C --phrase-file F --all",
        "caller withdraw --card C --phrase-file F --session 0011223344556677 --seq 1",
        "caller words --card C --phrase-file F",
        "--socks5 127.0.0.1:9050 caller words --card C",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(parse(&words).is_ok(), "{line}: {:?}", parse(&words).err().map(|error| error.to_string()));
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "",
        "line",
        "line bulletin --dir D",
        "line bulletin --dir D --code 4",
        "line bulletin --dir D --code 1 --none",
        "desk show --dir D",
        "desk answer abcd --dir D",
        "caller checkin --card C --status fine",
        "caller read --card C --wait soon",
        "caller withdraw --card C --session 00",
        "caller withdraw --card C --all --session 00 --seq 1",
        "--socks5 nowhere caller words --card C",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(parse(&words).is_err(), "{line}");
    }
}
