//! The site that strangers see: the files of a directory, read once at the start and served from memory.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use axum::body::Bytes;
use axum::http::Method;
use axum::response::Response;
use data_encoding::HEXLOWER_PERMISSIVE;

use super::reply;
use crate::config::DecoySource;
use crate::files;

/// Bytes that a decoy may have in all.
const SIZE_MAX: u64 = 16 << 20;

const BUILT_IN: &[u8] = b"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Welcome</title>\n<h1>It works.</h1>\n<p>There is no content here yet.</p>\n</html>\n";
const NOT_FOUND: &[u8] =
    b"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>404 Not Found</title>\n<h1>Not Found</h1>\n</html>\n";
const NOT_ALLOWED: &[u8] =
    b"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>405 Not Allowed</title>\n<h1>Not Allowed</h1>\n</html>\n";

/// Why a directory cannot be the decoy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecoyError {
    /// Something in it, or all of it, cannot be read: what, as the site has it.
    #[error("decoy_dir: cannot read {0}: {1}")]
    Unreadable(String, #[source] io::Error),
    /// Something in it lies elsewhere, where the confined relay reads nothing: its path as the site has it.
    #[error("decoy_dir: {0} is a link that leads out of decoy_dir, or to nothing: put there what it leads to")]
    LeadsOut(String),
    /// It has no front page.
    #[error("decoy_dir: there is no index.html: put an ordinary web page there")]
    NoIndex,
    /// It has no page for what is not there, and the relay's own would give the relay away.
    #[error("decoy_dir: there is no 404.html: put the site's own \"not found\" page there")]
    NoMissing,
    /// It is too large to keep in memory.
    #[error("decoy_dir: it holds more than 16 MiB: choose a smaller site")]
    TooLarge,
}

/// The decoy site.
pub struct Decoy {
    files: HashMap<String, File>,
    missing: Bytes,
    not_allowed: Bytes,
}

struct File {
    kind: &'static str,
    bytes: Bytes,
}

impl Decoy {
    /// Reads the site.
    ///
    /// # Errors
    ///
    /// [`DecoyError`].
    pub fn load(source: &DecoySource) -> Result<Self, DecoyError> {
        match source {
            DecoySource::BuiltIn => Ok(Self::built_in()),
            DecoySource::Dir(dir) => Self::of_dir(dir),
        }
    }

    fn built_in() -> Self {
        let page = || File { kind: kind_of("index.html"), bytes: Bytes::from_static(BUILT_IN) };
        let files = ["/", "/index.html"].map(|path| (path.to_owned(), page()));
        Self { files: files.into(), missing: Bytes::from_static(NOT_FOUND), not_allowed: Bytes::from_static(NOT_ALLOWED) }
    }

    fn of_dir(dir: &Path) -> Result<Self, DecoyError> {
        let mut gathering = Gathering { root: dir, files: HashMap::new(), room: SIZE_MAX };
        gathering.below(dir, "")?;
        let files = gathering.files;
        if !files.contains_key("/") {
            return Err(DecoyError::NoIndex);
        }
        let page = |path: &str| files.get(path).map(|file: &File| file.bytes.clone());
        // Nothing built in: every relay has the same bytes, and one request would find them all.
        let missing = page("/404.html").ok_or(DecoyError::NoMissing)?;
        let not_allowed = page("/405.html").unwrap_or_else(|| missing.clone());
        Ok(Self { files, missing, not_allowed })
    }

    /// What the site gives for a method and path.
    #[must_use]
    pub fn answer(&self, method: &Method, path: &str) -> Response {
        match plain(path).and_then(|path| self.files.get(&path)) {
            None => reply::missing(&self.missing),
            Some(file) if matches!(*method, Method::GET | Method::HEAD) => reply::file(file.kind, &file.bytes),
            Some(_) => reply::not_allowed(&self.not_allowed),
        }
    }
}

