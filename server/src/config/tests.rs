use super::*;
use crate::seal::KeyringMedium;

const TOP: &str = "listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\nkeyring_dir = \"/run/x\"\n";
const TLS: &str = "[tls]\nself_signed = true\n";
const CERT: &str = "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";

fn line(root: u8, more: &str) -> String {
    let root = PublicKey::from_bytes([root; 32]);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let id = LineId::from_root(&root);
    format!("[[line]]\nid = \"{}\"\nroot = \"{}\"\n{more}\n", hex(id.as_bytes()), hex(root.as_bytes()))
}

fn gates(more: &str) -> String {
    line(1, &format!("gates = [\"k3v9q2x7\"]\n{more}"))
}

fn parse(text: &str) -> Result<Settings, ConfigError> {
    Settings::parse(text, Path::new("relay.toml"), Path::new("/etc/porchlight"), Mode::Serve)
}

#[test]
fn what_is_left_out_has_the_usual_value() {
    let settings = parse(&format!("{TOP}{TLS}{}", gates(""))).unwrap();
    assert_eq!(settings.listen, Listen::Tcp("127.0.0.1:0".parse().unwrap()));
    assert_eq!((settings.data_dir, settings.keyring_dir), ("/etc/porchlight/data".into(), "/run/x".into()));
    assert_eq!((settings.store, settings.quota_bytes, settings.epoch_s), (StoreKind::Sled, 8 << 30, 3600));
    assert_eq!(
        (settings.keyring_medium, settings.max_connections, settings.max_per_address),
        (KeyringMedium::RamOnly, 8192, 256)
    );
    let line = &settings.lines[0];
    assert_eq!(line.timing, Timing::PRODUCTION);
    assert_eq!((line.relay_no, line.up_ttl_s, line.desk_beat_ms, line.cap_per_minute), (0, 259_200, 10_000, 3000));
    assert_eq!(
        settings.warnings,
        [
            "decoy_dir is not set: strangers see a built-in page, which tells those who know it what this is",
            "line[0].leave_to is not set: the page's Close leads to an empty page; name a dull one that opens where callers are",
        ]
    );
}

#[test]
fn beats_follow_the_down_beat_unless_they_are_set() {
    let settings = parse(&format!("{TOP}{TLS}{}", gates("beat_ms = 100"))).unwrap();
    assert_eq!((settings.lines[0].timing.up_beat_ms, settings.lines[0].desk_beat_ms), (33, 33));
    let settings = parse(&format!("{TOP}{TLS}{}", gates("beat_ms = 100\nup_beat_ms = 10\ndesk_beat_ms = 20"))).unwrap();
    assert_eq!((settings.lines[0].timing.up_beat_ms, settings.lines[0].desk_beat_ms), (10, 20));
}

#[test]
fn a_relay_may_be_without_a_line_so_that_its_pin_can_be_learnt_first() {
    let settings = parse(&format!("{TOP}{TLS}")).unwrap();
    assert!(settings.lines.is_empty());
    assert!(settings.warnings.iter().any(|warning| warning.contains("no [[line]] part yet")), "{:?}", settings.warnings);
}

#[test]
fn what_is_not_for_production_is_allowed_with_a_warning_that_names_it() {
    let text = format!(
        "{TOP}keyring_on_disk = true\nepoch_s = 2\nquota_bytes = 1048576\n{TLS}{}",
        gates("up_ttl_s = 5\nbeat_ms = 100\nslow_s = 1\nslow_days = 8")
    );
    let warnings = parse(&text).unwrap().warnings.join("\n");
    for key in [
        "keyring",
        "epoch_s is ",
        "quota_bytes",
        "line[0].up_ttl_s is ",
        "line[0].beat_ms is ",
        "line[0].up_beat_ms is ",
        "line[0].desk_beat_ms is ",
        "line[0].slow_s is ",
        "line[0].slow_days is ",
    ] {
        assert!(warnings.contains(key), "{key} in {warnings}");
    }
    let is_guessed = |gate: &str| {
        let text = format!("{TOP}{TLS}{}", line(1, &format!("gates = [\"k3v9q2x7\", \"{gate}\"]")));
        parse(&text).unwrap().warnings.join("\n").contains("line[0].gates: one of fewer than 8")
    };
    assert!(is_guessed("k3v9q2x") && !is_guessed("k3v9q2x8"));
    let warns_of = |ttl: &str| parse(&format!("{TOP}{TLS}{}", gates(ttl))).unwrap().warnings.join("\n").contains("up_ttl_s");
    assert!(!warns_of("up_ttl_s = 604800") && warns_of("up_ttl_s = 604801"), "above seven days");
}

