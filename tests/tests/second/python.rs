//! The other implementation as a process that answers one line of JSON for each line it is asked.
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running `python -m second`.
pub(crate) struct Python {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace")
}

fn interpreter() -> PathBuf {
    let python = workspace().join("target/second-venv/bin/python");
    assert!(
        python.exists(),
        "the second implementation is not installed; run: \
         python3 -m venv target/second-venv && target/second-venv/bin/pip install -r tests/second/requirements.txt"
    );
    python
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(interpreter());
    command.args(arguments).current_dir(workspace().join("tests/second")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Its own checks: published vectors, our vectors, its own round trips.
pub(crate) fn run_its_checks() {
    let ended = command(&["-m", "unittest", "discover", "-s", "checks", "-t", "."]).output().expect("Python starts");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(!said.contains("Ran 0 tests"), "{said}");
}

impl Python {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let mut child = command(&["-m", "second"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let (asks, answers) = (child.stdin.take(), child.stdout.take().expect("its output is piped"));
        Self { child, asks, answers: BufReader::new(answers) }
    }
    /// Asks for `verb`; gives the value, or the kind of its refusal.
    pub(crate) fn ask(&mut self, verb: &str, mut request: Value) -> Result<Value, String> {
        request["do"] = verb.into();
        let asks = self.asks.as_mut().expect("its input is open");
        writeln!(asks, "{request}").expect("Python reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("Python writes");
        assert!(!line.is_empty(), "Python ended at {verb}; what it said is above");
        let mut answer: Value = serde_json::from_str(&line).expect("Python answers in JSON");
        match answer.get_mut("ok") {
            Some(value) => Ok(value.take()),
            None => Err(answer["refused"].as_str().expect("an answer is ok or refused").into()),
        }
    }
    /// Asks for what must not be refused.
    pub(crate) fn get(&mut self, verb: &str, request: Value) -> Value {
        self.ask(verb, request).unwrap_or_else(|kind| panic!("Python refuses {verb} as {kind}"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.asks = None;
        self.child.wait().expect("Python ends with its input");
    }
}

/// Bytes as JSON carries them.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> Value {
    json!(HEXLOWER.encode(bytes.as_ref()))
}

/// Bytes out of JSON.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap_or_else(|| panic!("{value} is no hex")).as_bytes()).expect("hex")
}

/// Bytes of a known length out of JSON.
pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("bytes of the right length")
}

/// A list out of JSON.
pub(crate) fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}
