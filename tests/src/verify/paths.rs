//! Looks through the documents and settings for paths of the machine they were written on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How a path of somebody's own machine begins.
const PRIVATE: [&str; 6] = ["/root/", "/home/", "/work/", "/Users/", "/.cargo/registry", ".rustup/toolchains"];
const READ_BY_PEOPLE: [&str; 6] = ["md", "toml", "txt", "json", "tsv", "yml"];
const NOT_OURS: [&str; 5] = ["target", ".git", "node_modules", ".venv", "__pycache__"];

/// Checks every document below `folder`.
///
/// # Errors
///
/// The places found, one a line; or the folder that could not be read.
pub(crate) fn check(folder: &Path) -> Result<(), String> {
    let documents = documents(folder).map_err(|error| format!("verify: {}: {error}", folder.display()))?;
    if documents.is_empty() {
        return Err(format!("verify: no documents below {}", folder.display()));
    }
    let found: Vec<String> = documents.iter().flat_map(|path| private_paths(path)).collect();
    if found.is_empty() { Ok(()) } else { Err(format!("verify: paths of somebody's own machine:\n{}", found.join("\n"))) }
}

fn documents(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let named =
            |names: &[&str], part: Option<&std::ffi::OsStr>| part.is_some_and(|part| names.iter().any(|name| part == *name));
        if entry.file_type()?.is_dir() {
            if !named(&NOT_OURS, path.file_name()) {
                found.append(&mut documents(&path)?);
            }
        } else if named(&READ_BY_PEOPLE, path.extension()) {
            found.push(path);
        }
    }
    Ok(found)
}

fn private_paths(document: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&fs::read(document).unwrap_or_default()).into_owned();
    text.lines()
        .enumerate()
        .filter(|(_, line)| PRIVATE.iter().any(|private| line.contains(private)))
        .map(|(index, line)| format!("{}:{}: {}", document.display(), index + 1, line.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_somebodys_machine_is_found_where_people_read_and_only_there() -> io::Result<()> {
        let folder = std::env::temp_dir().join(format!("porchlight-paths-{}", std::process::id()));
        fs::create_dir_all(folder.join("target"))?;
        fs::write(folder.join("a.md"), "one\nsee /home/ann/notes\n")?;
        fs::write(folder.join("b.rs"), "/home/ann")?;
        fs::write(folder.join("target/c.md"), "/home/ann")?;
        let outcome = check(&folder);
        fs::remove_dir_all(&folder)?;
        let said = outcome.err().unwrap_or_default();
        assert!(said.contains("a.md:2: see /home/ann/notes") && !said.contains("b.rs") && !said.contains("c.md"), "{said}");
        Ok(())
    }
}
