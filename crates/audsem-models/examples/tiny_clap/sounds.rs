//! Sixteen kinds of synthetic sounds, each with captions.

use std::f32::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Samples per second.
pub(crate) const RATE_HZ: u32 = 48_000;

/// A kind of sound.
pub(crate) struct Kind {
    /// What a listener might write.
    pub captions: [&'static str; 4],
    render: fn(&mut Voice) -> Vec<f32>,
}

/// Every kind there is.
pub(crate) const KINDS: [Kind; 16] = [
    Kind { captions: ["a low hum", "low humming", "a deep hum drones on", "electrical hum"], render: hum },
    Kind { captions: ["a high beep", "high-pitched beeping", "an alarm beeps", "electronic beeps"], render: beep },
    Kind { captions: ["white noise hissing", "steam hisses", "loud hissing", "a steady hiss"], render: hiss },
    Kind { captions: ["a deep rumble", "thunder rumbling", "low rumbling", "the ground rumbles"], render: rumble },
    Kind {
        captions: ["a rising whistle", "a whistle going up", "rising pitch", "a slide whistle rises"],
        render: rise,
    },
    Kind {
        captions: ["a falling whistle", "a whistle going down", "falling pitch", "a slide whistle falls"],
        render: fall,
    },
    Kind { captions: ["slow clicking", "a slow click", "something clicks slowly", "slow metronome"], render: click },
    Kind { captions: ["fast ticking", "a watch ticks", "rapid ticking", "quick ticking of a clock"], render: tick },
    Kind { captions: ["a siren wails", "wailing siren", "a siren in the distance", "police siren"], render: siren },
    Kind { captions: ["birds chirping", "a bird chirps", "bird song", "chirping of sparrows"], render: chirp },
    Kind {
        captions: ["an engine running", "engine idling", "a motor runs", "rough engine of a truck"],
        render: engine,
    },
    Kind { captions: ["knocking on wood", "someone knocks", "knocks on a door", "loud knocking"], render: knock },
    Kind { captions: ["a bell ringing", "bell tolls", "a church bell", "bells ring"], render: bell },
    Kind { captions: ["wind howling", "howling wind", "strong wind blows", "wind gusts"], render: wind },
    Kind { captions: ["water dripping", "drops of water", "a dripping tap", "drip, drip"], render: drip },
    Kind { captions: ["an insect buzzing", "a fly buzzes", "buzzing bee", "mosquito buzz"], render: buzz },
];

impl Kind {
    /// Number `n` of the sounds of this kind: 1.5 to 6 s, mono, with some noise behind it.
    pub(crate) fn sound(&self, seed: u64, n: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(n);
        let samples = (rng.random_range(1.5..6.0) * RATE_HZ as f32) as usize;
        let gain = rng.random_range(0.2..0.8);
        let floor = rng.random_range(0.0005..0.005);
        let noise = rng.random();
        let mut voice = Voice { rng, noise, samples };
        let mut sound = (self.render)(&mut voice);
        for sample in &mut sound {
            *sample = gain * *sample + floor * voice.noise();
        }
        sound
    }
}

/// What a sound is made with.
struct Voice {
    rng: ChaCha8Rng,
    /// Where the noise is.
    noise: u32,
    samples: usize,
}

impl Voice {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.rng.random_range(low..high)
    }

    /// White noise, from a hash of 32 bits (lowbias32): a sound has hundreds of thousands of samples.
    fn noise(&mut self) -> f32 {
        self.noise = self.noise.wrapping_add(1);
        let x = (self.noise ^ (self.noise >> 16)).wrapping_mul(0x7feb_352d);
        let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        (x ^ (x >> 16)) as i32 as f32 / 2_147_483_648.0
    }

    /// A wave of the frequencies `hz(seconds, share of the length)`; `shape` turns a phase of 0 to 1 into a sample.
    fn tone(&self, hz: impl Fn(f32, f32) -> f32, shape: impl Fn(f32) -> f32) -> Vec<f32> {
        let mut phase = 0.0;
        let samples = 0..self.samples;
        let wave = samples.map(|n| {
            phase += hz(n as f32 / RATE_HZ as f32, n as f32 / self.samples as f32) / RATE_HZ as f32;
            shape(phase.fract())
        });
        wave.collect()
    }

    /// Copies of one sound of `seconds`, `per_second` of them, each at a place that varies a little.
    fn repeated(&mut self, per_second: f32, seconds: f32, one: impl Fn(f32) -> f32) -> Vec<f32> {
        let mut sound = vec![0.0; self.samples];
        let every = RATE_HZ as f32 / per_second;
        let mut at = self.between(0.0, 0.5) * every;
        while (at as usize) < self.samples {
            let from = at as usize;
            let to = self.samples.min(from + (seconds * RATE_HZ as f32) as usize);
            for (n, sample) in sound[from..to].iter_mut().enumerate() {
                *sample += one(n as f32 / RATE_HZ as f32);
            }
            at += every * self.between(0.9, 1.1);
        }
        sound
    }

