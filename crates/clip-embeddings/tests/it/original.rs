//! Files that the authors of CLAP published, as `--model`.

use std::path::{Path, PathBuf};

use audsem_clip_embeddings::tables::CaptionMatch;
use audsem_core::hub::ModelDir;
use audsem_core::tables::VectorFile;
use audsem_models::clap::ClapEncoder;
use candle_core::{DType, Device};

use crate::workbench::{Bench, cosine, shard};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens").join(name)
}

/// A bench with shards of two clips, each file and its tokenizer.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("in/0.tar", shard(&[("V (1.0-2.0)", "a dog barks"), ("W (1.0-2.0)", "rain on a roof!")]));
    for (file, name) in [("original_clap/laion.pt", "laion.pt"), ("original_clap/msclap.pth", "msclap.pth")] {
        bench.write(name, std::fs::read(golden(file)).unwrap());
    }
    for (folder, name) in [("clap_tiny", "roberta"), ("original_clap/gpt2", "gpt2")] {
        bench.write(&format!("{name}/tokenizer.json"), std::fs::read(golden(folder).join("tokenizer.json")).unwrap());
    }
    bench
}

#[test]
fn sounds_and_captions_are_embedded_and_fit_each_other() {
    let bench = bench();
    for (file, tokenizer, dim) in [("laion.pt", "roberta", 24), ("msclap.pth", "gpt2", 24)] {
        let model = format!("--model {file} --tokenizer {tokenizer}");
        bench.call(&format!("embed-audio -i in {model} -o audio-{file}")).ended(0);
        bench.call(&format!("embed-text -i in {model} -o text-{file}")).ended(0);
        bench.call(&format!("match --audio audio-{file} --text text-{file} -o fit-{file}")).ended(0);
        let folder = ModelDir::local(&bench.path(tokenizer));
        let encoder = ClapEncoder::open_original(&bench.path(file), &folder, &Device::Cpu, DType::F32, None).unwrap();
        let vectors = |name: &str| -> Vec<Vec<f32>> {
            let file = VectorFile::open(&bench.path(name)).unwrap();
            assert_eq!((file.dim(), file.n_rows()), (dim, 2));
            file.group(0).unwrap().chunks(dim).map(<[f32]>::to_vec).collect()
        };
        let (sounds, texts) =
            (vectors(&format!("audio-{file}/part-00000.parquet")), vectors(&format!("text-{file}/part-00000.parquet")));
        let direct = encoder.embed_texts(&["a dog barks", "rain on a roof!"]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(texts, direct);
        let fits = bench.rows::<CaptionMatch>(&format!("fit-{file}/part-00000.parquet"));
        for (n, fit) in fits.iter().enumerate() {
            assert!((f64::from(fit.cosine) - cosine(&sounds[n], &texts[n])).abs() < 1e-6, "{fit:?}");
        }
    }
    bench.call("match --audio audio-laion.pt --text text-msclap.pth -o none").ended(2).says("of the model");
}

#[test]
fn a_file_without_a_tokenizer_says_which_it_wants() {
    let bench = bench();
    let call = |arguments: &str| bench.call(&format!("embed-audio -i in --model {arguments} -o out")).ended(2);
    let missing = call("laion.pt");
    missing.says("no tokenizer beside laion.pt");
    missing.says("roberta-base");
    call("laion.pt --tokenizer in").says("neither tokenizer.json nor vocab.json");
    call("msclap.pth --tokenizer roberta").says("the tokenizer of gpt2");
    call("in/0.tar --tokenizer roberta").says("in/0.tar");
    assert!(!bench.path("out").exists());
    // Beside the file is as good, and it is the same model.
    bench.write("tokenizer.json", std::fs::read(bench.path("roberta/tokenizer.json")).unwrap());
    bench.call("embed-text -i in --model laion.pt -o beside").ended(0);
    bench.call("embed-audio -i in --model laion.pt --tokenizer roberta -o apart").ended(0);
    bench.call("match --audio apart --text beside -o fit").ended(0);
    // Another tokenizer is another model.
    let other = bench.text("roberta/tokenizer.json") + "\n";
    bench.write("other/tokenizer.json", other);
    bench.call("embed-text -i in --model laion.pt --tokenizer other -o other-text").ended(0);
    bench.call("match --audio apart --text other-text -o no").ended(2).says("of the model");
}
