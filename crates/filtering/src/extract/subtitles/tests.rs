#![allow(clippy::unwrap_used)]
//! Properties of the subtitle parsers on made-up, damaged and hostile files.

use audsem_core::run::LeftOut;
use audsem_core::video_id::IdRule;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::extract::damage::fuzz;
use crate::extract::harvest::Group;
use crate::extract::rules::DurationLimits;

/// A cue, for the tests of the parsers.
pub(super) fn cue(start_ms: u64, end_ms: u64, text: &str) -> TimedText {
    TimedText { start_ms, end_ms, text: text.to_owned() }
}

/// The readable cues of a parsed file.
pub(super) fn cues(parsed: &Parsed) -> Vec<TimedText> {
    let cue = |item: &Item| if let Item::Cue(cue) = item { Some(cue.clone()) } else { None };
    parsed.items.iter().filter_map(cue).collect()
}

fn options() -> HarvestOptions {
    HarvestOptions {
        languages: "en".parse().unwrap(),
        limits: DurationLimits { min_s: 1.0, max_s: 10.0 },
        list_plain: false,
    }
}

fn take(path: &str, bytes: &[u8]) -> Harvest {
    let (name, options) = (parse_name(path).unwrap(), options());
    let naming = Naming { ids: IdRule::Auto, languages: &options.languages, fetched: false };
    let track = naming.track(name.stem, |_| false);
    harvest(path, &track, SubtitleFile::read(bytes, name.format), &options, &mut Twins::default())
}

const VTT: &str = "WEBVTT\n\n00:01.000 --> 00:03.000\n[rain]\n(and wind)\n\n00:04.000 --> 00:05.000\nhello\n";

