//! Writes tensors as `torch.save` does: a zip archive of a pickled dictionary and the raw numbers of each tensor.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

/// The bytes of `pytorch_model.bin`.
pub(crate) fn torch_file(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    let mut pickle = vec![0x80, 2, b'}', b'('];
    let mut members = Vec::new();
    for (number, (name, tensor)) in tensors.iter().enumerate() {
        let number = number.to_string();
        text(&mut pickle, name);
        rebuilt(&mut pickle, tensor, &number);
        members.push((format!("archive/data/{number}"), numbers(tensor)));
    }
    pickle.extend(b"u.");
    members.insert(0, ("archive/data.pkl".to_owned(), pickle));
    zip(&members)
}

/// A call of the function with which torch makes a tensor of a storage.
fn rebuilt(pickle: &mut Vec<u8>, tensor: &Tensor, storage: &str) {
    let class = if tensor.dtype() == DType::I64 { "LongStorage" } else { "FloatStorage" };
    pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(pickle, "storage");
    pickle.extend(format!("ctorch\n{class}\n").bytes());
    text(pickle, storage);
    text(pickle, "cpu");
    integer(pickle, tensor.elem_count());
    pickle.extend(b"tQ");
    integer(pickle, 0);
    for numbers in [tensor.dims(), tensor.stride()] {
        pickle.push(b'(');
        numbers.iter().for_each(|number| integer(pickle, *number));
        pickle.push(b't');
    }
    pickle.push(0x89);
    pickle.extend(b"ccollections\nOrderedDict\n)RtR");
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

fn integer(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend((number as i32).to_le_bytes());
}

fn numbers(tensor: &Tensor) -> Vec<u8> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::I64 => flat.to_vec1::<i64>().unwrap().into_iter().flat_map(i64::to_le_bytes).collect(),
        _ => flat.to_vec1::<f32>().unwrap().into_iter().flat_map(f32::to_le_bytes).collect(),
    }
}

/// A zip archive whose members are stored as they are.
fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let offset = archive.len() as u32;
        let mut shared = Vec::new();
        // Version, flags, method, time and date; then checksum, sizes, length of the name and of what follows it.
        shared.extend([10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        shared.extend(crc32(content).to_le_bytes());
        [content.len(), content.len()].iter().for_each(|n| shared.extend((*n as u32).to_le_bytes()));
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&shared);
        archive.extend(name.bytes());
        archive.extend(content);
        directory.extend(b"PK\x01\x02\x0a\x00");
        directory.extend(&shared);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.bytes());
    }
    let (offset, size, n) = (archive.len() as u32, directory.len() as u32, members.len() as u16);
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(n.to_le_bytes());
    archive.extend(n.to_le_bytes());
    archive.extend(size.to_le_bytes());
    archive.extend(offset.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}
