//! Failures to connect whose cause is this machine, not the upstream.

use std::io;

/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`, `EADDRNOTAVAIL`: this machine lacks a resource that every new connection
/// needs.
const LOCAL_SHORTAGES: [i32; 5] = [24, 23, 105, 12, 99];

pub(super) fn is_local(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| LOCAL_SHORTAGES.contains(&code))
}

/// The shortage that the resolver reports as a name without an address, if there is one: without a free descriptor it
/// cannot query the name server.
pub(super) fn resolver_shortage() -> Option<io::Error> {
    new_socket().err().filter(is_local)
}

fn new_socket() -> io::Result<socket2::Socket> {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
}
