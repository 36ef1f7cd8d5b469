#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::{Cursor, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::blame::Blame;

type Expected = Vec<(String, Vec<(String, Vec<u8>)>)>;

/// A tar of plain members, built by the `tar` crate (GNU headers, long names where needed).
fn gnu_tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, payload) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(payload.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, *payload).unwrap();
    }
    builder.into_inner().unwrap()
}

fn samples_of(bytes: Vec<u8>) -> (Expected, Vec<TarError>, ReadCounts) {
    let mut reader = SampleReader::from_reader("memory", Cursor::new(bytes)).unwrap();
    let (mut samples, mut errors) = (Vec::new(), Vec::new());
    loop {
        match reader.next_sample() {
            Ok(Some(sample)) => samples.push((sample.key, sample.members)),
            Ok(None) => return (samples, errors, reader.counts()),
            Err(error) => errors.push(error),
        }
        assert!(samples.len() + errors.len() < 100_000, "the reader does not end");
    }
}

fn keys(samples: &Expected) -> Vec<&str> {
    samples.iter().map(|(key, _)| key.as_str()).collect()
}

fn three_samples() -> Vec<u8> {
    gnu_tar(&[
        ("a.flac", b"one"),
        ("a.json", b"{}"),
        ("b.flac", b"two"),
        ("b.json", b"{}"),
        ("c.flac", &[7; 1500]),
        ("c.json", b"{}"),
    ])
}

#[test]
fn consecutive_members_with_one_key_form_a_sample() {
    let check = |names: &[&str], expected: &[(&str, &[&str])], keyless: u64| {
        let members: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, name.as_bytes())).collect();
        let (samples, errors, counts) = samples_of(gnu_tar(&members));
        assert!(errors.is_empty(), "{errors:?}");
        let got: Vec<(&str, Vec<&str>)> = samples
            .iter()
            .map(|(key, members)| (key.as_str(), members.iter().map(|(suffix, _)| suffix.as_str()).collect()))
            .collect();
        let expected: Vec<(&str, Vec<&str>)> =
            expected.iter().map(|(key, suffixes)| (*key, suffixes.to_vec())).collect();
        assert_eq!(got, expected, "{names:?}");
        assert_eq!(counts.keyless, keyless);
        assert_eq!(counts.members, names.len() as u64);
    };
    check(&["a.flac", "a.json", "b.JSON", "b.flac"], &[("a", &["flac", "json"]), ("b", &["json", "flac"])], 0);
    check(&["a.flac", "b.flac", "a.json"], &[("a", &["flac"]), ("b", &["flac"]), ("a", &["json"])], 0);
    check(&["d/a.flac", "e/a.flac"], &[("d/a", &["flac"]), ("e/a", &["flac"])], 0);
    check(&["a.flac", "README", "a.json"], &[("a", &["flac", "json"])], 1);
    check(&["VID (1_0-3_5)/mp4", "VID (1_0-3_5)/json"], &[], 2);
    check(&["__meta__/x.json", "a.json"], &[("a", &["json"])], 0);
    check(&["abc (1.0-2.5).mp4"], &[("abc (1", &["0-2.5).mp4"])], 0);
}

#[test]
fn repeated_suffix_costs_its_sample_only() {
    let bytes = gnu_tar(&[("a.json", b"1"), ("b.json", b"1"), ("b.json", b"2"), ("b.flac", b"3"), ("c.json", b"4")]);
    let (samples, errors, _) = samples_of(bytes);
    assert_eq!(keys(&samples), ["a", "c"]);
    assert!(
        matches!(&errors[..], [TarError::RepeatedSuffix { key, suffix, .. }] if key == "b" && suffix == "json"),
        "{errors:?}"
    );
}

#[test]
fn oversized_member_costs_its_sample_only() {
    let bytes =
        gnu_tar(&[("a.json", b"1"), ("b.json", b"1"), ("b.flac", &[0; 2000]), ("b.txt", b"1"), ("c.json", b"4")]);
    let mut reader = SampleReader::from_reader("memory", Cursor::new(bytes)).unwrap().max_member_bytes(1999);
    assert_eq!(reader.next_sample().unwrap().unwrap().key, "a");
    let error = reader.next_sample().unwrap_err();
    assert!(matches!(&error, TarError::TooLarge { key, size: 2000, limit: 1999, .. } if key == "b"), "{error}");
    assert!(!error.is_fatal());
    assert_eq!(reader.next_sample().unwrap().unwrap().key, "c");
    assert!(reader.next_sample().unwrap().is_none());
}

