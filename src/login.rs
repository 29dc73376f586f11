//! Logins to the dashboard: sessions, one-time links, and a limit on failed attempts. Only hashes of tokens are kept, in memory.

mod throttle;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::throttle::Throttle;
use crate::access_keys::{AccessKeys, KeyHash};

/// A session ends after this time without a request.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// The longest life of a session.
const LIFE: Duration = Duration::from_secs(7 * 86_400);
/// The most sessions. A new one replaces the one that has been idle longest.
const SESSIONS: usize = 64;
/// A one-time link is valid for this time.
pub(crate) const LINK: Duration = Duration::from_secs(60);
/// The most one-time links that are valid at once. A new one replaces the oldest.
const LINKS: usize = 8;
/// The length of a token, in bytes.
const TOKEN: usize = 32;

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Read every page.
    Read,
    /// Also change the running gateway.
    Admin,
}

/// The secret of a session or a one-time link.
pub(crate) struct Token(String);

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginError {
    /// The key or the link is not valid.
    Invalid,
    /// Too many attempts have failed; the next one is possible after this time.
    Throttled(Duration),
    /// The system provides no random numbers.
    NoRandomness,
}

/// The sessions of one process.
#[derive(Default)]
pub(crate) struct Logins {
    state: Mutex<LoginState>,
}

#[derive(Default)]
struct LoginState {
    sessions: HashMap<KeyHash, Session>,
    links: Vec<(KeyHash, Instant)>,
    throttle: Throttle,
}

struct Session {
    level: Level,
    /// The key that opened it; `None` for a one-time link. The session ends when the key is removed from the configuration.
    key: Option<KeyHash>,
    opened: Instant,
    used: Instant,
}

impl Token {
    fn new() -> Result<Self, LoginError> {
        let mut bytes = [0; TOKEN];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| LoginError::NoRandomness)?;
        Ok(Self(bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Logins {
    /// Opens a session for a valid key.
    pub(crate) fn with_key(&self, key: &str, keys: &AccessKeys, peer: IpAddr) -> Result<Token, LoginError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.throttle.check(peer, now).map_err(LoginError::Throttled)?;
        let presented = KeyHash::from_key(key.trim().as_bytes());
        let Some(level) = level_of(&presented, keys) else {
            state.throttle.failed(peer, now);
            return Err(LoginError::Invalid);
        };
        state.open(Session { level, key: Some(presented), opened: now, used: now })
    }

    /// Opens a session for the token of a one-time link. Attempts are not limited, since a token has 256 random bits.
    pub(crate) fn with_link(&self, token: &str) -> Result<Token, LoginError> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.links.retain(|(_, made)| now.duration_since(*made) < LINK);
        let presented = KeyHash::from_key(token.as_bytes());
        let found = state.links.iter().position(|(link, _)| bool::from(link.equals(&presented)));
        state.links.remove(found.ok_or(LoginError::Invalid)?);
        state.open(Session { level: Level::Admin, key: None, opened: now, used: now })
    }

    /// The token of a new one-time link.
    pub(crate) fn new_link(&self) -> Result<Token, LoginError> {
        let token = Token::new()?;
        let mut state = self.state.lock();
        if state.links.len() >= LINKS {
            state.links.remove(0);
        }
        state.links.push((KeyHash::from_key(token.0.as_bytes()), Instant::now()));
        Ok(token)
    }

    /// What the session with this token may do; `None` if there is no such session.
    pub(crate) fn level(&self, token: &str, keys: &AccessKeys) -> Option<Level> {
        let id = KeyHash::from_key(token.as_bytes());
        let now = Instant::now();
        let mut state = self.state.lock();
        let session = state.sessions.get_mut(&id)?;
        let holds = session.key.is_none_or(|key| level_of(&key, keys) == Some(session.level));
        if !holds || session.is_over(now) {
            state.sessions.remove(&id);
            return None;
        }
        session.used = now;
        Some(session.level)
    }

    /// Ends the session with this token.
    pub(crate) fn end(&self, token: &str) {
        self.state.lock().sessions.remove(&KeyHash::from_key(token.as_bytes()));
    }
}

impl LoginState {
    fn open(&mut self, session: Session) -> Result<Token, LoginError> {
        let token = Token::new()?;
        let now = session.opened;
        self.sessions.retain(|_, session| !session.is_over(now));
        if self.sessions.len() >= SESSIONS {
            let idle = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            idle.map(|id| self.sessions.remove(&id));
        }
        self.sessions.insert(KeyHash::from_key(token.0.as_bytes()), session);
        Ok(token)
    }
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) >= IDLE || now.duration_since(self.opened) >= LIFE
    }
}

