//! What the checks and the demo stand on besides Rust, and how it comes to be there.
//!
//! As root everything missing is installed. Otherwise nothing is touched: the one line to run is printed. Nothing is skipped.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::clock::Start;
use crate::leash::Leash;
use crate::program::{Program, workspace};
use crate::say;

/// Said after a download failed.
pub(crate) const NETWORK_HINT: &str = "
It downloads packages: if the lines above speak of a connection, a name or a time-out, check this machine's network and proxy settings first.";

/// Where the second implementation's Python packages live.
const SECOND_VENV: &str = "target/second-venv";
const SECOND_REQUIREMENTS: &str = "tests/second/requirements.txt";

/// What the browser tests stand on, from npm: what is committed, and what npm has laid in place by it.
const BROWSER_LOCK: &str = "tests/browser/package-lock.json";
const BROWSER_LOCK_INSTALLED: &str = "target/browsers/package-lock.json";

/// One thing a machine must have.
pub(crate) struct Need {
    name: &'static str,
    test: Test,
    /// The line for `sh` that brings it.
    install: String,
    /// Whether that line wants root's rights.
    by_root: bool,
}

/// How it is known to be there.
enum Test {
    /// This ends well.
    Succeeds(Program),
    /// These two files are equal.
    SameFile(&'static str, String),
}

/// What building anything here needs.
fn compiler() -> Need {
    Need {
        name: "a C compiler (for rustls's aws-lc)",
        test: Test::Succeeds(Program::typed("cc --version")),
        install: "apt-get update -q && apt-get install -y -q build-essential".into(),
        by_root: true,
    }
}

/// What the callers' page needs.
fn wasm_library() -> Need {
    Need {
        name: "Rust's library for wasm32v1-none",
        test: Test::Succeeds(Program::shell(r#"test -d "$(rustc --print target-libdir --target wasm32v1-none)""#)),
        install: "rustup target add wasm32v1-none".into(),
        by_root: false,
    }
}

/// What `cargo demo` needs.
pub(crate) fn of_demo() -> Vec<Need> {
    vec![compiler(), wasm_library()]
}

/// What `cargo verify` needs.
pub(crate) fn of_verify() -> Vec<Need> {
    vec![
        compiler(),
        Need {
            name: "rustfmt and clippy",
            test: Test::Succeeds(Program::shell("cargo fmt --version && cargo clippy --version")),
            install: "rustup component add rustfmt clippy".into(),
            by_root: false,
        },
        wasm_library(),
        Need {
            name: "cargo-deny",
            test: Test::Succeeds(Program::typed("cargo deny --version")),
            install: "cargo install -q --locked cargo-deny@0.20.2".into(),
            by_root: false,
        },
        Need {
            name: "Python with venv",
            test: Test::Succeeds(Program::typed("python3 -c").word("import venv, ensurepip")),
            install: "apt-get update -q && apt-get install -y -q python3-venv".into(),
            by_root: true,
        },
        Need {
            name: "the second implementation's Python packages",
            test: Test::SameFile(SECOND_REQUIREMENTS, format!("{SECOND_VENV}/requirements.txt")),
            install: format!(
                "rm -rf {SECOND_VENV} && python3 -m venv {SECOND_VENV} \
                 && {SECOND_VENV}/bin/python -m pip install -q --disable-pip-version-check -r {SECOND_REQUIREMENTS} \
                 && cp {SECOND_REQUIREMENTS} {SECOND_VENV}/requirements.txt"
            ),
            by_root: false,
        },
    ]
    .into_iter()
    .chain(of_relays())
    .chain(of_browsers())
    .collect()
}

/// What the tests of a relay under attack need.
fn of_relays() -> [Need; 3] {
    let debian = |packages: &str| format!("apt-get update -q && apt-get install -y -q --no-install-recommends {packages}");
    [
        Need {
            name: "strace, systemd-analyze, util-linux and openssl, to look at a relay from outside",
            test: Test::Succeeds(Program::shell(
                "strace -V && systemd-analyze --version && setpriv --version && unshare --version && openssl version",
            )),
            install: debian("strace systemd util-linux openssl"),
            by_root: true,
        },
        Need {
            name: "ip, for networks that fail",
            test: Test::Succeeds(Program::shell("PATH=$PATH:/usr/sbin:/sbin; ip -Version")),
            install: debian("iproute2"),
            by_root: true,
        },
        Need {
            name: "nginx, to put a relay behind",
            test: Test::Succeeds(Program::shell("PATH=$PATH:/usr/sbin; nginx -v")),
            install: debian("nginx-light"),
            by_root: true,
        },
    ]
}

/// What the tests in real browsers need.
fn of_browsers() -> [Need; 4] {
    let debian = |packages: &str| format!("apt-get update -q && apt-get install -y -q --no-install-recommends {packages}");
    [
        Need {
            name: "Node with npm",
            test: Test::Succeeds(Program::shell("node --version && npm --version")),
            install: debian("nodejs npm"),
            by_root: true,
        },
        Need {
            name: "today's Chromium and Firefox",
            test: Test::Succeeds(Program::shell("test -x /usr/bin/chromium && test -x /usr/bin/firefox-esr")),
            install: debian("chromium firefox-esr"),
            by_root: true,
        },
        Need {
            name: "fonts with Hangul, Hanzi and emoji",
            test: Test::Succeeds(Program::shell(
                "fc-list :lang=ko file | grep -q . && fc-list :lang=zh-cn file | grep -q . && fc-list :lang=und-zsye file | grep -q .",
            )),
            install: debian("fontconfig fonts-noto-cjk fonts-noto-color-emoji"),
            by_root: true,
        },
        Need {
            name: "the browser tests' packages, and Chromium 67, 78 and 92 out of them",
            test: Test::Succeeds(Program::shell(&format!(
                "cmp -s {BROWSER_LOCK} {BROWSER_LOCK_INSTALLED} && test -d tests/browser/node_modules"
            ))),
            install: format!(
                "rm -rf target/browsers && npm ci --silent --prefix tests/browser && node tests/browser/harness/unpack.js \
                 && cp {BROWSER_LOCK} {BROWSER_LOCK_INSTALLED}"
            ),
            by_root: false,
        },
    ]
}

/// Makes sure that every one of `needs` is met.
///
/// # Errors
///
/// The text to show: as root, what could not be installed; otherwise, the one line that installs all that is missing.
pub(crate) fn provide(needs: &[Need], leash: &Leash) -> Result<(), String> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met(leash)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        return Err(one_line(&missing));
    }
    missing.iter().try_for_each(|need| need.bring(leash))
}

impl Need {
    fn is_met(&self, leash: &Leash) -> bool {
        match &self.test {
            Test::Succeeds(program) => program.succeeds(leash),
            Test::SameFile(wanted, held) => {
                let read = |path: &str| fs::read(workspace().join(Path::new(path))).ok();
                read(wanted).is_some() && read(wanted) == read(held)
            }
        }
    }