#[test]
fn takes_the_cues_of_a_file() {
    let utf16: Vec<u8> = format!("\u{feff}{VTT}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bom = format!("\u{feff}{}", VTT.replace('\n', "\r\n"));
    let mac = VTT.replace('\n', "\r");
    for bytes in [VTT.as_bytes(), &utf16, bom.as_bytes(), mac.as_bytes()] {
        let harvest = take("abc.en.vtt", bytes);
        let row = &harvest.rows[0];
        assert_eq!((row.video_id.as_str(), row.start_ms, row.dur_ms), ("abc", 1_000, 2_000));
        assert_eq!(row.text, "[rain] (and wind)");
        let speech = Group { video_id: "abc".to_owned(), reason: DropReason::NotBracketed, records: 1 };
        assert_eq!((harvest.rows.len(), harvest.rejects.len(), harvest.groups), (1, 0, vec![speech]));
    }
}

/// Every mix of line ends and every byte order mark gives the same cues: the sound that automatic captions
/// have behind a line of one blank among them.
#[test]
fn line_ends_and_marks_do_not_change_the_cues() {
    let vtt = "WEBVTT\nKind: captions\n\n00:00.000 --> 00:02.000 align:start\n \n[Music]\n\nNOTE x\n\n2\n\
        00:02.000 --> 00:04.000\n[rain]\n\t\n";
    let srt = "1\n00:00:00,000 --> 00:00:02,000\n \n[Music]\n\n2\n00:00:02,000 --> 00:00:04,000\n[rain]\n";
    for (path, text) in [("abc.en.vtt", vtt), ("abc.en.srt", srt)] {
        let cr = text.replace('\n', "\r");
        let texts = [
            text.to_owned(),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r\r\n"),
            cr.clone(),
            format!("{cr}\n"),
            cr.replacen('\r', "\n", 1),
            cr.replacen('\r', "\r\n", 3),
            text.replacen('\n', "\r\n", 4),
            text.replace('\n', "\r\n").replacen("\r\n", "\n", 2),
            format!("\n\r\n{text}"),
        ];
        for text in texts {
            for mark in ["", "\u{feff}", "\u{feff}\u{feff}"] {
                let harvest = take(path, format!("{mark}{text}").as_bytes());
                let rows: Vec<_> = harvest.rows.iter().map(|row| (row.start_ms, row.dur_ms, &*row.text)).collect();
                assert_eq!(rows, [(0, 2_000, "[Music]"), (2_000, 2_000, "[rain]")], "{mark:?} {text:?}");
                assert_eq!(harvest.rejects, [], "{mark:?} {text:?}");
            }
        }
    }
}

#[test]
fn arrows_without_a_cue_are_a_fault_and_an_empty_list_is_none() {
    for (path, text, faults) in [
        ("abc.en.vtt", "WEBVTT\n", 0),
        ("abc.en.vtt", "WEBVTT\n\nNOTE nothing was said\n", 0),
        ("abc.en.vtt", "WEBVTT\n\nNOTE\nold --> new\n", 1),
        ("abc.en.vtt", "WEBVTT 00:01.000 --> 00:02.000\n[Music]\n", 1),
        ("abc.en.vtt", "WEBVTT\n\n1.0 --> 2.0\n[Music]\n", 1),
        ("abc.en.srt", "1\n1.0 --> 2.0\n[Music]\n", 1),
        ("abc.en.srt", "1\n[Music]\n", 1),
        ("abc.en.srt", "", 0),
        ("abc.en.vtt", "{\"events\":[]}", 0),
        ("abc.en.vtt", "<timedtext><!-- a --> <body></body></timedtext>", 0),
    ] {
        let harvest = take(path, text.as_bytes());
        assert_eq!((harvest.rows.len(), harvest.rejects.len()), (0, faults), "{path} {text:?}");
    }
}

#[test]
fn the_content_counts_for_more_than_the_extension() {
    assert_eq!(take("abc.en.srt", VTT.as_bytes()).rows.len(), 1);
    let json = r#"{"events":[{"tStartMs":1,"dDurationMs":1000,"segs":[{"utf8":"[a]"}]}]}"#;
    assert_eq!(take("abc.en.vtt", json.as_bytes()).rows.len(), 1);
}

#[test]
fn what_a_file_lacks_is_counted() {
    let faults = |harvest: &Harvest| harvest.rejects.iter().map(|reject| reject.cause).collect::<Vec<_>>();
    let fault = |fault| vec![LeftOut::fail(fault, ())];
    assert_eq!(take("abc.de.vtt", VTT.as_bytes()).tally.tracks_other_language, 1);
    assert_eq!(take("abc.vtt", VTT.as_bytes()).tally.tracks_without_language, 1);
    let long = format!("{}.en.vtt", "x".repeat(201));
    assert_eq!(faults(&take(&long, VTT.as_bytes())), fault(Fault::NoVideoId));
    assert_eq!(faults(&take("abc.en.srt", b"\x00\x01\x02binary")), fault(Fault::MalformedFile));
    assert_eq!(faults(&take("abc.en.srv3", b"<html>")), fault(Fault::MalformedFile));
    assert_eq!(faults(&take("abc.en.json3", b"")), fault(Fault::MalformedFile));
    assert_eq!(faults(&take("abc.en.vtt", b"")), vec![]);
    let damaged = VTT.replace("rain", "r@n").into_bytes();
    let damaged: Vec<u8> = damaged.iter().map(|&b| if b == b'@' { 0xff } else { b }).collect();
    assert_eq!(take("abc.en.vtt", &damaged).tally.texts_mended, 1);
}

#[test]
fn every_format_is_read_and_stripped_alike() {
    let rows = |path: &str, text: &str| {
        let harvest = take(path, text.as_bytes());
        assert_eq!(harvest.rejects, [], "{path}");
        harvest.rows.into_iter().map(|row| (row.start_ms, row.dur_ms, row.text)).collect::<Vec<_>>()
    };
    let text =
        "<font color=\"#fff\">{\\an8}<i>\u{200e}[caf&eacute;&nbsp;door\u{2028}&hellip; &lt;3 <3]</i></font>&lrm;";
    let expected = [(1_000, 2_500, "[café\u{a0}door … <3 <3]".to_owned())];
    let xml = escape(text);
    for (path, file) in [
        ("abc.en.vtt", format!("WEBVTT\n\n00:01.000 --> 00:03.500\n{text}\n")),
        ("abc.en.webvtt", format!("00:01.000 --> 00:03.500\n{text}\n")),
        ("abc.en.srt", format!("1\n00:00:01, 000 --> 00:00:03, 500\n{text}\n")),
        ("abc.en.sbv", format!("0:00:01.000,0:00:03.500\n{text}\n")),
        ("abc.en.ass", format!("[Script Info]\nDialogue: 0,0:00:01.00,0:00:03.50,,,0,0,0,,{text}\n")),
        (
            "abc.en.json3",
            json!({"events": [{"tStartMs": 1000, "dDurationMs": 2500, "segs": [{"utf8": text}]}]}).to_string(),
        ),
        ("abc.en.srv1", format!("<transcript><text start=\"1\" dur=\"2.5\">{xml}</text></transcript>")),
        ("abc.en.srv3", format!("<timedtext><body><p t=\"1000\" d=\"2500\">{xml}</p></body></timedtext>")),
        ("abc.en.dfxp", format!("<tt><body><p begin=\"1s\" dur=\"2500ms\">{xml}</p></body></tt>")),
        ("abc.en.sub", format!("1\n00:00:01,000 --> 00:00:03,500\n{text}\n")),
    ] {
        assert_eq!(rows(path, &file), expected, "{path}");
    }
    assert_eq!(rows("abc.en.srt", "1\u{2028}00:00:01,000 --> 00:00:03,000\u{2028}[rain]\u{2028}").len(), 1);
    // What cannot be read says so.
    for path in ["abc.en.smi", "abc.en.lrc", "abc.en.sub"] {
        let harvest = take(path, b"{1}{25}[rain]");
        let reject = &harvest.rejects[0];
        assert_eq!((reject.key.as_str(), reject.cause), (path, LeftOut::fail(Fault::UnreadFormat, ())));
    }
    assert!(take("abc.de.smi", b"<SAMI>").rejects.is_empty(), "another language");
}

#[test]
fn hostile_repetitions_cost_linear_time() {
    for (path, head) in [
        ("abc.en.vtt", "WEBVTT\n\n00:01.000 --> 00:03.500\n"),
        ("abc.en.srt", "1\n00:00:01,000 --> 00:00:03,500\n"),
        ("abc.en.sbv", "0:00:01.000,0:00:03.500\n"),
        ("abc.en.ass", "Dialogue: 0,0:00:01.00,0:00:03.50,,,0,0,0,,"),
        ("abc.en.srv1", "<transcript><text start=\"1\" dur=\"2.5\">"),
        ("abc.en.dfxp", "<tt><body><p begin=\"1s\" dur=\"2s\">"),
    ] {
        for piece in ["<a", "&lt;a", "<", "{\\", "{", "&a", "a\n", "0:\n", "\u{200d}", ",", "[br"] {
            let begin = std::time::Instant::now();
            assert_eq!(take(path, format!("{head}{}", piece.repeat(400_000)).as_bytes()).tally.videos, 1);
            assert!(begin.elapsed().as_secs() < 20, "{path} {piece:?}");
        }
    }
}

#[test]
fn rolling_captions_are_told_once() {
    let text = "WEBVTT\n\n00:00.000 --> 00:02.000\n[Music]\n\n00:02.000 --> 00:02.010\n[Music]\n\n\
        00:02.010 --> 00:04.000\n[Music]\n[Applause]\n\n";
    let harvest = take("abc.en.vtt", text.as_bytes());
    let texts: Vec<&str> = harvest.rows.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["[Music]", "[Applause]"]);
    assert_eq!(harvest.rejects[0].cause, LeftOut::drop(DropReason::RollingRepeat, ()));
}

