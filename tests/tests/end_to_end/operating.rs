//! `docs/OPERATING.md` and `docs/RUNBOOKS.md`, command by command: each must end well and print what the page says it prints.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::site::{Machine, PACE, PATIENCE, free_address, program};

/// What a page's words in capitals stand for, as a regular expression.
const NAMES: [(&str, &str); 18] = [
    ("PROPOSAL", "[0-9a-f]{8}-[0-9]+"),
    ("ROOT", "[a-z]+(?: [a-z]+){15}"),
    ("ASKING", "[a-z]+(?: [a-z]+){7}"),
    ("GRANTED", "[a-z]+(?: [a-z]+){7}"),
    ("WRITER", "[0-9a-f]{8}"),
    ("AGAIN", "[a-z]+(?: [a-z]+){7}"),
    ("LONGER", "[a-z]+(?: [a-z]+){7}"),
    ("PIN", "[A-Za-z0-9+/=]+"),
    ("CALLER", "[0-9a-f]{8}"),
    ("DEVICE", "[0-9a-f]{16}"),
    ("WORDS", "[a-z]+(?: [a-z]+){7}"),
    ("ANSWERED", "[a-z]+(?: [a-z]+){7}"),
    ("PORT", "[0-9]+"),
    ("OTHER", "[0-9]+"),
    ("CARRIED", "[a-z]+(?: [a-z]+){7}"),
    ("LATER", "[a-z]+(?: [a-z]+){7}"),
    ("SIGN", "[0-9]+"),
    ("SUSPECT", "[0-9a-f]{16}"),
];

/// A command of the page, and the lines that follow it.
struct Step {
    command: String,
    expected: Vec<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let blocks = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), expected: Vec::new() });
        } else if let Some(more) = line.strip_prefix("> ") {
            let command = &mut steps.last_mut().unwrap().command;
            *command = format!("{command}\n{more}");
        } else {
            steps.last_mut().unwrap().expected.push(line.to_owned());
        }
    }
    steps
}

/// Where the commands run, what runs beside them, and what the page's names have come to stand for.
struct Rehearsal {
    machine: Machine,
    running: Vec<Child>,
    known: BTreeMap<&'static str, String>,
}

impl Rehearsal {
    fn filled(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// What is typed, with the passphrase given by a file and a quicker pace.
    fn typed(&self, command: &str) -> String {
        let command = self.filled(command);
        let asks = ["porchlight line ", "porchlight desk ", "porchlight safeguard "]
            .iter()
            .any(|verb| command.split(" | ").any(|part| part.starts_with(verb) || part.contains(&format!("exec {verb}"))));
        let command = if asks { command.replacen(" --dir ", " --passphrase-file pass --dir ", 1) } else { command };
        let command = if command.contains("line lead add") { format!("{command} --root-words-file root") } else { command };
        if command.contains("line init") { format!("{command} {} --slow-s 1", PACE.join(" ")) } else { command }
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        let programs = program("porchlight").parent().unwrap().display().to_string();
        shell.args(["-c", &format!("exec 2>&1\n{command}")]).current_dir(self.machine.home.path()).env_clear();
        shell.env("HOME", self.machine.home.path()).env("PATH", format!("{programs}:/usr/bin:/bin")).stdin(Stdio::null());
        shell
    }

    /// Holds what was printed against the page, and learns what the names stand for.
    fn shows(&mut self, expected: &[String], printed: &str) -> Result<(), String> {
        let mut pattern = String::from("^");
        let mut learnt = Vec::new();
        for line in expected {
            if line == "…" {
                pattern += "(?:.*\n)*?";
                continue;
            }
            let mut line = regex::escape(&self.filled(line)).replace('…', ".*");
            for (name, meaning) in NAMES {
                if line.contains(name) && !self.known.contains_key(name) {
                    line = line.replacen(name, &format!("(?<{name}>{meaning})"), 1);
                    learnt.push(name);
                }
            }
            pattern += &format!("{line}\n");
        }
        let found = regex::Regex::new(&format!("{pattern}$")).unwrap();
        let found = found
            .captures(printed)
            .ok_or_else(|| format!("the page says\n{}\nand this was printed\n{printed}", expected.join("\n")))?;
        for name in learnt {
            if name == "ROOT" {
                self.machine.write("root", &found[name]);
            }
            self.known.insert(name, found[name].to_owned());
        }
        Ok(())
    }

    /// Runs one step to its end.
    fn run(&mut self, step: &Step) {
        if let Some(command) = step.command.strip_suffix(" &") {
            return self.start(command, &step.expected);
        }
        // What only looks may look again: a colleague's deed takes some beats.
        let looks = ["desk list", "desk show", "desk rota", "desk proposals", "line show", "safeguard list"]
            .iter()
            .any(|verb| step.command.contains(verb));
        let until = Instant::now() + PATIENCE;
        loop {
            let (good, printed) = self.output(&step.command);
            let shown = if good { self.shows(&step.expected, &printed) } else { Err(printed) };
            match shown {
                Ok(()) => return,
                Err(other) => assert!(looks && Instant::now() < until, "{}\n{other}", step.command),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn output(&self, command: &str) -> (bool, String) {
        let ran = self.shell(&self.typed(command)).output().unwrap();
        let mut printed = String::from_utf8(ran.stdout).unwrap();
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push('\n');
        }
        (ran.status.success(), printed)
    }

    /// Starts what goes on running, and waits until it has printed what the page says.
    fn start(&mut self, command: &str, expected: &[String]) {
        let file = self.machine.path(&format!("printed-{}", self.running.len()));
        let typed = format!("exec {}", self.typed(command));
        self.running.push(self.shell(&typed).stdout(fs::File::create(&file).unwrap()).spawn().unwrap());
        let begins: Vec<String> = [&["…".to_owned()], expected, &["…".to_owned()]].concat();
        let until = Instant::now() + PATIENCE;
        loop {
            let printed = fs::read_to_string(&file).unwrap();
            match self.shows(&begins, &printed) {
                Ok(()) => return,
                Err(other) => assert!(Instant::now() < until, "{command}\n{other}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Runs every command of a page, in order, on one machine.
fn rehearse(page: &str, least: usize) {
    let page = fs::read_to_string(format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > least, "the page's commands were not found");
    let machine = Machine::new();
    machine.write("pass", "open sesame\n");
    let keys = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let port = free_address().port();
    let known = [("PORT", port.to_string()), ("KEYS", keys.path().display().to_string())].into();
    let mut rehearsal = Rehearsal { machine, running: Vec::new(), known };
    for step in &steps {
        rehearsal.run(step);
    }
}

#[test]
fn operating_is_as_its_page_says() {
    rehearse("OPERATING.md", 50);
}

#[test]
fn the_runbooks_are_as_their_page_says() {
    rehearse("RUNBOOKS.md", 50);
}