    /// Noise whose neighbours are alike: `smooth` near 1 leaves only low frequencies.
    fn smooth_noise(&mut self, smooth: f32) -> Vec<f32> {
        let mut last = 0.0;
        let gain = ((1.0 + smooth) / (1.0 - smooth)).sqrt();
        (0..self.samples)
            .map(|_| {
                last = smooth * last + (1.0 - smooth) * self.noise();
                last * gain
            })
            .collect()
    }
}

fn sine(phase: f32) -> f32 {
    (TAU * phase).sin()
}

fn saw(phase: f32) -> f32 {
    2.0 * phase - 1.0
}

fn hum(voice: &mut Voice) -> Vec<f32> {
    let hz = voice.between(55.0, 120.0);
    voice.tone(|_, _| hz, |phase| 0.7 * sine(phase) + 0.3 * sine(2.0 * phase))
}

fn beep(voice: &mut Voice) -> Vec<f32> {
    let (hz, per_second) = (voice.between(1500.0, 3500.0), voice.between(1.5, 4.0));
    let mut sound = voice.tone(|_, _| hz, sine);
    for (n, sample) in sound.iter_mut().enumerate() {
        if (n as f32 / RATE_HZ as f32 * per_second).fract() > 0.5 {
            *sample = 0.0;
        }
    }
    sound
}

fn hiss(voice: &mut Voice) -> Vec<f32> {
    (0..voice.samples).map(|_| voice.noise()).collect()
}

fn rumble(voice: &mut Voice) -> Vec<f32> {
    let smooth = voice.between(0.985, 0.995);
    voice.smooth_noise(smooth)
}

fn rise(voice: &mut Voice) -> Vec<f32> {
    let (from, to) = (voice.between(300.0, 800.0), voice.between(2500.0, 5000.0));
    voice.tone(|_, share| from * (to / from).powf(share), sine)
}

fn fall(voice: &mut Voice) -> Vec<f32> {
    let mut sound = rise(voice);
    sound.reverse();
    sound
}

fn click(voice: &mut Voice) -> Vec<f32> {
    let per_second = voice.between(1.0, 2.0);
    voice.repeated(per_second, 0.02, |s| (1.0 - s / 0.02) * sine(3000.0 * s))
}

fn tick(voice: &mut Voice) -> Vec<f32> {
    let per_second = voice.between(7.0, 12.0);
    voice.repeated(per_second, 0.01, |s| (1.0 - s / 0.01) * sine(6000.0 * s))
}

fn siren(voice: &mut Voice) -> Vec<f32> {
    let (middle, per_second) = (voice.between(700.0, 1000.0), voice.between(0.3, 0.8));
    voice.tone(|s, _| middle * (1.0 + 0.4 * sine((per_second * s).fract())), sine)
}

fn chirp(voice: &mut Voice) -> Vec<f32> {
    let (per_second, hz) = (voice.between(3.0, 6.0), voice.between(3500.0, 5000.0));
    voice.repeated(per_second, 0.08, |s| sine((hz + 20_000.0 * s) * s) * sine(s / 0.16))
}

fn engine(voice: &mut Voice) -> Vec<f32> {
    let (hz, per_second) = (voice.between(70.0, 130.0), voice.between(8.0, 16.0));
    let mut sound = voice.tone(|_, _| hz, saw);
    for (n, sample) in sound.iter_mut().enumerate() {
        let strength = 0.6 + 0.4 * sine((n as f32 / RATE_HZ as f32 * per_second).fract());
        *sample = strength * *sample + 0.1 * voice.noise();
    }
    sound
}

fn knock(voice: &mut Voice) -> Vec<f32> {
    let (per_second, hz) = (voice.between(2.5, 4.5), voice.between(150.0, 300.0));
    voice.repeated(per_second, 0.12, |s| (-40.0 * s).exp() * sine(hz * s))
}

fn bell(voice: &mut Voice) -> Vec<f32> {
    let (per_second, hz) = (voice.between(0.4, 0.8), voice.between(600.0, 1100.0));
    let partials = [(1.0, 1.0), (2.76, 0.6), (5.4, 0.3)];
    voice.repeated(per_second, 2.0, |s| {
        (-2.0 * s).exp() * partials.iter().map(|(ratio, gain)| 0.5 * gain * sine((ratio * hz * s).fract())).sum::<f32>()
    })
}

fn wind(voice: &mut Voice) -> Vec<f32> {
    let (smooth, per_second) = (voice.between(0.9, 0.96), voice.between(0.3, 0.7));
    let mut sound = voice.smooth_noise(smooth);
    for (n, sample) in sound.iter_mut().enumerate() {
        *sample *= 0.55 + 0.45 * sine((n as f32 / RATE_HZ as f32 * per_second).fract());
    }
    sound
}

fn drip(voice: &mut Voice) -> Vec<f32> {
    let (per_second, hz) = (voice.between(1.5, 3.0), voice.between(900.0, 1500.0));
    voice.repeated(per_second, 0.06, |s| (-50.0 * s).exp() * sine((hz + 8000.0 * s) * s))
}

fn buzz(voice: &mut Voice) -> Vec<f32> {
    let (hz, per_second) = (voice.between(180.0, 280.0), voice.between(3.0, 6.0));
    voice.tone(|s, _| hz * (1.0 + 0.06 * sine((per_second * s).fract())), saw)
}
