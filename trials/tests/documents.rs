//! Documents that nobody would write: sound ones, with bytes, lines and numbers changed.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::panic::catch_unwind;

use trials::count;
use trials::documents::hold;

/// A document with everything in it.
const RICH: &str = include_str!("../../fuzz/seeds/documents/rich.yaml");

/// What stands in documents, and what breaks programs.
const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "1000",
    "1001",
    "999999999999",
    "1000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    ".nan",
    ".inf",
    "1e400",
    "null",
    "~",
    "true",
    "\"\"",
    "[]",
    "{}",
    "&a",
    "*a",
    "!!binary x",
    "---\n",
    "\t",
    "\u{0}",
    "\u{feff}",
    "\u{1f600}",
    "unlimited",
    "normalise",
    "reject",
    "no_win",
    "renormalise",
    "fallback",
    "stock",
    "unlock",
    "pity",
    "milestone",
    "attribute",
    "exact",
    "at_least",
    "draws_made",
    "points_spent",
    "day",
    "campaign",
    "open",
    "locked",
    "empty",
    "-",
    "2026-02-30T00:00:00",
    "2026-11-23T12:00:00",
    "9999-12-31T23:59:59",
    "Asia/Shanghai",
];

const STREAMS: usize = 8;

/// Chance under a seed, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        // xorshift64 (Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n.max(1) as u64).expect("small")
    }

    fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// Changes a text in one place.
fn mutate(text: &str, others: &[String], dice: &mut Dice) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = dice.below(lines.len());
    let words: Vec<(usize, usize)> = word_places(text);
    let (from, to) = words.get(dice.below(words.len())).copied().unwrap_or((0, 0));
    // More often than not a number: most other changes spoil the document.
    match dice.below(16) {
        0 => {
            let mut bytes = text.as_bytes().to_vec();
            let at = dice.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        1 => return [&text[..from], dice.word(WORDS), &text[to..]].concat(),
        2 => {
            // Another word of the same text: a name that leads elsewhere.
            let (other_from, other_to) = words.get(dice.below(words.len())).copied().unwrap_or((0, 0));
            return [&text[..from], &text[other_from..other_to], &text[to..]].concat();
        }
        3 => return [&text[..from], &text[to..]].concat(),
        4 => drop((!lines.is_empty()).then(|| lines.remove(at))),
        5 => lines.extend(lines.get(at).cloned()),
        6 => {
            let other = dice.below(lines.len());
            if !lines.is_empty() {
                lines.swap(at, other);
            }
        }
        7 => {
            let other = &others[dice.below(others.len())];
            let theirs: Vec<_> = other.lines().collect();
            lines.insert(at, dice.word(&theirs).to_owned());
        }
        _ => {
            let is_number = |(from, to): &&(usize, usize)| text[*from..*to].parse::<u64>().is_ok();
            let numbers: Vec<_> = words.iter().filter(is_number).collect();
            let Some((from, to)) = numbers.get(dice.below(numbers.len())) else { return text.to_owned() };
            let most = [3, 50, 2_000, 1_000_001][dice.below(4)];
            return [&text[..*from], &dice.below(most).to_string(), &text[*to..]].concat();
        }
    }
    lines.join("\n") + "\n"
}

/// Where words and numbers begin and end.
fn word_places(text: &str) -> Vec<(usize, usize)> {
    let mut places = vec![];
    let mut begun = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        let is_word = character.is_alphanumeric() || "_-./:".contains(character);
        match (begun, is_word) {
            (None, true) => begun = Some(at),
            (Some(from), false) => {
                places.push((from, at));
                begun = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    places
}

#[test]
fn no_document_is_too_odd_and_what_is_let_through_can_be_published() {
    let entries = std::fs::read_dir(trials::root().join("examples/big-market")).expect("examples");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.expect("an entry").path()).expect("an example")
    };
    let mut seeds: Vec<String> = entries.map(read).collect();
    seeds.sort();
    seeds.extend(std::iter::repeat_n(RICH.to_owned(), seeds.len()));
    assert!(hold(RICH));
    let documents = count(2_000, 200_000);
    let let_through: usize = std::thread::scope(|scope| {
        // Each stream has its own chance, so that the documents are the same on every machine.
        let seeds = &seeds;
        let streams: Vec<_> = (1..=STREAMS)
            .map(|stream| scope.spawn(move || play(seeds, stream, documents / STREAMS)))
            .collect();
        streams.into_iter().map(|stream| stream.join().expect("a stream")).sum()
    });
    println!("{let_through} of {documents} were let through");
    assert!(let_through * 20 > documents, "{let_through} of {documents}: too few to have tried publishing");
}

/// Tries changed documents; answers how many were let through.
fn play(seeds: &[String], stream: usize, documents: usize) -> usize {
    let mut dice = Dice(0x2026_1123 + stream as u64);
    let mut let_through = 0;
    for _ in 0..documents {
        let mut text = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(3) {
            text = mutate(&text, seeds, &mut dice);
        }
        let held = catch_unwind(|| hold(&text));
        assert!(held.is_ok(), "this document breaks what holds for all:\n{text}");
        let_through += usize::from(held.is_ok_and(|held| held));
    }
    let_through
}
