//! What a browser is given before it may see anything: the document, its style, its scripts, its sentences. All of it is in this program.

/// One file.
pub(crate) struct Asset {
    pub(crate) kind: &'static str,
    pub(crate) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

macro_rules! files {
    ($($path:literal: $kind:ident = $file:literal,)+) => {
        &[$(($path, Asset { kind: $kind, bytes: include_bytes!(concat!("../", $file)) }),)+]
    };
}

const FILES: &[(&str, Asset)] = files! {
    "/": HTML = "page/board.html",
    "/board.css": CSS = "page/board.css",
    "/js/start.js": SCRIPT = "page/js/start.js",
    "/js/net.js": SCRIPT = "page/js/net.js",
    "/js/words.js": SCRIPT = "page/js/words.js",
    "/js/draw.js": SCRIPT = "page/js/draw.js",
    "/js/frame.js": SCRIPT = "page/js/frame.js",
    "/js/keys.js": SCRIPT = "page/js/keys.js",
    "/js/lock.js": SCRIPT = "page/js/lock.js",
    "/js/board.js": SCRIPT = "page/js/board.js",
    "/js/person.js": SCRIPT = "page/js/person.js",
    "/js/composer.js": SCRIPT = "page/js/composer.js",
    "/js/proposals.js": SCRIPT = "page/js/proposals.js",
    "/js/handover.js": SCRIPT = "page/js/handover.js",
    "/js/rota.js": SCRIPT = "page/js/rota.js",
    "/js/devices.js": SCRIPT = "page/js/devices.js",
    "/js/guide.js": SCRIPT = "page/js/guide.js",
    "/js/picture.js": SCRIPT = "page/js/picture.js",
    "/js/alert.js": SCRIPT = "page/js/alert.js",
    "/js/scrap.js": SCRIPT = "page/js/scrap.js",
    "/strings/en.json": JSON = "strings/en.json",
    "/strings/ko.json": JSON = "strings/ko.json",
    "/strings/zh.json": JSON = "strings/zh.json",
};

/// The file at a path.
pub(crate) fn at(path: &str) -> Option<&'static Asset> {
    FILES.iter().find(|(known, _)| *known == path).map(|(_, asset)| asset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_page_is_given() {
        let scripts = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page/js")).unwrap();
        for script in scripts {
            let name = script.unwrap().file_name().into_string().unwrap();
            assert!(at(&format!("/js/{name}")).is_some(), "{name}");
        }
    }
}