    fn bring(&self, leash: &Leash) -> Result<(), String> {
        let start = Start::now();
        say::line(&format!("   installing {}: {}", self.name, self.install));
        let program = Program::shell(&self.install).set("DEBIAN_FRONTEND", "noninteractive");
        let ended = program.run(leash).map_err(|error| format!("verify: cannot start sh: {error}"))?;
        if !ended.success() {
            return Err(format!("verify: {} could not be installed ({ended}): {}{NETWORK_HINT}", self.name, self.install));
        }
        if !self.is_met(leash) {
            return Err(format!("verify: {} is still missing after: {}", self.name, self.install));
        }
        say::line(&format!("   installed {} ({})", self.name, start.since()));
        Ok(())
    }
}

/// The line a person without root's rights types, or has typed for them.
fn one_line(missing: &[&Need]) -> String {
    let names: Vec<&str> = missing.iter().map(|need| need.name).collect();
    let lines: Vec<String> = missing
        .iter()
        .map(|need| if need.by_root { format!("sudo sh -c '{}'", need.install) } else { need.install.clone() })
        .collect();
    format!(
        "This machine lacks: {}. Nothing was changed. Run this line, then the command again:\n    {}",
        names.join("; "),
        lines.join(" && ")
    )
}

/// Whether the runner has root's rights: its own entry in `/proc` belongs to whoever it runs as.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(name: &'static str, install: &str, by_root: bool) -> Need {
        Need { name, test: Test::Succeeds(Program::typed("false")), install: install.into(), by_root }
    }

    #[test]
    fn without_root_the_one_line_names_everything_missing() {
        let (tool, target) = (need("a tool", "apt-get install -y tool", true), need("a target", "rustup target add t", false));
        let said = one_line(&[&tool, &target]);
        assert!(said.contains("lacks: a tool; a target."), "{said}");
        assert!(said.ends_with("sudo sh -c 'apt-get install -y tool' && rustup target add t"), "{said}");
    }

    #[test]
    fn an_install_that_changes_nothing_is_not_believed() -> std::io::Result<()> {
        let leash = Leash::take(&[])?;
        let outcome = need("a tool", "true", false).bring(&leash);
        leash.release();
        assert!(outcome.is_err_and(|why| why.contains("still missing")));
        Ok(())
    }
}
