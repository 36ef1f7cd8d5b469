//! `--compat reference`: the two CSV files of the published data set's scripts, byte for byte.
//!
//! The scripts write captions with doubled but mostly missing quotes, and read them again with pandas,
//! so that texts with quotes change on the way; times are printed as pandas does it (see `pandas`). Nothing is read
//! after an object that is not JSON. Where the
//! scripts would have ended with an exception (a missing key, a time that is not a number), this reader
//! counts a fault and continues.

use audsem_core::run::LeftOut;
use audsem_core::terminal::counted;
use std::borrow::Cow;
use std::fmt::Write as _;

use super::dump::{DumpCue, Found, Video};
use super::harvest::{CueText, Harvest, HarvestOptions, excerpt};
use super::pandas::Time;
use super::reasons::{DropReason, Fault};
use super::rules::DurationLimits;
use super::text::{has_word_character, is_bracketed, is_closer, is_opener, one_line, trim};

/// First line of both files.
pub const HEADER: &str = "video_id,start,duration,text\n";

/// What the scripts make of one piece of the dump.
#[derive(Debug, Default)]
pub struct ReferenceHarvest {
    /// Lines of the first file: captions with brackets anywhere.
    pub captions: String,
    /// Rows of the second: bracketed captions of the right length.
    pub kept: Vec<KeptRow>,
    /// Whether the first file has starts and lengths that are no whole numbers.
    pub fractions: Fractions,
    /// Rejects and counters; its rows stay empty.
    pub harvest: Harvest,
    /// Caption lines in tracks of the language.
    pub n_lines: u64,
    /// Lines in `captions`.
    pub n_captions: u64,
    /// An object was corrupt: the scripts read nothing after it.
    pub stopped: bool,
}

/// A row of the second file, before it is known how its times are printed.
#[derive(Debug, PartialEq)]
pub struct KeptRow {
    id: String,
    start: Time,
    dur: Time,
    text: String,
}

impl KeptRow {
    /// The line, in a file of these times.
    #[must_use]
    pub fn line(&self, fractions: Fractions) -> String {
        let (start, dur) = (self.start.print(!fractions.start), self.dur.print(!fractions.dur));
        format!("{},{start},{dur},{}\n", self.id, minimal_quotes(&self.text))
    }
}

/// Whether the columns of times have values that are no whole numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fractions {
    start: bool,
    dur: bool,
}

impl Fractions {
    /// Both columns have some: no later row changes how times are printed.
    pub const BOTH: Self = Self { start: true, dur: true };

    /// Takes in a row of the first file. A text, which makes texts of the column, counts as a fault and not here.
    fn add(&mut self, start: Option<Time>, dur: Option<Time>) {
        let is_fraction = |time: Option<Time>| time.is_some_and(|time| !matches!(time, Time::Whole { .. }));
        *self = self.or(Self { start: is_fraction(start), dur: is_fraction(dur) });
    }

    /// The columns that have some in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { start: self.start || other.start, dur: self.dur || other.dur }
    }
}

impl ReferenceHarvest {
    /// Takes in what was found next in the dump, unless `limit` records are read or the scripts would
    /// have stopped; `key` names a place by its offset in the block.
    pub fn take(
        &mut self,
        found: Found<'_>,
        key: impl Fn(usize) -> String,
        options: &HarvestOptions,
        limit: Option<u64>,
    ) {
        let full = limit.is_some_and(|limit| self.n_read() >= limit);
        if self.stopped || full {
            return;
        }
        match found {
            Found::Video { video, mended } => {
                self.harvest.tally.texts_mended += u64::from(mended);
                self.take_video(&video, options);
            }
            Found::Unparsed => self.harvest.tally.videos_skipped_unparsed += 1,
            Found::Corrupt { at, text, error } => {
                self.stopped = true;
                self.harvest.tally.objects_corrupt += 1;
                let detail = format!("{error}: {}", excerpt(&text));
                self.harvest.fault(key(at), Fault::CorruptObject, detail);
            }
            Found::TooLarge { at, len } => {
                self.stopped = true;
                self.harvest.tally.objects_too_large += 1;
                self.harvest.fault(key(at), Fault::ObjectTooLarge, format!("{len} bytes"));
            }
        }
    }

    /// Records read.
    #[must_use]
    pub fn n_read(&self) -> u64 {
        self.n_kept() + self.harvest.n_read()
    }

