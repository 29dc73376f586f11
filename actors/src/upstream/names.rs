//! Connects to hosts by name. Each thread keeps the addresses of a name for a few seconds, so that a burst of new
//! connections does not query the system's resolver for each of them.
//!
//! Addresses are kept only while they work: a connection that fails or is abandoned drops those of its name. A failed query
//! is not kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::rc::Rc;
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_rt::task::spawn_blocking;
use actix_rt::time::Instant;
use actix_service::Service as _;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, ConnectorService, Host};

/// How long addresses are kept. Name servers seldom announce less.
const LIFETIME: Duration = Duration::from_secs(5);
/// The most names that a thread keeps.
const MAX_NAMES: usize = 64;

thread_local! {
    static NAMES: RefCell<HashMap<Rc<str>, Addresses>> = RefCell::default();
}

struct Addresses {
    /// In the order of the system's resolver.
    addresses: Vec<SocketAddr>,
    until: Instant,
    /// How many connections have used them.
    uses: usize,
}

/// A TCP connection to a host.
pub(super) struct HostConnection<R> {
    pub(super) connection: Connection<R, TcpStream>,
    pub(super) name: Unproven,
}

/// The name of a connection that may still turn out to be unusable. Drops the kept addresses of the name, unless it is
/// proven.
pub(super) struct Unproven(Option<Rc<str>>);

impl Unproven {
    /// The connection works.
    pub(super) fn proven(mut self) {
        self.0 = None;
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        let Some(name) = &self.0 else { return };
        // Not at the end of the thread, when nothing is kept any more.
        let _ended = NAMES.try_with(|names| names.borrow_mut().remove(name));
    }
}

/// Opens a TCP connection to `host`. If none of the kept addresses of its name accepts one, the name is resolved again.
pub(super) async fn connect<R: Host + Clone>(
    tcp: ConnectorService,
    host: R,
) -> Result<HostConnection<R>, ConnectError> {
    let request = ConnectInfo::new(host.clone());
    let Some(name) = name(&request) else {
        return Ok(HostConnection { connection: tcp.call(request).await?, name: Unproven(None) });
    };
    let unproven = Unproven(Some(name.clone()));
    if let Some(addresses) = kept(&name)
        && let Ok(connection) = tcp.call(request.set_addrs(addresses)).await
    {
        return Ok(HostConnection { connection, name: unproven });
    }
    let addresses = resolve(&name).await?;
    keep(name, addresses.clone(), Instant::now() + LIFETIME);
    let connection = tcp.call(ConnectInfo::new(host).set_addrs(addresses)).await?;
    Ok(HostConnection { connection, name: unproven })
}

/// Drops all addresses that this thread keeps.
pub(super) fn forget_all() {
    NAMES.with_borrow_mut(HashMap::clear);
}

/// The host and port of a request, unless the host is an address.
fn name<R: Host>(request: &ConnectInfo<R>) -> Option<Rc<str>> {
    let host = request.hostname();
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    (!is_address).then(|| format!("{host}:{}", request.port()).into())
}

async fn resolve(name: &str) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = name.to_owned();
    let query = spawn_blocking(move || name.to_socket_addrs()).await;
    let found = query.map_err(|error| ConnectError::Io(error.into()))?;
    let addresses: Vec<_> = found.map_err(|error| ConnectError::Resolver(Box::new(error)))?.collect();
    if addresses.is_empty() { Err(ConnectError::NoRecords) } else { Ok(addresses) }
}

fn keep(name: Rc<str>, addresses: Vec<SocketAddr>, until: Instant) {
    NAMES.with_borrow_mut(|names| {
        if names.len() >= MAX_NAMES {
            let now = Instant::now();
            names.retain(|_, kept| now < kept.until);
        }
        if names.len() < MAX_NAMES || names.contains_key(&name) {
            names.insert(name, Addresses { addresses, until, uses: 1 });
        }
    });
}

/// The kept addresses of a name.
fn kept(name: &str) -> Option<Vec<SocketAddr>> {
    NAMES.with_borrow_mut(|names| {
        let kept = names.get_mut(name).filter(|kept| Instant::now() < kept.until)?;
        kept.uses = kept.uses.wrapping_add(1);
        Some(in_turn(&kept.addresses, kept.uses - 1))
    })
}

