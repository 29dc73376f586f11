//! HTTP/1.1 replies: where they end, and whether their connections can be reused.

#[path = "properties/http1.rs"]
mod properties;

use proptest::prelude::*;
use vandamme_protocol::http1::{LARGEST_HEAD, ReplyError};

use properties::{Read, Then, check, read};

fn whole(reply: &str) -> Result<Read, ReplyError> {
    read(&[reply.as_bytes()], Then::Open)
}

fn closed(reply: &str) -> Result<Read, ReplyError> {
    read(&[reply.as_bytes()], Then::Closed)
}

fn body(read: &Result<Read, ReplyError>) -> &str {
    std::str::from_utf8(&read.as_ref().expect("a reply").body).expect("text")
}

#[test]
fn a_reply_with_a_length_ends_there() {
    let reply = whole("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello");

    assert_eq!(body(&reply), "hello");
    let reply = reply.unwrap();
    assert!(reply.reusable);
    // awc reads the body of an HTTP/1.0 reply to the end of its connection, and keeps no such connection.
    assert_eq!(reply.head, b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\n");
}

#[test]
fn chunks_are_removed_and_trailers_dropped() {
    let reply = whole(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\ntrailer: x\r\n\r\n5;a=b\r\nhello\r\n1 \r\n!\r\n0\r\nx: y\r\nz: 1\r\n\r\n",
    );

    assert_eq!(body(&reply), "hello!");
    let reply = reply.unwrap();
    assert!(reply.reusable);
    assert_eq!(reply.head, b"HTTP/1.0 200 OK\r\n\r\n");
}

#[test]
fn a_body_without_framing_ends_with_the_connection() {
    let reply = "HTTP/1.1 200 OK\r\n\r\nhello";

    assert!(!whole(reply).unwrap().ended);
    let reply = closed(reply);
    assert_eq!(body(&reply), "hello");
    assert!(reply.unwrap().ended);
}

#[test]
fn some_replies_have_no_body() {
    for reply in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"]
    {
        let reply = whole(reply).unwrap();
        assert!(reply.reusable && reply.body.is_empty(), "{reply:?}");
    }
    let doubtful = whole("HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\n").unwrap();
    assert!(doubtful.ended && !doubtful.reusable, "{doubtful:?}");
}

#[test]
fn interim_replies_are_skipped() {
    let reply = whole(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );

    assert_eq!(body(&reply), "ok");
    assert!(reply.unwrap().reusable);
    assert!(!whole("HTTP/1.1 103 Early Hints\r\n\r\n").unwrap().ended);
    assert_eq!(whole("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Err(ReplyError::Switched));
}

#[test]
fn ambiguous_framing_closes_the_connection() {
    for head in [
        // RFC 9112, section 6.3: the transfer coding has precedence.
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, Close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let reply = whole(head);
        assert_eq!(body(&reply), "ok", "{head}");
        let reply = reply.unwrap();
        assert!(reply.ended && !reply.reusable, "{head}");
    }
}

#[test]
fn contradictory_framing_is_refused() {
    for (reply, error) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", ReplyError::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok", ReplyError::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", ReplyError::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\nok", ReplyError::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok", ReplyError::Length),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", ReplyError::TransferEncoding),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n", ReplyError::TransferEncoding),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: \r\n\r\n", ReplyError::TransferEncoding),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\r\n", ReplyError::Chunks),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n", ReplyError::Chunks),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n", ReplyError::Chunks),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1000000000000000\r\n", ReplyError::Chunks),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n", ReplyError::Chunks),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", ReplyError::NotHttp),
        ("HTTP/2 200 OK\r\n\r\n", ReplyError::NotHttp),
        ("\x15\x03\x03\0\x02", ReplyError::NotHttp),
        ("HTTP/1.1 2OO OK\r\n\r\n", ReplyError::Head),
        ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", ReplyError::Head),
    ] {
        assert_eq!(whole(reply), Err(error), "{reply:?}");
    }
}

