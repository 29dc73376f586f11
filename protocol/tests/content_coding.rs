//! Compressed bodies: in any slicing the same content, broken off at any byte never complete.

#[path = "properties/coding.rs"]
mod properties;

use std::io::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use vandamme_protocol::content_coding::ContentCoding;

use properties::{check, decoded};

/// As a server of each coding would send this content: with a flush behind each piece where the coding has one.
fn encodings(pieces: &[&[u8]]) -> Vec<(&'static str, ContentCoding, Vec<u8>)> {
    vec![
        ("gzip", ContentCoding::Gzip, gzip(pieces)),
        ("zlib", ContentCoding::Deflate, zlib(pieces)),
        ("deflate", ContentCoding::Deflate, deflate(pieces)),
        ("br", ContentCoding::Brotli, brotli(pieces)),
        ("zstd", ContentCoding::Zstd, zstd(&pieces.concat())),
        ("gzip, two members", ContentCoding::Gzip, [gzip(&pieces[..1]), gzip(&pieces[1..])].concat()),
        (
            "zstd, a skipped frame and two frames",
            ContentCoding::Zstd,
            [&skipped(b"x")[..], &zstd(pieces[0]), &skipped(b""), &zstd(&pieces[1..].concat())].concat(),
        ),
    ]
}

fn gzip(pieces: &[&[u8]]) -> Vec<u8> {
    let builder = flate2::GzBuilder::new().filename("reply.json").comment("none");
    let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
    for piece in pieces {
        encoder.write_all(piece).and_then(|()| encoder.flush()).expect("in memory");
    }
    encoder.finish().expect("in memory")
}

fn zlib(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for piece in pieces {
        encoder.write_all(piece).and_then(|()| encoder.flush()).expect("in memory");
    }
    encoder.finish().expect("in memory")
}

fn deflate(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    for piece in pieces {
        encoder.write_all(piece).and_then(|()| encoder.flush()).expect("in memory");
    }
    encoder.finish().expect("in memory")
}

fn brotli(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    for piece in pieces {
        encoder.write_all(piece).and_then(|()| encoder.flush()).expect("in memory");
    }
    encoder.into_inner()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

fn skipped(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("in memory").to_le_bytes();
    [&b"\x53\x2a\x4d\x18"[..], &length, content].concat()
}

const REPLY: [&[u8]; 3] = [
    b"event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
    "event: ping\ndata: é \u{1F600}\n\nevent: ping\ndata: é \u{1F600}\n\n".as_bytes(),
    b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

#[test]
fn a_body_cut_in_two_at_every_byte_is_the_same_content() {
    for (name, coding, encoded) in encodings(&REPLY) {
        for cut in 0..=encoded.len() {
            let (front, back) = encoded.split_at(cut);
            assert_eq!(decoded(coding, [front, back]), (REPLY.concat(), Ok(())), "{name}, cut at {cut}");
        }
        assert_eq!(decoded(coding, encoded.chunks(1)), (REPLY.concat(), Ok(())), "{name}");
    }
}

#[test]
fn a_body_broken_off_at_every_byte_is_never_complete() {
    for (name, coding, encoded) in encodings(&REPLY) {
        // Between two frames or members nothing tells that another was to come.
        let between: Vec<usize> = match name {
            "gzip, two members" => vec![gzip(&REPLY[..1]).len()],
            "zstd, a skipped frame and two frames" => {
                let first = skipped(b"x").len();
                let second = first + zstd(REPLY[0]).len();
                vec![first, second, second + skipped(b"").len()]
            }
            _ => vec![],
        };
        for end in 1..encoded.len() {
            let (content, complete) = decoded(coding, [&encoded[..end]]);
            assert!(REPLY.concat().starts_with(&content), "{name}, broken off at {end}");
            assert_eq!(complete.is_ok(), between.contains(&end), "{name}, broken off at {end}");
        }
    }
}

#[test]
fn what_stands_behind_the_end_is_an_error() {
    for (name, coding, mut encoded) in encodings(&REPLY) {
        encoded.push(0);
        assert!(decoded(coding, [&encoded[..]]).1.is_err(), "{name}");
        assert!(decoded(coding, encoded.chunks(1)).1.is_err(), "{name}");
    }
}

#[test]
fn a_wrong_checksum_is_an_error() {
    for (name, coding, mut encoded) in encodings(&REPLY) {
        if !matches!(name, "gzip" | "zlib" | "zstd") {
            continue;
        }
        let at = encoded.len() - if name == "gzip" { 5 } else { 1 };
        encoded[at] ^= 1;
        assert!(decoded(coding, [&encoded[..]]).1.is_err(), "{name}");
    }
}

#[test]
fn what_a_server_has_flushed_is_there_at_once() {
    for (name, coding) in
        [("gzip", ContentCoding::Gzip), ("zlib", ContentCoding::Deflate), ("br", ContentCoding::Brotli)]
    {
        let whole = encodings(&REPLY).into_iter().find(|(found, ..)| *found == name).expect("in memory").2;
        let front = match name {
            "gzip" => gzip(&REPLY[..1]).len() - 10,
            "zlib" => zlib(&REPLY[..1]).len() - 6,
            _ => brotli(&REPLY[..1]).len() - 1,
        };
        let (content, complete) = decoded(coding, [&whole[..front]]);
        assert_eq!((content.as_slice(), complete.is_ok()), (REPLY[0], false), "{name}");
    }
}

#[test]
fn a_body_without_bytes_is_empty_content() {
    for coding in properties::CODINGS {
        assert_eq!(decoded(coding, []), (vec![], Ok(())));
    }
}

#[test]
fn a_window_over_8_mib_is_refused_before_it_is_made() {
    // A frame that claims a window of 1 GiB, with one byte in it.
    let frame = [&b"\x28\xb5\x2f\xfd"[..], &[0, 20 << 3], &[0b1001, 0, 0], b"x"].concat();
    assert!(decoded(ContentCoding::Zstd, [&frame[..]]).1.is_err());
}

#[test]
fn a_body_that_expands_a_thousandfold_comes_in_blocks() {
    // The limit on one block is checked in `decoded`, which then has had enough.
    let zeros = vec![0; 8 << 20];
    for (name, coding, encoded) in encodings(&[&zeros, b""]) {
        assert!(encoded.len() < 64 << 10, "{name}: {}", encoded.len());
        assert!(decoded(coding, [&encoded[..]]).0.len() > 1 << 20, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_content_comes_back_from_any_slicing(
        content in vec(vec(any::<u8>(), 0..300), 2..5), cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let pieces: Vec<&[u8]> = content.iter().map(Vec::as_slice).collect();
        for (name, coding, encoded) in encodings(&pieces) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(encoded.len() + 1)).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([encoded.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let sliced = starts.zip(ends).map(|(start, end)| &encoded[start..end]);
            prop_assert_eq!(decoded(coding, sliced), (content.concat(), Ok(())), "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_the_same_in_any_slicing(bytes in vec(any::<u8>(), 0..200), cut in 0..200_usize) {
        check(&bytes, cut);
    }

    #[test]
    fn a_damaged_body_is_the_same_in_any_slicing(at in any::<prop::sample::Index>(), bits in 1..=255_u8) {
        for (_, _, mut encoded) in encodings(&REPLY) {
            let at = at.index(encoded.len());
            encoded[at] ^= bits;
            check(&encoded, at);
        }
    }
}