    /// Cues kept.
    #[must_use]
    pub fn n_kept(&self) -> u64 {
        self.kept.len() as u64
    }

    fn take_video(&mut self, video: &Video<'_>, options: &HarvestOptions) {
        self.harvest.tally.videos += 1;
        let Some(tracks) = &video.tracks else {
            self.harvest.tally.videos_without_captions += 1;
            return;
        };
        let Some(id) = video.id.as_deref() else {
            self.harvest.fault("?".to_owned(), Fault::NoVideoId, counted(tracks.len(), "caption tracks"));
            return;
        };
        let before = self.n_kept();
        for track in tracks {
            let n_cues = track.cues.len() as u64 + track.plain + track.incomplete;
            match track.lang.as_deref() {
                None => self.harvest.tally.tracks_without_language += 1,
                Some(lang) if !options.languages.contain(lang) => {
                    self.harvest.pass_over(lang);
                    self.harvest.tally.cues_other_language += n_cues;
                }
                Some(_) => {
                    self.harvest.tally.tracks_without_transcript += u64::from(!track.has_transcript);
                    self.n_lines += n_cues;
                    self.harvest.leave_out(id, DropReason::NotBracketed, track.plain);
                    self.harvest.take_incomplete(id, track.incomplete, options);
                    track.cues.iter().for_each(|cue| self.take_cue(id, cue, options));
                }
            }
        }
        self.harvest.tally.videos_with_cues += u64::from(self.n_kept() > before);
    }

    fn take_cue(&mut self, id: &str, cue: &DumpCue<'_>, options: &HarvestOptions) {
        let times = CueText::from_decimal(&cue.text, &cue.start, &cue.dur);
        if cue.malformed {
            return self.harvest.reject(id, times, LeftOut::fail(Fault::BadField, ()));
        }
        let text = trim(&cue.text);
        if !(text.contains(is_opener) && text.contains(is_closer)) {
            return self.drop(id, times, DropReason::NotBracketed, options);
        }
        let text = one_line(text);
        writeln!(self.captions, "{id},{},{},{}", cue.start, cue.dur, escape(&text)).expect("a string takes any line");
        self.n_captions += 1;
        let text = reread(&text);
        let (start, dur) = (Time::parse(&cue.start), Time::parse(&cue.dur));
        self.fractions.add(start, dur);
        match (start, dur.filter(|dur| *dur != Time::Missing)) {
            (Some(start), Some(dur)) => match rule(&text, dur.value(), options.limits) {
                None => self.kept.push(KeptRow { id: id.to_owned(), start, dur, text: text.into_owned() }),
                Some(reason) => self.drop(id, CueText { text: &text, ..times }, reason, options),
            },
            _ => self.harvest.reject(id, times, LeftOut::fail(Fault::BadTime, ())),
        }
    }

    fn drop(&mut self, id: &str, cue: CueText<'_>, reason: DropReason, options: &HarvestOptions) {
        if reason == DropReason::NotBracketed && !options.list_plain {
            self.harvest.leave_out(id, reason, 1);
        } else {
            self.harvest.reject(id, cue, LeftOut::drop(reason, ()));
        }
    }
}

/// The rules of the second script, in its order; they see the text as it was read again.
fn rule(text: &str, dur_s: f64, limits: DurationLimits) -> Option<DropReason> {
    if !is_bracketed(text) {
        return Some(DropReason::NotBracketed);
    }
    if dur_s > limits.max_s {
        return Some(DropReason::TooLong);
    }
    if dur_s < limits.min_s {
        return Some(DropReason::TooShort);
    }
    if !has_word_character(text) {
        return Some(DropReason::NoWordCharacter);
    }
    text.contains("\"\"\"").then_some(DropReason::TripleQuote)
}

/// Writes a text as the first script does: quotes doubled always, put in quotes only if it has a comma.
fn escape(text: &str) -> Cow<'_, str> {
    let has_comma = text.contains(',');
    if !has_comma && !text.contains('"') {
        return Cow::Borrowed(text);
    }
    let doubled = text.replace('"', "\"\"");
    Cow::Owned(if has_comma { format!("\"{doubled}\"") } else { doubled })
}