/// The addresses in the order for connection number `turn`. A name server that balances load lists the same addresses in
/// another order each time, which the kept ones replace. Only addresses of the first one's family take turns: the
/// resolver sorts by family to put the reachable one first.
fn in_turn(addresses: &[SocketAddr], turn: usize) -> Vec<SocketAddr> {
    let mut ordered = addresses.to_vec();
    let family = ordered.iter().take_while(|address| address.is_ipv4() == addresses[0].is_ipv4()).count();
    if family > 1 {
        ordered[..family].rotate_left(turn % family);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use actix_tls::connect::Connector;

    use super::*;

    async fn port_of(host: &str) -> Result<u16, ConnectError> {
        let HostConnection { connection, name } =
            connect(Connector::default().service(), host.to_owned()).await?;
        name.proven();
        Ok(connection.io_ref().peer_addr().unwrap().port())
    }

    /// A listener, and the name and port that lead to it.
    fn listener() -> (TcpListener, Rc<str>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, format!("localhost:{}", address.port()).into(), address)
    }

    fn later() -> Instant {
        Instant::now() + LIFETIME
    }

    /// Requirement (issue 17, 2): a name is not resolved again for each new connection.
    #[actix_rt::test]
    async fn kept_addresses_are_used_until_they_expire() {
        let ((_one, name, address), (_other, _, elsewhere)) = (listener(), listener());
        assert_eq!(port_of(&name).await.unwrap(), address.port());
        assert!(kept(&name).is_some_and(|kept| kept.contains(&address)));
        keep(name.clone(), vec![elsewhere], later());
        assert_eq!(port_of(&name).await.unwrap(), elsewhere.port());
        keep(name.clone(), vec![elsewhere], Instant::now());
        assert_eq!(port_of(&name).await.unwrap(), address.port());
    }

    /// Requirement (issue 17, 2): an upstream that has moved is found by the same connection that fails at the old address.
    #[actix_rt::test]
    async fn a_name_whose_addresses_fail_is_resolved_again() {
        let ((_one, name, address), (gone, _, elsewhere)) = (listener(), listener());
        keep(name.clone(), vec![elsewhere], later());
        drop(gone);
        assert_eq!(port_of(&name).await.unwrap(), address.port());
        assert_eq!(port_of(&name).await.unwrap(), address.port());
    }

    /// Requirement (issue 17, 2): a connection that fails, in TCP or above it, leaves no addresses behind.
    #[actix_rt::test]
    async fn a_failed_connection_drops_the_addresses() {
        let (one, name, _) = listener();
        let connected = connect(Connector::default().service(), name.to_string()).await.unwrap();
        assert!(kept(&name).is_some());
        drop(connected.name);
        assert!(kept(&name).is_none());
        drop(one);
        assert!(port_of(&name).await.is_err());
        assert!(kept(&name).is_none());
    }

    #[actix_rt::test]
    async fn a_failed_query_and_an_address_are_not_kept() {
        assert!(matches!(port_of("no-such-host.invalid:80").await, Err(ConnectError::Resolver(_))));
        let (_one, _, address) = listener();
        assert_eq!(port_of(&address.to_string()).await.unwrap(), address.port());
        NAMES.with_borrow(|names| assert!(names.is_empty()));
        assert!(name(&ConnectInfo::new("[::1]:80".to_owned())).is_none());
    }

    #[actix_rt::test]
    async fn a_limited_number_of_names_is_kept() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let fill = |until| {
            (0..2 * MAX_NAMES).for_each(|number| keep(format!("{number}").into(), vec![address], until))
        };
        fill(Instant::now());
        keep("new".into(), vec![address], later());
        assert!(kept("new").is_some());
        fill(later());
        NAMES.with_borrow(|names| assert_eq!(names.len(), MAX_NAMES));
        forget_all();
        assert!(kept("new").is_none());
    }

    /// Requirement (issue 17, 2): the addresses of a name share its connections, as when each is resolved anew.
    #[test]
    fn addresses_of_the_first_family_take_turns() {
        let v4 = |last| SocketAddr::from(([10, 0, 0, last], 443));
        let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 443));
        let addresses = [v4(1), v4(2), v4(3), v6];
        assert_eq!(in_turn(&addresses, 0), addresses);
        assert_eq!(in_turn(&addresses, 1), [v4(2), v4(3), v4(1), v6]);
        assert_eq!(in_turn(&addresses, 5), [v4(3), v4(1), v4(2), v6]);
        assert_eq!(in_turn(&[v6, v4(1)], 1), [v6, v4(1)]);
    }
}