#[test]
fn what_just_fits_is_taken() {
    let at = |listen: &str, more: &str| parse(&(TOP.replace("127.0.0.1:0", listen) + more + &gates(""))).map(|_| ());
    let admin =
        |listen: &str, admin: &str| at(listen, &format!("admin_listen = \"{admin}\"\n{TLS}")).map_err(|error| error.to_string());
    // Below /etc/porchlight/ these are 107 bytes.
    at(&format!("unix:{}", "s".repeat(91)), "").unwrap();
    at("127.0.0.1:0", &format!("quota_bytes = {}\n{TLS}", 1_u64 << 50)).unwrap();
    for (listen, beside) in
        [("127.0.0.1:0", "127.0.0.1:0"), ("127.0.0.1:9100", "127.0.0.2:9100"), ("127.0.0.1:9100", "127.0.0.1:9101")]
    {
        assert_eq!(admin(listen, beside), Ok(()), "{beside} by the side of {listen}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_its_key() {
    let whole = gates("");
    let public = TOP.replace("127.0.0.1:0", "192.0.2.1:443");
    let socket = TOP.replace("127.0.0.1:0", "unix:relay.sock");
    for (name, text, says) in [
        ("not TOML", "listen = ".to_owned(), "relay.toml, line 1: "),
        ("no listen", format!("data_dir = \"d\"\n{TLS}{whole}"), "missing field `listen`"),
        ("an unknown key", format!("{TOP}color = 1\n{TLS}{whole}"), "unknown field, expected one of `"),
        ("an unknown key of tls", format!("{TOP}{TLS}acme = true\n{whole}"), "unknown field, expected one of `"),
        ("an unknown key of a line", format!("{TOP}{TLS}{whole}name = \"x\"\n"), "unknown field, expected one of `"),
        ("an unknown store", format!("{TOP}store = \"redis\"\n{TLS}{whole}"), "unknown variant, expected `sled` or `memory`"),
        ("no address", TOP.replace("127.0.0.1:0", "here") + TLS + &whole, "listen: is neither"),
        ("an empty socket", TOP.replace("127.0.0.1:0", "unix:") + TLS + &whole, "listen: give a path"),
        ("no decoy in public", public.clone() + CERT + &whole, "decoy_dir: is missing"),
        (
            "its own certificate in public",
            public + "decoy_dir = \"site\"\n" + TLS + &whole,
            "tls.self_signed: is for this machine",
        ),
        (
            "its own certificate on any socket",
            TOP.replace("127.0.0.1:0", "systemd") + TLS + &whole,
            "tls.self_signed: is for this",
        ),
        ("no certificate", format!("{TOP}{whole}"), "tls: say either"),
        ("a certificate without key", format!("{TOP}[tls]\ncert = \"c\"\n{whole}"), "tls.key: is missing"),
        ("a key without certificate", format!("{TOP}[tls]\nkey = \"c\"\n{whole}"), "tls.cert: is missing"),
        ("two certificates", format!("{TOP}[tls]\nself_signed = true\ncert = \"c\"\n{whole}"), "tls.self_signed: and"),
        ("a pin on an address", format!("{TOP}{TLS}spki = \"00\"\n{whole}"), "tls.spki: is only for"),
        ("a certificate on a socket", socket.clone() + TLS + &whole, "tls: a Unix socket"),
        ("a short pin", format!("{socket}[tls]\nspki = \"00\"\n{whole}"), "tls.spki: must be 64"),
        ("a public admin", format!("{TOP}admin_listen = \"0.0.0.0:1\"\n{TLS}{whole}"), "admin_listen: must be a loopback"),
        ("an admin that is no address", format!("{TOP}admin_listen = \"x\"\n{TLS}{whole}"), "admin_listen: is not an address"),
        (
            "an admin where it listens",
            TOP.replace("127.0.0.1:0", "127.0.0.1:9100") + "admin_listen = \"127.0.0.1:9100\"\n" + TLS + &whole,
            "admin_listen: is where listen accepts already",
        ),
        (
            "an admin where it listens among all addresses",
            TOP.replace("127.0.0.1:0", "[::]:9100") + "admin_listen = \"127.0.0.1:9100\"\ndecoy_dir = \"site\"\n" + CERT + &whole,
            "admin_listen: is where listen accepts already",
        ),
        (
            "a socket of too long a path",
            TOP.replace("127.0.0.1:0", &format!("unix:{}", "s".repeat(92))) + &whole,
            "listen: unix: with a path of more than 107 bytes",
        ),
        ("an epoch too short", format!("{TOP}epoch_s = 1\n{TLS}{whole}"), "epoch_s: must be 2"),
        ("a quota too small", format!("{TOP}quota_bytes = 1\n{TLS}{whole}"), "quota_bytes: must be at least"),
        (
            "a quota that no disk has",
            format!("{TOP}quota_bytes = 9223372036854775807\n{TLS}{whole}"),
            "quota_bytes: is above 1125899906842624 (1 PiB)",
        ),
        ("no connections", format!("{TOP}max_connections = 0\n{TLS}{whole}"), "max_connections: must be at least 1"),
        ("no connections each", format!("{TOP}max_per_address = 0\n{TLS}{whole}"), "max_per_address: must be at least 1"),
        ("a line twice", format!("{TOP}{TLS}{whole}{whole}"), "line[1].id: stands here twice"),
        (
            "a gate of two lines",
            format!("{TOP}{TLS}{whole}{}", line(2, "gates = [\"k3v9q2x7\"]")),
            "line[1].gates[0]: belongs to another line",
        ),
        ("another root", format!("{TOP}{TLS}{}", whole.replace("root = \"01", "root = \"02")), "line[0].id: does not belong"),
        ("a short root", format!("{TOP}{TLS}{}", whole.replace("root = \"01", "root = \"")), "line[0].root: must be 64"),
        ("a directory without a name", format!("{TOP}decoy_dir = \"\"\n{TLS}{whole}"), "decoy_dir: is empty: name a directory"),
        ("no gate", format!("{TOP}{TLS}{}", line(1, "gates = []")), "line[0].gates: give one to eight"),
        ("a gate that is not closed", format!("{TOP}{TLS}{}", line(1, "gates = [\"k3v9q2x7")), "relay.toml, line "),
        (
            "gates that are one text",
            format!("{TOP}{TLS}{}", line(1, "gates = \"k3v9q2x7\"")),
            "invalid type, expected a sequence",
        ),
        ("a gate for a number", format!("{TOP}{TLS}{}", gates("relay_no = \"k3v9q2x7\"")), "invalid type, expected "),
        (
            "a memory that takes all",
            format!("{TOP}store = \"memory\"\nquota_bytes = 300000000\n{TLS}{whole}"),
            "quota_bytes: store = \"memory\"",
        ),
        ("a bad gate", format!("{TOP}{TLS}{}", line(1, "gates = [\"k3v9q2x7\", \"A/b\"]")), "line[0].gates[1]: is not 4 to 32"),
        (
            "a gate twice",
            format!("{TOP}{TLS}{}", line(1, "gates = [\"k3v9q2x7\", \"k3v9q2x7\"]")),
            "line[0].gates[1]: stands there twice",
        ),
        ("a large number", format!("{TOP}{TLS}{}", gates("relay_no = 256")), "line[0].relay_no: is too large"),
        ("a negative number", format!("{TOP}{TLS}{}", gates("relay_no = -1")), "invalid value"),
        ("a short life", format!("{TOP}{TLS}{}", gates("up_ttl_s = 4")), "line[0].up_ttl_s: must be 5"),
        ("a short beat", format!("{TOP}{TLS}{}", gates("beat_ms = 99")), "line[0].beat_ms: beat_ms must be at least 100"),
        ("a beat that does not divide a day", format!("{TOP}{TLS}{}", gates("beat_ms = 7001")), "line[0].beat_ms"),
        ("a short up beat", format!("{TOP}{TLS}{}", gates("up_beat_ms = 9")), "line[0].up_beat_ms"),
        ("a short desk beat", format!("{TOP}{TLS}{}", gates("desk_beat_ms = 9")), "line[0].desk_beat_ms: must be at least 10"),
        ("no slow slot", format!("{TOP}{TLS}{}", gates("slow_s = 0")), "line[0].slow_s"),
        ("too many days", format!("{TOP}{TLS}{}", gates("slow_days = 32")), "line[0].slow_days"),
        ("no fast slots", format!("{TOP}{TLS}{}", gates("fast_slots = 0")), "line[0].fast_slots"),
        ("no cap", format!("{TOP}{TLS}{}", gates("cap_per_minute = 0")), "line[0].cap_per_minute"),
    ] {
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.contains(says), "{name}: {message}");
        assert!(!message.contains("k3v9q2x7"), "{name}: a message must not repeat a gate: {message}");
    }
}

/// A gate or a key gets into the wrong place by a slip, and a message about that into a journal.
#[test]
fn no_message_repeats_what_was_typed_in_the_wrong_place() {
    let pem = "-----BEGIN PRIVATE KEY-----\nk3v9q2x7\n-----END PRIVATE KEY-----\n";
    let whole = gates("");
    let top = |key: &str| TOP.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect::<String>();
    let long = format!("/{}k3v9q2x7", "x".repeat(4096));
    for (name, text, says) in [
        (
            "a gate for a key",
            format!("{TOP}k3v9q2x7 = true\n{TLS}{whole}"),
            "relay.toml, line 4: unknown field, expected one of `listen`",
        ),
        (
            "a quoted gate for a key",
            format!("{TOP}\"a`, expected k3v9q2x7\" = true\n{TLS}"),
            "line 4: unknown field, expected one of",
        ),
        ("a gate for a table", format!("{TOP}[k3v9q2x7]\n{TLS}{whole}"), "line 4: unknown field, expected one of `listen`"),
        ("a gate for tables", format!("{TOP}[[k3v9q2x7]]\n{TLS}{whole}"), "line 4: unknown field, expected one of `listen`"),
        ("a gate for a key of tls", format!("{TOP}{TLS}k3v9q2x7 = 1\n{whole}"), "line 6: unknown field, expected one of `cert`"),
        ("a gate for a key of a line", format!("{TOP}{TLS}{whole}k3v9q2x7 = 1\n"), "unknown field, expected one of `id`"),
        ("a gate below the lines", format!("{TOP}{TLS}[line.k3v9q2x7]\n"), "invalid type, expected a sequence"),
        ("a gate twice for a key", format!("{TOP}k3v9q2x7 = 1\nk3v9q2x7 = 2\n{TLS}"), "line 5: duplicate key"),
        ("a gate that is a key and no value", format!("{TOP}k3v9q2x7\n{TLS}"), "relay.toml, line "),
        ("a gate in quotes that do not end", format!("{TOP}\"k3v9q2x7\n{TLS}"), "relay.toml, line 4: "),
        ("a gate in a table that does not end", format!("{TOP}[k3v9q2x7\n{TLS}"), "relay.toml, line 4: "),
        (
            "a gate for a store",
            format!("{TOP}store = \"k3v9q2x7\"\n{TLS}"),
            "line 4: unknown variant, expected `sled` or `memory`",
        ),
        ("a gate in a table for a store", format!("{TOP}store = {{ k3v9q2x7 = 1 }}\n{TLS}"), "relay.toml, line 4: "),
        (
            "a gate's address for listen",
            format!("listen = \"https://host/k3v9q2x7\"\n{}{TLS}", top("listen")),
            "listen: is neither",
        ),
        (
            "a gate's address for counters",
            format!("{TOP}admin_listen = \"https://host/k3v9q2x7\"\n{TLS}"),
            "admin_listen: is not",
        ),
        (
            "a key for its path",
            format!("{TOP}[tls]\ncert = \"c\"\nkey = \"\"\"{pem}\"\"\"\n"),
            "tls.key: give a path, not the key itself",
        ),
        ("a key in one line", format!("{TOP}[tls]\ncert = \"c\"\nkey = {:?}\n", pem.replace('\n', " ")), "tls.key: give a path"),
        (
            "a key for the certificate's path",
            format!("{TOP}[tls]\nkey = \"k\"\ncert = \"\"\"{pem}\"\"\"\n"),
            "tls.cert: give a path, not the certificate itself",
        ),
        ("a key for a socket", format!("listen = {:?}\n{}", format!("unix:{pem}"), top("listen")), "listen: is no path"),
        ("a key for the data", format!("data_dir = {pem:?}\n{}{TLS}", top("data_dir")), "data_dir: is no path"),
        ("a key for the keyring", format!("keyring_dir = {pem:?}\n{}{TLS}", top("keyring_dir")), "keyring_dir: is no path"),
        ("a key for a site", format!("{TOP}decoy_dir = {pem:?}\n{TLS}"), "decoy_dir: is no path"),
        ("what no path can be", format!("{TOP}decoy_dir = {long:?}\n{TLS}"), "decoy_dir: is no path"),
    ] {
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.contains(says), "{name}: {message}");
        assert!(!message.contains("k3v9q2x7") && !message.contains("PRIVATE"), "{name}: {message}");
    }
}

