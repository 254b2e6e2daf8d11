//! Writing JSON without a formatter, which would be a twentieth of the page. Wiped when dropped, and so is each copy that
//! growing leaves behind: answers pass through it.
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// Bytes made room for at first: more than any event but an answer takes.
const ROOM: usize = 256;

/// UTF-8 JSON, value after value; commas come by themselves.
pub struct Json(Zeroizing<Vec<u8>>);

impl Json {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(ROOM)))
    }
    /// What was written.
    #[must_use]
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
    /// Begins an object.
    pub fn object(&mut self) -> &mut Self {
        self.value(b"{")
    }
    /// Ends the object.
    pub fn end_object(&mut self) -> &mut Self {
        self.push(b"}")
    }
    /// Begins a list.
    pub fn list(&mut self) -> &mut Self {
        self.value(b"[")
    }
    /// Ends the list.
    pub fn end_list(&mut self) -> &mut Self {
        self.push(b"]")
    }
    /// The name of the next value in an object: one that needs no escapes.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.value(b"\"").push(name.as_bytes()).push(b"\":")
    }
    /// A whole number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        let (mut digits, mut left) = ([0; 20], number);
        let mut len = 0;
        for place in digits.iter_mut().rev() {
            *place = b'0' + (left % 10).to_le_bytes()[0];
            left /= 10;
            len += 1;
            if left == 0 {
                break;
            }
        }
        self.value(digits.split_at(digits.len() - len).1)
    }
    /// True or false.
    pub fn truth(&mut self, truth: bool) -> &mut Self {
        self.value(if truth { b"true" } else { b"false" })
    }
    /// A string: quotes, backslashes and control characters escaped.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.value(b"\"");
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.push(&[b'\\', byte]),
                0..0x20 => self.push(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), hex_digit(byte & 15)]),
                _ => self.push(&[byte]),
            };
        }
        self.push(b"\"")
    }
    /// Bytes as a string of hexadecimal digits.
    pub fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        self.value(b"\"");
        for byte in bytes {
            self.push(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        self.push(b"\"")
    }
    /// The beginning of a value or name, or all of it: after a comma, unless it is the first of its list or object, or named.
    fn value(&mut self, bytes: &[u8]) -> &mut Self {
        match self.0.last() {
            None | Some(b'{' | b'[' | b':') => self,
            Some(_) => self.push(b","),
        }
        .push(bytes)
    }
    fn push(&mut self, bytes: &[u8]) -> &mut Self {
        let len = self.0.len() + bytes.len();
        if len > self.0.capacity() {
            let mut roomier = Zeroizing::new(Vec::with_capacity(2 * len));
            roomier.extend_from_slice(&self.0);
            self.0 = roomier;
        }
        self.0.extend_from_slice(bytes);
        self
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::new()
    }
}

/// A number below 16 as its hexadecimal digit.
const fn hex_digit(number: u8) -> u8 {
    if number < 10 { b'0' + number } else { b'a' + number - 10 }
}

#[cfg(test)]
mod tests {
    use super::Json;
    use alloc::string::String;

    fn said(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::new();
        write(&mut json);
        String::from_utf8(json.finish().to_vec()).expect("JSON is UTF-8")
    }

    #[test]
    fn commas_stand_between_values_and_nowhere_else() {
        let text = said(|json| {
            json.list().object().name("a").number(0).name("b").list().end_list().end_object();
            json.number(u64::MAX).truth(true).truth(false).object().end_object().end_list();
        });
        assert_eq!(text, r#"[{"a":0,"b":[]},18446744073709551615,true,false,{}]"#);
    }

    #[test]
    fn bytes_are_hexadecimal() {
        assert_eq!(
            said(|json| {
                json.list().hex(&[0, 0x9a, 0xff]).hex(&[]).end_list();
            }),
            r#"["009aff",""]"#
        );
    }

    #[test]
    fn a_text_comes_back_as_it_was_written() {
        let every_control: String = (0..0x20).map(char::from).collect();
        for text in ["", "사과 한 알. 🍎", "\"\\\"", "ends in a brace {", &every_control, &"long \n".repeat(10_000)] {
            let json = said(|json| {
                json.list().text(text).text("").end_list();
            });
            let read: [String; 2] = serde_json::from_str(&json).expect("it is JSON");
            assert_eq!(read, [String::from(text), String::new()]);
        }
    }
}
