//! The times of TTML (<https://www.w3.org/TR/ttml1/>, sections 6.2, 10 and appendix N): frames and ticks of rates that the
//! document names, and elements whose times count from those of the elements around them.

use quick_xml::events::BytesStart;

use super::clock;

/// Latest time that is read, in milliseconds: some thirty years.
const MAX_MS: f64 = 1e12;

/// The rates that times of a document are written in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Frames in a second, as they are counted.
    frames: f64,
    /// Seconds of counted frames in a second: 1000/1001 where 30 frames are counted and 29.97 shown.
    multiplier: f64,
    /// Parts of a frame.
    sub_frames: f64,
    ticks: Option<f64>,
    has_frames: bool,
    /// Clock times count frames (SMPTE time code) and are no time that passes.
    is_time_code: bool,
    drop: DropMode,
}

/// Which numbers of frames a time code leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum DropMode {
    None,
    /// Two in each minute but the tenth.
    Ntsc,
    /// Four in each other minute but the twentieth.
    Pal,
}

impl Rates {
    /// The rates that the root element names, else the defaults of the standard.
    pub(super) fn of(root: &BytesStart<'_>) -> Self {
        let mut rates = Self {
            frames: 30.0,
            multiplier: 1.0,
            sub_frames: 1.0,
            ticks: None,
            has_frames: false,
            is_time_code: false,
            drop: DropMode::None,
        };
        for attribute in root.html_attributes().flatten() {
            let value = attribute.value.trim();
            let number = || value.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
            match attribute.key.local_name().as_ref() {
                "frameRate" => {
                    rates.frames = number().unwrap_or(rates.frames);
                    rates.has_frames = true;
                }
                "frameRateMultiplier" => rates.multiplier = ratio(value).unwrap_or(1.0),
                "subFrameRate" => rates.sub_frames = number().unwrap_or(1.0),
                "tickRate" => rates.ticks = number(),
                "timeBase" => rates.is_time_code = value == "smpte",
                "dropMode" => {
                    rates.drop = match value {
                        "dropNTSC" => DropMode::Ntsc,
                        "dropPAL" => DropMode::Pal,
                        _ => DropMode::None,
                    }
                }
                _ => {}
            }
        }
        rates
    }

    /// Reads a time in milliseconds: a clock time with a fraction or frames, or a number with its unit.
    pub(super) fn time(&self, text: &str) -> Option<u64> {
        let text = text.trim();
        if text.contains(':') {
            return self.clock(text);
        }
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = text.split_at(unit_at);
        let per_second = match unit {
            "h" => 1.0 / 3600.0,
            "m" => 1.0 / 60.0,
            "s" => 1.0,
            "ms" => 1000.0,
            "f" => self.frames * self.multiplier,
            "t" => self.ticks.unwrap_or(if self.has_frames { self.frames * self.sub_frames } else { 1.0 }),
            _ => return None,
        };
        milliseconds(decimal(number)? / per_second)
    }

    fn clock(&self, text: &str) -> Option<u64> {
        let parts: Vec<&str> = text.split(':').collect();
        let &[hours, minutes, seconds, frames] = &parts[..] else {
            let ms = clock::parse(text)?;
            // A second of a time code has the frames of a second, but may take longer.
            return if self.is_time_code { milliseconds(ms as f64 / 1000.0 / self.multiplier) } else { Some(ms) };
        };
        let (frames, parts_of_frame) = frames.split_once('.').unwrap_or((frames, "0"));
        let frames = decimal(frames)? + decimal(parts_of_frame)? / self.sub_frames;
        let (whole, minutes) = (clock::parse(&format!("{hours}:{minutes}:{seconds}"))?, decimal(minutes)?);
        let whole = whole as f64 / 1000.0;
        if !self.is_time_code {
            return milliseconds(whole + frames / (self.frames * self.multiplier));
        }
        let hours = decimal(hours)?;
        let dropped = match self.drop {
            DropMode::None => 0.0,
            DropMode::Ntsc => (hours * 54.0 + minutes - (minutes / 10.0).floor()) * 2.0,
            DropMode::Pal => (hours * 27.0 + (minutes / 2.0).floor() - (minutes / 20.0).floor()) * 4.0,
        };
        milliseconds((whole * self.frames + frames - dropped) / (self.frames * self.multiplier))
    }
}

