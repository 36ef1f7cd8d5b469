//! One checkpoint in every form that checkpoints come in.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::bert::{Bert, Config};
use candle_core::{DType, Device};

use crate::golden::{max_abs, path};

#[test]
fn every_form_of_a_checkpoint_gives_the_same_tensors() {
    let open = |form: &str| {
        let dir = ModelDir::local(&path("weights").join(form));
        Weights::open(&dir, &Device::Cpu, DType::F32).unwrap()
    };
    let config: Config = ModelDir::local(&path("weights/whole")).json("config.json").unwrap();
    let whole = open("whole");
    // bfloat16 rounds.
    for (form, tolerance) in [("sharded", 0.0), ("pickled", 0.0), ("pickled_parts", 0.0), ("nested", 1.0 / 64.0)] {
        let weights = open(form);
        assert_eq!(weights.names(), whole.names(), "{form}");
        Bert::load(weights.var_builder(), &config).unwrap();
        weights.finish(|_| false).unwrap();
        for name in whole.names() {
            let load = |weights: &Weights| weights.var_builder().get_unchecked(&name).unwrap();
            let (wanted, got) = (load(&whole), load(&weights));
            assert!(max_abs(&got, &wanted) <= tolerance, "{form}: {name}");
        }
    }
}

#[test]
fn parts_that_disagree_with_their_index_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(path("weights/pickled_parts")).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let last = "pytorch_model-00002-of-00002.bin";
    let dir = ModelDir::local(folder.path());
    assert_eq!(dir.weight_files().unwrap().len(), 2);
    std::fs::write(folder.path().join(last), "cut off").unwrap();
    let error = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap_err().to_string();
    assert!(error.contains(last) && error.contains("hint:"), "{error}");
    std::fs::remove_file(folder.path().join(last)).unwrap();
    let error = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap_err().to_string();
    assert!(error.contains(last), "{error}");
}