fn write_vtt(cues: &[TimedText], separator: char) -> String {
    let mut text = String::from("WEBVTT\n\n");
    for cue in cues {
        let times = [cue.start_ms, cue.end_ms].map(|ms| clock::write(ms, separator));
        text += &format!("{} --> {}\n{}\n\n", times[0], times[1], escape(&cue.text));
    }
    text
}

fn write_srt(cues: &[TimedText]) -> String {
    let numbered = cues.iter().enumerate().map(|(i, cue)| {
        let times = [cue.start_ms, cue.end_ms].map(|ms| clock::write(ms, ','));
        format!("{}\n{} --> {}\n{}\n\n", i + 1, times[0], times[1], escape(&cue.text))
    });
    numbered.collect()
}

fn write_json3(cues: &[TimedText]) -> String {
    let event = |cue: &TimedText| {
        json!({"tStartMs": cue.start_ms, "dDurationMs": cue.end_ms - cue.start_ms,
        "segs": escape(&cue.text).split_inclusive(' ').map(|part| json!({"utf8": part})).collect::<Vec<_>>()})
    };
    json!({"events": cues.iter().map(event).collect::<Vec<_>>()}).to_string()
}

fn write_srv3(cues: &[TimedText]) -> String {
    let p = |cue: &TimedText| {
        let text = escape(&escape(&cue.text));
        format!("<p t=\"{}\" d=\"{}\">{text}</p>", cue.start_ms, cue.end_ms - cue.start_ms)
    };
    format!("<timedtext format=\"3\"><body>{}</body></timedtext>", cues.iter().map(p).collect::<String>())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace("{\\", "&#123;\\")
}

