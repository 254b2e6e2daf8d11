//! What a configuration names, looked at before anything is made or opened: whether the relay, once it is confined to its own directories,
//! will find everything where it looks for it.
//!
//! `check-config` and `run` both ask. What hangs on who runs it (swap, the limit of open files, whose a file is) `run` alone can say.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::config::{Settings, StoreKind, Tls};
use crate::files;
use crate::seal::{KEYRING_FILE, KeyringError, KeyringMedium, lies_in_ram};

/// What the relay looks for in data_dir, beside what each line says in public.
const DIRS: [&str; 3] = ["cells", "public", "tls"];
const FILES: [&str; 4] = ["lock", "ballast", "tls/cert.pem", "tls/key.pem"];

/// Why the relay could not use what the configuration names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The keyring would lie on a disk.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Something of the relay's own lies elsewhere, where the confined relay reaches nothing: its path below data_dir.
    #[error("data_dir: {0} is a link that leads out of data_dir, or to nothing: name as data_dir where everything lies")]
    LeadsOut(PathBuf),
    /// Something else lies where a directory or a file of the relay's own has its place: its path below data_dir, and which of the two.
    #[error("data_dir: {0} is no {1}: move it away, and the relay makes its own")]
    Kind(PathBuf, &'static str),
    /// A pipe or the like where a file is to be read: the key that names it. Not its path: somebody may have given the key itself.
    #[error("{0}: is no file: name one that holds PEM")]
    NoFile(&'static str),
    /// Whoever owns keyring_dir could put a keyring of their own there.
    #[error(
        "keyring_dir {0} belongs to another account, which could put keys of its own there: chown it to the account that the relay runs under"
    )]
    Owner(PathBuf),
    /// Strangers would read it: the key that names it.
    #[error("decoy_dir: {0} lies in it, and strangers read whatever lies there: give the site a directory of its own")]
    Served(&'static str),
    /// data_dir cannot be looked at.
    #[error("data_dir: cannot look into it: {0}")]
    Data(#[source] io::Error),
}

/// Looks at the directories that the settings and their file, `config`, name, as far as they are there. Makes nothing and opens nothing for
/// writing.
///
/// # Errors
///
/// [`Unfit`], the first that is found.
pub fn look(settings: &Settings, config: &Path) -> Result<(), Unfit> {
    let (data, keyring) = (&settings.data_dir, &settings.keyring_dir);
    if settings.store == StoreKind::Sled && settings.keyring_medium == KeyringMedium::RamOnly {
        let in_ram = lies_in_ram(files::nearest(keyring), files::nearest(data));
        if !in_ram.map_err(|error| KeyringError::Io(keyring.clone(), error))? {
            return Err(KeyringError::OnDisk(keyring.clone()).into());
        }
    }
    let key = match &settings.tls {
        Tls::Files { key, .. } => key.as_path(),
        Tls::SelfSigned | Tls::Front(_) => data,
    };
    if let Some(site) = settings.decoy_dir().and_then(|dir| dir.canonicalize().ok()) {
        let secrets = [("the configuration", config), ("data_dir", data), ("keyring_dir", keyring), ("tls.key", key)];
        let is_served = |path: &Path| files::nearest(path).canonicalize().is_ok_and(|path| path.starts_with(&site));
        if let Some((name, _)) = secrets.into_iter().find(|(_, path)| is_served(path)) {
            return Err(Unfit::Served(name));
        }
    }
    if let Tls::Files { cert, key } = &settings.tls
        && let Some((name, _)) = [("tls.cert", cert), ("tls.key", key)].into_iter().find(|(_, path)| files::is_no_file(path))
    {
        return Err(Unfit::NoFile(name));
    }
    let keys = keyring.join(KEYRING_FILE);
    if files::is_no_file(&keys) {
        return Err(KeyringError::Io(keys, io::Error::other("is no file")).into());
    }
    // A link into the keyring's directory is one that the confined relay can follow.
    let homes = [data.as_path(), keyring.as_path()];
    for name in DIRS.map(Path::new) {
        stays(data, name, &homes)?;
        if fs::metadata(data.join(name)).is_ok_and(|found| !found.is_dir()) {
            return Err(Unfit::Kind(name.to_path_buf(), "directory"));
        }
    }
    let said = settings.lines.iter().map(|line| Path::new("public").join(HEXLOWER.encode(line.id.as_bytes())));
    for name in FILES.map(PathBuf::from).into_iter().chain(said) {
        stays(data, &name, &homes)?;
        if files::is_no_file(&data.join(&name)) {
            return Err(Unfit::Kind(name, "file"));
        }
    }
    Ok(())
}

/// Whether keyring_dir, if it is there yet, is this account's own, or root's. Not for `check-config`, which root runs as well.
///
/// # Errors
///
/// [`Unfit::Owner`].
pub fn owns_keyring(settings: &Settings) -> Result<(), Unfit> {
    let (dir, own) = (&settings.keyring_dir, rustix::process::geteuid().as_raw());
    let is_strangers = |found: fs::Metadata| ![0, own].contains(&found.uid());
    if settings.store == StoreKind::Sled && fs::metadata(dir).is_ok_and(is_strangers) {
        return Err(Unfit::Owner(dir.clone()));
    }
    Ok(())
}

/// Whether it and what lies in it are where they seem to be.
fn stays(data: &Path, name: &Path, homes: &[&Path]) -> Result<(), Unfit> {
    let path = data.join(name);
    match files::leads_out(&path, homes) {
        Ok(false) => {}
        Ok(true) => return Err(Unfit::LeadsOut(name.to_path_buf())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Unfit::Data(error)),
    }
    if !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(Unfit::Data)?.flatten() {
        let inner = name.join(entry.file_name());
        // What cannot be looked at is damaged, or just being forgotten: the store puts a shelf aside and serves the others.
        if files::leads_out(&data.join(&inner), homes).unwrap_or(false) {
            return Err(Unfit::LeadsOut(inner));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;
    use std::os::unix::fs::symlink;

    fn settings(dir: &Path, more: &str, mode: Mode) -> Settings {
        let text =
            format!("listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\nkeyring_dir = \"keys\"\n{more}[tls]\nself_signed = true\n");
        Settings::parse(&text, Path::new("relay.toml"), dir, mode).unwrap()
    }

    #[test]
    fn a_keyring_where_the_data_lies_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let look = |more: &str, mode| look(&settings(dir.path(), more, mode), &dir.path().join("relay.toml"));
        assert!(matches!(look("", Mode::Serve), Err(Unfit::Keyring(KeyringError::OnDisk(_)))));
        look("keyring_on_disk = true\n", Mode::Serve).unwrap();
        look("store = \"memory\"\n", Mode::Serve).unwrap();
        look("", Mode::Dev).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
    }

    #[test]
    fn a_link_may_lead_about_the_data_and_not_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), "", Mode::Dev);
        for made in ["data/cells", "data/inner", "data/tls", "keys", "outside"] {
            fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        symlink("inner", dir.path().join("data/public")).unwrap();
        symlink("../outside", dir.path().join("data/not-ours")).unwrap();
        fs::write(dir.path().join("keys/lock"), "").unwrap();
        symlink("../keys/lock", dir.path().join("data/lock")).unwrap();
        let config = dir.path().join("relay.toml");
        look(&settings, &config).unwrap();
        for (link, target) in
            [("tls/key.pem", "../../outside"), ("cells/0011", "../../nowhere"), ("ballast", "../outside"), ("inner/a", "/")]
        {
            let link = dir.path().join("data").join(link);
            symlink(target, &link).unwrap();
            let said = look(&settings, &config).unwrap_err().to_string();
            assert!(said.contains("is a link that leads out of data_dir"), "{said}");
            fs::remove_file(link).unwrap();
        }
        look(&settings, &config).unwrap();
    }

    /// A path below data_dir, what is made there, and what is said.
    type Kind<'a> = (&'a str, fn(&Path), &'a str);

    fn pipe(path: &Path) {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
    }

    #[test]
    fn what_lies_in_the_place_of_something_else_is_named_and_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("relay.toml");
        let root = porchlight_proto::sign::PublicKey::from_bytes([7; 32]);
        let id = HEXLOWER.encode(porchlight_proto::line::LineId::from_root(&root).as_bytes());
        let line = format!("[[line]]\nid = \"{id}\"\nroot = \"{}\"\ngates = [\"k3v9q2\"]\n", HEXLOWER.encode(&[7; 32]));
        let with_line =
            format!("listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\nkeyring_dir = \"keys\"\n[tls]\nself_signed = true\n{line}");
        let settings = Settings::parse(&with_line, Path::new("relay.toml"), dir.path(), Mode::Dev).unwrap();
        let public = format!("public/{id}");
        let file: fn(&Path) = |path| fs::write(path, "").unwrap();
        let directory: fn(&Path) = |path| fs::create_dir(path).unwrap();
        let kinds: [Kind<'_>; 9] = [
            ("cells", file, "data_dir: cells is no directory"),
            ("public", file, "data_dir: public is no directory"),
            ("tls", pipe, "data_dir: tls is no directory"),
            ("lock", pipe, "data_dir: lock is no file"),
            ("lock", directory, "data_dir: lock is no file"),
            ("ballast", pipe, "data_dir: ballast is no file"),
            ("ballast", directory, "data_dir: ballast is no file"),
            ("tls/key.pem", pipe, "data_dir: tls/key.pem is no file"),
            (&public, pipe, "is no file"),
        ];
        for (name, make, says) in kinds {
            let path = dir.path().join("data").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            make(&path);
            let said = look(&settings, &config).unwrap_err().to_string();
            assert!(said.contains(says) && said.contains(name), "{name}: {said}");
            fs::remove_dir_all(dir.path().join("data")).unwrap();
        }
        fs::create_dir(dir.path().join("keys")).unwrap();
        pipe(&dir.path().join("keys/keyring"));
        let said = look(&settings, &config).unwrap_err().to_string();
        assert!(said.contains("keys/keyring: is no file"), "{said}");
        fs::remove_dir_all(dir.path().join("keys")).unwrap();
        look(&settings, &config).unwrap();
    }

    #[test]
    fn a_certificate_that_is_a_pipe_is_refused_by_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let text =
            "listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\nkeyring_dir = \"keys\"\n[tls]\ncert = \"a.pem\"\nkey = \"b.pem\"\n";
        let settings = Settings::parse(text, Path::new("relay.toml"), dir.path(), Mode::Dev).unwrap();
        for (name, says) in [("a.pem", "tls.cert: is no file"), ("b.pem", "tls.key: is no file")] {
            pipe(&dir.path().join(name));
            let said = look(&settings, &dir.path().join("relay.toml")).unwrap_err().to_string();
            assert!(said.starts_with(says) && !said.contains(name), "{said}");
            fs::remove_file(dir.path().join(name)).unwrap();
        }
    }

    /// Needs root, to give a directory away.
    #[test]
    fn a_keyring_directory_is_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let own = |more: &str| owns_keyring(&settings(dir.path(), more, Mode::Dev));
        own("").unwrap();
        fs::create_dir(dir.path().join("keys")).unwrap();
        own("").unwrap();
        std::os::unix::fs::chown(dir.path().join("keys"), Some(64_124), None).unwrap();
        assert!(matches!(own(""), Err(Unfit::Owner(_))));
        own("store = \"memory\"\n").unwrap();
    }

    #[test]
    fn nothing_of_the_relays_own_may_lie_where_strangers_read() {
        let dir = tempfile::tempdir().unwrap();
        for made in ["site/data", "site/keys", "site/inner", "apart", "apart/data", "apart/keys"] {
            fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        symlink("site", dir.path().join("link")).unwrap();
        let look = |data: &str, keys: &str, decoy: &str, config: &str, key: &str| {
            let text = format!(
                "listen = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\nkeyring_dir = \"{keys}\"\ndecoy_dir = \"{decoy}\"\n[tls]\ncert = \"{key}\"\nkey = \"{key}\"\n"
            );
            let settings = Settings::parse(&text, Path::new("relay.toml"), dir.path(), Mode::Dev).unwrap();
            look(&settings, &dir.path().join(config)).map_err(|error| error.to_string())
        };
        let (data, keys, config, key) = ("apart/data", "apart/keys", "apart/relay.toml", "apart/key.pem");
        look(data, keys, "site", config, key).unwrap();
        for site in ["site", "link", "site/inner/.."] {
            assert!(look("site/data", keys, site, config, key).unwrap_err().contains("data_dir lies in it"), "{site}");
            assert!(look(data, "site/keys", site, config, key).unwrap_err().contains("keyring_dir lies in it"), "{site}");
            assert!(
                look(data, "site/inner/new/keys", site, config, key).unwrap_err().contains("keyring_dir lies in it"),
                "{site}"
            );
            assert!(
                look(data, keys, site, "site/relay.toml", key).unwrap_err().contains("the configuration lies in it"),
                "{site}"
            );
            assert!(look(data, keys, site, config, "site/key.pem").unwrap_err().contains("tls.key lies in it"), "{site}");
        }
    }
}
