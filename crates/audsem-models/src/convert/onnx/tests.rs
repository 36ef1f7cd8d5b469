//! Messages that are not as expected; what real exporters write is tested against their libraries.
#![allow(clippy::unwrap_used)]

use super::*;

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
}

fn fails(bytes: &[u8], part: &str) {
    let error = read(bytes, Path::new("nowhere")).map(drop).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn what_is_no_graph_is_an_error() {
    fails(b"", "holds no graph");
    fails(&[0x3a, 0xff], "ends within a field");
    fails(&[0x3a, 5, 1], "ends within a field");
    fails(&[0xff; 20], "more than ten bytes");
    fails(&[0x3b], "wire type 3");
}

#[test]
fn tensors_that_do_not_add_up_are_named() {
    let graph = |tensor: &[u8]| field(7, &field(5, tensor));
    let name = field(8, b"w");
    // Two floats in dims, one in raw_data.
    let short = [&[8, 2, 16, 1][..], &name, &field(9, &[0; 4])].concat();
    fails(&graph(&short), "`w`: 4 bytes for numbers of 4 bytes in the shape [2]");
    let negative = [&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 16, 1][..], &name].concat();
    fails(&graph(&negative), "`w` has the shape [-1]");
    let twice = field(5, &[&[8, 1, 16, 1][..], &name, &field(9, &[0; 4])].concat()).repeat(2);
    fails(&field(7, &twice), "two tensors are called `w`");
}

#[test]
fn external_data_stay_in_their_folder() {
    let entry = |key: &[u8], value: &[u8]| field(13, &[field(1, key), field(2, value)].concat());
    for location in [&b"../secret"[..], b"/etc/passwd", b""] {
        let tensor = [&[8, 1, 16, 1][..], &field(8, b"w"), &entry(b"location", location), &[14 << 3, 1]].concat();
        fails(&field(7, &field(5, &tensor)), "outside its folder");
    }
    let tensor = [&[8, 1, 16, 1][..], &field(8, b"w"), &entry(b"location", b"gone"), &[14 << 3, 1]].concat();
    fails(&field(7, &field(5, &tensor)), "nowhere/gone");
}