/// What this key permits. All keys are compared, so that the time does not depend on the key.
fn level_of(presented: &KeyHash, keys: &AccessKeys) -> Option<Level> {
    let is_admin = keys.admin.is_some_and(|admin| bool::from(admin.equals(presented)));
    let is_client = keys.client(presented).is_some();
    if is_admin { Some(Level::Admin) } else { is_client.then_some(Level::Read) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::access_keys::ClientKey;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn keys() -> AccessKeys {
        let clients = vec![ClientKey { name: None, hash: KeyHash::from_key(b"client") }];
        AccessKeys { clients, admin: Some(KeyHash::from_key(b"admin")) }
    }

    /// Requirement: a session has the level of the key that opened it, and ends with a logout or with its key.
    #[test]
    fn a_session_has_the_level_of_its_key_and_ends_with_it() {
        let (logins, keys) = (Logins::default(), keys());
        let [Ok(admin), Ok(client)] = ["admin", " client "].map(|key| logins.with_key(key, &keys, PEER))
        else {
            panic!("both keys are valid");
        };
        assert_eq!(logins.level(admin.expose(), &keys), Some(Level::Admin));
        assert_eq!(logins.level(client.expose(), &keys), Some(Level::Read));
        assert_eq!(logins.level("another", &keys), None);

        logins.end(client.expose());
        assert_eq!(logins.level(client.expose(), &keys), None);
        let without = AccessKeys { admin: None, ..keys.clone() };
        assert_eq!(logins.level(admin.expose(), &without), None);
        assert_eq!(logins.level(admin.expose(), &keys), None, "it does not come back with the key");
    }

    /// Requirement: a one-time link opens one session, and a new link does not end the others.
    #[test]
    fn a_link_opens_one_session() {
        let (logins, keys) = (Logins::default(), AccessKeys::default());
        let (first, second) = (logins.new_link().ok().unwrap(), logins.new_link().ok().unwrap());
        let Ok(session) = logins.with_link(second.expose()) else { panic!("a valid link") };
        assert_eq!(logins.level(session.expose(), &keys), Some(Level::Admin));
        assert_eq!(logins.with_link(second.expose()).err(), Some(LoginError::Invalid));
        assert!(logins.with_link(first.expose()).is_ok());
        for _ in 0..LINKS {
            drop(logins.new_link());
        }
        assert_eq!(logins.state.lock().links.len(), LINKS);
    }

    /// Requirement: the number of sessions is bounded; the one that has been idle longest is replaced.
    #[test]
    fn the_number_of_sessions_is_bounded() {
        let (logins, keys) = (Logins::default(), keys());
        let first = logins.with_key("admin", &keys, PEER).ok().unwrap();
        let second = logins.with_key("admin", &keys, PEER).ok().unwrap();
        for _ in 2..SESSIONS {
            drop(logins.with_key("admin", &keys, PEER));
        }
        assert!(logins.level(first.expose(), &keys).is_some());
        drop(logins.with_key("admin", &keys, PEER));
        assert_eq!(logins.state.lock().sessions.len(), SESSIONS);
        assert!(logins.level(first.expose(), &keys).is_some());
        assert_eq!(logins.level(second.expose(), &keys), None);
    }

    /// Requirement: failed logins are limited for each address.
    #[test]
    fn failed_logins_are_limited() {
        let (logins, keys) = (Logins::default(), keys());
        let attempt = |key: &str, peer: [u8; 4]| logins.with_key(key, &keys, IpAddr::from(peer)).err();
        let mut failures = 0;
        while attempt("wrong", [10, 0, 0, 1]) == Some(LoginError::Invalid) {
            failures += 1;
            assert!(failures < 100, "attempts are not limited");
        }
        assert!(matches!(attempt("admin", [10, 0, 0, 1]), Some(LoginError::Throttled(_))));
        assert_eq!(attempt("admin", [10, 0, 0, 2]), None);
    }
}
