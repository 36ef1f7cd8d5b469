//! Features of long sounds: the whole sound, downsampled, and three pieces.

use std::ops::Range;

/// The first frames that the front, middle and back piece may have: all that there are, in three parts as even as
/// possible, larger ones first. An empty part is that of frame 0.
pub(super) fn thirds(starts: usize) -> [Range<usize>; 3] {
    let mut from = 0;
    [0, 1, 2].map(|part| {
        let length = starts / 3 + usize::from(part < starts % 3);
        let range = if length == 0 { 0..1 } else { from..from + length };
        from += length;
        range
    })
}

/// Appends `frames` frames to `out`, linearly interpolated between the frames of `mel` (frames × `mels`).
///
/// As `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` does it, in f32 throughout: positions
/// far into the sound are rounded coarsely, and the weights with them.
pub(super) fn shrink(mel: &[f32], mels: usize, frames: usize, out: &mut Vec<f32>) {
    let last = mel.len() / mels - 1;
    let scale = (last + 1) as f32 / frames as f32;
    for frame in 0..frames {
        let position = (scale * (frame as f32 + 0.5) - 0.5).max(0.0);
        let below = (position as usize).min(last);
        let share = (position - below as f32).clamp(0.0, 1.0);
        let above = (below + 1).min(last);
        let row = |frame: usize| &mel[frame * mels..][..mels];
        out.extend(row(below).iter().zip(row(above)).map(|(a, b)| (1.0 - share) * a + share * b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_split_as_evenly_as_possible() {
        assert_eq!(thirds(10), [0..4, 4..7, 7..10]);
        assert_eq!(thirds(3), [0..1, 1..2, 2..3]);
        assert_eq!(thirds(2), [0..1, 1..2, 0..1]);
        assert_eq!(thirds(1), [0..1, 0..1, 0..1]);
    }

    #[test]
    fn shrinking_keeps_means_and_lines() {
        // Four frames to two: between the first two, and between the last two.
        let mut out = Vec::new();
        shrink(&[0.0, 10.0, 2.0, 20.0, 4.0, 40.0, 8.0, 80.0], 2, 2, &mut out);
        assert_eq!(out, [1.0, 15.0, 6.0, 60.0]);
        // As many as there are: the same.
        out.clear();
        shrink(&[1.0, 5.0, 2.0], 1, 3, &mut out);
        assert_eq!(out, [1.0, 5.0, 2.0]);
    }
}