/// A compressed tar of a few kilobytes that tells of `size` zeros.
fn bomb(size: u64) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.set_path("b.flac").unwrap();
    header.set_size(size);
    header.set_cksum();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(header.as_bytes()).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(size.next_multiple_of(512)), &mut encoder).unwrap();
    encoder.write_all(&gnu_tar(&[("c.json", b"4")])).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_member_that_grows_when_decompressed_costs_its_sample_only() {
    let bytes = bomb(MAX_MEMBER_BYTES + 1);
    assert!(bytes.len() < 1 << 20);
    let mut members = MemberReader::from_reader("memory", Cursor::new(bytes.clone())).unwrap();
    let mut buffer = Vec::new();
    assert_eq!(members.next_member().unwrap().unwrap().name, "b.flac");
    let error = members.read_payload(&mut buffer).unwrap_err();
    assert!(matches!(&error, TarError::TooLarge { key, limit: MAX_MEMBER_BYTES, .. } if key == "b"), "{error}");
    assert!(buffer.capacity() < 1 << 20, "nothing is reserved for it");
    assert_eq!(members.next_member().unwrap().unwrap().name, "c.json");
    members.read_payload(&mut buffer).unwrap();
    assert_eq!(buffer, b"4");
    let mut reader = SampleReader::from_reader("memory", Cursor::new(bytes)).unwrap();
    assert!(!reader.next_sample().unwrap_err().is_fatal());
    assert_eq!(reader.next_sample().unwrap().unwrap().key, "c");
}

/// A disk that fails is no damage of the tar, at whatever place; what a decompressor finds is.
#[test]
fn an_error_of_the_system_is_told_from_damage() {
    let tar = gnu_tar(&[("a.flac", &[1; 3000]), ("a.json", b"{}")]);
    let packed = zstd::encode_all(&tar[..], 3).unwrap();
    let walk = |stream: Box<dyn Read + Send>| -> Result<(), TarError> {
        let mut members = MemberReader::from_reader("memory", stream)?;
        let mut buffer = Vec::new();
        while members.next_member()?.is_some() {
            members.read_payload(&mut buffer)?;
        }
        Ok(())
    };
    for whole in [&tar, &packed] {
        for at in [0, 5, whole.len() / 3, whole.len() / 2] {
            let error = walk(Box::new(Cursor::new(whole[..at].to_vec()).chain(Failing))).unwrap_err();
            assert_eq!(error.blame(), Blame::Surroundings, "at byte {at}: {error}");
        }
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    let mut damaged = encoder.finish().unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0xff);
    for bytes in [damaged, packed[..packed.len() / 2].to_vec(), tar[..1000].to_vec()] {
        let error = walk(Box::new(Cursor::new(bytes))).unwrap_err();
        assert_eq!(error.blame(), Blame::Record, "{error}");
    }
}

/// Reads as from a broken disk.
struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::from_raw_os_error(5))
    }
}

#[test]
fn long_names_are_read_in_gnu_pax_and_ustar_form() {
    let long = format!("{}/{}.json", "d".repeat(120), "n".repeat(130));
    let (samples, _, _) = samples_of(gnu_tar(&[(&long, b"{}")]));
    assert_eq!(keys(&samples), [long.strip_suffix(".json").unwrap()]);

    let mut builder = ::tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", long.as_bytes()), ("comment", b"x".as_slice())]).unwrap();
    let mut header = ::tar::Header::new_ustar();
    header.set_path("short.json").unwrap();
    header.set_size(2);
    header.set_cksum();
    builder.append(&header, &b"{}"[..]).unwrap();
    let (samples, _, _) = samples_of(builder.into_inner().unwrap());
    assert_eq!(keys(&samples), [long.strip_suffix(".json").unwrap()]);

    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_ustar();
    let name = format!("{}/{}.json", "d".repeat(90), "n".repeat(60));
    header.set_path(&name).unwrap();
    header.set_size(2);
    header.set_cksum();
    builder.append(&header, &b"{}"[..]).unwrap();
    let (samples, _, _) = samples_of(builder.into_inner().unwrap());
    assert_eq!(keys(&samples), [name.strip_suffix(".json").unwrap()]);
}

