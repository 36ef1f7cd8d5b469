#![allow(clippy::unwrap_used)]
//! Properties of the dump reader on made-up, damaged and hostile input.

use audsem_core::run::LeftOut;
use std::io::{self, Read};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::dom;
use super::prefilter::may_hold_bracketed;
use super::scan::scan;
use super::*;
use crate::extract::damage::fuzz;
use crate::extract::harvest::{Group, KeptCue};
use crate::extract::reasons::DropReason;
use crate::extract::rules::DurationLimits;

const BIG: usize = 1 << 20;

fn options() -> HarvestOptions {
    HarvestOptions {
        languages: "en".parse().unwrap(),
        limits: DurationLimits { min_s: 1.0, max_s: 10.0 },
        list_plain: false,
    }
}

fn parse_options(parse_all: bool) -> ParseOptions {
    ParseOptions { list_all: false, parse_all, max_object: BIG }
}

fn whole(bytes: &[u8]) -> Block {
    Block::Objects { offset: 0, bytes: bytes.to_vec() }
}

fn harvest_all(bytes: &[u8], parse_all: bool) -> Harvest {
    harvest(&whole(bytes), "dump", parse_options(parse_all), &options(), None)
}

fn cue(text: &str, start: &str, dur: &str) -> Value {
    json!({"-start": start, "-dur": dur, "t": text})
}

fn video(id: &str, lang: &str, text: Value) -> Value {
    json!({"video": {"videoid": id}, "captions": [
        {"lang": lang, "subtitles": {"transcript": {"text": text}}}]})
}

fn kept(video_id: &str, start_ms: u32, dur_ms: u32, text: &str) -> KeptCue {
    KeptCue { video_id: video_id.into(), start_ms, dur_ms, text: text.into() }
}

#[test]
fn takes_bracketed_english_cues_and_accounts_for_all_others() {
    let english = json!([
        cue("[door slams shut]", "1", "2.25"),
        cue("hello there", "3", "2"),
        cue("(coughs) ok", "4", "2"),
        cue("[...]", "5", "2"),
        cue("[bang]", "6", "0.9"),
        cue("[bang]", "x", "2"),
        {"-start": "7", "-dur": "1"},
        {"-start": "7", "-dur": "1", "t": 5},
        cue("(thunder)\n[rain]", "8.5", "10"),
    ]);
    let text = format!(
        "{}\n{}\n{}\n",
        video("a", "en", english),
        video("b", "de", json!([cue("[Hund]", "1", "2")])),
        video("c", "en", json!([cue("hello", "1", "2")])),
    );
    let harvest = harvest_all(text.as_bytes(), false);
    assert_eq!(
        harvest.rows,
        [kept("a", 1_000, 2_250, "[door slams shut]"), kept("a", 8_500, 10_000, "(thunder) [rain]")]
    );
    let causes: Vec<LeftOut<()>> = harvest.rejects.iter().map(|reject| reject.cause).collect();
    assert_eq!(
        causes,
        [
            LeftOut::drop(DropReason::NoWordCharacter, ()),
            LeftOut::drop(DropReason::TooShort, ()),
            LeftOut::fail(Fault::BadTime, ()),
            LeftOut::fail(Fault::BadField, ()),
        ]
    );
    let group = |reason, records| Group { video_id: "a".to_owned(), reason, records };
    assert_eq!(harvest.groups, [group(DropReason::NotBracketed, 2), group(DropReason::MissingField, 1)]);
    let tally = harvest.tally;
    assert_eq!((tally.videos, tally.videos_with_cues, tally.videos_skipped_unparsed), (3, 1, 1));
    assert_eq!((tally.tracks_other_language, tally.cues_other_language), (1, 1));
}

