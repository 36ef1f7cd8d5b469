//! Audio: decode, downmix, resample, encode.
