//! The files in `proto/vectors` are exactly what the code makes today.

#[path = "../examples/vectors/file.rs"]
mod file;
#[path = "../examples/vectors/sections.rs"]
mod sections;

#[test]
fn the_vectors_are_what_the_code_makes() {
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let made = sections::all();
    let files: Vec<_> =
        std::fs::read_dir(&home).expect("the vectors lie there").map(|entry| entry.expect("readable").path()).collect();
    let hex = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "hex"));
    let kept: std::collections::BTreeSet<_> =
        hex.map(|path| path.file_name().expect("a file").to_string_lossy().into_owned()).collect();
    assert_eq!(kept, made.iter().map(|(name, _)| (*name).to_owned()).collect(), "each file is one that the code makes");
    for (name, text) in made {
        let kept = std::fs::read_to_string(home.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (number, (kept, made)) in (1..).zip(kept.lines().zip(text.lines())) {
            assert_eq!(kept, made, "{name}:{number}");
        }
        assert_eq!(kept.len(), text.len(), "{name}");
    }
}