#[test]
fn goes_on_after_corrupt_objects() {
    let good = |id: &str| video(id, "en", json!([cue("[rain]", "1", "2")])).to_string();
    let raw_line_end = good("x").replace("rain", "ra\nin");
    let cut = &good("y")[..60];
    let pretty = serde_json::to_string_pretty(&video("p", "en", json!(cue("[wind]", "1", "2")))).unwrap();
    let text = format!(
        "\u{feff}{}\n{raw_line_end}\n{}\n{cut}\n{}\nnoise\n{{}} noise [\n{pretty}\n{}{}\r\n\r\n[1]\n7\n{}",
        good("a"),
        good("b"),
        good("c"),
        good("d"),
        good("e"),
        good("f"),
    );
    let harvest = harvest_all(text.as_bytes(), true);
    let ids: Vec<&str> = harvest.rows.iter().map(|row| row.video_id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "p", "d", "e", "f"]);
    let places: Vec<usize> =
        harvest.rejects.iter().map(|reject| reject.key.strip_prefix("dump@").unwrap().parse().unwrap()).collect();
    let expected = [text.find("ra\nin"), text.find(cut), text.find("noise"), text.find("noise ["), text.find("[1]")];
    assert_eq!(places.len(), 5, "{:#?}", harvest.rejects);
    for (place, text_at) in places.iter().zip(expected) {
        assert!(*place <= text_at.unwrap() && text_at.unwrap() - place < 120, "{place} {text_at:?}");
    }
    assert_eq!(harvest.tally.objects_corrupt, 5);
}

#[test]
fn undecodable_text_is_replaced_and_counted() {
    let good = video("a", "en", json!([cue("[ra@n]", "1", "2")])).to_string();
    let [before, after] = good.split('@').collect::<Vec<_>>()[..] else { panic!() };
    for damage in [&b"\xff"[..], b"\\ud83d"] {
        let bytes = [before.as_bytes(), damage, after.as_bytes()].concat();
        let harvest = harvest_all(&bytes, false);
        assert_eq!(harvest.rows, [kept("a", 1_000, 2_000, "[ra\u{fffd}n]")]);
        assert_eq!(harvest.tally.texts_mended, 1);
    }
}

/// What Python writes into a field that nobody reads costs no cue, neither in its object nor behind it.
#[test]
fn what_only_python_reads_loses_nothing() {
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    let odd =
        ["NaN", "Infinity", "-Infinity", "1e999", "123456789012345678901234567890", "\"\\ud83d\"", "-0", "1E-7", &deep];
    for odd in odd {
        for place in ["{", "\"captions\":[{", "\"transcript\":{", "\"text\":[{"] {
            let mut dump = "\u{feff}".to_owned();
            for n in 0..20 {
                let object = video(&format!("v{n}"), "en", json!([cue("[rain]", "1", "2")])).to_string();
                let object = if n == 3 { object.replacen(place, &format!("{place}\"odd\":{odd},"), 1) } else { object };
                dump += &format!("{object}\n");
            }
            for parse_all in [false, true] {
                let harvest = harvest_all(dump.as_bytes(), parse_all);
                assert_eq!((harvest.rows.len(), harvest.rejects.len()), (20, 0), "{odd:.40} {place}");
            }
        }
    }
}

#[test]
fn times_that_are_no_numbers_are_counted() {
    let text = video("a", "en", json!([cue("[rain]", "@", "2"), cue("[rain]", "1", "@"), cue("[rain]", "1", "2")]));
    for odd in ["NaN", "-Infinity", "1e999", "123456789012345678901234567890"] {
        let harvest = harvest_all(text.to_string().replace("\"@\"", odd).as_bytes(), false);
        let causes: Vec<LeftOut<()>> = harvest.rejects.iter().map(|reject| reject.cause).collect();
        assert_eq!((harvest.rows.len(), causes), (1, vec![LeftOut::fail(Fault::BadTime, ()); 2]), "{odd}");
    }
}

