//! Puts the page together: one document (markup, style and script in one, so that one hash names it), the core, the worker, and a pack for
//! each language. Everything is compressed here, once. All packs have the same size on the wire, so that which one is asked for shows nothing.
//!
//! The core comes from `cargo build -p porchlight-web-core --target wasm32v1-none --profile wasm`, which the runner does first. Without it the
//! page is left out, and the relay says so when it starts.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use data_encoding::{BASE64, HEXLOWER};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The page's scripts, in the order in which they are read.
const SCRIPTS: [&str; 12] =
    ["first", "drawing", "core", "net", "visit", "pack", "screen", "entry", "leave", "state", "flow", "start"];
const TONGUES: [&str; 3] = ["zh", "ko", "en"];
/// Sentences that the document itself carries: what can be said before a pack has come.
const FIRST: [&str; 10] =
    ["who", "you_decide", "first_time", "been_before", "close", "other_browser", "not_yet", "go_on", "one_moment", "try_again"];
/// Drawings that the document itself carries.
const FIRST_DRAWINGS: [&str; 5] = ["first_time", "been_before", "close", "other_browser", "waiting"];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for watched in ["build.rs", "page", "strings", "pictures", "../../proto/words"] {
        println!("cargo::rerun-if-changed={}", here.join(watched).display());
    }
    println!("cargo::rerun-if-env-changed=PORCHLIGHT_WASM");
    let wasm = wasm_path(&out)?;
    println!("cargo::rerun-if-changed={}", wasm.display());
    let mut parts = match fs::read(&wasm) {
        Ok(core) => page(&here, core)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    parts.sort_by_key(|part| part.name);
    write_parts(&out, &parts)
}

/// The core is another target's artefact, beside this one's in the target directory.
fn wasm_path(out: &Path) -> Outcome<PathBuf> {
    if let Some(path) = env::var_os("PORCHLIGHT_WASM") {
        return Ok(path.into());
    }
    // target/[TRIPLE/]PROFILE/build/porchlight-web-HASH/out
    let profile = out.ancestors().nth(3).ok_or("OUT_DIR is not below a target directory")?;
    let near = profile.parent().ok_or("a profile's directory has a parent")?;
    let candidates =
        [Some(near), near.parent()].into_iter().flatten().map(|dir| dir.join("wasm32v1-none/wasm/porchlight_web_core.wasm"));
    let mut all: Vec<PathBuf> = candidates.collect();
    let found = all.iter().position(|path| path.exists()).unwrap_or(0);
    Ok(all.swap_remove(found))
}

/// One thing that is served.
struct Part {
    name: &'static str,
    kind: &'static str,
    plain: Vec<u8>,
    gzip: Vec<u8>,
    brotli: Vec<u8>,
}

impl Part {
    fn new(name: &'static str, kind: &'static str, plain: Vec<u8>) -> Outcome<Self> {
        Ok(Self { name, kind, gzip: gzip(&plain)?, brotli: brotli(&plain)?, plain })
    }
}

fn page(here: &Path, core: Vec<u8>) -> Outcome<Vec<Part>> {
    let strings = strings(here)?;
    let drawings = drawings(&here.join("pictures/buttons"))?;
    let packs = packs(here, &strings, &drawings)?;
    let worker = without_comments(&fs::read_to_string(here.join("page/worker.js"))?);
    let mut parts = vec![
        Part::new("core", "application/wasm", core)?,
        Part::new("worker", "text/javascript; charset=utf-8", worker.into_bytes())?,
    ];
    for (tongue, pack) in TONGUES.into_iter().zip(packs) {
        parts.push(Part::new(tongue, "application/json", pack)?);
    }
    let hashes: BTreeMap<&str, String> = parts
        .iter()
        .filter(|part| part.name != "worker")
        .map(|part| (part.name, HEXLOWER.encode(&Sha256::digest(&part.plain))))
        .collect();
    let document = document(here, &strings, &drawings, &json!(hashes))?;
    parts.push(Part::new("document", "text/html; charset=utf-8", document.into_bytes())?);
    Ok(parts)
}

fn strings(here: &Path) -> Outcome<Vec<Value>> {
    TONGUES.iter().map(|tongue| Ok(serde_json::from_slice(&fs::read(here.join(format!("strings/{tongue}.json")))?)?)).collect()
}