#[test]
fn the_size_of_a_head_is_limited() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(LARGEST_HEAD));
    assert_eq!(whole(&long), Err(ReplyError::HeadTooLarge));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(97));
    assert_eq!(whole(&many), Err(ReplyError::HeadTooLarge));
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(LARGEST_HEAD / 40 + 1);
    assert_eq!(whole(&hints), Err(ReplyError::HeadTooLarge));
    let extension = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;{}", "a".repeat(20_000));
    assert_eq!(whole(&extension), Err(ReplyError::Chunks));
    let trailers =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{}", "a: b\r\n".repeat(5_000));
    assert_eq!(whole(&trailers), Err(ReplyError::Chunks));
}

#[test]
fn a_reply_truncated_at_any_byte_is_an_error() {
    for reply in [
        "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
    ] {
        for length in 0..reply.len() {
            assert_eq!(closed(&reply[..length]), Err(ReplyError::Cut), "{:?}", &reply[..length]);
        }
        assert_eq!(body(&closed(reply)), "hello");
    }
}

/// Reads a body in chunks, `between` two of which is this, cut at every byte, and compares with reading byte by byte.
fn check_between_chunks(between: &str) {
    let reply = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok{between}hello\r\n6\r\n again\r\n0\r\n\r\n"
    );
    let bytes: Vec<&[u8]> = reply.as_bytes().chunks(1).collect();
    let expected = read(&bytes, Then::Open);
    for at in 0..=reply.len() {
        let (start, rest) = reply.as_bytes().split_at(at);
        assert_eq!(read(&[start, rest], Then::Open), expected, "{between:?} cut at {at}");
    }
}

/// Requirement (issue 17, 3): what is between two chunks means the same at once and byte by byte.
#[test]
fn lines_between_chunks_mean_the_same_wherever_they_are_cut() {
    for between in [
        "\r\n5\r\n",
        "\r\n0005\r\n",
        "\r\n00000005\r\n",
        "\r\n000000005\r\n",
        "\r\n000000000000005\r\n",
        "\r\n0000000000000005\r\n",
        "\r\nb\r\nhello\r\n6\r\n",
        "\r\nFFFFFFFF\r\n",
        "\r\n5;a=b\r\n",
        "\r\n5 \r\n",
        "\r\n0\r\n\r\n",
        "\r\n\r\n",
        "\r\n5\r",
        "\r\n5\n",
        "\n5\r\n",
        "5\r\n",
        "\r\n+5\r\n",
        "\r\n5g\r\n",
        "\r\n5\r\r\n",
    ] {
        check_between_chunks(between);
    }
}

/// A body in these chunks.
fn chunked(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![];
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

proptest! {
    #[test]
    fn anything_between_chunks_means_the_same_wherever_it_is_cut(between in "[\r\n05aF;g ]{0,14}", digits in "\r\n[0-9a-fA-F]{1,17}\r\n") {
        check_between_chunks(&between);
        check_between_chunks(&digits);
    }

    #[test]
    fn any_reply_is_read_completely_however_it_is_split(
        hints in 0..3_usize,
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
        by_length in any::<bool>(),
        suffix in proptest::collection::vec(any::<u8>(), 0..4),
        size in 1..60_usize,
    ) {
        let mut reply = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(hints);
        let expected = chunks.concat();
        if by_length {
            reply.extend_from_slice(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", expected.len()).as_bytes());
            reply.extend_from_slice(&expected);
        } else {
            reply.extend_from_slice(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            reply.extend_from_slice(&chunked(&chunks));
        }
        reply.extend_from_slice(&suffix);

        check(&reply, size);
        let read = read(&[&reply], Then::Open).unwrap();
        prop_assert_eq!(read.body, expected);
        prop_assert!(read.ended);
        prop_assert_eq!(read.reusable, suffix.is_empty());
    }

    #[test]
    fn any_bytes_give_the_same_result_however_they_are_split(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1..60_usize) {
        check(&bytes, size);
        check(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat(), size);
        check(&[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &bytes[..]].concat(), size);
    }
}