#[test]
fn folders_and_links_are_ignored() {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, kind) in [("d.x/", ::tar::EntryType::Directory), ("l.json", ::tar::EntryType::Symlink)] {
        let mut header = ::tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &b""[..]).unwrap();
    }
    let (samples, errors, counts) = samples_of(builder.into_inner().unwrap());
    assert!(samples.is_empty() && errors.is_empty());
    assert_eq!((counts.ignored, counts.members), (2, 2));
}

#[test]
fn compression_is_found_by_magic_bytes() {
    let plain = three_samples();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (bytes, seekable) in [(&plain, true), (&gzip, false), (&zstd, false)] {
        let path = folder.path().join("shard.tar");
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        assert_eq!(MemberReader::open(&path).unwrap().is_seekable(), seekable);
        let mut reader = SampleReader::open(&path).unwrap();
        let mut found = Vec::new();
        while let Some(sample) = reader.next_sample().unwrap() {
            found.push(sample.key.clone());
            reader.recycle(sample);
        }
        assert_eq!(found, ["a", "b", "c"]);
        // A compressed stream cut short is a truncated tar as well.
        if !seekable {
            let (_, errors, _) = samples_of(bytes[..bytes.len() / 2].to_vec());
            assert!(matches!(&errors[..], [TarError::Truncated { .. }]), "{errors:?}");
        }
    }
}

#[test]
fn scanning_gives_the_place_of_every_payload() {
    let bytes = three_samples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.tar");
    std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
    let mut scan = MemberReader::scan(&path).unwrap();
    let mut read = SampleReader::from_reader("memory", Cursor::new(bytes.clone())).unwrap();
    let mut seen = Vec::new();
    while let Some(member) = scan.next_member().unwrap() {
        seen.push(bytes[member.offset as usize..][..member.size as usize].to_vec());
    }
    let mut expected = Vec::new();
    while let Some(sample) = read.next_sample().unwrap() {
        expected.extend(sample.members.into_iter().map(|(_, payload)| payload));
    }
    assert_eq!(seen, expected);
}

/// Cut all over, block edges included: what was complete before is handed out, and the break is never silent.
#[test]
fn truncation_is_reported_wherever_it_falls() {
    let bytes = three_samples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.tar");
    let edge = |cut: &usize| cut.is_multiple_of(17) || (cut + 1) % BLOCK <= 2;
    for cut in (1..bytes.len() - 1024).filter(edge) {
        std::fs::File::create(&path).unwrap().write_all(&bytes[..cut]).unwrap();
        let mut reader = SampleReader::open(&path).unwrap();
        let mut complete = 0;
        let error = loop {
            match reader.next_sample() {
                Ok(Some(_)) => complete += 1,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        match error {
            Some(TarError::Truncated { samples, .. }) => {
                assert_eq!(samples, complete, "cut at {cut}")
            }
            Some(TarError::BadHeader { offset: 0, .. }) => assert!(cut < BLOCK, "cut at {cut}"),
            Some(TarError::NoEndMarker { offset, .. }) => {
                assert_eq!((offset, cut % BLOCK), (cut as u64, 0), "cut at {cut}");
            }
            Some(other) => panic!("cut at {cut}: {other}"),
            None => panic!("cut at {cut}: no error"),
        }
        let whole_pairs = [2048, 4096].iter().filter(|&&end| cut > end + BLOCK).count() as u64;
        assert!(complete >= whole_pairs, "cut at {cut}: {complete} samples");
    }
}

/// Two blocks of zeros end a tar; readers look no further. What is behind them, in plain and in compressed tars, must be
/// zeros: GNU tar fills up to 10,240 bytes.
#[test]
fn the_end_of_a_tar_is_looked_at() {
    let whole = three_samples();
    let members = &whole[..whole.len() - 1024];
    let gnu = [members, &vec![0; (members.len() + 1024).next_multiple_of(10_240) - members.len()]].concat();
    let end = |bytes: &[u8]| -> Vec<Option<(&str, u64)>> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        let forms = [bytes.to_vec(), gzip.finish().unwrap(), zstd::encode_all(bytes, 1).unwrap()];
        let ends = forms.map(|form| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("0.tar");
            std::fs::File::create(&path).unwrap().write_all(&form).unwrap();
            let (mut members, mut samples) = (MemberReader::scan(&path).unwrap(), SampleReader::open(&path).unwrap());
            let by_members = std::iter::from_fn(|| members.next_member().transpose()).find_map(Result::err);
            let handed_out: Vec<_> = std::iter::from_fn(|| samples.next_sample().transpose()).take(4).collect();
            assert_eq!(handed_out.iter().flatten().count(), 3, "what stands before the end is whole");
            assert_eq!(handed_out.iter().any(Result::is_err), by_members.is_some());
            match by_members? {
                TarError::NoEndMarker { offset, members: 6, .. } => Some(("no end", offset)),
                TarError::TrailingData { offset, members: 6, .. } => Some(("after its end marker", offset)),
                other => panic!("{other}"),
            }
        });
        ends.to_vec()
    };
    let n = members.len() as u64;
    assert_eq!(end(&whole), [None; 3]);
    assert_eq!(end(&gnu), [None; 3]);
    assert_eq!(end(members), [Some(("no end", n)); 3]);
    assert_eq!(end(&whole[..members.len() + 512]), [Some(("no end", n)); 3], "one block of zeros is no end");
    assert_eq!(end(&[&whole[..], &whole].concat()), [Some(("after its end marker", n + 1024)); 3]);
    assert_eq!(end(&[&gnu[..], &whole].concat()), [Some(("after its end marker", gnu.len() as u64)); 3]);
    assert_eq!(end(&[&whole[..], &[0; 700], b"x"].concat()), [Some(("after its end marker", n + 1724)); 3]);
    assert_eq!(end(&[members, &[0; 512], &whole].concat()), [Some(("after its end marker", n + 512)); 3]);
}

