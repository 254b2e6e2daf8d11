//! The caller's page as bytes: what a relay serves at a line's gate. Put together by `build.rs`; nothing here reads a file.
//!
//! ```text
//!  GET /{gate}            the document: markup, style and script in one
//!  GET /{gate}/p/{name}   core, worker, zh, ko, en: the same requests for everyone, packs of one size
//!  GET /{gate}/p/line     what is the line's own: [`facts`]
//!  GET /{gate}/p/bye      nothing, and Clear-Site-Data
//! ```

/// One thing that is served, in the encodings that browsers take.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its name below `/p/`; the document's is `document`.
    pub name: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// As it is.
    pub plain: &'static [u8],
    /// Compressed with gzip.
    pub gzip: &'static [u8],
    /// Compressed with Brotli.
    pub brotli: &'static [u8],
}

/// Everything there is; empty if this was built without the page's core.
pub const PARTS: &[Part] = include!(concat!(env!("OUT_DIR"), "/parts.rs"));

/// What the document may do, and the worker too: run its own script and the core, and talk to where it came from. Nothing else.
///
/// `'unsafe-eval'` is what lets browsers before 97 compile WebAssembly; evaluating text stays forbidden where `require-trusted-types-for`
/// is known, and the script has no text to evaluate.
pub const POLICY: &str = concat!(
    "default-src 'none'; script-src 'self' 'sha256-",
    include_str!(concat!(env!("OUT_DIR"), "/script.hash")),
    "' 'wasm-unsafe-eval' 'unsafe-eval'; style-src 'sha256-",
    include_str!(concat!(env!("OUT_DIR"), "/style.hash")),
    "'; img-src data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; ",
    "require-trusted-types-for 'script'; trusted-types worker"
);

/// Whether this was built with the page.
#[must_use]
pub const fn is_built() -> bool {
    !PARTS.is_empty()
}

/// The part of this name.
#[must_use]
pub fn part(name: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| part.name == name)
}

impl Part {
    /// The bytes for a request that accepts these encodings, and the name of the one chosen.
    #[must_use]
    pub fn encoded(&self, accepted: &str) -> (&'static [u8], Option<&'static str>) {
        let takes = |name: &str| accepted.split(',').any(|one| one.split(';').next().is_some_and(|one| one.trim() == name));
        if takes("br") {
            (self.brotli, Some("br"))
        } else if takes("gzip") {
            (self.gzip, Some("gzip"))
        } else {
            (self.plain, None)
        }
    }
}

/// What the page must know of its line, as JSON: the root key in hex, where Close leads, and the other door ("" for none).
#[must_use]
pub fn facts(root: &[u8; 32], leave_to: &str, other_door: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in root {
        for half in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(half), 16));
        }
    }
    format!("{{\"root\":\"{hex}\",\"leave\":{},\"door\":{}}}", quoted(leave_to), quoted(other_door))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        if !c.is_control() {
            out.push(c);
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_one_size_on_the_wire() {
        let sizes = |of: fn(&Part) -> usize| ["zh", "ko", "en"].map(|name| part(name).map(of));
        for of in [|part: &Part| part.brotli.len(), |part: &Part| part.plain.len()] {
            let [zh, ko, en] = sizes(of);
            assert!(zh.is_some(), "built without the page: build porchlight-web-core for wasm32v1-none first");
            assert_eq!((zh, zh), (ko, en));
        }
    }

    #[test]
    fn the_first_view_and_the_whole_page_keep_their_budgets() {
        let size = |name: &str, of: fn(&Part) -> usize| part(name).map(of).expect("built with the page");
        let first = size("document", |part| part.gzip.len());
        let whole: usize = ["document", "core", "worker", "zh"].map(|name| size(name, |part| part.brotli.len())).iter().sum();
        println!(
            "first view {first} bytes of gzip (at most {}); all of one language {whole} bytes of brotli (at most {}, aim {})",
            14 << 10,
            80 << 10,
            64 << 10
        );
        assert!(first <= 14 << 10, "{first}");
        assert!(whole <= 80 << 10, "{whole}");
    }

    #[test]
    fn facts_are_json_whatever_the_operator_wrote() {
        for (leave, door) in [("https://example.org/", ""), ("a\"b\\c", "d\ne")] {
            let read: serde_json::Value = serde_json::from_str(&facts(&[0xab; 32], leave, door)).expect("JSON");
            assert_eq!(read["leave"].as_str(), Some(leave));
            assert_eq!(read["root"].as_str(), Some("ab".repeat(32).as_str()));
        }
    }

    #[test]
    fn the_encoding_is_one_the_browser_named() {
        let part = part("document").expect("built with the page");
        for (accepted, encoding) in [("gzip, deflate, br", Some("br")), ("gzip;q=1.0", Some("gzip")), ("", None), ("brr", None)] {
            assert_eq!(part.encoded(accepted).1, encoding, "{accepted}");
        }
    }
}