#[test]
fn missing_keys_are_counted_not_fatal() {
    let track = json!({"lang": "en", "subtitles": null});
    let text = [
        json!({"video": {"videoid": "a"}}),
        json!({"captions": [{"lang": "en", "subtitles": {"transcript": {"text": [cue("[a]", "1", "2")]}}}]}),
        json!({"video": {"videoid": "c"}, "captions": [track, {"subtitles": 1}]}),
    ]
    .map(|value| value.to_string())
    .join("\n");
    let harvest = harvest_all(text.as_bytes(), true);
    assert_eq!(harvest.rows, []);
    assert_eq!(harvest.rejects[0].cause, LeftOut::fail(Fault::NoVideoId, ()));
    let tally = harvest.tally;
    assert_eq!((tally.videos, tally.videos_without_captions), (3, 1));
    assert_eq!((tally.tracks_without_transcript, tally.tracks_without_language), (1, 1));
}

/// `n` bytes that are one object without an end, then two small objects.
struct Endless {
    head: io::Take<io::Repeat>,
    tail: &'static [u8],
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.tail.read(buffer),
            n => Ok(n),
        }
    }
}

#[test]
fn a_gigabyte_without_an_object_end_is_passed_over_in_flat_memory() {
    let n = 1 << 30;
    let reader = Endless { head: io::repeat(b'x').take(n), tail: b"}\n{\"a\":1}\n{}" };
    let sizes = BlockSizes { block: BIG, max_object: 4 * BIG };
    let mut longest = 0;
    let blocks: Vec<Block> = Blocks::new(reader, ByteRange::ALL, sizes)
        .map(|block| {
            let block = block.unwrap();
            if let Block::Objects { bytes, .. } = &block {
                longest = longest.max(bytes.capacity());
            }
            block
        })
        .collect();
    let rest = Block::Objects { offset: n + 2, bytes: b"{\"a\":1}\n{}".to_vec() };
    assert_eq!(blocks, [Block::TooLarge { offset: 0, len: n + 2 }, rest]);
    assert!(longest <= 8 * BIG);
}

/// Segments as (offset, length), with too large ones told apart.
fn segments(bytes: &[u8], range: ByteRange, sizes: BlockSizes) -> Vec<(u64, u64, bool)> {
    let reader = &bytes[usize::try_from(range.seek()).unwrap().min(bytes.len())..];
    let mut found = Vec::new();
    for block in Blocks::new(reader, range, sizes) {
        match block.unwrap() {
            Block::TooLarge { offset, len } => found.push((offset, len, true)),
            Block::Objects { offset, bytes } => {
                let mut at = 0;
                while at < bytes.len() {
                    let next = boundary::first_boundary(&bytes, at + 1).unwrap_or(bytes.len());
                    let len = (next - at) as u64;
                    found.push((offset + at as u64, len, len > sizes.max_object as u64));
                    at = next;
                }
            }
        }
    }
    found
}

fn text_of_a_cue() -> impl Strategy<Value = String> {
    let blank = prop::sample::select(vec![
        "", "", "", " ", "\n", "\u{a0}", "\u{3000}", "\u{1f}", "\t ", "\u{200e}", "\u{feff}", "&nbsp;", "<i>",
        "{\\an8}", "</i>",
    ]);
    let opener = prop::sample::select(vec!["", "[", "(", "{", "♪ ", "\"", "\\", "a", "&#91;", "&lpar;", "&amp;", "<"]);
    let closer = prop::sample::select(vec!["", "]", ")", "}", "!"]);
    (blank.clone(), opener, "[a-z♪é\"\\\\ \\[\\]]{0,12}", closer, blank)
        .prop_map(|(a, b, c, d, e)| format!("{a}{b}{c}{d}{e}"))
}