/// Two compressed tars in one file decompress to two concatenated tars.
#[test]
fn compressed_tars_in_one_file_are_found() {
    let zstd = zstd::encode_all(&three_samples()[..], 1).unwrap();
    let (samples, errors, _) = samples_of([&zstd[..], &zstd].concat());
    assert_eq!(samples.len(), 3);
    assert!(matches!(&errors[..], [TarError::TrailingData { .. }]), "{errors:?}");
}

#[test]
fn a_truncated_tar_names_the_lost_sample() {
    let bytes = three_samples();
    let (samples, errors, _) = samples_of(bytes[..4096 + 512 + 700].to_vec());
    assert_eq!(keys(&samples), ["a", "b"]);
    let [TarError::Truncated { members: 4, samples: 2, pending, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(pending.as_deref(), Some("c"));
}

#[test]
fn what_is_not_a_tar_is_said_so() {
    let check = |bytes: &[u8], part: &str| {
        let (_, errors, _) = samples_of(bytes.to_vec());
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains(part), "{}", errors[0]);
    };
    check(b"", "the file is empty");
    check(b"{\"a\": 1}", "only 8 bytes");
    check(&[b'x'; 2048], "not a tar header at byte 0");
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(SampleReader::open(folder.path()), Err(TarError::Folder { .. })));
    assert!(matches!(SampleReader::open(&folder.path().join("none.tar")), Err(TarError::Open { .. })));
    // An archive without members is a tar all the same.
    let (samples, errors, _) = samples_of(vec![0; 1024]);
    assert!(samples.is_empty() && errors.is_empty());
}

#[test]
fn huge_size_fields_reserve_no_memory() {
    let mut header = ::tar::Header::new_ustar();
    header.set_path("a.flac").unwrap();
    header.set_size(u64::MAX / 4);
    header.set_cksum();
    let mut reader = SampleReader::from_reader("memory", Cursor::new(header.as_bytes().to_vec()))
        .unwrap()
        .max_member_bytes(u64::MAX);
    assert!(matches!(reader.next_sample(), Err(TarError::Truncated { .. })));
}

#[test]
fn written_headers_have_fixed_metadata() {
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions { mtime: 1_700_000_000 });
    writer.write_sample("VID (1_0-3_5)", &[("mp4", b"x"), ("json", b"{}")]).unwrap();
    let (bytes, counts) = writer.finish().unwrap();
    assert_eq!(counts, ShardCounts { samples: 1, members: 2, payload_bytes: 3, tar_bytes: bytes.len() as u64 });
    let mut archive = ::tar::Archive::new(&bytes[..]);
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert!(header.as_ustar().is_some());
            assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0o644, 0, 0));
            assert_eq!(header.mtime().unwrap(), 1_700_000_000);
            assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
            entry.path().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, ["VID (1_0-3_5).mp4", "VID (1_0-3_5).json"]);
}