#[test]
fn dev_needs_neither_a_decoy_nor_a_keyring_directory() {
    let text = format!("listen = \"0.0.0.0:0\"\ndata_dir = \"/srv/data\"\n{TLS}{}", gates(""));
    let settings = Settings::parse(&text, Path::new("relay.toml"), Path::new("."), Mode::Dev).unwrap();
    assert_eq!((settings.decoy, settings.keyring_medium), (DecoySource::BuiltIn, KeyringMedium::Anywhere));
    assert_eq!(settings.keyring_dir, Path::new("/srv/data/keyring"));
}

/// `deploy/relay.toml` is what operators start from: it must parse, and every key that exists must stand in it.
#[test]
fn the_example_documents_every_key() {
    let example = include_str!("../../../deploy/relay.toml");
    let live: String = example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let (top, _) = live.split_once("\n[[line]]\n").unwrap();
    let table: toml::Table = toml::from_str(&live).unwrap();
    assert!(
        parse(&format!("{top}\n{}", gates(""))).unwrap_err().to_string().contains("tls"),
        "the example shows every kind of certificate at once"
    );
    let keys = |table: &toml::Table| table.keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let known = |text: &str| -> std::collections::BTreeSet<String> {
        let message = parse(text).unwrap_err().to_string();
        let (_, list) = message.split_once("expected one of ").unwrap();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    assert_eq!(keys(&table), known(&format!("nonsense = 1\n{TOP}{TLS}")));
    assert_eq!(keys(table["tls"].as_table().unwrap()), known(&format!("{TOP}[tls]\nnonsense = 1\n")));
    assert_eq!(keys(table["line"][0].as_table().unwrap()), known(&format!("{TOP}{TLS}[[line]]\nnonsense = 1\n")));
}

/// What an operator types: the example, then what `line init` wrote, in one file.
#[test]
fn the_example_can_be_used_as_it_stands_and_a_line_can_be_appended() {
    let example = include_str!("../../../deploy/relay.toml");
    assert!(example.ends_with('\n'), "what is appended begins on a line of its own");
    let settings = parse(example).unwrap();
    assert_eq!((settings.lines.len(), settings.warnings.len()), (0, 1), "only that there is no line: {:?}", settings.warnings);
    let both = parse(&format!("{example}{}", gates("relay_no = 1\nleave_to = \"https://weather.example/\""))).unwrap();
    assert_eq!((both.lines.len(), both.lines[0].relay_no, both.warnings), (1, 1, vec![]));
    let three = parse(&format!("{example}{}{}", gates(""), line(2, "gates = [\"other2x7\"]"))).unwrap();
    assert_eq!(three.lines.len(), 2, "and a second one");
}