fn document(here: &Path, strings: &[Value], drawings: &BTreeMap<String, Value>, hashes: &Value) -> Outcome<String> {
    let mut first = serde_json::Map::new();
    for (tongue, strings) in TONGUES.iter().zip(strings) {
        let few: serde_json::Map<String, Value> = FIRST.iter().map(|key| ((*key).to_owned(), strings[*key].clone())).collect();
        first.insert((*tongue).to_owned(), few.into());
    }
    let few: BTreeMap<&str, &Value> = FIRST_DRAWINGS
        .iter()
        .map(|name| Ok((*name, drawings.get(*name).ok_or(format!("no drawing {name}"))?)))
        .collect::<Outcome<_>>()?;
    let mut script = String::from("(function(){\n\"use strict\";\n");
    for name in SCRIPTS {
        script.push_str(&without_comments(&fs::read_to_string(here.join(format!("page/js/{name}.js")))?));
    }
    script.push_str("})();\n");
    let script = script
        .replace("{{first}}", &Value::from(first).to_string())
        .replace("{{hashes}}", &hashes.to_string())
        .replace("{{drawings}}", &json!(few).to_string());
    if script.contains("</") || script.contains("{{") {
        return Err("the script holds what ends a script, or a place that nothing fills".into());
    }
    let style = style(&fs::read_to_string(here.join("page/page.css"))?);
    Ok(fs::read_to_string(here.join("page/page.html"))?.replace("{{style}}", &style).replace("{{script}}", &script))
}

/// Drops lines that are comments, and the spaces before others. The sources keep comments on lines of their own.
fn without_comments(source: &str) -> String {
    let mut kept = String::new();
    for line in source.lines().map(str::trim) {
        let is_comment = ["//", "/*", "* ", "*/"].iter().any(|start| line.starts_with(start)) || line == "*";
        if !line.is_empty() && !is_comment {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn style(source: &str) -> String {
    without_comments(source).lines().collect()
}

/// Every drawing of a folder, by name.
fn drawings(folder: &Path) -> Outcome<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "svg") {
            let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a drawing's name is not UTF-8")?.to_owned();
            all.insert(name, drawing(&path)?);
        }
    }
    Ok(all)
}

/// A drawing as data: its shapes and their attributes. What is no plain shape is refused.
fn drawing(path: &Path) -> Outcome<Value> {
    let text = fs::read_to_string(path)?;
    let parsed = roxmltree::Document::parse(&text)?;
    let mut shapes = Vec::new();
    for node in parsed.root_element().children().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        if !["path", "circle", "rect", "ellipse"].contains(&name) || node.has_children() {
            return Err(format!("{}: {name} is no plain shape", path.display()).into());
        }
        let attributes: serde_json::Map<String, Value> =
            node.attributes().map(|a| (a.name().to_owned(), a.value().into())).collect();
        shapes.push(json!([name, attributes]));
    }
    Ok(shapes.into())
}

/// Every language's pack, padded so that all are equally long on the wire, compressed and not.
fn packs(here: &Path, strings: &[Value], drawings: &BTreeMap<String, Value>) -> Outcome<Vec<Vec<u8>>> {
    let numbered = |folder: &str, count: usize| -> Outcome<Vec<Value>> {
        (0..count).map(|nth| drawing(&here.join(format!("pictures/{folder}/{nth:02}.svg")))).collect()
    };
    let (marks, shelves) = (numbered("marks", 64)?, numbered("shelves", 32)?);
    let words = table(&here.join("../../proto/words/words.tsv"))?;
    let names = table(&here.join("../../proto/words/shelves.tsv"))?;
    let later: BTreeMap<&String, &Value> = drawings.iter().filter(|(name, _)| !FIRST_DRAWINGS.contains(&name.as_str())).collect();
    let emoji = column(&words, "emoji", " ");
    let bare: Vec<String> = TONGUES
        .iter()
        .zip(strings)
        .map(|(tongue, strings)| {
            let said: serde_json::Map<String, Value> =
                strings.as_object().into_iter().flatten().filter(|(key, _)| !key.starts_with('_')).map(|(key, text)| (key.clone(), text.clone())).collect();
            let sounds: String = if *tongue == "zh" { words.iter().map(|row| first_two(&row["pinyin"])).collect() } else { String::new() };
            json!({
                "strings": said, "words": column(&words, tongue, " "), "sounds": sounds, "emoji": emoji, "shelves": column(&names, tongue, "|"),
                "drawings": later, "marks": marks, "shelf_drawings": shelves,
            })
            .to_string()
        })
        .collect();
    equally_long(&bare)
}

