//! What there is to say of a text before it is sent: words that press her, and a meeting. The lists are data, in `words/`.
//!
//! A lint, and no judge: it stops nobody who presses a person in other words, and asks about some who do not.

use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

const PRESSING: &str = include_str!("../words/pressing.txt");
const MEET: &str = include_str!("../words/meet.txt");
const PLACE: &str = include_str!("../words/place.txt");
const TIME: &str = include_str!("../words/time.txt");

/// How many words before a pressing one may deny it.
const DENIED_WITHIN: usize = 4;
const ENGLISH_HOURS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// What a text says, as far as lists of words can tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Weighed {
    /// What may press her, as it stands in the list.
    pub(crate) pressing: Vec<&'static str>,
    /// It names a place and a time, or speaks of meeting at one of them.
    pub(crate) meeting: bool,
}

impl Weighed {
    pub(crate) fn of(text: &str) -> Self {
        let text = plain(text);
        let pressing = lines(PRESSING).filter(|word| finds(&text, word).any(|before| !is_denied(before))).collect();
        let any = |list: &'static str| lines(list).any(|word| finds(&text, word).next().is_some());
        let (meet, place, time) = (any(MEET), any(PLACE), any(TIME) || names_an_hour(&text));
        Self { pressing, meeting: (place && time) || (meet && (place || time)) }
    }
    pub(crate) fn to_json(&self) -> Value {
        json!({"pressing": self.pressing, "meeting": self.meeting})
    }
}

/// Whether a text names a place and a time, or speaks of meeting at one of them: then no worker sends it alone.
#[must_use]
pub fn names_a_meeting(text: &str) -> bool {
    Weighed::of(text).meeting
}

