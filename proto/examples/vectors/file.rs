//! The form of a vector file: `# comment`, `name = hex`, cases apart by blank lines.
use data_encoding::HEXLOWER;
use porchlight_proto::layout::Layout;
use std::fmt::Write as _;

/// A file being written.
pub(crate) struct File(String);

impl File {
    /// A file that says what it is about.
    pub(crate) fn of(what: &str) -> Self {
        Self(format!("# {what}\n# Integers are big-endian. Made by `cargo run -p porchlight-proto --example vectors`.\n"))
    }
    /// Begins a case.
    pub(crate) fn case(&mut self, what: &str) -> &mut Self {
        self.line(&format!("\n# --- {what}"))
    }
    /// A value, with a line that says what it is.
    pub(crate) fn field(&mut self, name: &str, bytes: impl AsRef<[u8]>, what: &str) -> &mut Self {
        self.line(&format!("# {what}\n{name} = {}", HEXLOWER.encode(bytes.as_ref())))
    }
    /// Bytes of a fixed layout, field by field; their concatenation is the whole.
    pub(crate) fn layout(&mut self, layout: &Layout, bytes: &[u8]) -> &mut Self {
        assert_eq!(bytes.len(), layout.len);
        let mut rest = bytes;
        for (name, len) in layout.fields {
            let at = layout.len - rest.len();
            let (field, after) = rest.split_at(*len);
            rest = after;
            self.field(name, field, &format!("{}: at {at}, {len} bytes", layout.name));
        }
        self
    }
    fn line(&mut self, text: &str) -> &mut Self {
        writeln!(self.0, "{text}").expect("a string takes every line");
        self
    }
    /// The whole file.
    pub(crate) fn text(self) -> String {
        self.0
    }
}
