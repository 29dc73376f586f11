//! Writes requests that a proxy forwards. Without TLS to the upstream there is no tunnel: the proxy reads the request,
//! so its target must be an absolute URL (RFC 9112, section 3.2.2).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::Uri;
use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWrite;

use super::proxy::ProxyAddress;

/// The upstream to which a proxy forwards the requests of one connection.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// The upstream's host and port, without user information.
    authority: String,
    proxy: ProxyAddress,
}

impl Forwarding {
    pub(super) fn new(upstream: &Uri, proxy: ProxyAddress) -> Self {
        let host = upstream.host().unwrap_or_default();
        let port = upstream.port_u16().filter(|port| *port != 80);
        let authority = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Self { authority, proxy }
    }

    /// The request line and the proxy's own headers for a request that starts with `head`, and the number of bytes of
    /// `head` that they replace. `None` if `head` has no complete line.
    fn line(&self, head: &[u8]) -> Option<(BytesMut, usize)> {
        let end = memchr::memmem::find(head, b"\r\n")? + 2;
        let method = memchr::memchr(b' ', &head[..end])? + 1;
        let mut line = BytesMut::with_capacity(end + self.authority.len() + 128);
        for part in [&head[..method], b"http://", self.authority.as_bytes(), &head[method..end]] {
            line.extend_from_slice(part);
        }
        if let Some(authorization) = &self.proxy.authorization {
            for part in ["proxy-authorization: ", authorization, "\r\n"] {
                line.extend_from_slice(part.as_bytes());
            }
        }
        Some((line, end))
    }
}

/// The progress of writing the request line of one request.
#[derive(Debug)]
pub(super) enum RequestLine {
    /// The line has been written, or needs no change.
    Done,
    /// No byte of the request has been written yet.
    Pending,
    /// The rest of the line, and the number of bytes of the request that the line replaces.
    Writing(BytesMut, usize),
}

impl RequestLine {
    pub(super) fn new(forwarding: Option<&Forwarding>) -> Self {
        if forwarding.is_some() { Self::Pending } else { Self::Done }
    }

    /// Writes the start of a request, which starts with `bytes`. Returns how many of these bytes have been written.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        forwarding: &Forwarding,
        transport: &mut W,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Self::Pending = self {
            let missing = || io::Error::other("the request line does not fit in one write");
            let (line, length) = forwarding.line(bytes).ok_or_else(missing)?;
            *self = Self::Writing(line, length);
        }
        let Self::Writing(line, length) = self else {
            return Pin::new(transport).poll_write(task, bytes);
        };
        loop {
            let slices = [IoSlice::new(line), IoSlice::new(&bytes[*length..])];
            let written = ready!(Pin::new(&mut *transport).poll_write_vectored(task, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if written >= line.len() {
                let of_bytes = *length + written - line.len();
                *self = Self::Done;
                return Poll::Ready(Ok(of_bytes));
            }
            line.advance(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::proxy::{ProxySettings, Tls};

    fn line(url: &str, proxy: &str, head: &str) -> Option<(String, usize)> {
        let settings = ProxySettings::read(|name| (name == "HTTP_PROXY").then(|| proxy.to_owned())).unwrap();
        let proxy = settings.proxy_for(Tls::No, "upstream.example").unwrap().clone();
        let (line, length) = Forwarding::new(&url.parse().unwrap(), proxy).line(head.as_bytes())?;
        Some((String::from_utf8(line.to_vec()).unwrap(), length))
    }

    /// Accepts a limited number of bytes per write, as listed in `widths`; 0 means pending.
    struct Narrow<'a> {
        widths: &'a [usize],
        turn: usize,
        written: Vec<u8>,
    }

    impl AsyncWrite for Narrow<'_> {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.get_mut().take(&[bytes])
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.get_mut().take(&slices.iter().map(|slice| &**slice).collect::<Vec<_>>())
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Narrow<'_> {
        fn take(&mut self, slices: &[&[u8]]) -> Poll<io::Result<usize>> {
            let width = self.widths[self.turn % self.widths.len()];
            self.turn += 1;
            if width == 0 {
                return Poll::Pending;
            }
            let all = slices.concat();
            let taken = &all[..width.min(all.len())];
            self.written.extend_from_slice(taken);
            Poll::Ready(Ok(taken.len()))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn all_bytes_are_written_once_with_any_write_sizes(
            widths in prop::collection::vec(0_usize..40, 1..8).prop_filter("some", |all| all.iter().any(|w| *w > 0)),
            ahead in 0_usize..200,
        ) {
            let head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\n\r\n";
            let request = format!("{head}{}", "b".repeat(100)).into_bytes();
            let proxy = ProxySettings::read(|name| (name == "HTTP_PROXY").then(|| "http://u:p@proxy".to_owned()));
            let proxy = proxy.unwrap().proxy_for(Tls::No, "a.example").unwrap().clone();
            let forwarding = Forwarding::new(&"http://a.example/".parse().unwrap(), proxy);
            let mut line = RequestLine::new(Some(&forwarding));
            let mut transport = Narrow { widths: &widths, turn: 0, written: vec![] };
            let mut task = Context::from_waker(std::task::Waker::noop());
            let mut done = 0;
            while done < request.len() {
                // awc writes the whole head at once, and parts of the body later.
                let end = request.len().min((done + ahead).max(head.len()).max(done + 1));
                match line.poll_write(&forwarding, &mut transport, &mut task, &request[done..end]) {
                    Poll::Ready(written) => done += written.unwrap(),
                    Poll::Pending => {}
                }
            }
            let rest = String::from_utf8(request).unwrap();
            let rest = rest.strip_prefix("POST /v1/messages HTTP/1.1\r\n").unwrap();
            let expected = format!(
                "POST http://a.example/v1/messages HTTP/1.1\r\nproxy-authorization: Basic dTpw\r\n{rest}"
            );
            prop_assert_eq!(String::from_utf8(transport.written).unwrap(), expected);
        }
    }

    #[test]
    fn the_target_is_an_absolute_url_followed_by_the_credentials_of_the_proxy() {
        let head = "POST /v1/messages?beta=true HTTP/1.1\r\nhost: x\r\n\r\n";
        for (url, proxy, expected) in [
            (
                "http://upstream.example/v1",
                "http://proxy:3128",
                "POST http://upstream.example/v1/messages?beta=true HTTP/1.1\r\n",
            ),
            (
                "http://me:secret@upstream.example:8080/",
                "http://u:p@proxy",
                "POST http://upstream.example:8080/v1/messages?beta=true HTTP/1.1\r\n\
                 proxy-authorization: Basic dTpw\r\n",
            ),
            (
                "http://[2001:db8::1]:80/",
                "proxy",
                "POST http://[2001:db8::1]/v1/messages?beta=true HTTP/1.1\r\n",
            ),
        ] {
            let length = head.find("host").unwrap();
            assert_eq!(line(url, proxy, head), Some((expected.to_owned(), length)), "{url}");
        }
        assert_eq!(line("http://upstream.example/", "proxy", "POST /v1"), None);
    }
}
