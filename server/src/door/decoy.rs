//! The site that strangers see: the files of a directory, read once at the start and served from memory.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use axum::http::Method;
use axum::response::Response;

use super::reply;
use crate::config::DecoySource;

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
    /// It cannot be read.
    #[error("decoy_dir: cannot read {0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// It has no front page.
    #[error("decoy_dir: {0} has no index.html: put an ordinary web page there")]
    NoIndex(PathBuf),
    /// It has no page for what is not there, and the relay's own would give the relay away.
    #[error("decoy_dir: {0} has no 404.html: put the site's own \"not found\" page there")]
    NoMissing(PathBuf),
    /// It is too large to keep in memory.
    #[error("decoy_dir: {0} holds more than 16 MiB: choose a smaller site")]
    TooLarge(PathBuf),
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
        let mut files = HashMap::new();
        let mut room = SIZE_MAX;
        gather(dir, "", &mut files, &mut room).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => DecoyError::TooLarge(dir.to_path_buf()),
            _ => DecoyError::Unreadable(dir.to_path_buf(), error),
        })?;
        if !files.contains_key("/") {
            return Err(DecoyError::NoIndex(dir.to_path_buf()));
        }
        let page = |path: &str| files.get(path).map(|file: &File| file.bytes.clone());
        // Nothing built in: every relay has the same bytes, and one request would find them all.
        let missing = page("/404.html").ok_or_else(|| DecoyError::NoMissing(dir.to_path_buf()))?;
        let not_allowed = page("/405.html").unwrap_or_else(|| missing.clone());
        Ok(Self { files, missing, not_allowed })
    }

    /// What the site gives for a method and path.
    #[must_use]
    pub fn answer(&self, method: &Method, path: &str) -> Response {
        match self.files.get(path) {
            None => reply::missing(&self.missing),
            Some(file) if matches!(*method, Method::GET | Method::HEAD) => reply::file(file.kind, &file.bytes),
            Some(_) => reply::not_allowed(&self.not_allowed),
        }
    }
}

fn gather(dir: &Path, prefix: &str, files: &mut HashMap<String, File>, room: &mut u64) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        // Hidden files are not the site's, and a path that is not UTF-8 cannot be asked for.
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = format!("{prefix}/{name}");
        let data = std::fs::metadata(entry.path())?;
        if data.is_dir() {
            gather(&entry.path(), &path, files, room)?;
            continue;
        }
        *room = room.checked_sub(data.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let bytes = Bytes::from(std::fs::read(entry.path())?);
        if name == "index.html" {
            files.insert(format!("{prefix}/"), File { kind: kind_of(name), bytes: bytes.clone() });
        }
        files.insert(path, File { kind: kind_of(name), bytes });
    }
    Ok(())
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
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
        for (name, text) in
            [("index.html", "front"), ("404.html", "gone"), ("img/a.png", "png"), (".secret", "no"), ("img/index.html", "images")]
        {
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
        assert!(matches!(load(dir.path()), Some(DecoyError::NoIndex(_))));
        assert!(matches!(load(&dir.path().join("nowhere")), Some(DecoyError::Unreadable(..))));
        std::fs::write(dir.path().join("index.html"), "front").unwrap();
        assert!(matches!(load(dir.path()), Some(DecoyError::NoMissing(_))));
        std::fs::File::create(dir.path().join("index.html")).unwrap().set_len(SIZE_MAX + 1).unwrap();
        assert!(matches!(load(dir.path()), Some(DecoyError::TooLarge(_))));
    }
}
