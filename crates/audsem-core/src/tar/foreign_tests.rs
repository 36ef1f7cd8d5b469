#![allow(clippy::unwrap_used)]
//! Tars of other programs: what is read, and what is refused with its name.

use std::io::Cursor;

use super::*;

fn header(name: &[u8], kind: u8, size: usize) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[156] = kind;
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn member(name: &[u8], kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, payload.len());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn tar(members: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let members = members.iter().map(|(name, kind, payload)| member(name, *kind, payload));
    members.chain([vec![0; 2 * BLOCK]]).collect::<Vec<_>>().concat()
}

fn samples(bytes: Vec<u8>) -> Vec<(String, usize)> {
    let mut reader = SampleReader::from_reader("memory", Cursor::new(bytes)).unwrap();
    std::iter::from_fn(|| reader.next_sample().unwrap()).map(|sample| (sample.key, sample.members.len())).collect()
}

#[test]
fn what_a_mac_puts_beside_a_file_is_ignored() {
    let bytes = tar(&[
        (b"./._a.flac", b'0', b"resource fork"),
        (b"./a.flac", b'0', b"sound"),
        (b"./._a.json", b'0', b"resource fork"),
        (b"./a.json", b'0', b"{}"),
    ]);
    assert_eq!(samples(bytes), [("./a".to_owned(), 2)]);
}

#[test]
fn names_of_other_encodings_stay_apart() {
    let bytes = tar(&[
        (b"caf\xe9.flac", b'0', b"one"),
        (b"caf\xe9.json", b'0', b"{}"),
        (b"caf\xe8.flac", b'0', b"another"),
        ("café.flac".as_bytes(), b'0', b"a third"),
    ]);
    let keys = ["caf\u{fffd}E9", "caf\u{fffd}E8", "café"].map(str::to_owned);
    let [first, second, third] = keys;
    assert_eq!(samples(bytes), [(first, 2), (second, 1), (third, 1)]);
}

#[test]
fn a_sparse_member_is_named() {
    let pax = |pairs: &[(&str, &str)]| {
        let line = |(key, value): &(&str, &str)| {
            let rest = format!(" {key}={value}\n");
            let len = (1..).find(|len| len.to_string().len() + rest.len() == *len).unwrap();
            format!("{len}{rest}")
        };
        pairs.iter().map(line).collect::<String>().into_bytes()
    };
    let new = pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "holes.wav")]);
    let old = pax(&[("path", "holes.wav"), ("GNU.sparse.numblocks", "1")]);
    for bytes in [
        tar(&[(b"a.flac", b'0', b"a"), (b"holes.wav", b'S', b"x")]),
        tar(&[(b"a.flac", b'0', b"a"), (b"PaxHeaders/x", b'x', &new), (b"GNUSparseFile.0/holes.wav", b'0', b"x")]),
        tar(&[(b"a.flac", b'0', b"a"), (b"PaxHeaders/x", b'x', &old), (b"GNUSparseFile.0/y", b'0', b"x")]),
    ] {
        let mut reader = MemberReader::from_reader("some.tar", Cursor::new(bytes)).unwrap();
        assert_eq!(reader.next_member().unwrap().unwrap().name, "a.flac");
        let error = reader.next_member().unwrap_err();
        assert!(matches!(&error, TarError::Sparse { member, .. } if member == "holes.wav"), "{error}");
        let message = error.to_string();
        assert!(message.contains("some.tar") && message.contains("hint: make this tar again"), "{message}");
    }
}

#[test]
fn a_compression_that_is_not_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (head, name) in
        [(&b"\xfd7zXZ\0\0\x04"[..], "xz"), (b"BZh91AY&SY", "bzip2"), (b"\x04\x22\x4d\x18\x64\x40", "lz4")]
    {
        let path = folder.path().join("a.tar");
        crate::files::write_atomically(&path, head).unwrap();
        let errors = [
            MemberReader::open(&path).err().unwrap(),
            MemberReader::scan(&path).err().unwrap(),
            MemberReader::from_reader("a.tar", Cursor::new(head)).err().unwrap(),
        ];
        for error in errors {
            let message = error.to_string();
            let parts = ["a.tar", &format!("compressed with {name}, which is not read"), "hint: compress it with zstd"];
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            assert_eq!(error.blame(), crate::blame::Blame::Record);
        }
        let message = crate::input::open(&path).err().unwrap().to_string();
        assert!(message.contains(&format!("compressed with {name}")), "{message}");
    }
}