/// A path without its escapes; nothing if they are none, or stand for what no name of a file holds.
///
/// `..` and hidden names need no word here: a path is looked up among the site's own, and none of those has them.
fn plain(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_first_chunk::<2>()?;
        let escaped = *HEXLOWER_PERMISSIVE.decode(digits).ok()?.first()?;
        if matches!(escaped, b'/' | 0) {
            return None;
        }
        bytes.push(escaped);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).ok()
}

/// The reading of a site.
struct Gathering<'a> {
    root: &'a Path,
    files: HashMap<String, File>,
    room: u64,
}

impl Gathering<'_> {
    fn below(&mut self, dir: &Path, prefix: &str) -> Result<(), DecoyError> {
        let what = || if prefix.is_empty() { "the directory".into() } else { format!("{prefix}/ in it") };
        let unreadable = |error| DecoyError::Unreadable(what(), error);
        for entry in std::fs::read_dir(dir).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            // Hidden files are not the site's, and a path that is not UTF-8 cannot be asked for.
            if let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) {
                self.entry(&entry.path(), prefix, name)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, place: &Path, prefix: &str, name: &str) -> Result<(), DecoyError> {
        let path = format!("{prefix}/{name}");
        let unreadable = |error| DecoyError::Unreadable(format!("{path} in it"), error);
        if files::leads_out(place, &[self.root]).map_err(unreadable)? {
            return Err(DecoyError::LeadsOut(path));
        }
        let data = std::fs::metadata(place).map_err(unreadable)?;
        if data.is_dir() {
            return self.below(place, &path);
        }
        if !data.is_file() {
            // A pipe would be waited for.
            return Err(unreadable(io::Error::other("is neither a file nor a directory")));
        }
        self.room = self.room.checked_sub(data.len()).ok_or(DecoyError::TooLarge)?;
        let bytes = Bytes::from(std::fs::read(place).map_err(unreadable)?);
        if name == "index.html" {
            self.files.insert(format!("{prefix}/"), File { kind: kind_of(name), bytes: bytes.clone() });
        }
        self.files.insert(path, File { kind: kind_of(name), bytes });
        Ok(())
    }
}