fn a_cue() -> impl Strategy<Value = Value> {
    let time = || prop_oneof![8 => "[0-9]{1,3}(\\.[0-9]{1,3})?", 1 => "[a-z]?"];
    prop_oneof![
        12 => (text_of_a_cue(), time(), time()).prop_map(|(t, s, d)| cue(&t, &s, &d)),
        1 => Just(json!({"-start": "1", "-dur": "2"})),
        1 => Just(json!({"-start": 1.5, "-dur": 2, "t": "[x]"})),
        1 => Just(json!({"-start": "1", "-dur": "2", "t": null})),
        1 => Just(json!("odd")),
    ]
}

fn a_video() -> impl Strategy<Value = Value> {
    let lang = prop::sample::select(vec!["en", "en", "de", "en-GB"]);
    let cues = prop::collection::vec(a_cue(), 0..5);
    prop_oneof![
        8 => ("[a-zA-Z0-9_-]{1,11}", lang, cues).prop_map(|(id, lang, cues)| video(&id, lang, json!(cues))),
        1 => a_cue().prop_map(|one| video("single", "en", one)),
        1 => Just(json!({"video": {"videoid": "none"}})),
        1 => Just(json!({"video": null, "captions": [{"lang": "en", "subtitles": null}], "n": [1.5e3, true]})),
    ]
}

/// An object as some program may have written it: compact, spaced, or with all but ASCII escaped.
fn written() -> impl Strategy<Value = Vec<u8>> {
    (a_video(), 0..4).prop_map(|(value, style)| match style {
        0 => serde_json::to_vec_pretty(&value).unwrap(),
        1 => value.to_string().replace("\":", "\" : ").replace(",\"", ", \"").into_bytes(),
        2 => escape_all(&value.to_string()).into_bytes(),
        _ => serde_json::to_vec(&value).unwrap(),
    })
}

/// Writes brackets and all but ASCII inside strings as `\uXXXX`.
fn escape_all(json: &str) -> String {
    let mut out = String::new();
    let (mut inside, mut escape) = (false, false);
    for c in json.chars() {
        let special =
            inside && !escape && (matches!(c, '[' | '(' | '{' | ' ' | '<' | '>' | '&' | ';' | '}') || !c.is_ascii());
        if c == '"' && !escape {
            inside = !inside;
        }
        escape = inside && c == '\\' && !escape;
        if special {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")));
        } else {
            out.push(c);
        }
    }
    out
}

fn a_dump() -> impl Strategy<Value = Vec<u8>> {
    let junk = prop::sample::select(vec!["}", "{", "{\"a\":[", "x", "[1,", "\"", "", " ", "\\", "{}{}"]);
    let piece = prop_oneof![6 => written(), 1 => junk.prop_map(|s| s.as_bytes().to_vec())];
    let end = prop::sample::select(vec!["\n", "\n", "\r\n", "\n\n", " \n", ""]);
    prop::collection::vec((piece, end), 0..8)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, end)| [piece, end.into()].concat()).collect())
}

