//! Writes `proto/vectors/*.hex` anew: one file a section of the SPEC, always the same bytes.
//!
//! `cargo run -p porchlight-proto --example vectors`. Run it only when the protocol's bytes are meant to change:
//! `proto/tests/vectors.rs` and the second implementation fail on any other difference.

mod file;
mod sections;

fn main() -> std::io::Result<()> {
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for (name, text) in sections::all() {
        std::fs::write(home.join(name), text)?;
    }
    Ok(())
}