/// The first two letters of a word's pinyin; a space for one that is missing.
fn first_two(pinyin: &str) -> String {
    pinyin.chars().chain([' ', ' ']).take(2).collect()
}

type Row = BTreeMap<String, String>;

fn table(path: &Path) -> Outcome<Vec<Row>> {
    let text = fs::read_to_string(path)?;
    let mut lines = text.lines();
    let keys: Vec<&str> = lines.next().ok_or("a table has a first line")?.split('\t').collect();
    Ok(lines
        .map(|line| {
            keys.iter()
                .zip(line.split('\t').chain(std::iter::repeat("")))
                .map(|(key, cell)| ((*key).to_owned(), cell.to_owned()))
                .collect()
        })
        .collect())
}

fn column(rows: &[Row], key: &str, between: &str) -> String {
    rows.iter().map(|row| row[key].as_str()).collect::<Vec<_>>().join(between)
}

/// Pads each text, valid JSON, until all compress to the same length, and are equally long uncompressed: hard-to-compress letters for the
/// first, spaces for the second.
fn equally_long(texts: &[String]) -> Outcome<Vec<Vec<u8>>> {
    let lengths = texts.iter().map(|text| Ok(brotli(text.as_bytes())?.len())).collect::<Outcome<Vec<_>>>()?;
    let goal = lengths.iter().max().ok_or("no languages")? + 24;
    let longest = texts.iter().map(String::len).max().ok_or("no languages")? + 4096;
    let pad = |text: &String| -> Outcome<Vec<u8>> {
        for seed in 0..16 {
            let mut noise = [0; 4096];
            ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut noise);
            let noise = BASE64.encode(&noise);
            let padded = |count: usize| {
                let mut made =
                    format!("{},\"pad\":\"{}\"}}", text.strip_suffix('}').unwrap_or(text), &noise[..count]).into_bytes();
                made.resize(longest.max(made.len()), b' ');
                made
            };
            let (mut near, mut high) = (0, 4000);
            while near < high {
                let middle = usize::midpoint(near, high);
                if brotli(&padded(middle))?.len() < goal { near = middle + 1 } else { high = middle }
            }
            // Compressed lengths jump a little: one near this count fits.
            for away in 0..12 {
                for count in [near.saturating_sub(away), near + away] {
                    let made = padded(count);
                    if made.len() == longest && brotli(&made)?.len() == goal {
                        return Ok(made);
                    }
                }
            }
        }
        Err("no padding makes the packs equally long".into())
    };
    texts.iter().map(pad).collect()
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut out = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, bytes, &mut out)?;
    Ok(out)
}

fn brotli(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 18, size_hint: bytes.len(), ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut io::Cursor::new(bytes), &mut out, &params)?;
    Ok(out)
}

fn write_parts(out: &Path, parts: &[Part]) -> Outcome<()> {
    let mut index = String::from("&[\n");
    for part in parts {
        for (end, bytes) in [("plain", &part.plain), ("gzip", &part.gzip), ("brotli", &part.brotli)] {
            fs::write(out.join(format!("{}.{end}", part.name)), bytes)?;
        }
        let include = |end: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{}.{end}\"))", part.name);
        writeln!(
            index,
            "Part {{ name: {:?}, kind: {:?}, plain: {}, gzip: {}, brotli: {} }},",
            part.name,
            part.kind,
            include("plain"),
            include("gzip"),
            include("brotli")
        )?;
    }
    index.push_str("]\n");
    fs::write(out.join("parts.rs"), index)?;
    let between = |text: &str, start: &str, end: &str| -> Option<String> {
        let from = text.find(start)? + start.len();
        let to = from + text.get(from..)?.find(end)?;
        Some(BASE64.encode(&Sha256::digest(text.get(from..to)?)))
    };
    let document =
        parts.iter().find(|part| part.name == "document").map(|part| String::from_utf8_lossy(&part.plain).into_owned());
    let hashes = document
        .as_deref()
        .and_then(|text| Some((between(text, "<script>", "</script>")?, between(text, "<style>", "</style>")?)));
    let (script, style) = hashes.unwrap_or_default();
    fs::write(out.join("script.hash"), script)?;
    fs::write(out.join("style.hash"), style)?;
    Ok(())
}
