//! A sound as front ends read it: in frames, repeated to fill a length, padded at its ends.

use super::Padding;

/// A sound that is read in frames; frames that lie inside the sound are borrowed without a copy.
#[derive(Debug, Clone, Copy)]
pub struct Signal<'a> {
    samples: &'a [f32],
    /// How many samples the repetitions take; zeros follow.
    filled: usize,
    length: usize,
}

impl<'a> Signal<'a> {
    /// A sound as it is.
    pub fn new(samples: &'a [f32]) -> Signal<'a> {
        Signal { samples, filled: samples.len(), length: samples.len() }
    }

    /// A sound repeated until it takes `filled` samples, the last time in part, then zeros: `length` samples.
    ///
    /// # Panics
    /// If `filled` is more than `length`, or there is nothing to repeat.
    pub fn filled(samples: &'a [f32], filled: usize, length: usize) -> Signal<'a> {
        assert!(filled <= length && (filled == 0 || !samples.is_empty()), "{filled} of {length} samples");
        Signal { samples, filled, length }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// As many samples as `buffer` has, from `start` on, which may lie before the sound. `padding` says what lies beyond
    /// both ends. `buffer` is used for frames that need copying. Zeros, if there are no samples.
    pub(super) fn frame<'b>(&self, start: isize, padding: Padding, buffer: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        if let Ok(start) = usize::try_from(start) {
            if start + buffer.len() <= self.filled {
                return self.repeated(start, buffer);
            }
            if start >= self.filled && start + buffer.len() <= self.length {
                buffer.fill(0.0);
                return buffer;
            }
        }
        for (index, to) in (start..).zip(&mut *buffer) {
            *to = self.at(index, padding);
        }
        buffer
    }

    /// A frame among the repetitions.
    fn repeated<'b>(&self, start: usize, buffer: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        let mut from = start % self.samples.len();
        if let Some(whole) = self.samples.get(from..from + buffer.len()) {
            return whole;
        }
        let mut rest = &mut *buffer;
        while !rest.is_empty() {
            let piece = &self.samples[from..];
            let piece = &piece[..piece.len().min(rest.len())];
            let (to, after) = rest.split_at_mut(piece.len());
            to.copy_from_slice(piece);
            (rest, from) = (after, 0);
        }
        buffer
    }

    fn at(&self, index: isize, padding: Padding) -> f32 {
        let Some(index) = self.inside(index, padding) else { return 0.0 };
        if index < self.filled { self.samples[index % self.samples.len()] } else { 0.0 }
    }

    /// The sample that stands at an index beyond the sound, if any does.
    fn inside(&self, index: isize, padding: Padding) -> Option<usize> {
        let length = self.length as isize;
        let index = match padding {
            _ if (0..length).contains(&index) => index,
            Padding::Constant | Padding::None => return None,
            Padding::Reflect | Padding::Symmetric if length == 0 => return None,
            Padding::Reflect if length == 1 => 0,
            Padding::Reflect => (length - 1) - ((length - 1) - index.abs() % (2 * (length - 1))).abs(),
            Padding::Symmetric => {
                let index = index.rem_euclid(2 * length);
                if index < length { index } else { 2 * length - 1 - index }
            }
        };
        usize::try_from(index).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What numpy's `pad` gives with mode "reflect", "symmetric" or "constant", step by step.
    fn padded(sound: &[f32], mut index: isize, padding: Padding) -> f32 {
        let last = sound.len() as isize - 1;
        while index < 0 || index > last {
            index = match padding {
                Padding::Constant | Padding::None => return 0.0,
                Padding::Reflect if last == 0 => 0,
                Padding::Reflect if index < 0 => -index,
                Padding::Reflect => 2 * last - index,
                Padding::Symmetric if index < 0 => -index - 1,
                Padding::Symmetric => 2 * last + 1 - index,
            };
        }
        sound[index as usize]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn frames_are_those_of_the_sound_written_out(
            samples in prop::collection::vec(-1.0_f32..1.0, 1..40),
            filled in 0_usize..120,
            zeros in 0_usize..60,
            start in -150_isize..300,
            n in 1_usize..50,
            padding in prop::sample::select(vec![Padding::Reflect, Padding::Symmetric, Padding::Constant]),
        ) {
            let length = filled + zeros;
            let signal = Signal::filled(&samples, filled, length);
            let mut sound: Vec<f32> = samples.iter().copied().cycle().take(filled).collect();
            sound.resize(length, 0.0);
            let mut buffer = vec![f32::NAN; n];
            let frame = signal.frame(start, padding, &mut buffer);
            for (index, got) in (start..).zip(frame) {
                let wanted = if sound.is_empty() { 0.0 } else { padded(&sound, index, padding) };
                prop_assert_eq!(*got, wanted, "sample {} of {:?}, {:?}", index, sound, padding);
            }
        }
    }

    #[test]
    fn a_frame_inside_is_not_copied() {
        let samples: Vec<f32> = (0..100).map(|n| n as f32).collect();
        let mut buffer = [0.0; 10];
        let signal = Signal::filled(&samples, 250, 300);
        assert_eq!(signal.frame(130, Padding::Reflect, &mut buffer).as_ptr(), samples[30..].as_ptr());
        let across = signal.frame(95, Padding::Reflect, &mut buffer);
        assert_eq!(across, [95.0, 96.0, 97.0, 98.0, 99.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    }
}
