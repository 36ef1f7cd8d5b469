//! Writes down what is said in sounds: `cargo run --example transcribe -- MODEL SOUND...`, of which MODEL is a folder of
//! Whisper as transformers saves it or `convert-weights --network whisper` makes it, with its `tokenizer.json`.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use audsem_core::hub::ModelDir;
use audsem_media::audio::{Decoder, resample};
use audsem_models::audio::whisper::{SAMPLE_RATE_HZ, Transcriber, USUAL_LANGUAGE, WhisperTask};
use candle_core::{DType, Device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let model = arguments.next().ok_or("usage: transcribe MODEL SOUND...")?;
    let (model, task) = (ModelDir::local(&model), WhisperTask::Transcribe);
    let whisper = Transcriber::open(&model, &Device::Cpu, DType::F32, USUAL_LANGUAGE, task)?;
    for sound in arguments {
        let audio = Decoder::new().decode_file(&sound)?;
        let samples = resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ)?;
        println!("{}\t{}", sound.display(), whisper.transcribe(&samples)?.text);
    }
    Ok(())
}