#[test]
fn writer_refuses_what_readers_would_group_otherwise() {
    let check = |key: &str, suffixes: &[&str], part: &str| {
        let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
        let members: Vec<(&str, &[u8])> = suffixes.iter().map(|suffix| (*suffix, &b"x"[..])).collect();
        let error = writer.write_sample(key, &members).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        // Nothing was written by the refused sample.
        assert_eq!(writer.finish().unwrap().0, vec![0; 1024]);
    };
    check("VID (1.0-3.5)", &["mp4"], "must not be empty or have a dot");
    check("", &["mp4"], "must not be empty");
    check("a", &["MP4"], "lower-case");
    check("a", &["x/y"], "without slashes");
    check("a", &["json", "json"], "comes twice");
    check("a", &[], "no members");
    check("__a__/b", &["json"], "would skip it");
    check("a\0b", &["json"], "cut the name");
    check(&"k".repeat(96), &["json"], "longer than the 100 bytes");
}

#[test]
fn a_key_is_written_once() {
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
    writer.write_sample(&"k".repeat(95), &[("json", b"1")]).unwrap();
    writer.write_sample("b", &[("json", b"1")]).unwrap();
    let error = writer.write_sample(&"k".repeat(95), &[("json", b"1")]).unwrap_err();
    assert!(matches!(error, TarError::DuplicateKey { .. }), "{error}");
    assert_eq!(writer.finish().unwrap().1.samples, 2);
}

#[test]
fn a_full_disk_is_a_write_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = ShardWriter::new(Full, ShardOptions::default());
    let error = writer.write_sample("a", &[("json", b"{}")]).unwrap_err();
    assert!(matches!(error, TarError::Write { .. }), "{error}");
}

fn sample_strategy() -> impl Strategy<Value = Expected> {
    let payload =
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), (0_usize..3000).prop_map(|n| vec![0x5a; n])];
    let members = proptest::collection::btree_map("[a-z0-9]{1,5}(\\.[a-z]{1,3})?", payload, 1..4);
    proptest::collection::btree_map("([A-Za-z0-9_-]{1,8}/)?[A-Za-z0-9_ ()é-]{1,30}", members, 0..6)
        .prop_map(|samples| samples.into_iter().map(|(key, members)| (key, members.into_iter().collect())).collect())
}

fn write_all(samples: &Expected) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (key, members) in samples {
        let members: Vec<(&str, &[u8])> =
            members.iter().map(|(suffix, payload)| (suffix.as_str(), payload.as_slice())).collect();
        writer.write_sample(key, &members).unwrap();
    }
    writer.finish().unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn samples_survive_the_round_trip(samples in sample_strategy()) {
        // `__x__` names are metadata to every reader; the writer refuses them.
        prop_assume!(samples.iter().all(|(key, _)| !key.starts_with("__")));
        let bytes = write_all(&samples);
        prop_assert_eq!(&bytes, &write_all(&samples));
        let (read, errors, counts) = samples_of(bytes);
        prop_assert!(errors.is_empty(), "{:?}", errors);
        prop_assert_eq!(counts.samples, samples.len() as u64);
        prop_assert_eq!(read, samples);
    }
}

proptest! {
    // Foreign bytes: the point is that every case ends, without a panic and without a huge allocation.
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn damaged_tars_never_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        resum in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = gnu_tar(&[("a.flac", b"one"), (&format!("{}.json", "n".repeat(130)), b"{}"), ("c.flac", &[7; 600]), ("c.json", b"{}")]);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
            if resum {
                // Make the damage reach the fields behind the checksum.
                let start = place / BLOCK * BLOCK;
                let mut header = ::tar::Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[start..start + BLOCK]);
                header.set_cksum();
                bytes[start..start + BLOCK].copy_from_slice(header.as_bytes());
            }
        }
        bytes.truncate(cut.index(bytes.len() * 2).max(1));
        samples_of(bytes);
    }

    #[test]
    fn random_bytes_never_panic(
        magic in prop_oneof![Just(vec![]), Just(vec![0x1f, 0x8b, 8]), Just(vec![0x28, 0xb5, 0x2f, 0xfd])],
        tail in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        samples_of([magic, tail].concat());
    }

    #[test]
    fn any_name_splits_into_parts_that_rejoin(name in ".{0,40}") {
        if let Some((key, suffix)) = split_key(&name) {
            prop_assert_eq!(format!("{key}.{suffix}"), format!("{key}.{}", name[key.len() + 1..].to_lowercase()));
            prop_assert!(!suffix.contains('/'));
        }
    }
}
