//! The files in `proto/vectors` are exactly what the code makes today.

#[path = "../examples/vectors/file.rs"]
mod file;
#[path = "../examples/vectors/sections.rs"]
mod sections;

#[test]
fn the_vectors_are_what_the_code_makes() {
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let made = sections::all();
    assert_eq!(made.len(), 8);
    for (name, text) in made {
        let kept = std::fs::read_to_string(home.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (number, (kept, made)) in (1..).zip(kept.lines().zip(text.lines())) {
            assert_eq!(kept, made, "{name}:{number}");
        }
        assert_eq!(kept.len(), text.len(), "{name}");
    }
}