/// Digits, perhaps with a fraction: no sign and no exponent.
fn decimal(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// `1000 1001`, or `1000:1001` as the standard's first draft had it.
fn ratio(text: &str) -> Option<f64> {
    let mut parts = text.split([' ', ':']).filter(|part| !part.is_empty()).map(decimal);
    let (counted, shown) = (parts.next()??, parts.next().unwrap_or(Some(1.0))?);
    Some(counted / shown).filter(|ratio| *ratio > 0.0 && ratio.is_finite())
}

fn milliseconds(seconds: f64) -> Option<u64> {
    let ms = (seconds * 1000.0).round();
    (0.0..MAX_MS).contains(&ms).then_some(ms as u64)
}

/// When the content of an element is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Interval {
    begin: u64,
    /// The end; none where the document does not tell.
    end: Option<u64>,
    /// Whether its end is told by itself and not by its content.
    has_own_end: bool,
    /// Its elements are shown one after the other.
    is_sequence: bool,
    /// Whether a time of it or of an element around it cannot be read.
    unreadable: bool,
    /// Where the last of its elements that are over ended.
    content_end: u64,
}

impl Interval {
    /// The interval of an element inside this one.
    pub(super) fn of_child(&self, element: &BytesStart<'_>, rates: &Rates) -> Self {
        let base = if self.is_sequence { self.content_end.max(self.begin) } else { self.begin };
        let mut child = Self { begin: base, unreadable: self.unreadable, ..Self::default() };
        let (mut end, mut dur) = (None, None);
        for attribute in element.html_attributes().flatten() {
            let mut time = || {
                let time = rates.time(&attribute.value);
                child.unreadable |= time.is_none();
                time.unwrap_or(0)
            };
            match attribute.key.local_name().as_ref() {
                "begin" => child.begin = base + time(),
                "end" => end = Some(base + time()),
                "dur" => dur = Some(time()),
                "timeContainer" => child.is_sequence = &*attribute.value == "seq",
                _ => {}
            }
        }
        let own_end = [end, dur.map(|dur| child.begin + dur)].into_iter().flatten().min();
        child.has_own_end = own_end.is_some();
        // Elements of a sequence without an end of their own do not fill what is left of it.
        let limit = self.end.filter(|_| child.has_own_end || !self.is_sequence);
        child.end = [own_end, limit].into_iter().flatten().min();
        child.content_end = child.begin;
        child
    }

    /// Takes note of an element inside that is over.
    pub(super) fn take_end_of(&mut self, child: &Self) {
        let end = child.end.filter(|_| child.has_own_end).unwrap_or(child.content_end);
        self.content_end = self.content_end.max(end);
    }

    /// Begin and end.
    pub(super) fn times(&self) -> clock::Times {
        clock::times(Some(self.begin).filter(|_| !self.unreadable), self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(attributes: &str) -> Rates {
        Rates::of(&BytesStart::from_content(format!("tt {attributes}"), 2))
    }

    #[test]
    fn times_in_every_unit() {
        for (attributes, text, expected) in [
            ("", "00:00:01.500", Some(1_500)),
            ("", "1.5s", Some(1_500)),
            ("", "1500ms", Some(1_500)),
            ("", "0.5m", Some(30_000)),
            ("", "1h", Some(3_600_000)),
            ("", "45f", Some(1_500)),
            ("", "3t", Some(3_000)),
            ("", "00:00:01:15", Some(1_500)),
            (r#"ttp:tickRate="10000000""#, "15000000t", Some(1_500)),
            (r#"ttp:tickRate="10000000""#, "36000000000000t", Some(3_600_000_000)),
            (r#"ttp:frameRate="25""#, "00:00:01:05", Some(1_200)),
            (r#"ttp:frameRate="25" ttp:subFrameRate="2""#, "00:00:01:05.1", Some(1_220)),
            (r#"ttp:frameRate="25" ttp:subFrameRate="2""#, "50t", Some(1_000)),
            (r#"ttp:frameRate="24" ttp:frameRateMultiplier="1000 1001""#, "24f", Some(1_001)),
            (r#"ttp:frameRate="30" ttp:frameRateMultiplier="1000:1001""#, "00:00:01:10", Some(1_334)),
            (
                r#"ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001" ttp:timeBase="smpte""#,
                "01:00:00:00",
                Some(3_603_600),
            ),
            // Time code that leaves numbers out keeps up with the clock: the frame after 00:00:59:29 is 00:01:00:02.
            (
                r#"ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001" ttp:timeBase="smpte" ttp:dropMode="dropNTSC""#,
                "00:01:00:02",
                Some(60_060),
            ),
            (
                r#"ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001" ttp:timeBase="smpte" ttp:dropMode="dropNTSC""#,
                "01:00:00:00",
                Some(3_599_996),
            ),
            ("", "1.5", None),
            ("", "-1s", None),
            ("", "1e3s", None),
            ("", "1x", None),
            ("", "wallclock(2020-01-01)", None),
            ("", "99999999999999999999h", None),
        ] {
            assert_eq!(rates(attributes).time(text), expected, "{attributes} {text}");
        }
    }
}