/// What a CSV reader gets back from [`escape`]: quotes inside an unquoted field stay doubled; of those
/// at its head, each pair is one character (the first opens the field, the last closes it).
fn reread(text: &str) -> Cow<'_, str> {
    if text.contains(',') || !text.contains('"') {
        return Cow::Borrowed(text);
    }
    let rest = text.trim_start_matches('"');
    let n_leading = text.len() - rest.len();
    Cow::Owned("\"".repeat(n_leading.saturating_sub(1)) + &rest.replace('"', "\"\""))
}

/// Writes a field as Python's `csv` does with minimal quoting.
fn minimal_quotes(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::dump::{ParseOptions, for_each_object};
    use super::*;

    fn run(dump: &str) -> ReferenceHarvest {
        let options = HarvestOptions {
            languages: "en".parse().unwrap(),
            limits: DurationLimits { min_s: 1.0, max_s: 10.0 },
            list_plain: false,
        };
        let parse = ParseOptions { list_all: true, parse_all: true, max_object: 1 << 20 };
        let mut out = ReferenceHarvest::default();
        for_each_object(dump.as_bytes(), parse, |found| out.take(found, |at| at.to_string(), &options, None));
        out
    }

    impl ReferenceHarvest {
        fn second_file(&self) -> String {
            self.kept.iter().map(|row| row.line(self.fractions)).collect()
        }
    }

    /// The vector of the specification, section 4.
    const GOLDEN: &str = r#"{"video":{"videoid":"vid1"},"captions":[
      {"lang":"de","subtitles":{"transcript":{"text":[{"-start":"1","-dur":"2","t":"[Hund bellt]"}]}}},
      {"lang":"en-GB","subtitles":{"transcript":{"text":[{"-start":"1","-dur":"2","t":"[dog barks]"}]}}},
      {"lang":"en","subtitles":{"transcript":{"text":[
        {"-start":"0.5","-dur":"2.25","t":"[door slams shut]"},
        {"-start":"3","-dur":"2","t":"He said (coughs) ok"},
        {"-start":"5.1","-dur":"0.9","t":"(thunder rumbling)\n[rain]"},
        {"-start":"6","-dur":"10.5","t":"{wind howling}"},
        {"-start":"17","-dur":"3","t":"[♪♪♪]"},
        {"-start":"20","-dur":"3","t":"[...]"},
        {"-start":"23","-dur":"4.125","t":"[dog barks, cat hisses]"},
        {"-start":"28","-dur":"1.5","t":"[man says \"hey\" loudly]"},
        {"-start":"30","-dur":"2","t":"\"[bell rings]\" she said]"},
        {"-start":"33","-dur":"2","t":"hello there"},
        {"-start":"35","-dur":"2"}]}}}]}
{"video":{"videoid":"vid2"},"captions":[{"lang":"en","subtitles":{"transcript":{"text":{"-start":"10","-dur":"1","t":"[x one]"}}}}]}
{"video":{"videoid":"vid3"},"captions":[{"lang":"en","subtitles":{"transcript":{"text":{"-start":"10","-dur":"10","t":"[x ten]"}}}}]}
"#;

    #[test]
    fn the_golden_vector_gives_both_files() {
        let out = run(GOLDEN);
        assert_eq!(
            out.captions,
            r#"vid1,0.5,2.25,[door slams shut]
vid1,3,2,He said (coughs) ok
vid1,5.1,0.9,(thunder rumbling) [rain]
vid1,6,10.5,{wind howling}
vid1,17,3,[♪♪♪]
vid1,20,3,[...]
vid1,23,4.125,"[dog barks, cat hisses]"
vid1,28,1.5,[man says ""hey"" loudly]
vid1,30,2,""[bell rings]"" she said]
vid2,10,1,[x one]
vid3,10,10,[x ten]
"#
        );
        assert_eq!(
            out.second_file(),
            r#"vid1,0.5,2.25,[door slams shut]
vid1,23.0,4.125,"[dog barks, cat hisses]"
vid1,28.0,1.5,"[man says """"hey"""" loudly]"
vid1,30.0,2.0,"[bell rings]"""" she said]"
vid2,10.0,1.0,[x one]
vid3,10.0,10.0,[x ten]
"#
        );
        assert_eq!((out.n_lines, out.n_captions, out.n_kept()), (13, 11, 6));
        assert_eq!(out.harvest.tally.videos, 3);
    }

    #[test]
    fn a_corrupt_object_swallows_the_rest() {
        let good = r#"{"video":{"videoid":"a"},"captions":[{"lang":"en","subtitles":{"transcript":{"text":{"-start":"1","-dur":"1","t":"[x]"}}}}]}"#;
        let out = run(&format!("{good}\n{{\"a\":\n{good}\n{good}\n"));
        assert!(out.stopped);
        assert_eq!((out.n_kept(), out.harvest.tally.videos), (1, 1));
    }

    #[test]
    fn what_python_reads_ends_nothing() {
        let object = |id: usize, odd: &str| {
            format!(
                "{{\"odd\":{odd},\"video\":{{\"videoid\":\"v{id}\"}},\"captions\":[{{\"lang\":\"en\",\"subtitles\":{{\"transcript\":\
                 {{\"text\":{{\"-start\":1,\"-dur\":1.50,\"t\":\"[x]\"}}}}}}}}]}}\n"
            )
        };
        for odd in
            ["NaN", "Infinity", "-Infinity", "1e999", "1e-999", "12345678901234567890123", "\"\\ud83d\"", "[[NaN]]"]
        {
            let dump: String = (0..1_031).map(|id| object(id, if id == 30 { odd } else { "0" })).collect();
            let out = run(&dump);
            assert_eq!((out.n_kept(), out.stopped, out.harvest.n_read()), (1_031, false, 0), "{odd}");
            assert!(out.captions.contains("\nv30,1,1.5,[x]\n"), "{odd}");
            assert!(out.second_file().contains("\nv1030,1,1.5,[x]\n"), "{odd}");
        }
        // A time that is not a number stands in the first file as Python prints it, and fails in the second.
        let out = run(&object(7, "0").replace("1.50", "NaN"));
        assert_eq!((&*out.captions, out.n_kept(), out.harvest.n_read()), ("v7,1,nan,[x]\n", 0, 1));
    }

    #[test]
    fn quotes_change_on_the_way_through_the_first_file() {
        for (text, written, read) in [
            ("[a]", "[a]", "[a]"),
            ("[a, \"b\"]", "\"[a, \"\"b\"\"]\"", "[a, \"b\"]"),
            ("\"[a]", "\"\"[a]", "[a]"),
            ("\"\"[a]", "\"\"\"\"[a]", "\"[a]"),
            ("[\"a\"]", "[\"\"a\"\"]", "[\"\"a\"\"]"),
        ] {
            assert_eq!((&*escape(text), &*reread(text)), (written, read), "{text}");
        }
    }

    #[test]
    fn whole_numbers_and_odd_starts_are_those_of_pandas() {
        let object = |id: &str, cues: &[(&str, &str)]| {
            let cue = |(start, dur): &(&str, &str)| format!(r#"{{"-start":{start},"-dur":{dur},"t":"[x y]"}}"#);
            let cues: Vec<String> = cues.iter().map(cue).collect();
            format!(
                r#"{{"video":{{"videoid":{id}}},"captions":[{{"lang":"en","subtitles":{{"transcript":{{"text":[{}]}}}}}}]}}
"#,
                cues.join(",")
            )
        };
        let check = |dump: String, second: &str, faults: u64| {
            let out = run(&dump);
            assert_eq!((out.second_file().as_str(), out.harvest.n_read() - faults), (second, 0), "{dump}");
        };
        check(object("\"a\"", &[("1", "2"), ("\"03\"", "\"4\"")]), "a,1,2,[x y]\na,3,4,[x y]\n", 0);
        // A fraction anywhere makes floats of its column, also in a row that is left out.
        check(object("\"a\"", &[("1", "2"), ("7.5", "40")]), "a,1.0,2,[x y]\n", 1);
        check(object("\"a\"", &[("1", "2"), ("7", "0.5")]), "a,1,2.0,[x y]\n", 1);
        // Starts that are no numbers to us are not available, or infinite, to pandas.
        check(
            object("\"a\"", &[("\"\"", "2"), ("\"NA\"", "2"), ("\"inf\"", "2"), ("1e3", "2"), ("Infinity", "2")]),
            "a,,2,[x y]\na,,2,[x y]\na,inf,2,[x y]\na,1000.0,2,[x y]\na,inf,2,[x y]\n",
            0,
        );
        check(object("\"a\"", &[("1", "\"nan\""), ("1", "\"inf\""), ("\"0:01\"", "2")]), "", 3);
        // An id that is a number.
        check(object("4711", &[("1", "2")]), "4711,1,2,[x y]\n", 0);
    }
}