fn lines(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// In lower case and one form of each letter and digit, with every kind of white space one space and one kind of apostrophe.
fn plain(text: &str) -> String {
    let text: String =
        text.nfkc().flat_map(char::to_lowercase).map(|c| if matches!(c, '’' | '‘' | '`') { '\'' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands before each place where the text holds a word of a list: one in Latin letters as a whole word, others anywhere.
fn finds<'text>(text: &'text str, word: &'static str) -> impl Iterator<Item = &'text str> {
    let latin = word.is_ascii();
    text.match_indices(word).filter_map(move |(at, found)| {
        let before = text.get(..at)?;
        let after = text.get(at + found.len()..)?;
        let around = [before.chars().next_back(), after.chars().next()];
        (!latin || !around.iter().flatten().any(char::is_ascii_alphanumeric)).then_some(before)
    })
}

/// `You need not` answer today, `no need to` hurry: what is said after that presses nobody. Of English only; Korean denies afterwards.
fn is_denied(before: &str) -> bool {
    let clause = before.trim_end().rsplit(['.', ',', ';', ':', '!', '?']).next().unwrap_or_default();
    clause.split(' ').rev().take(DENIED_WITHIN).any(|word| matches!(word, "not" | "no" | "never") || word.ends_with("n't"))
}

/// `14:30`, `19.30`, `2 pm`, `at 8`, `3시`, `다섯 시`, `三点`.
fn names_an_hour(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).any(|at| is_hour_in_digits(&chars, at) || is_hour_in_letters(&chars, at)) || names_an_english_hour(text)
}

/// Whether the last digit of an hour stands here, as in `14:30`, `19.30`, `7pm` or `7 p.m.`.
fn is_hour_in_digits(chars: &[char], at: usize) -> bool {
    let next = |by: usize| chars.get(at + by);
    let digit = |by: usize| next(by).is_some_and(char::is_ascii_digit);
    let half = if next(1) == Some(&' ') { 2 } else { 1 };
    let minutes = matches!(next(1), Some(':' | '.')) && digit(2) && digit(3) && !digit(4);
    let m = if next(half + 1) == Some(&'.') { half + 2 } else { half + 1 };
    let of_the_day = matches!(next(half), Some('a' | 'p')) && next(m) == Some(&'m');
    digit(0) && (minutes || (of_the_day && !next(m + 1).is_some_and(char::is_ascii_alphanumeric)))
}

/// Whether the last letter or digit of an hour stands here, as in `3시`, `열두 시`, `십오 시` or `三点`.
fn is_hour_in_letters(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| chars.get(at));
    let is_number = chars.get(at).is_some_and(|c| {
        c.is_ascii_digit()
            || "一二两三四五六七八九十".contains(*c)
            || "한두세네섯곱덟홉열십".contains(*c)
            || ("일이삼사오육칠팔구".contains(*c) && before == Some(&'십'))
    });
    let sign = if chars.get(at + 1) == Some(&' ') { at + 2 } else { at + 1 };
    is_number
        && match chars.get(sign) {
            // 시간 is a length of time, 시장 a market.
            Some('시') => !matches!(chars.get(sign + 1), Some('간' | '장')),
            // 慢一点: "a little", not "at one".
            Some('点' | '點') => {
                chars.get(at) != Some(&'一') || before.is_none_or(|c| !is_han(*c) || "十午上晨晚天在".contains(*c))
            }
            Some('时' | '時') => true,
            _ => false,
        }
}

const fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// `at 8`, `around nine`.
fn names_an_english_hour(text: &str) -> bool {
    let is_hour = |word: &str| ENGLISH_HOURS.contains(&word) || word.parse::<u8>().is_ok_and(|hour| hour <= 24);
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| matches!(pair, ["at" | "around", hour] if is_hour(hour)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_press_her_are_named() {
        for (text, word) in [
            ("You MUST write soon", "must"),
            ("Hurry up", "hurry"),
            ("why didn’t you write?", "why didn't you"),
            ("오늘 꼭 글을 쓰셔야 합니다. 빨리요", "빨리"),
            ("답을 해야  합니다", "해야 합니다"),
            ("왜 안 쓰셨어요?", "왜"),
            ("您必须回答", "必须"),
            ("请赶快回复", "赶快"),
            ("ｙｏｕ　ｍｕｓｔ write", "must"),
            ("you should write to us soon", "you should"),
            ("please write to us every day", "please write"),
            ("We are worried, write today", "are worried"),
            ("Write to us today", "write to us today"),
            ("Do not be afraid. Write back soon", "write back"),
            ("please, do not wait", "do not wait"),
            ("곧 써 주셔야 해요", "써 주셔야"),
            ("매일 써 주세요", "매일 써 주"),
            ("걱정돼요. 오늘 써 주세요", "걱정돼"),
            ("꼭 답해 주세요", "꼭 답"),
            ("어서 답해 주세요", "어서 답해"),
            ("您应该早点给我们写信", "应该"),
            ("请每天给我们写信", "请每天"),
            ("我们很担心，今天就写吧", "我们很担心"),
            ("请尽快回复", "尽快"),
        ] {
            assert!(Weighed::of(text).pressing.contains(&word), "{text}: {:?}", Weighed::of(text));
        }
    }

    #[test]
    fn harmless_sentences_are_left_alone() {
        for text in [
            "We have your letter. Take your time.",
            "mustard and mushrooms",
            "잘 받았어요. 천천히 하세요.",
            "收到了。慢慢来，我们一直在。",
            "I will be here tonight.",
            "We read what you write every day at the market of ideas",
            "The 3 of us are fine.",
            "I am here at any hour",
            "We are here at night too, and in the morning.",
            "You need not write every day, and you do not have to answer today. We are not worried.",
            "Write whenever you like, or not at all.",
            "One of us reads at the office, and we can wait.",
            "A letter of one or two lines is enough.",
            "No need to hurry.",
            "아침에 다시 볼게요",
            "밤에도 새벽에도 누군가 읽고 있어요",
            "글을 읽어서 기뻤어요",
            "한시도 잊지 않았어요. 편하실 때 쓰세요",
            "매일 쓰지 않으셔도 돼요. 걱정하지 마세요",
            "다시 소식을 주시면 반가울 거예요. 역시 잘하셨어요",
            "오시는 길이 멀었지요. 오늘은 푹 쉬세요",
            "晚上我们一直有人在",
            "早上好，昨夜睡得好吗？",
            "慢一点没关系，我们等您",
            "不用每天写，想写的时候再写",
            "有一点累也没关系，医院的事慢慢说",
        ] {
            assert_eq!(Weighed::of(text), Weighed { pressing: vec![], meeting: false }, "{text}");
        }
    }

    #[test]
    fn a_place_and_a_time_is_a_meeting() {
        for text in [
            "Meet us at the station",
            "Tomorrow at 14:30 in front of the market",
            "come to the bus stop at 7 pm",
            "내일 3시에 역 앞에서 만나요",
            "시장 입구로 오세요, 오후 세 시",
            "明天下午三点在火车站见",
            "我们在超市门口等您，十点",
            "let us meet tomorrow",
            "다섯 시에 역 앞에서 기다려요",
            "일곱 시에 역 앞으로",
            "열 시 공원",
            "at 8 in front of the market",
            "half past six, the station",
            "go to 14 Main Street at nine",
            "早上到火车站",
            "晚上去火车站",
            "７点在火车站",
            "아침에 역 앞",
            "15시에 교회로",
            "three tomorrow at our office",
            "Ｍａｉｎ　Ｓｔｒｅｅｔ, ８ ｐｍ",
            "the church, quarter to ten",
            "Eight o’clock, by the bridge",
            "19.30, church road",
            "At the bus stop we will wait for you",
            "열두 시 오 분, 시장 앞",
            "십오 시에 사무실",
            "밤 열한시 교회",
            "역 앞에서 기다릴게요",
            "공원으로 오시면 돼요",
            "도서관에서 만나요",
            "七時在車站",
            "凌晨到路口",
            "夜里去河边",
            "傍晚在教堂门口",
            "一点，火车站",
            "十一点在办公室",
            "到超市来，我们等您",
            "火车站见",
            "the museum, Sunday at noon",
            "we meet by the statue",
            "분수 앞에서 만나요",
            "내일 3시 박물관",
            "시계탑 아래, 열 시",
            "三点在喷泉旁边",
            "三点在电影院见",
        ] {
            assert!(Weighed::of(text).meeting, "{text}");
        }
        for text in [
            "일곱 시에 버스를 탑니다",
            "동상에 걸리지 않게 조심하세요, 새벽에는 추워요",
            "The station is far away",
            "At 14:30 I go home",
            "역이 멀지요",
            "明天见不到也没关系，慢慢来",
        ] {
            assert!(!Weighed::of(text).meeting, "{text}");
        }
    }

    #[test]
    fn the_meeting_in_the_manual_is_one() {
        let manual = include_str!("../../../docs/OPERATING.md");
        let said = manual.split("--say \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert!(names_a_meeting(said), "{said}");
    }
}
