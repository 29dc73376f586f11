//! Addresses without a server.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A bound port without a listener: connections are refused for as long as this lives.
pub(crate) struct Deaf {
    bound: Socket,
    filling: Vec<Socket>,
    pub(crate) address: SocketAddr,
}

impl Deaf {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("a free port");
        let address = socket.local_addr().expect("bound").as_socket().expect("an IP address");
        Self { bound: socket, filling: Vec::new(), address }
    }

    /// A listener that never accepts, with a full queue: connecting never completes.
    pub(crate) fn full() -> Self {
        let mut deaf = Self::new();
        deaf.bound.listen(0).expect("a bound socket");
        // The kernel decides how many connections a backlog of 0 holds. Further ones stay incomplete.
        for _ in 0..8 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("a socket");
            let _under_way = socket.connect(&deaf.address.into());
            deaf.filling.push(socket);
        }
        deaf
    }
}
