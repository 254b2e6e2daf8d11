//! What the commands say with `--json`: one object a line, of which the demo wants a few plain values by name.

use std::iter::Peekable;
use std::str::Chars;

/// The strings, numbers and truth values of one line, with their names, in the order they stand, however deep.
pub(crate) struct Record(Vec<(String, String)>);

impl Record {
    /// Reads a line. What is not an object has no values.
    pub(crate) fn read(line: &str) -> Self {
        if !line.trim_start().starts_with('{') {
            return Self(Vec::new());
        }
        let mut pairs = Vec::new();
        let mut name = None;
        let mut rest = line.chars().peekable();
        while let Some(&next) = rest.peek() {
            let value = match next {
                '"' => Some(string(&mut rest)),
                c if c.is_ascii_alphanumeric() || c == '-' => Some(plain(&mut rest)),
                _ => {
                    rest.next();
                    None
                }
            };
            let Some(value) = value else { continue };
            while rest.next_if(|c| c.is_whitespace()).is_some() {}
            if rest.next_if_eq(&':').is_some() {
                name = Some(value);
            } else if let Some(name) = &name {
                pairs.push((name.clone(), value));
            }
        }
        Self(pairs)
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of that name; those of a list count one by one.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

fn plain(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
        text.push(c);
    }
    text
}

fn string(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    rest.next();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => text.extend(escaped(rest)),
            c => text.push(c),
        }
    }
    text
}

fn escaped(rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    Some(match rest.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => return unit(rest).map(|high| joined(high, rest)),
        c => c,
    })
}

/// Four hexadecimal digits: one UTF-16 unit.
fn unit(rest: &mut Peekable<Chars<'_>>) -> Option<u16> {
    let digits: String = rest.take(4).collect();
    u16::from_str_radix(&digits, 16).ok()
}

/// The character of `high` and, if it is the first half of a pair, of the unit after it.
fn joined(high: u16, rest: &mut Peekable<Chars<'_>>) -> char {
    let low = if (0xd800..0xdc00).contains(&high) && rest.next_if_eq(&'\\').is_some() {
        rest.next();
        unit(rest)
    } else {
        None
    };
    let units = std::iter::once(high).chain(low);
    char::decode_utf16(units).next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_whatever_the_text_around_them_says() {
        let record = Record::read(
            r#"{"text":"\"id\": \"no\" \ud83d\ude42\n안녕", "id" : "yes","n":-12,"rows":[{"id":"two"}],"ok":true,"gates":["a","b"]}"#,
        );
        assert_eq!(record.get("text"), Some("\"id\": \"no\" 🙂\n안녕"));
        assert_eq!(record.all("id").collect::<Vec<_>>(), ["yes", "two"]);
        assert_eq!((record.get("n"), record.get("ok"), record.get("none")), (Some("-12"), Some("true"), None));
        assert_eq!(record.all("gates").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_line_that_is_no_object_has_no_values() {
        for line in ["", "ready https://127.0.0.1:1", r#""half"#, r#"{"cut":"#, r#"{"cut\u12"#, "\\"] {
            assert!(Record::read(line).0.is_empty(), "{line}");
        }
    }
}