fn some_cues() -> impl Strategy<Value = Vec<TimedText>> {
    let line = "[a-z\\[(♪é<>&{\"\\\\-]([a-z0-9 ♪é<>&;{}\"\\\\-]{0,12}[a-z\\])])?";
    let text = prop::collection::vec(line, 1..4).prop_map(|lines| lines.join("\n"));
    let one = (0u64..100_000_000, 0u64..20_000, text);
    prop::collection::vec(one.prop_map(|(start, dur, text)| cue(start, start + dur, &text)), 0..6)
}

#[test]
fn no_bytes_make_a_parser_panic() {
    let cues =
        [cue(1_000, 3_000, "[rain & <wind>]\n{\\x}"), cue(3_000, 3_010, "♪"), cue(99_000_000, 99_001_000, "1\n2")];
    let rolling =
        "WEBVTT\n\nNOTE x\n\n1\n00:01.000 --> 00:02.000 a:b\n<c>[a]</c><00:01.500> b\n\n00:02.000 --> 00:02.010\n[a]\n";
    let ttml = "<tt><body><p begin=\"00:00:01.5\" end='2s'>a<br/><![CDATA[b]]>&#x41;<!-- c --></p></body></tt>";
    let texts = [write_vtt(&cues, '.'), write_srt(&cues), write_json3(&cues), write_srv3(&cues)];
    let mut seeds: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    let nested = "<tt ttp:tickRate='10'><body timeContainer='seq' begin='1t'><div dur='9f'><p><span end='00:00:01:09'>a</span>b</p></div></body></tt>";
    let sbv = "0:00:01.000,0:00:03.500\na[br]b\n";
    let ass = "[Script Info]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,{\\an8}[a]\\Nb\n";
    seeds.extend([nested.as_bytes(), sbv.as_bytes(), ass.as_bytes()]);
    seeds.extend([rolling.as_bytes(), ttml.as_bytes(), b"\xff\xfe[\0a\0]\0\n\0"]);
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for parser in [vtt::parse, srt::parse, json3::parse, xml::parse, sbv::parse, ass::parse] {
            let parsed = parser(&text);
            assert!(super::tests::cues(&parsed).iter().all(|cue| cue.start_ms <= cue.end_ms));
        }
        for path in ["abc.en.vtt", "abc.en.srv3", "abc.en.sbv", "abc.en.ass", "abc.en.sub"] {
            assert_eq!(take(path, bytes).tally.videos, 1);
        }
        let _ = parse_name(&text);
        let _ = parse_name(&format!("{text}.en.vtt"));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(cues in some_cues()) {
        for (text, format) in [
            (write_vtt(&cues, '.'), SubtitleFormat::Vtt),
            (write_vtt(&cues, ',').replace('\n', "\r\n"), SubtitleFormat::Vtt),
            (write_srt(&cues), SubtitleFormat::Srt),
            (write_json3(&cues), SubtitleFormat::Json3),
            (write_srv3(&cues), SubtitleFormat::Xml),
        ] {
            let parsed = parse(&text, format);
            prop_assert_eq!(super::tests::cues(&parsed), &cues[..], "{}", text);
            prop_assert_eq!(parsed.broken, None);
        }
    }
}
