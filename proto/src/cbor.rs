//! Maps with ascending integer keys: the one shape of everything that may grow (SPEC §8).
use alloc::vec::Vec;
use core::convert::Infallible;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

/// The bytes are not a map of the kind expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadCbor;

impl From<minicbor::decode::Error> for BadCbor {
    fn from(_: minicbor::decode::Error) -> Self {
        Self
    }
}

pub(crate) type Out<'a> = Encoder<Sink<'a>>;

/// A vector to write to. minicbor's own needs its feature `alloc`, with which every error carries a string.
pub(crate) struct Sink<'a>(&'a mut Vec<u8>);

impl Sink<'_> {
    /// Writes bytes that are CBOR already.
    pub(crate) fn encoded(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

impl minicbor::encode::Write for Sink<'_> {
    type Error = Infallible;
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.encoded(bytes);
        Ok(())
    }
}

/// Writes a map of the fields that are there. Wiped, because contents pass through it.
pub(crate) struct MapWriter {
    body: Zeroizing<Vec<u8>>,
    fields: u64,
}

impl MapWriter {
    pub(crate) fn new() -> Self {
        Self { body: Zeroizing::new(Vec::new()), fields: 0 }
    }
    /// Adds a field; keys must come in ascending order.
    pub(crate) fn field(&mut self, key: u8, value: impl FnOnce(&mut Out<'_>)) -> &mut Self {
        let mut out = Encoder::new(Sink(&mut self.body));
        infallible(out.u8(key));
        value(&mut out);
        self.fields += 1;
        self
    }
    pub(crate) fn uint(&mut self, key: u8, value: u64) -> &mut Self {
        self.field(key, |out| infallible(out.u64(value)))
    }
    pub(crate) fn uint_unless_zero(&mut self, key: u8, value: u64) -> &mut Self {
        if value == 0 { self } else { self.uint(key, value) }
    }
    pub(crate) fn bytes(&mut self, key: u8, value: &[u8]) -> &mut Self {
        self.body.reserve_exact(value.len() + 16);
        self.field(key, |out| infallible(out.bytes(value)))
    }
    pub(crate) fn text(&mut self, key: u8, value: &str) -> &mut Self {
        self.body.reserve_exact(value.len() + 16);
        self.field(key, |out| infallible(out.str(value)))
    }
    pub(crate) fn truth(&mut self, key: u8, value: bool) -> &mut Self {
        if value { self.field(key, |out| infallible(out.bool(true))) } else { self }
    }
    /// The whole map.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.body.len() + 9);
        infallible(Encoder::new(Sink(&mut whole)).map(self.fields));
        whole.extend_from_slice(&self.body);
        whole
    }
}

/// Encoding into a vector cannot fail.
pub(crate) fn infallible<T>(result: Result<T, minicbor::encode::Error<Infallible>>) {
    let _ = result.expect("a vector takes every byte");
}

/// Reads a whole map, and nothing after it: keys strictly ascending, unknown ones skipped.
/// `take` says whether it knew the key and read its value.
pub(crate) fn read_map<'b>(
    bytes: &'b [u8],
    take: impl FnMut(u64, &mut Decoder<'b>) -> Result<bool, BadCbor>,
) -> Result<(), BadCbor> {
    let mut decoder = Decoder::new(bytes);
    read_map_in(&mut decoder, take)?;
    if decoder.position() == bytes.len() { Ok(()) } else { Err(BadCbor) }
}

/// The same for a map inside something larger.
pub(crate) fn read_map_in<'b>(
    decoder: &mut Decoder<'b>,
    mut take: impl FnMut(u64, &mut Decoder<'b>) -> Result<bool, BadCbor>,
) -> Result<(), BadCbor> {
    let fields = decoder.map()?.ok_or(BadCbor)?;
    let mut last = None;
    for _ in 0..fields {
        let key = decoder.u64()?;
        if last.is_some_and(|last| key <= last) {
            return Err(BadCbor);
        }
        last = Some(key);
        if !take(key, decoder)? {
            skip(decoder)?;
        }
    }
    Ok(())
}

/// Passes over one well-formed value of definite lengths. It counts instead of nesting, so depth costs nothing;
/// minicbor's own `skip` lets a lone *break* and indefinite lengths pass.
fn skip(decoder: &mut Decoder<'_>) -> Result<(), BadCbor> {
    let mut left = 1u64;
    while left > 0 {
        left -= 1;
        let inside = match decoder.datatype()? {
            Type::Array => decoder.array()?.ok_or(BadCbor)?,
            Type::Map => decoder.map()?.and_then(|pairs| pairs.checked_mul(2)).ok_or(BadCbor)?,
            Type::Tag => {
                decoder.tag()?;
                1
            }
            Type::BytesIndef | Type::StringIndef | Type::ArrayIndef | Type::MapIndef | Type::Break | Type::Unknown(_) => {
                return Err(BadCbor);
            }
            _ => {
                decoder.skip()?;
                0
            }
        };
        left = left.checked_add(inside).ok_or(BadCbor)?;
    }
    Ok(())
}

/// Reads a byte string of exactly `N` bytes.
pub(crate) fn array<const N: usize>(decoder: &mut Decoder<'_>) -> Result<[u8; N], BadCbor> {
    decoder.bytes()?.try_into().map_err(|_| BadCbor)
}

/// Reads the length of an array of at most `most` items.
pub(crate) fn items(decoder: &mut Decoder<'_>, most: u64) -> Result<u64, BadCbor> {
    decoder.array()?.filter(|count| *count <= most).ok_or(BadCbor)
}
