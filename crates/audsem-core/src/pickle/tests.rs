//! Pickles that Python 3.11 wrote, and such that no Python writes.
#![allow(clippy::unwrap_used)]

use super::*;

fn json(bytes: &[u8]) -> String {
    Pickle::read(&mut &bytes[..]).unwrap().root().to_json(1000).unwrap().to_string()
}

#[test]
fn values_of_all_kinds_are_read() {
    // pickle.dumps(("ä", b"\x00\xff", -5, 300, 70000, 2**40, -2**63, None, True, False, [], {}), 4), and without frames.
    let wanted = r#"["ä","00ff",-5,300,70000,1099511627776,-9223372036854775808,null,true,false,[],{}]"#;
    for bytes in [
        &b"\x80\x04\x954\x00\x00\x00\x00\x00\x00\x00(\x8c\x02\xc3\xa4\x94C\x02\x00\xff\x94J\xfb\xff\xff\xffM,\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80N\x88\x89]\x94}\x94t\x94."[..],
        &b"\x80\x05(X\x02\x00\x00\x00\xc3\xa4C\x02\x00\xffJ\xfb\xff\xff\xffM,\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80N\x88\x89]}t."[..],
    ] {
        assert_eq!(json(bytes), wanted);
    }
}

#[test]
fn what_is_filled_after_it_was_memorised_is_filled_everywhere() {
    // d = {}; pickle.dumps([d, d]) with d["k"] = 1: the dictionary is remembered while it is empty.
    let bytes = b"\x80\x02]q\x00(}q\x01X\x01\x00\x00\x00kq\x02K\x01sh\x01e.";
    assert_eq!(json(bytes), r#"[{"k":1},{"k":1}]"#);
}

#[test]
fn calls_are_recorded_and_never_made() {
    let bytes = b"\x80\x02cos\nsystem\nq\x00X\x04\x00\x00\x00bootq\x01\x85q\x02Rq\x03.";
    assert_eq!(json(bytes), r#"{"python_class":"os.system","arguments":["boot"]}"#);
    // argparse.Namespace(layers=12): an object whose fields are its state.
    let bytes = b"\x80\x02cargparse\nNamespace\n)\x81}X\x06\x00\x00\x00layersK\x0csb.";
    assert_eq!(json(bytes), r#"{"python_class":"argparse.Namespace","layers":12}"#);
    let bytes = b"\x80\x02ccollections\nOrderedDict\n)RX\x01\x00\x00\x00aK\x01s}X\x09\x00\x00\x00_metadataNsb.";
    assert_eq!(json(bytes), r#"{"a":1}"#);
}

#[test]
fn integers_beyond_64_bits_are_kept() {
    let bytes = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    assert_eq!(json(bytes), r#"{"python_integer":"0x1950a86a20f9469cfc6c"}"#);
}

#[test]
fn two_pickles_in_a_row_are_two() {
    let mut bytes = &b"\x80\x02K\x01.\x80\x02K\x02.rest"[..];
    let values = [0; 2].map(|_| Pickle::read(&mut bytes).unwrap().root().as_i64());
    assert_eq!((values, bytes), ([Some(1), Some(2)], &b"rest"[..]));
}

#[test]
fn what_is_no_pickle_is_an_error() {
    let fails = |bytes: &[u8], part: &str| {
        let error = Pickle::read(&mut &bytes[..]).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    fails(b"", "ends at byte 0");
    fails(b"\x80\x02X\xff\xff\xff\xffabc", "ends at byte 2");
    fails(b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends at byte 2");
    fails(b"\x80\x02.", "an operand that is not there at byte 2");
    fails(b"\x80\x02K\x01(0.", "an operand that is not there at byte 5");
    fails(b"\x80\x02h\x07.", "a reference to nothing");
    fails(b"\x80\x02(K\x01d.", "a key without a value");
    fails(b"\x80\x02K\x01K\x02a.", "items for what is no list");
    fails(b"\x80\x02\x82\x01.", "operation 0x82");
}

#[test]
fn values_that_grow_without_end_are_refused() {
    // A list that contains itself; and one that holds the list before it twice, forty times over.
    let mut doubled = b"\x80\x02]q\x00".to_vec();
    for n in 0..40u8 {
        doubled.extend([b']', b'q', n + 1, b'(', b'h', n, b'h', n, b'e']);
    }
    doubled.push(b'.');
    for bytes in [&b"\x80\x02]q\x00h\x00a."[..], &doubled] {
        let pickle = Pickle::read(&mut &bytes[..]).unwrap();
        assert_eq!(pickle.root().to_json(100_000), Err(PickleError::TooLarge { most: 100_000 }));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        if let Ok(pickle) = Pickle::read(&mut &bytes[..]) {
            let _ = pickle.root().to_json(1000);
        }
    }
}
