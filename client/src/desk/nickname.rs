//! Two neutral words for a caller: easier to say than an id, and telling nothing of her.
use porchlight_proto::{
    line::CallerId,
    phrase::{Language, words as list},
};
use std::sync::OnceLock;

fn table() -> &'static [&'static str] {
    static TABLE: OnceLock<Vec<&'static str>> = OnceLock::new();
    TABLE.get_or_init(|| list::all(Language::En).collect())
}

/// Words that a hash names, ten bits each.
pub(super) fn words<const N: usize>(hash: &[u8; 32]) -> [&'static str; N] {
    let mut pairs = hash.chunks_exact(2);
    std::array::from_fn(|_| {
        let index = pairs.next().map_or(0, |pair| pair.iter().fold(0, |index, byte| index << 8 | usize::from(*byte)));
        table().get(index % table().len().max(1)).copied().unwrap_or("plain")
    })
}

/// A caller's nickname, such as `kettle-pear`. Two callers may share one: the id decides.
pub(super) fn nickname(caller: &CallerId) -> String {
    words::<2>(&porchlight_proto::kdf::hash("desk/nickname", &[&caller.0])).map(|word| word.replace(' ', "-")).join("-")
}