fn kind_of(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    match end.as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("ico") => "image/x-icon",
        Some("pdf") => "application/pdf",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn a_directory_becomes_a_site() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("img")).unwrap();
        for (name, text) in [
            ("index.html", "front"),
            ("404.html", "gone"),
            ("img/a.png", "png"),
            (".secret", "no"),
            ("img/index.html", "images"),
            ("my file.HTML", "blank"),
            ("bücher.JPG", "books"),
            ("100%.txt", "all"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let decoy = Decoy::load(&DecoySource::Dir(dir.path().into())).unwrap();
        for (method, path, status, kind) in [
            (Method::GET, "/", StatusCode::OK, "text/html; charset=utf-8"),
            (Method::HEAD, "/index.html", StatusCode::OK, "text/html; charset=utf-8"),
            (Method::GET, "/img/", StatusCode::OK, "text/html; charset=utf-8"),
            (Method::GET, "/img/a.png", StatusCode::OK, "image/png"),
            (Method::GET, "/img", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/.secret", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/../etc/passwd", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::POST, "/", StatusCode::METHOD_NOT_ALLOWED, "text/html; charset=utf-8"),
            (Method::GET, "/my%20file.HTML", StatusCode::OK, "text/html; charset=utf-8"),
            (Method::GET, "/b%C3%BCcher.JPG", StatusCode::OK, "image/jpeg"),
            (Method::GET, "/b%c3%bccher.JPG", StatusCode::OK, "image/jpeg"),
            (Method::GET, "/100%25.txt", StatusCode::OK, "text/plain; charset=utf-8"),
            (Method::POST, "/my%20file.HTML", StatusCode::METHOD_NOT_ALLOWED, "text/html; charset=utf-8"),
            (Method::GET, "/my+file.HTML", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/100%.txt", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/index.html%", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/index.html%0", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/index.html%00", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/b%FCcher.JPG", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/img%2Fa.png", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/img/%2e%2e/index.html", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/img/%2e/a.png", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/%2esecret", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::GET, "/%2569ndex.html", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            (Method::POST, "/nothing", StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
        ] {
            let reply = decoy.answer(&method, path);
            assert_eq!(reply.status(), status, "{method} {path}");
            assert_eq!(reply.headers()["content-type"], kind, "{method} {path}");
        }
    }

    /// A page that every relay has would find them all with one request.
    #[tokio::test]
    async fn nothing_of_the_relays_own_is_seen_where_there_is_a_site() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(dir.path().join(name), name).unwrap();
        ["index.html", "404.html"].into_iter().for_each(write);
        for own in [None, Some("405.html")] {
            own.into_iter().for_each(write);
            let decoy = Decoy::load(&DecoySource::Dir(dir.path().into())).unwrap();
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                for path in ["/", "/index.html", "/nothing", "/nothing/"] {
                    let reply = decoy.answer(&method, path);
                    let page = match reply.status() {
                        StatusCode::OK => "index.html",
                        StatusCode::NOT_FOUND => "404.html",
                        _ => own.unwrap_or("404.html"),
                    };
                    let body = axum::body::to_bytes(reply.into_body(), 1024).await.unwrap();
                    assert_eq!(String::from_utf8_lossy(&body), page, "{method} {path}");
                }
            }
        }
    }

    #[test]
    fn a_directory_that_is_no_site_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let load = |dir: &Path| Decoy::load(&DecoySource::Dir(dir.into())).err();
        assert!(matches!(load(dir.path()), Some(DecoyError::NoIndex)));
        assert!(matches!(load(&dir.path().join("nowhere")), Some(DecoyError::Unreadable(..))));
        let said = |dir: &Path| load(dir).unwrap().to_string();
        assert!(said(&dir.path().join("nowhere")).starts_with("decoy_dir: cannot read the directory: No such file"));
        let socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert_eq!(said(dir.path()), "decoy_dir: cannot read /socket in it: is neither a file nor a directory");
        drop(socket);
        std::fs::remove_file(dir.path().join("socket")).unwrap();
        std::fs::write(dir.path().join("index.html"), "front").unwrap();
        assert!(matches!(load(dir.path()), Some(DecoyError::NoMissing)));
        std::fs::File::create(dir.path().join("index.html")).unwrap().set_len(SIZE_MAX + 1).unwrap();
        assert!(matches!(load(dir.path()), Some(DecoyError::TooLarge)));
    }

    #[test]
    fn a_link_may_lead_about_the_site_and_not_out_of_it() {
        use std::os::unix::fs::symlink;
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("real");
        std::fs::create_dir_all(dir.join("a")).unwrap();
        ["real/index.html", "real/404.html", "outside"]
            .iter()
            .for_each(|name| std::fs::write(home.path().join(name), name).unwrap());
        symlink("../index.html", dir.join("a/front.html")).unwrap();
        // The site itself may be a link.
        symlink("real", home.path().join("site")).unwrap();
        let load = || Decoy::load(&DecoySource::Dir(home.path().join("site")));
        assert_eq!(load().unwrap().answer(&Method::GET, "/a/front.html").status(), StatusCode::OK);
        for target in ["../../outside", "..", "../..", "nowhere", "/"] {
            symlink(target, dir.join("a/link")).unwrap();
            let refused = load().err().map(|error| error.to_string());
            if target == ".." {
                assert!(refused.is_some(), "a site that has no end");
            } else {
                let says = "decoy_dir: /a/link is a link that leads out of decoy_dir";
                assert!(refused.as_ref().is_some_and(|said| said.starts_with(says)), "{target}: {refused:?}");
            }
            std::fs::remove_file(dir.join("a/link")).unwrap();
        }
    }
}