/// A dump with some bytes overwritten.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"\"\\{}[]:, \nu05dtx\xff\x00".to_vec());
    (a_dump(), prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6)).prop_map(|(mut bytes, edits)| {
        for (at, byte) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

/// What a reader of one object told, after the rules: listings may differ, yields may not.
fn yield_of(video: &Video<'_>) -> Harvest {
    let mut harvest = Harvest::default();
    take_video(&mut harvest, video, &options());
    harvest
}

#[test]
fn no_bytes_make_it_panic_or_lose_count() {
    let compact = video("a", "en", json!([cue("[rain]", "1", "2"), cue(" \n\u{a0}(é \"x\")", "3.25", "4"), {"t": 1}]));
    let pretty = serde_json::to_string_pretty(&compact).unwrap();
    let lines = format!("{compact}\n{}\n{{}}\n", escape_all(&compact.to_string()));
    let odd = br#"{"a":[null,true,-1.5e+3,"\ud83d\ude00\u005b"],"video":{"videoid":"x"},"captions":[{"lang":"en"}]}"#;
    fuzz(&[pretty.as_bytes(), lines.as_bytes(), odd, b"{\"a\":[\n{\"a\":[\n{}\n{}\n"], |bytes| {
        let _ = may_hold_bracketed(bytes);
        let fast = harvest_all(bytes, false);
        let full = harvest_all(bytes, true);
        assert_eq!(fast.rows, full.rows);
        let corrupt = full.rejects.iter().filter(|r| r.cause == LeftOut::fail(Fault::CorruptObject, ())).count();
        assert_eq!(corrupt as u64, full.tally.objects_corrupt);
        let sizes = BlockSizes { block: 1 + bytes.len() % 97, max_object: 40 + bytes.len() % 400 };
        let n: u64 = segments(bytes, ByteRange::ALL, sizes).iter().map(|segment| segment.1).sum();
        assert_eq!(n, bytes.len() as u64);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn neighbouring_ranges_cover_every_object_once(
        bytes in damaged(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        block in 1usize..300,
        max_object in prop_oneof![Just(BIG), 50usize..400],
    ) {
        let sizes = BlockSizes { block, max_object };
        let all = segments(&bytes, ByteRange::ALL, BlockSizes { block: BIG, max_object });
        prop_assert_eq!(all.iter().map(|s| s.1).sum::<u64>(), bytes.len() as u64);
        let mut edges: Vec<u64> = cuts.iter().map(|cut| cut.index(bytes.len() + 1) as u64).collect();
        edges.extend([0, bytes.len() as u64]);
        edges.sort_unstable();
        let parts: Vec<_> = edges
            .windows(2)
            .flat_map(|edge| segments(&bytes, ByteRange { start: edge[0], end: edge[1] }, sizes))
            .collect();
        prop_assert_eq!(parts, all);
    }

    #[test]
    fn the_prefilter_loses_nothing(bytes in a_dump()) {
        let fast = harvest_all(&bytes, false);
        let full = harvest_all(&bytes, true);
        prop_assert_eq!(&fast.rows, &full.rows);
        prop_assert_eq!(fast.tally.videos_with_cues, full.tally.videos_with_cues);
        let drops = |harvest: &Harvest| harvest.rejects.iter()
            .filter(|r| !r.cause.is_failure() || r.cause == LeftOut::fail(Fault::BadTime, ())).cloned().collect::<Vec<_>>();
        prop_assert_eq!(drops(&fast), drops(&full));
    }

    #[test]
    fn the_fast_reader_agrees_with_the_general_one(bytes in damaged()) {
        let text = String::from_utf8_lossy(&bytes);
        for at in (0..text.len()).filter(|&at| text.as_bytes()[at] == b'{').take(3) {
            for list_all in [false, true] {
                let options = ParseOptions { list_all, ..parse_options(true) };
                if let Some((video, used)) = scan(&text[at..], options) {
                    let same = dom::read(&text[at..], options).unwrap();
                    prop_assert_eq!((used, false), (same.len, same.mended));
                    prop_assert_eq!(yield_of(&video), yield_of(&same.video));
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read(cues in prop::collection::vec(
        ("[a-zé♪ \"\\\\]{0,9}[a-z]", 0u32..9_000_000, 1_000u32..=10_000), 1..6,
    ), pretty in any::<bool>()) {
        let rows: Vec<KeptCue> = cues.iter()
            .map(|(text, start, dur)| kept("vid", *start, *dur, &format!("[{text}]")))
            .filter(|row| !row.text.contains("\"\"\""))
            .collect();
        let seconds = |ms: u32| format!("{}.{:03}", ms / 1000, ms % 1000);
        let list: Vec<Value> = rows.iter()
            .map(|row| cue(&row.text, &seconds(row.start_ms), &seconds(row.dur_ms))).collect();
        let object = video("vid", "en", json!(list));
        let text = if pretty { format!("{object:#}\n") } else { format!("{object}\n") };
        prop_assert_eq!(harvest_all(text.as_bytes(), false).rows, rows);
    }
}
